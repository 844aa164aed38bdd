/*
 * One key of access tokens: its header segment, its signature, its public form.
 * Rooms: crypto alone (behind crypto/jwt.h). Ownership: jwt_key_release wipes and frees. Threads:
 * any, on a key that no longer changes.
 */
#ifndef HOLDFAST_JWT_KEY_H
#define HOLDFAST_JWT_KEY_H

#include "crypto/jwt.h"
#include "crypto/mac.h"
#include "crypto/p256.h"
#include "crypto/sign.h"

enum { JWT_KEY_ID_SIZE = 17, JWT_HEADER_MAX = 96, JWT_SIGNATURE_MAX = 64 };

struct jwt_key {
    enum jwt_algorithm algorithm;
    char id[JWT_KEY_ID_SIZE];
    char header[JWT_HEADER_MAX]; /* the segment, encoded */
    size_t n_header;
    size_t n_signature;
    struct mac_key mac;             /* HS256 */
    struct sign_key ed25519;        /* EdDSA */
    EVP_PKEY *p256;                 /* ES256 */
    uint8_t point[P256_POINT_SIZE]; /* its public key, uncompressed (SEC 1, section 2.3.3) */
};

/* The algorithm's key that the secret gives. Returns 0, FAULT_MEMORY or FAULT_CRYPTO. */
int jwt_key_init(enum jwt_algorithm algorithm, struct str secret, struct jwt_key *ret_key);
void jwt_key_release(struct jwt_key *key);

/* The signature of the signing input, n_signature bytes (RFC 7515, section 5.1). */
int jwt_key_sign(const struct jwt_key *key, struct str input,
                 uint8_t ret_signature[JWT_SIGNATURE_MAX]);

/* Returns 0, JWT_SIGNATURE, or FAULT_CRYPTO. */
int jwt_key_verify(const struct jwt_key *key, struct str input,
                   const uint8_t signature[JWT_SIGNATURE_MAX]);

/* Appends the public key as a JWK (RFC 7517; RFC 8037, section 2); HS256 has none. */
void jwt_key_write(const struct jwt_key *key, struct buf *out);

#endif
