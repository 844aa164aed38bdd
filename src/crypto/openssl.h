/*
 * What the files of this room share of OpenSSL.
 * Rooms: crypto alone. Threads: any, after crypto_init.
 */
#ifndef HOLDFAST_CRYPTO_OPENSSL_H
#define HOLDFAST_CRYPTO_OPENSSL_H

#include <openssl/evp.h>
#include <openssl/kdf.h>

/* FAULT_CRYPTO with what was being done and the library's newest error; empties its queue. */
int openssl_fault(const char *doing);

/* AES-256-GCM, fetched once. */
const EVP_CIPHER *openssl_aes_256_gcm(void);

/* HKDF, fetched once. */
EVP_KDF *openssl_hkdf(void);

#endif
