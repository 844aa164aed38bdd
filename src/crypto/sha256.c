/*
 * The direct calls: the EVP ones allocate for each digest and cost half as much again. They are
 * deprecated for applications that want their providers exchanged, which this is not.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "crypto/sha256.h"

#include "base/fault.h"

#include <assert.h>
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

static_assert(sizeof(SHA256_CTX) <= sizeof(struct sha256_stream), "the library's state has room");

static SHA256_CTX *context_of(struct sha256_stream *s)
{
    return (SHA256_CTX *)s;
}

static int outcome(int done)
{
    return done ? 0 : fault_set(FAULT_CRYPTO, "SHA-256 failed");
}

int sha256_begin(struct sha256_stream *s)
{
    return outcome(SHA256_Init(context_of(s)));
}

int sha256_add(struct sha256_stream *s, struct str bytes)
{
    return outcome(SHA256_Update(context_of(s), bytes.p, bytes.n));
}

int sha256_end(struct sha256_stream *s, uint8_t ret_digest[SHA256_SIZE])
{
    return outcome(SHA256_Final(ret_digest, context_of(s)));
}
