/*
 * No bytes of a stranger verify; and of what our own key signed, only the form in which we write
 * is read: the claims that come out give the same token again.
 */
#include "base/encode.h"
#include "crypto/init.h"
#include "crypto/jwt_key.h"

#include "fuzz.h"

static const struct str secret = STR_INIT("0123456789abcdef0123456789abcdef");
static const int64_t now = INT64_C(1700000000500);

static struct jwt_keys *keys;
static struct jwt_key key;

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    FUZZ_CHECK(crypto_init() == 0);
    FUZZ_CHECK(jwt_key_init(JWT_HS256, secret, &key) == 0);
    FUZZ_CHECK(jwt_keys_new(JWT_HS256, secret, NULL, 0, STR("issuer"), STR("audience"), &keys) ==
               0);
    return 0;
}

static void add_encoded(struct buf *out, const void *p, size_t n)
{
    FUZZ_CHECK(buf_reserve(out, BASE64URL_LENGTH(n)) == 0);
    out->n += base64url_encode(p, n, out->p + out->n);
}

static void check_payload(struct str payload)
{
    _cleanup_buf_ struct buf token = buf_init(1 << 20), again = buf_init(JWT_MAX);
    uint8_t mac[JWT_SIGNATURE_MAX];
    struct jwt_claims claims;
    int e;

    buf_add(&token, key.header, key.n_header);
    buf_add_char(&token, '.');
    add_encoded(&token, payload.p, payload.n);
    FUZZ_CHECK(jwt_key_sign(&key, buf_str(&token), mac) == 0);
    buf_add_char(&token, '.');
    add_encoded(&token, mac, MAC_SIZE);
    e = jwt_verify(keys, buf_str(&token), now, &claims);
    FUZZ_CHECK(e >= 0 && e != JWT_SIGNATURE);
    if (e == 0 && claims.iat < claims.exp) {
        FUZZ_CHECK(jwt_issue(keys, &claims, &again) == 0);
        FUZZ_CHECK(str_eq(buf_str(&again), buf_str(&token)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str given = {(const char *)data, size};
    struct jwt_claims claims;

    FUZZ_CHECK(jwt_verify(keys, given, now, &claims) > 0);
    if (size <= 64 * 1024)
        check_payload(given);
    return 0;
}
