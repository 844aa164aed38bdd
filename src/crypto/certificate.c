#include "crypto/certificate.h"

#include "base/fault.h"
#include "crypto/openssl.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>

struct certificate_trust {
    X509_STORE *roots;
    STACK_OF(X509) * intermediates;
};

struct certificate {
    _Atomic int holders;
    int64_t from_ms, until_ms; /* both inclusive */
    EVP_PKEY *key;
};

/* The library's own level 2: keys of 112 bits of strength, no SHA-1 in the chain. */
enum { STRENGTH_LEVEL = 2 };

static void free_stack(STACK_OF(X509) * stack)
{
    sk_X509_pop_free(stack, X509_free);
}

int certificate_trust_new(struct certificate_trust **ret_trust)
{
    struct certificate_trust *t = calloc(1, sizeof *t);

    if (!t)
        return fault_set(FAULT_MEMORY, "no memory for a trust");
    t->roots = X509_STORE_new();
    t->intermediates = sk_X509_new_null();
    if (!t->roots || !t->intermediates) {
        certificate_trust_free(t);
        return openssl_fault("making a trust");
    }
    *ret_trust = t;
    return 0;
}

void certificate_trust_free(struct certificate_trust *trust)
{
    if (!trust)
        return;
    X509_STORE_free(trust->roots);
    free_stack(trust->intermediates);
    free(trust);
}

int certificate_trust_add_system(struct certificate_trust *trust)
{
    if (X509_STORE_set_default_paths(trust->roots) != 1)
        return openssl_fault("reading the system's roots");
    return 0;
}

/* Takes one certificate into the stack. Returns 0, 1 at the end of the text, or an outcome. */
static int read_one(BIO *bio, STACK_OF(X509) * stack, bool *ret_end)
{
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);

    if (!x) {
        unsigned long error = ERR_peek_last_error();
        *ret_end =
            ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
        ERR_clear_error();
        return *ret_end ? 0 : CERTIFICATE_MALFORMED;
    }
    *ret_end = false;
    if (sk_X509_push(stack, x) > 0)
        return 0;
    X509_free(x);
    return openssl_fault("keeping a certificate");
}

/* One certificate at least, max at most. */
static int read_pem(struct str pem, int max, STACK_OF(X509) * stack)
{
    bool end = false;
    BIO *bio;
    int e = 0;

    if (pem.n == 0 || pem.n > CERTIFICATE_PEM_MAX)
        return CERTIFICATE_MALFORMED;
    ERR_clear_error();
    bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    if (!bio)
        return openssl_fault("reading a certificate");
    while (!e && !end) {
        e = read_one(bio, stack, &end);
        if (!e && sk_X509_num(stack) > max)
            e = CERTIFICATE_MALFORMED;
    }
    BIO_free(bio);
    return e ? e : sk_X509_num(stack) > 0 ? 0 : CERTIFICATE_MALFORMED;
}

enum { TRUST_MAX = 1024 };

int certificate_trust_add_intermediates(struct certificate_trust *trust, struct str pem)
{
    return read_pem(pem, TRUST_MAX, trust->intermediates);
}

int certificate_trust_add_roots(struct certificate_trust *trust, struct str pem)
{
    STACK_OF(X509) *stack = sk_X509_new_null();
    int e = stack ? read_pem(pem, TRUST_MAX, stack) : openssl_fault("reading roots");

    for (int i = 0; !e && i < sk_X509_num(stack); i++)
        if (X509_STORE_add_cert(trust->roots, sk_X509_value(stack, i)) != 1)
            e = openssl_fault("trusting a root");
    free_stack(stack);
    return e;
}

static bool key_fits(EVP_PKEY *key)
{
    return key && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA &&
           EVP_PKEY_get_bits(key) >= CERTIFICATE_RSA_MIN &&
           EVP_PKEY_get_bits(key) <= CERTIFICATE_RSA_MAX;
}

static bool named(X509 *x, const struct str *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (X509_check_host(x, names[i].p, names[i].n, X509_CHECK_FLAG_NO_WILDCARDS, NULL) == 1)
            return true;
    return false;
}

/* Milliseconds of a date; 1 where it is none. */
static int time_of(const ASN1_TIME *t, int64_t *ret_ms)
{
    struct tm tm;

    if (ASN1_TIME_to_tm(t, &tm) != 1)
        return 1;
    *ret_ms = (int64_t)timegm(&tm) * 1000;
    return 0;
}

static int read_dates(X509 *x, struct certificate *c)
{
    if (time_of(X509_get0_notBefore(x), &c->from_ms) ||
        time_of(X509_get0_notAfter(x), &c->until_ms))
        return CERTIFICATE_MALFORMED;
    c->until_ms += 999;
    return 0;
}

