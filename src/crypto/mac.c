/* The direct calls, for the reason that sha256.c gives. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "crypto/mac.h"

#include "base/fault.h"
#include "crypto/init.h"
#include "crypto/openssl.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/sha.h>

static int failed(void)
{
    return fault_set(FAULT_CRYPTO, "HMAC-SHA256 failed");
}

/* SHA-256's state after one block of the key XORed with a pad byte (RFC 2104, section 2). */
static bool absorb(const uint8_t key[SHA256_BLOCK], uint8_t pad, uint32_t ret_state[8])
{
    uint8_t block[SHA256_BLOCK];
    SHA256_CTX context;
    bool ok;

    for (size_t i = 0; i < sizeof block; i++)
        block[i] = key[i] ^ pad;
    ok = SHA256_Init(&context) && SHA256_Update(&context, block, sizeof block);
    memcpy(ret_state, context.h, sizeof context.h);
    crypto_wipe(block, sizeof block);
    crypto_wipe(&context, sizeof context);
    return ok;
}

/* A context that has absorbed one block. */
static SHA256_CTX resume(const uint32_t state[8])
{
    SHA256_CTX context = {.Nl = SHA256_BLOCK * 8, .md_len = SHA256_SIZE};

    memcpy(context.h, state, sizeof context.h);
    return context;
}

int mac_key_init(struct str secret, struct mac_key *ret)
{
    uint8_t key[SHA256_BLOCK] = {0};
    struct mac_key made;
    int e = 0;

    if (secret.n > sizeof key)
        e = sha256(secret, key);
    else if (secret.n > 0)
        memcpy(key, secret.p, secret.n);
    if (!e && !(absorb(key, 0x36, made.inner) && absorb(key, 0x5c, made.outer)))
        e = failed();
    if (!e)
        *ret = made;
    crypto_wipe(key, sizeof key);
    crypto_wipe(&made, sizeof made);
    return e;
}

int mac_derive(struct str secret, struct str label, struct mac_key *ret)
{
    char bytes[MAC_SIZE];
    int e = mac_hkdf(secret, STR(""), label, bytes, sizeof bytes);

    if (!e)
        e = mac_key_init((struct str){bytes, sizeof bytes}, ret);
    crypto_wipe(bytes, sizeof bytes);
    return e;
}

/* The library takes parameters it only reads through pointers that are not const. */
static OSSL_PARAM octets(const char *key, struct str s)
{
    union {
        const char *given;
        void *taken;
    } bytes = {.given = s.p};

    return OSSL_PARAM_construct_octet_string(key, bytes.taken, s.n);
}

int mac_hkdf(struct str secret, struct str salt, struct str info, void *ret_bytes, size_t n)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[5];
    size_t i = 0;
    EVP_KDF_CTX *context = EVP_KDF_CTX_new(openssl_hkdf());
    int e = 0;

    params[i++] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0);
    params[i++] = octets(OSSL_KDF_PARAM_KEY, secret);
    if (salt.n > 0)
        params[i++] = octets(OSSL_KDF_PARAM_SALT, salt);
    if (info.n > 0)
        params[i++] = octets(OSSL_KDF_PARAM_INFO, info);
    params[i] = OSSL_PARAM_construct_end();
    if (!context || EVP_KDF_derive(context, ret_bytes, n, params) <= 0)
        e = openssl_fault("HKDF");
    EVP_KDF_CTX_free(context);
    return e;
}

int mac_sha256(const struct mac_key *key, struct str message, uint8_t ret_mac[MAC_SIZE])
{
    return mac_sha256_parts(key, &message, 1, ret_mac);
}

int mac_sha256_parts(const struct mac_key *key, const struct str *parts, size_t n,
                     uint8_t ret_mac[MAC_SIZE])
{
    SHA256_CTX context = resume(key->inner);
    uint8_t inner[MAC_SIZE];
    bool ok = true;

    for (size_t i = 0; ok && i < n; i++)
        ok = SHA256_Update(&context, parts[i].p, parts[i].n);
    ok = ok && SHA256_Final(inner, &context);
    context = resume(key->outer);
    ok = ok && SHA256_Update(&context, inner, sizeof inner) && SHA256_Final(ret_mac, &context);
    return ok ? 0 : failed();
}

int mac_ring_derive(const struct str *secrets, size_t n, struct str label, struct mac_ring *ret)
{
    struct mac_ring ring = {.n = n};
    int r = 0;

    if (n > MAC_RING_MAX)
        return fault_set(FAULT_LIMIT, "more than %d retired secrets", MAC_RETIRED_MAX);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = mac_derive(secrets[i], label, &ring.keys[i]);
    if (r == 0)
        *ret = ring;
    crypto_wipe(&ring, sizeof ring);
    return r;
}

int mac_ring_make(const struct mac_ring *ring, const struct str *parts, size_t n,
                  uint8_t ret_mac[MAC_SIZE])
{
    return mac_sha256_parts(&ring->keys[0], parts, n, ret_mac);
}

int mac_ring_check(const struct mac_ring *ring, const struct str *parts, size_t n,
                   const uint8_t mac[MAC_SIZE])
{
    uint8_t own[MAC_SIZE];
    bool authentic = false;
    int r = 0;

    for (size_t i = 0; r == 0 && i < ring->n; i++) {
        r = mac_sha256_parts(&ring->keys[i], parts, n, own);
        authentic |= r == 0 && crypto_memeq(own, mac, sizeof own);
    }
    crypto_wipe(own, sizeof own);
    return r ? r : authentic ? 0 : MAC_FORGED;
}
