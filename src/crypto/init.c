#include "crypto/init.h"

#include "base/fault.h"
#include "crypto/openssl.h"

#include <liboath/oath.h>
#include <openssl/err.h>
#include <pthread.h>
#include <sodium.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_CIPHER *aes_256_gcm;
static EVP_KDF *hkdf;
static const char *missing;

/* Never undone: the process needs them until its end. */
static void start(void)
{
    if (sodium_init() < 0)
        missing = "libsodium";
    else if (oath_init() != OATH_OK)
        missing = "liboath";
    else if (!(aes_256_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL)))
        missing = "AES-256-GCM";
    else if (!(hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL)))
        missing = "HKDF";
}

int crypto_init(void)
{
    if (pthread_once(&once, start) != 0)
        return fault_set(FAULT_CRYPTO, "cannot start cryptography");
    return missing ? fault_set(FAULT_CRYPTO, "cannot start %s", missing) : 0;
}

void crypto_random(void *ret_bytes, size_t n)
{
    randombytes_buf(ret_bytes, n);
}

bool crypto_memeq(const void *a, const void *b, size_t n)
{
    return sodium_memcmp(a, b, n) == 0;
}

bool crypto_str_eq(struct str a, struct str b)
{
    return a.n == b.n && crypto_memeq(a.p, b.p, a.n);
}

void crypto_wipe(void *p, size_t n)
{
    sodium_memzero(p, n);
}

int openssl_fault(const char *doing)
{
    char text[256] = "no reason given";
    unsigned long error = ERR_peek_last_error();

    if (error)
        ERR_error_string_n(error, text, sizeof text);
    ERR_clear_error();
    return fault_set(FAULT_CRYPTO, "%s: %s", doing, text);
}

const EVP_CIPHER *openssl_aes_256_gcm(void)
{
    return aes_256_gcm;
}

EVP_KDF *openssl_hkdf(void)
{
    return hkdf;
}
