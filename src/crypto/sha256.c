/*
 * The direct calls: the EVP ones allocate for each digest and cost half as much again. They are
 * deprecated for applications that want their providers exchanged, which this is not.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "crypto/sha256.h"

#include "base/fault.h"

#include <openssl/sha.h>

int sha256(struct str bytes, uint8_t ret_digest[SHA256_SIZE])
{
    return sha256_parts(bytes, NULL, 0, ret_digest);
}

int sha256_parts(struct str prefix, const struct str *parts, size_t n,
                 uint8_t ret_digest[SHA256_SIZE])
{
    SHA256_CTX context;
    bool ok = SHA256_Init(&context) && SHA256_Update(&context, prefix.p, prefix.n);

    for (size_t i = 0; ok && i < n; i++)
        ok = SHA256_Update(&context, parts[i].p, parts[i].n);
    if (!ok || !SHA256_Final(ret_digest, &context))
        return fault_set(FAULT_CRYPTO, "SHA-256 failed");
    return 0;
}
