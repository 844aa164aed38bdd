/*
 * SHA-256 (FIPS 180-4), without allocation.
 * Rooms: all below crypto. Threads: any.
 */
#ifndef HOLDFAST_SHA256_H
#define HOLDFAST_SHA256_H

#include "base/str.h"

enum { SHA256_SIZE = 32, SHA256_BLOCK = 64 };

/* The digest of the bytes. Returns 0 or FAULT_CRYPTO. */
int sha256(struct str bytes, uint8_t ret_digest[SHA256_SIZE]);

/* The digest of prefix and the n parts, as if they were one string. Returns 0 or FAULT_CRYPTO. */
int sha256_parts(struct str prefix, const struct str *parts, size_t n,
                 uint8_t ret_digest[SHA256_SIZE]);

/* Bytes that come in pieces. Nothing of it is to be freed. */
struct sha256_stream {
    uint64_t room[16];
};

/* Each returns 0 or FAULT_CRYPTO. */
int sha256_begin(struct sha256_stream *s);
int sha256_add(struct sha256_stream *s, struct str bytes);
int sha256_end(struct sha256_stream *s, uint8_t ret_digest[SHA256_SIZE]);

#endif
