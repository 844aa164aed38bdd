/*
 * Signatures: Ed25519 (RFC 8032, section 5.1) by a key that comes from a 32-byte seed.
 * Rooms: all below crypto. Ownership: the caller's values; sign_key_release wipes. Threads: any.
 */
#ifndef HOLDFAST_SIGN_H
#define HOLDFAST_SIGN_H

#include "base/str.h"

enum { SIGN_SEED_SIZE = 32, SIGN_PUBLIC_SIZE = 32, SIGN_SIZE = 64 };

/* "ed25519:" and 43 characters of base64url, and the NUL. */
enum { SIGN_PUBLIC_TEXT = 8 + 43, SIGN_PUBLIC_TEXT_SIZE = SIGN_PUBLIC_TEXT + 1 };

struct sign_key {
    uint8_t public_key[SIGN_PUBLIC_SIZE];
    uint8_t secret_key[64]; /* seed and public key */
};

void sign_key_init(const uint8_t seed[SIGN_SEED_SIZE], struct sign_key *ret_key);

/* A key of its own for each label, its seed by HKDF from the secret. Returns 0 or FAULT_CRYPTO. */
int sign_key_derive(struct str secret, struct str label, struct sign_key *ret_key);

void sign_key_release(struct sign_key *key);

/* The signature of the message; deterministic. */
void sign_message(const struct sign_key *key, struct str message, uint8_t ret_signature[SIGN_SIZE]);

/* Returns 0, or 1 where the signature is not of this message by this key. */
int sign_verify(const uint8_t public_key[SIGN_PUBLIC_SIZE], struct str message,
                const uint8_t signature[SIGN_SIZE]);

/* The public key as text, and back: 0, or 1 where text is no such key. */
void sign_public_format(const uint8_t public_key[SIGN_PUBLIC_SIZE],
                        char ret_text[SIGN_PUBLIC_TEXT_SIZE]);
int sign_public_parse(struct str text, uint8_t ret_public_key[SIGN_PUBLIC_SIZE]);

#endif