bool certificate_valid_at(const struct certificate *certificate, int64_t now_ms)
{
    return now_ms >= certificate->from_ms && now_ms <= certificate->until_ms;
}

/* All that may lie between the certificate and a root. */
static STACK_OF(X509) * helpers_of(const struct certificate_trust *trust, STACK_OF(X509) * given)
{
    STACK_OF(X509) *all = sk_X509_dup(trust->intermediates);

    for (int i = 1; all && i < sk_X509_num(given); i++) {
        if (sk_X509_push(all, sk_X509_value(given, i)) > 0)
            continue;
        sk_X509_free(all);
        return NULL;
    }
    return all;
}

static int check_chain(const struct certificate_trust *trust, STACK_OF(X509) * given,
                       int64_t now_ms)
{
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    STACK_OF(X509) *helpers = helpers_of(trust, given);
    int e = 0;

    if (!context || !helpers ||
        X509_STORE_CTX_init(context, trust->roots, sk_X509_value(given, 0), helpers) != 1 ||
        X509_STORE_CTX_set_purpose(context, X509_PURPOSE_SSL_SERVER) != 1) {
        e = openssl_fault("checking a chain");
    } else {
        X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(context);
        X509_VERIFY_PARAM_set_time(param, (time_t)(now_ms / 1000));
        X509_VERIFY_PARAM_set_auth_level(param, STRENGTH_LEVEL);
        X509_VERIFY_PARAM_set_depth(param, CERTIFICATE_CHAIN_MAX);
        if (X509_verify_cert(context) != 1)
            e = CERTIFICATE_CHAIN;
    }
    ERR_clear_error();
    X509_STORE_CTX_free(context);
    sk_X509_free(helpers);
    return e;
}

static int check(const struct certificate_trust *trust, STACK_OF(X509) * given,
                 const struct str *names, size_t n, int64_t now_ms, struct certificate *c)
{
    X509 *x = sk_X509_value(given, 0);
    int e = X509_check_ca(x) ? CERTIFICATE_MALFORMED : read_dates(x, c);

    if (e)
        return e;
    c->key = X509_get_pubkey(x);
    ERR_clear_error();
    if (!key_fits(c->key))
        return CERTIFICATE_WEAK;
    if (!named(x, names, n))
        return CERTIFICATE_NAME;
    if (!certificate_valid_at(c, now_ms))
        return CERTIFICATE_DATES;
    return check_chain(trust, given, now_ms);
}

int certificate_check(const struct certificate_trust *trust, struct str pem,
                      const struct str *names, size_t n, int64_t now_ms,
                      struct certificate **ret_certificate)
{
    STACK_OF(X509) *given = sk_X509_new_null();
    struct certificate *c = calloc(1, sizeof *c);
    int e = 0;

    if (!given || !c)
        e = fault_set(FAULT_MEMORY, "no memory for a certificate");
    if (!e) {
        c->holders = 1;
        e = read_pem(pem, CERTIFICATE_CHAIN_MAX, given);
    }
    if (!e)
        e = check(trust, given, names, n, now_ms, c);
    free_stack(given);
    if (e)
        certificate_release(c);
    else
        *ret_certificate = c;
    return e;
}

struct certificate *certificate_hold(struct certificate *certificate)
{
    atomic_fetch_add(&certificate->holders, 1);
    return certificate;
}

void certificate_release(struct certificate *certificate)
{
    if (!certificate || atomic_fetch_sub(&certificate->holders, 1) > 1)
        return;
    EVP_PKEY_free(certificate->key);
    free(certificate);
}

int certificate_verify(const struct certificate *certificate, enum certificate_digest digest,
                       struct str message, struct str signature)
{
    const EVP_MD *md = digest == CERTIFICATE_SHA1 ? EVP_sha1() : EVP_sha256();
    EVP_MD_CTX *context;
    EVP_PKEY_CTX *key;
    int e = 0;

    if (signature.n != (size_t)EVP_PKEY_get_size(certificate->key))
        return 1;
    context = EVP_MD_CTX_new();
    if (!context || EVP_DigestVerifyInit(context, &key, md, NULL, certificate->key) != 1 ||
        EVP_PKEY_CTX_set_rsa_padding(key, RSA_PKCS1_PADDING) != 1)
        e = openssl_fault("verifying a signature");
    else if (EVP_DigestVerify(context, (const unsigned char *)signature.p, signature.n,
                              (const unsigned char *)message.p, message.n) != 1)
        e = 1;
    ERR_clear_error();
    EVP_MD_CTX_free(context);
    return e;
}
