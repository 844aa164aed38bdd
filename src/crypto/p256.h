/*
 * ECDSA over P-256 with SHA-256 (FIPS 186-5), signatures as r and s of 32 bytes each (RFC 7518,
 * section 3.4).
 * Rooms: crypto alone. Ownership: the caller frees the key with EVP_PKEY_free. Threads: any.
 */
#ifndef HOLDFAST_P256_H
#define HOLDFAST_P256_H

#include "base/str.h"

#include <openssl/evp.h>

enum { P256_POINT_SIZE = 65, P256_SIGNATURE_SIZE = 64, P256_SEED_SIZE = 48 };

/*
 * The key whose scalar is seed mod (n - 1), plus 1 (FIPS 186-5, appendix A.2.1), and its public
 * point, uncompressed. Returns 0 or FAULT_CRYPTO.
 */
int p256_key_new(const uint8_t seed[P256_SEED_SIZE], uint8_t ret_point[P256_POINT_SIZE],
                 EVP_PKEY **ret_key);

/* Returns 0 or FAULT_CRYPTO. */
int p256_sign(EVP_PKEY *key, struct str message, uint8_t ret_signature[P256_SIGNATURE_SIZE]);

/* Returns 0, 1 where the signature is not of this message by this key, or FAULT_CRYPTO. */
int p256_verify(EVP_PKEY *key, struct str message, const uint8_t signature[P256_SIGNATURE_SIZE]);

#endif
