#include "crypto/jwt.h"

#include "base/encode.h"
#include "base/fault.h"
#include "crypto/init.h"
#include "crypto/jwt_key.h"

#include <openssl/x509.h>
#include <stdarg.h>

#include <setjmp.h>

#include <cmocka.h>

static const struct str secret =
    STR_INIT("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
             "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100");
static const struct str old_secret =
    STR_INIT("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
             "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
static const struct str issuer = STR_INIT("https://auth.example.com");
static const struct str audience = STR_INIT("holdfast");
static const int64_t iat = 1700000000, now = INT64_C(1700000000500);

/* The claims of every token here, and the payload that they must give. */
static const struct jwt_claims claims = {
    .sub = {{0x01, 0x8b, 0xcf, 0xe5, 0x68, 0, 0x70, 1, 0x80, 0, 0, 0, 0, 0, 0, 0x0a}},
    .tid = {{0x01, 0x8b, 0xcf, 0xe5, 0x68, 0, 0x70, 1, 0x80, 0, 0, 0, 0, 0, 0, 0x0b}},
    .sid = {{0x01, 0x8b, 0xcf, 0xe5, 0x68, 0, 0x70, 1, 0x80, 0, 0, 0, 0, 0, 0, 0x0c}},
    .jti = {{0x01, 0x8b, 0xcf, 0xe5, 0x68, 0, 0x70, 1, 0x80, 0, 0, 0, 0, 0, 0, 0x0d}},
    .role = "admin",
    .amr = JWT_AMR_PWD | JWT_AMR_OTP,
    .iat = 1700000000,
    .exp = 1700000900,
};
#define ID "018bcfe5-6800-7001-8000-00000000000"
#define NAMES "{\"iss\":\"https://auth.example.com\",\"aud\":\"holdfast\""
#define IDS ",\"sub\":\"" ID "a\",\"tid\":\"" ID "b\",\"sid\":\"" ID "c\""
#define ROLE ",\"role\":\"admin\",\"amr\":[\"pwd\",\"otp\",\"mfa\"]"
#define TIMES ",\"iat\":1700000000,\"exp\":1700000900"
#define JTI ",\"jti\":\"" ID "d\""
#define PAYLOAD NAMES IDS ROLE TIMES JTI "}"

static const enum jwt_algorithm algorithms[] = {JWT_HS256, JWT_EDDSA, JWT_ES256};
enum { N_ALGORITHMS = 3 };

static struct jwt_keys *keys_of(enum jwt_algorithm algorithm, struct str active,
                                const struct str *retired, size_t n)
{
    struct jwt_keys *keys;

    assert_int_equal(jwt_keys_new(algorithm, active, retired, n, issuer, audience, &keys), 0);
    return keys;
}

static struct buf token_of(const struct jwt_keys *keys)
{
    struct buf token = buf_init(4096);

    assert_int_equal(jwt_issue(keys, &claims, &token), 0);
    return token;
}

static void add_encoded(struct buf *out, struct str s)
{
    assert_int_equal(buf_reserve(out, BASE64URL_LENGTH(s.n)), 0);
    out->n += base64url_encode(s.p, s.n, out->p + out->n);
}

static int verify(const struct jwt_keys *keys, struct str token)
{
    struct jwt_claims got, before;
    int e;

    memset(&got, 0x55, sizeof got);
    before = got;
    e = jwt_verify(keys, token, now, &got);
    if (e)
        assert_memory_equal(&got, &before, sizeof got);
    return e;
}

/* A token of any header and payload text, signed as the algorithm's active key would. */
static struct buf forge(enum jwt_algorithm algorithm, struct str header, struct str payload)
{
    struct buf token = buf_init(8192);
    uint8_t signature[JWT_SIGNATURE_MAX];
    struct jwt_key key;

    assert_int_equal(jwt_key_init(algorithm, secret, &key), 0);
    if (header.p)
        add_encoded(&token, header);
    else
        buf_add(&token, key.header, key.n_header);
    buf_add_char(&token, '.');
    add_encoded(&token, payload);
    assert_int_equal(jwt_key_sign(&key, buf_str(&token), signature), 0);
    buf_add_char(&token, '.');
    add_encoded(&token, (struct str){(char *)signature, key.n_signature});
    jwt_key_release(&key);
    return token;
}

/* The i-th of a token's three segments. */
static struct str segment(struct str token, int i)
{
    struct str part = {0};

    while (i-- >= 0)
        assert_true(str_next(&token, '.', &part));
    return part;
}

static struct buf join(struct str header, struct str payload, struct str signature)
{
    struct buf token = buf_init(8192);

    buf_add_str(&token, header);
    buf_add_char(&token, '.');
    buf_add_str(&token, payload);
    buf_add_char(&token, '.');
    assert_int_equal(buf_add_str(&token, signature), 0);
    return token;
}

static void test_round_trip(void **state)
{
    for (int i = 0; i < N_ALGORITHMS; i++) {
        struct jwt_keys *keys = keys_of(algorithms[i], secret, NULL, 0);
        _cleanup_buf_ struct buf token = token_of(keys);
        struct jwt_claims got;
        assert_int_equal(jwt_verify(keys, buf_str(&token), now, &got), 0);
        assert_memory_equal(&got, &claims, sizeof got);
        jwt_keys_free(keys);
    }
}

static void test_payload_text(void **state)
{
    struct jwt_keys *keys = keys_of(JWT_HS256, secret, NULL, 0);
    _cleanup_buf_ struct buf token = token_of(keys);
    char text[1024];
    size_t n;

    assert_int_equal(base64url_decode(segment(buf_str(&token), 1), sizeof text, text, &n), 0);
    assert_true(str_eq((struct str){text, n}, STR(PAYLOAD)));
    assert_int_equal(base64url_decode(segment(buf_str(&token), 0), sizeof text, text, &n), 0);
    text[n] = '\0';
    assert_memory_equal(text, "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"", 34);
    assert_memory_equal(text + 34, jwt_keys_id(keys), 16);
    assert_string_equal(text + 50, "\"}");
    jwt_keys_free(keys);
}

static void test_amr(void **state)
{
    struct jwt_keys *keys = keys_of(JWT_HS256, secret, NULL, 0);
    struct jwt_claims c = claims, got;

    for (c.amr = 0; c.amr < 4; c.amr++) {
        _cleanup_buf_ struct buf token = buf_init(JWT_MAX);
        assert_int_equal(jwt_issue(keys, &c, &token), 0);
        assert_int_equal(jwt_verify(keys, buf_str(&token), now, &got), 0);
        assert_int_equal(got.amr, c.amr);
    }
    jwt_keys_free(keys);
}

/* RFC 7515, appendix A.1: its key has exactly a block, and its payload stays as it is given. */
static void test_rfc7515_hs256(void **state)
{
    static const struct str input =
        STR_INIT("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkz"
                 "ODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ");
    static const struct str k = STR_INIT(
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow");
    static const struct str expected = STR_INIT("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    char bytes[64];
    uint8_t mac[MAC_SIZE], wanted[MAC_SIZE];
    struct mac_key key;
    size_t n;

    assert_int_equal(base64url_decode(k, sizeof bytes, bytes, &n), 0);
    assert_int_equal(mac_key_init((struct str){bytes, n}, &key), 0);
    assert_int_equal(mac_sha256(&key, input, mac), 0);
    assert_int_equal(base64url_decode(expected, sizeof wanted, wanted, &n), 0);
    assert_memory_equal(mac, wanted, sizeof mac);
}

/* RFC 8037, appendices A.1, A.2 and A.4. */
static void test_rfc8037_eddsa(void **state)
{
    static const struct str d = STR_INIT("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
    static const struct str input =
        STR_INIT("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc");
    static const struct str expected =
        STR_INIT("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4"
                 "iylGjg5BhVsPt9g7sVvpAr_MuM0KAg");
    uint8_t seed[32], wanted[64], got[64];
    struct sign_key key;
    size_t n;

    assert_int_equal(base64url_decode(d, sizeof seed, seed, &n), 0);
    assert_int_equal(base64url_decode(expected, sizeof wanted, wanted, &n), 0);
    sign_key_init(seed, &key);
    sign_message(&key, input, got);
    assert_memory_equal(got, wanted, sizeof got);
}

/* RFC 7515, appendix A.3: a signature made elsewhere, by its public point. */
static void test_rfc7515_es256(void **state)
{
    static const struct str input = STR_INIT(
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
        "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ");
    static const struct str expected =
        STR_INIT("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djx"
                 "La8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");
    static const struct str x = STR_INIT("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU");
    static const struct str y = STR_INIT("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    uint8_t der[91] = {0}, signature[64];
    const uint8_t *at = der;
    size_t n;

    /* RFC 5480's SubjectPublicKeyInfo of a P-256 point. */
    assert_int_equal(
        hex_decode(STR("3059301306072a8648ce3d020106082a8648ce3d03010703420004"), 27, der), 0);
    assert_int_equal(base64url_decode(x, 32, der + 27, &n), 0);
    assert_int_equal(base64url_decode(y, 32, der + 59, &n), 0);
    EVP_PKEY *key = d2i_PUBKEY(NULL, &at, sizeof der);
    assert_non_null(key);
    assert_int_equal(base64url_decode(expected, sizeof signature, signature, &n), 0);
    assert_int_equal(p256_verify(key, input, signature), 0);
    signature[63] ^= 1;
    assert_int_equal(p256_verify(key, input, signature), 1);
    memset(signature, 0, sizeof signature);
    assert_int_equal(p256_verify(key, input, signature), 1);
    EVP_PKEY_free(key);
}

/* The scalar of a seed of zeros is 1, whose point is the base point; of n - 1 too. */
static void test_p256_scalar(void **state)
{
    static const char *base = "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
                              "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    static const char *n_minus_1 =
        "00000000000000000000000000000000"
        "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632550";
    uint8_t seed[P256_SEED_SIZE] = {0}, point[P256_POINT_SIZE], expected[P256_POINT_SIZE];
    EVP_PKEY *key;

    assert_int_equal(hex_decode(str_of(base), sizeof expected, expected), 0);
    assert_int_equal(p256_key_new(seed, point, &key), 0);
    assert_memory_equal(point, expected, sizeof point);
    EVP_PKEY_free(key);
    assert_int_equal(hex_decode(str_of(n_minus_1), sizeof seed, seed), 0);
    assert_int_equal(p256_key_new(seed, point, &key), 0);
    assert_memory_equal(point, expected, sizeof point);
    EVP_PKEY_free(key);
}

/* Headers that interpreters fell for: each signed with the right key, each refused. */
static void test_headers(void **state)
{
    static const char *const headers[] = {
        "{\"alg\":\"none\",\"typ\":\"JWT\"}",
        "{\"alg\":\"None\",\"typ\":\"JWT\"}",
        "{\"alg\":\"NONE\",\"typ\":\"JWT\"}",
        "{\"alg\":\"nOnE\",\"typ\":\"JWT\"}",
        "{\"alg\":\"HS256\",\"typ\":\"JWT\"}",
        "{\"alg\":\"HS384\",\"typ\":\"JWT\"}",
        "{\"alg\":\"RS256\",\"typ\":\"JWT\"}",
        "{\"alg\":\"ES256\",\"typ\":\"JWT\"}",
        "{\"typ\":\"JWT\"}",
        "{}",
        "",
        "null",
        "{\"alg\":\"HS256\",\"kid\":\"../../../../dev/null\"}",
        "{\"alg\":\"HS256\",\"kid\":\"x' UNION SELECT 'key'-- \"}",
        "{\"alg\":\"HS256\",\"kid\":\"|/bin/true\"}",
        "{\"alg\":\"HS256\",\"jku\":\"https://attacker.example/jwks.json\"}",
        "{\"alg\":\"RS256\",\"x5u\":\"https://attacker.example/cert.pem\"}",
        "{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AAAA\"}}",
        "{\"alg\":\"RS256\",\"x5c\":[\"AAAA\"]}",
        "{\"alg\":\"HS256\",\"crit\":[\"exp\"]}",
        "{\"alg\":\"HS256\",\"alg\":\"none\"}",
    };

    for (int i = 0; i < N_ALGORITHMS; i++) {
        struct jwt_keys *keys = keys_of(algorithms[i], secret, NULL, 0);
        for (size_t h = 0; h < sizeof headers / sizeof headers[0]; h++) {
            _cleanup_buf_ struct buf token = forge(algorithms[i], str_of(headers[h]), STR(PAYLOAD));
            assert_int_equal(verify(keys, buf_str(&token)), JWT_SIGNATURE);
            struct str s = segment(buf_str(&token), 1);
            _cleanup_buf_ struct buf blank = join(segment(buf_str(&token), 0), s, STR(""));
            assert_int_equal(verify(keys, buf_str(&blank)), JWT_SIGNATURE);
        }
        jwt_keys_free(keys);
    }
}

/* The true header with a space, another order, or a field more: the same meaning, other bytes. */
static void test_header_bytes(void **state)
{
    struct jwt_keys *keys = keys_of(JWT_HS256, secret, NULL, 0);
    static const char *const forms[] = {
        "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"%s\"}",
        "{\"alg\": \"HS256\",\"typ\":\"JWT\",\"kid\":\"%s\"}",
        "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"%s\"}\n",
        "{\"typ\":\"JWT\",\"alg\":\"HS256\",\"kid\":\"%s\"}",
        "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"%s\",\"x\":1}",
        "{\"alg\":\"HS256\",\"typ\":\"jwt\",\"kid\":\"%s\"}",
    };

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        _cleanup_buf_ struct buf header = buf_init(256);
        struct str form = str_of(forms[i]);
        const char *gap = strstr(forms[i], "%s");
        buf_add(&header, form.p, (size_t)(gap - form.p));
        buf_add_str(&header, str_of(jwt_keys_id(keys)));
        buf_add_str(&header, str_of(gap + 2));
        _cleanup_buf_ struct buf token = forge(JWT_HS256, buf_str(&header), STR(PAYLOAD));
        assert_int_equal(verify(keys, buf_str(&token)), i == 0 ? 0 : JWT_SIGNATURE);
    }
    jwt_keys_free(keys);
}

/* HMAC under what verifiers publish, the classic confusion: with the true header and with HS256's.
 */
static void test_confusion(void **state)
{
    for (int i = 1; i < N_ALGORITHMS; i++) {
        struct jwt_keys *keys = keys_of(algorithms[i], secret, NULL, 0);
        _cleanup_buf_ struct buf real = token_of(keys), forged = buf_init(4096),
                                 jwks = buf_init(4096);
        uint8_t mac[MAC_SIZE];
        struct mac_key key;
        assert_int_equal(jwt_jwks(keys, &jwks), 0);
        assert_int_equal(mac_key_init(buf_str(&jwks), &key), 0);
        buf_add_str(&forged, segment(buf_str(&real), 0));
        buf_add_char(&forged, '.');
        buf_add_str(&forged, segment(buf_str(&real), 1));
        assert_int_equal(mac_sha256(&key, buf_str(&forged), mac), 0);
        buf_add_char(&forged, '.');
        add_encoded(&forged, (struct str){(char *)mac, sizeof mac});
        assert_int_equal(verify(keys, buf_str(&forged)), JWT_SIGNATURE);
        _cleanup_buf_ struct buf hs = forge(JWT_HS256, (struct str){0}, STR(PAYLOAD));
        assert_int_equal(verify(keys, buf_str(&hs)), JWT_SIGNATURE);
        jwt_keys_free(keys);
    }
}

/* Each character of a token replaced by another: no edit verifies. */
static void test_every_character_counts(void **state)
{
    for (int i = 0; i < N_ALGORITHMS; i++) {
        struct jwt_keys *keys = keys_of(algorithms[i], secret, NULL, 0);
        _cleanup_buf_ struct buf token = token_of(keys);
        for (size_t at = 0; at < token.n; at += algorithms[i] == JWT_HS256 ? 1 : 7) {
            char was = token.p[at];
            token.p[at] = was == 'A' ? 'B' : 'A';
            assert_int_not_equal(verify(keys, buf_str(&token)), 0);
            token.p[at] = was;
        }
        assert_int_equal(verify(keys, buf_str(&token)), 0);
        jwt_keys_free(keys);
    }
}

/* Every other last character of the signature: some differ only in bits that no byte takes. */
static void test_last_character(void **state)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/. ";

    for (int i = 0; i < N_ALGORITHMS; i++) {
        struct jwt_keys *keys = keys_of(algorithms[i], secret, NULL, 0);
        _cleanup_buf_ struct buf token = token_of(keys);
        char *last = token.p + token.n - 1, was = *last;
        int accepted = 0;
        for (size_t c = 0; c < sizeof alphabet; c++) {
            *last = alphabet[c];
            accepted += verify(keys, buf_str(&token)) == 0;
        }
        assert_int_equal(accepted, 1);
        *last = was;
        jwt_keys_free(keys);
    }
}

static void test_segments(void **state)
{
    struct jwt_keys *keys = keys_of(JWT_HS256, secret, NULL, 0);
    _cleanup_buf_ struct buf token = token_of(keys);
    struct str t = buf_str(&token), h = segment(t, 0), p = segment(t, 1), s = segment(t, 2);
    static const struct str suffixes[] = {STR_INIT("="),  STR_INIT("=="), STR_INIT("A"),
                                          STR_INIT("\n"), STR_INIT(" "),  STR_INIT("\0")};

    for (size_t n = 0; n < t.n; n++)
        assert_int_not_equal(verify(keys, (struct str){t.p, n}), 0);
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        _cleanup_buf_ struct buf longer = join(h, p, s);
        buf_add_str(&longer, suffixes[i]);
        assert_int_equal(verify(keys, buf_str(&longer)), JWT_SIGNATURE);
    }
    _cleanup_buf_ struct buf dot = join(h, p, s), extra = join(t, p, s),
                             blank = join(h, p, STR("")), null = join(h, p, STR("AAAA")),
                             empty = join(STR(""), STR(""), STR(""));
    buf_add_char(&dot, '.');
    assert_int_equal(verify(keys, buf_str(&dot)), JWT_MALFORMED);
    assert_int_equal(verify(keys, buf_str(&extra)), JWT_MALFORMED);
    assert_int_equal(verify(keys, buf_str(&blank)), JWT_SIGNATURE);
    assert_int_equal(verify(keys, buf_str(&null)), JWT_SIGNATURE);
    assert_int_equal(verify(keys, buf_str(&empty)), JWT_SIGNATURE);
    assert_int_equal(verify(keys, STR("")), JWT_MALFORMED);
    assert_int_equal(verify(keys, h), JWT_MALFORMED);
    jwt_keys_free(keys);
}

/* Another's or an edited payload under a signature that was made for this one. */
static void test_claim_edits(void **state)
{
    static const char *const edits[] = {
        NAMES IDS ",\"role\":\"operator\",\"amr\":[\"pwd\",\"otp\",\"mfa\"]" TIMES JTI "}",
        NAMES IDS ROLE ",\"iat\":1700000000,\"exp\":9700000900" JTI "}",
        NAMES ",\"sub\":\"" ID "f\",\"tid\":\"" ID "b\",\"sid\":\"" ID "c\"" ROLE TIMES JTI "}",
    };

    for (int i = 0; i < N_ALGORITHMS; i++) {
        struct jwt_keys *keys = keys_of(algorithms[i], secret, NULL, 0);
        _cleanup_buf_ struct buf token = token_of(keys);
        for (size_t e = 0; e < sizeof edits / sizeof edits[0]; e++) {
            _cleanup_buf_ struct buf payload = buf_init(2048);
            add_encoded(&payload, str_of(edits[e]));
            _cleanup_buf_ struct buf edited =
                join(segment(buf_str(&token), 0), buf_str(&payload), segment(buf_str(&token), 2));
            assert_int_equal(verify(keys, buf_str(&edited)), JWT_SIGNATURE);
        }
        jwt_keys_free(keys);
    }
}

/* Signed with our key, yet not in the one form in which we write: somebody else has the key. */
static void test_payload_forms(void **state)
{
    static const char *const malformed[] = {
        "",
        "{}",
        "null",
        "[]",
        "{\"iss\":",
        "{\"iss\":\"\\",
        "{\"iss\":\"https://auth.example.com\"",
        " " PAYLOAD,
        PAYLOAD " ",
        PAYLOAD "}",
        "{ \"iss\":\"https://auth.example.com\"}",
        NAMES IDS ROLE JTI TIMES "}",
        NAMES IDS ROLE TIMES "}",
        NAMES IDS ROLE TIMES JTI ",\"x\":1}",
        NAMES IDS ROLE ",\"iat\":01700000000,\"exp\":1700000900" JTI "}",
        NAMES IDS ROLE ",\"iat\":1700000000.0,\"exp\":1700000900" JTI "}",
        NAMES IDS ROLE ",\"iat\":-1,\"exp\":1700000900" JTI "}",
        NAMES IDS ROLE ",\"iat\":,\"exp\":1700000900" JTI "}",
        NAMES IDS ROLE ",\"iat\":1700000000,\"exp\":\"1700000900\"" JTI "}",
        NAMES IDS ROLE ",\"iat\":1700000000,\"exp\":9007199254740993" JTI "}",
        NAMES IDS ROLE ",\"iat\":1700000000,\"exp\":99999999999999999999999" JTI "}",
        NAMES IDS ",\"role\":\"Admin\",\"amr\":[\"pwd\"]" TIMES JTI "}",
        NAMES IDS ",\"role\":\"\",\"amr\":[\"pwd\"]" TIMES JTI "}",
        NAMES IDS ",\"role\":\"aaaaaaaaaaaaaaaa\",\"amr\":[\"pwd\"]" TIMES JTI "}",
        NAMES IDS ",\"role\":\"admin\",\"amr\":[\"pwd\",\"otp\"]" TIMES JTI "}",
        NAMES IDS ",\"role\":\"admin\",\"amr\":[\"face\"]" TIMES JTI "}",
        NAMES IDS ",\"role\":\"admin\",\"amr\":\"pwd\"" TIMES JTI "}",
        NAMES IDS ROLE TIMES ",\"jti\":\"018BCFE5-6800-7001-8000-00000000000d\"}",
        NAMES IDS ROLE TIMES ",\"jti\":\"018bcfe568007001800000000000000d\"}",
    };

    for (int i = 0; i < N_ALGORITHMS; i++) {
        struct jwt_keys *keys = keys_of(algorithms[i], secret, NULL, 0);
        _cleanup_buf_ struct buf right = forge(algorithms[i], (struct str){0}, STR(PAYLOAD));
        assert_int_equal(verify(keys, buf_str(&right)), 0);
        for (size_t m = 0; m < sizeof malformed / sizeof malformed[0]; m++) {
            _cleanup_buf_ struct buf token =
                forge(algorithms[i], (struct str){0}, str_of(malformed[m]));
            assert_int_equal(verify(keys, buf_str(&token)), JWT_MALFORMED);
        }
        jwt_keys_free(keys);
    }
}

static void test_audience(void **state)
{
    static const char *const others[] = {
        "{\"iss\":\"https://auth.example.com\",\"aud\":\"other\"" IDS ROLE TIMES JTI "}",
        "{\"iss\":\"https://evil.example.com\",\"aud\":\"holdfast\"" IDS ROLE TIMES JTI "}",
        "{\"iss\":\"\",\"aud\":\"\"" IDS ROLE TIMES JTI "}",
        "{\"iss\":\"a\\\"b\",\"aud\":\"holdfast\"" IDS ROLE TIMES JTI "}",
        "{\"iss\":\"https://auth.example.com\",\"aud\":\"holdfast2\"" IDS ROLE TIMES JTI "}",
    };
    struct jwt_keys *keys = keys_of(JWT_HS256, secret, NULL, 0);

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        _cleanup_buf_ struct buf token = forge(JWT_HS256, (struct str){0}, str_of(others[i]));
        assert_int_equal(verify(keys, buf_str(&token)), JWT_AUDIENCE);
    }
    jwt_keys_free(keys);
}

/* Names that JSON must escape still verify by their own keys. */
static void test_escaped_names(void **state)
{
    struct jwt_keys *keys;
    _cleanup_buf_ struct buf token = buf_init(JWT_MAX);

    assert_int_equal(jwt_keys_new(JWT_HS256, secret, NULL, 0, STR("a\"b\\c"), STR("d\n"), &keys),
                     0);
    assert_int_equal(jwt_issue(keys, &claims, &token), 0);
    assert_int_equal(verify(keys, buf_str(&token)), 0);
    jwt_keys_free(keys);
}

static void test_times(void **state)
{
    struct jwt_keys *keys = keys_of(JWT_HS256, secret, NULL, 0);
    _cleanup_buf_ struct buf token = token_of(keys);
    struct str t = buf_str(&token);
    struct jwt_claims got;

    assert_int_equal(jwt_verify(keys, t, claims.exp * 1000 - 1, &got), 0);
    assert_int_equal(jwt_verify(keys, t, claims.exp * 1000, &got), JWT_EXPIRED);
    assert_int_equal(jwt_verify(keys, t, iat * 1000 - JWT_SKEW_MS, &got), 0);
    assert_int_equal(jwt_verify(keys, t, iat * 1000 - JWT_SKEW_MS - 1, &got), JWT_NOT_YET);
    jwt_keys_free(keys);
}

static void test_rotation(void **state)
{
    for (int i = 0; i < N_ALGORITHMS; i++) {
        struct jwt_keys *old = keys_of(algorithms[i], old_secret, NULL, 0);
        struct jwt_keys *both = keys_of(algorithms[i], secret, &old_secret, 1);
        struct jwt_keys *new = keys_of(algorithms[i], secret, NULL, 0);
        _cleanup_buf_ struct buf before = token_of(old), after = token_of(both);
        assert_int_equal(verify(both, buf_str(&before)), 0);
        assert_int_equal(verify(both, buf_str(&after)), 0);
        assert_int_equal(verify(new, buf_str(&after)), 0);
        assert_int_equal(verify(new, buf_str(&before)), JWT_SIGNATURE);
        assert_int_equal(verify(old, buf_str(&after)), JWT_SIGNATURE);
        /* The retired key's header over the active key's signature, and the other way about. */
        _cleanup_buf_ struct buf mixed = join(
            segment(buf_str(&before), 0), segment(buf_str(&after), 1), segment(buf_str(&after), 2));
        assert_int_equal(verify(both, buf_str(&mixed)), JWT_SIGNATURE);
        assert_string_equal(jwt_keys_id(both), jwt_keys_id(new));
        assert_string_not_equal(jwt_keys_id(old), jwt_keys_id(new));
        jwt_keys_free(old);
        jwt_keys_free(both);
        jwt_keys_free(new);
    }
}

/*
 * ECDSA's own twin signature (r, n - s) verifies: whoever lists tokens lists them by sid or jti.
 * Ed25519 has none: s + L is refused.
 */
static void test_twin_signatures(void **state)
{
    struct jwt_keys *keys = keys_of(JWT_ES256, secret, NULL, 0);
    _cleanup_buf_ struct buf token = token_of(keys), twin = buf_init(JWT_MAX);
    uint8_t signature[64], order[32];
    size_t n;
    int borrow = 0;

    assert_int_equal(
        hex_decode(STR("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"), 32,
                   order),
        0);
    assert_int_equal(base64url_decode(segment(buf_str(&token), 2), 64, signature, &n), 0);
    for (int i = 31; i >= 0; i--) {
        int d = order[i] - signature[32 + i] - borrow;
        borrow = d < 0;
        signature[32 + i] = (uint8_t)d;
    }
    buf_add(&twin, token.p, token.n - 86);
    add_encoded(&twin, (struct str){(char *)signature, 64});
    assert_false(str_eq(buf_str(&twin), buf_str(&token)));
    assert_int_equal(verify(keys, buf_str(&twin)), 0);
    jwt_keys_free(keys);
}

static void test_eddsa_has_no_twin(void **state)
{
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,       0xd6,
                                      0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10};
    struct jwt_keys *keys = keys_of(JWT_EDDSA, secret, NULL, 0);
    _cleanup_buf_ struct buf token = token_of(keys), twin = buf_init(JWT_MAX);
    uint8_t signature[64];
    size_t n;
    int carry = 0;

    assert_int_equal(base64url_decode(segment(buf_str(&token), 2), 64, signature, &n), 0);
    for (int i = 0; i < 32; i++) {
        carry += signature[32 + i] + order[i];
        signature[32 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    buf_add(&twin, token.p, token.n - 86);
    add_encoded(&twin, (struct str){(char *)signature, 64});
    assert_int_equal(verify(keys, buf_str(&twin)), JWT_SIGNATURE);
    jwt_keys_free(keys);
}

/* ES256 in DER, as TLS would carry it, is not a JWS signature. */
static void test_es256_der(void **state)
{
    struct jwt_keys *keys = keys_of(JWT_ES256, secret, NULL, 0);
    _cleanup_buf_ struct buf token = token_of(keys), der = buf_init(JWT_MAX);
    uint8_t bytes[70] = {0x30, 0x44, 0x02, 0x20};

    buf_add(&der, token.p, token.n - 86);
    add_encoded(&der, (struct str){(char *)bytes, sizeof bytes});
    assert_int_equal(verify(keys, buf_str(&der)), JWT_SIGNATURE);
    jwt_keys_free(keys);
}

static void test_size_limit(void **state)
{
    struct jwt_keys *keys = keys_of(JWT_HS256, secret, NULL, 0);
    _cleanup_buf_ struct buf token = token_of(keys);
    char padding[JWT_MAX];
    struct str s = segment(buf_str(&token), 2);

    memset(padding, 'A', sizeof padding);
    for (size_t n = JWT_MAX; n <= JWT_MAX + 1; n++) {
        size_t fill = n - token.n;
        _cleanup_buf_ struct buf big =
            join(segment(buf_str(&token), 0), segment(buf_str(&token), 1), s);
        buf_add(&big, padding, fill);
        assert_int_equal(big.n, n);
        assert_int_equal(verify(keys, buf_str(&big)), n > JWT_MAX ? JWT_MALFORMED : JWT_SIGNATURE);
    }
    jwt_keys_free(keys);
}

static void test_key_limits(void **state)
{
    char text[JWT_NAME_MAX + 1];
    struct str retired[JWT_RETIRED_MAX + 1], name = {text, JWT_NAME_MAX};
    struct jwt_keys *keys = NULL;

    memset(text, 'x', sizeof text);
    for (size_t i = 0; i <= JWT_RETIRED_MAX; i++)
        retired[i] = (struct str){secret.p + i, 64};
    assert_int_equal(
        jwt_keys_new(JWT_HS256, secret, retired, JWT_RETIRED_MAX + 1, issuer, audience, &keys),
        FAULT_LIMIT);
    assert_int_equal(
        jwt_keys_new(JWT_HS256, (struct str){secret.p, 31}, NULL, 0, issuer, audience, &keys),
        FAULT_LIMIT);
    assert_int_equal(jwt_keys_new(JWT_ES256, secret, &secret, 1, issuer, audience, &keys),
                     FAULT_LIMIT);
    assert_int_equal(jwt_keys_new(JWT_HS256, secret, NULL, 0, STR(""), audience, &keys),
                     FAULT_LIMIT);
    name.n++;
    assert_int_equal(jwt_keys_new(JWT_HS256, secret, NULL, 0, name, audience, &keys), FAULT_LIMIT);
    assert_int_equal(jwt_keys_new(JWT_HS256, secret, NULL, 0, issuer, name, &keys), FAULT_LIMIT);
    assert_null(keys);
    name.n--;
    assert_int_equal(jwt_keys_new(JWT_HS256, secret, retired, JWT_RETIRED_MAX, name, name, &keys),
                     0);
    _cleanup_buf_ struct buf token = token_of(keys);
    assert_int_equal(verify(keys, buf_str(&token)), 0);
    jwt_keys_free(keys);
}

/* Names whose escapes would leave no room for the claims are refused at once, not at a sign-in. */
static void test_name_room(void **state)
{
    char text[JWT_NAME_MAX];
    struct jwt_keys *keys = NULL;
    struct jwt_claims c = claims;

    memset(text, 1, sizeof text);
    c.exp = INT64_C(1) << 53;
    memset(c.role, 'a', JWT_ROLE_SIZE - 1);
    for (size_t n = 1; n <= JWT_NAME_MAX; n++) {
        _cleanup_buf_ struct buf token = buf_init(JWT_MAX);
        int e = jwt_keys_new(JWT_ES256, secret, NULL, 0, (struct str){text, n}, audience, &keys);
        if (e) {
            assert_int_equal(e, FAULT_LIMIT);
            assert_true(n > 100);
            return;
        }
        assert_int_equal(jwt_issue(keys, &c, &token), 0);
        assert_int_equal(verify(keys, buf_str(&token)), 0);
        jwt_keys_free(keys);
    }
    fail_msg("names of 1,536 bytes were taken");
}

static void test_unwritable_claims(void **state)
{
    struct jwt_keys *keys = keys_of(JWT_HS256, secret, NULL, 0);
    struct jwt_claims wrong[] = {claims, claims, claims, claims, claims, claims};
    _cleanup_buf_ struct buf token = buf_init(JWT_MAX);

    memset(wrong[0].role, 0, sizeof wrong[0].role);
    memset(wrong[1].role, 'a', sizeof wrong[1].role);
    wrong[2].role[0] = '"';
    wrong[3].amr = 4;
    wrong[4].exp = wrong[4].iat;
    wrong[5].iat = -1;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(jwt_issue(keys, &wrong[i], &token), FAULT_INTERNAL);
    assert_int_equal(token.n, 0);
    jwt_keys_free(keys);
}

static void test_jwks(void **state)
{
    static const char *const begins[] = {"{\"keys\":[]}",
                                         "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"",
                                         "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\""};

    for (int i = 0; i < N_ALGORITHMS; i++) {
        struct jwt_keys *keys = keys_of(algorithms[i], secret, &old_secret, 1);
        _cleanup_buf_ struct buf json = buf_init(4096);
        assert_int_equal(jwt_jwks(keys, &json), 0);
        assert_true(str_has_prefix(buf_str(&json), str_of(begins[i])));
        if (i > 0) {
            assert_non_null(strstr(buf_cstr(&json), jwt_keys_id(keys)));
            assert_non_null(strstr(buf_cstr(&json), "},{\"kty\""));
        }
        assert_null(strstr(buf_cstr(&json), "\"d\""));
        jwt_keys_free(keys);
    }
}

static void test_algorithm_names(void **state)
{
    enum jwt_algorithm a = JWT_HS256;

    assert_int_equal(jwt_algorithm_parse(STR("ES256"), &a), 0);
    assert_int_equal(a, JWT_ES256);
    assert_int_equal(jwt_algorithm_parse(STR("EdDSA"), &a), 0);
    assert_int_equal(a, JWT_EDDSA);
    assert_int_equal(jwt_algorithm_parse(STR("HS256"), &a), 0);
    assert_int_equal(a, JWT_HS256);
    assert_int_equal(jwt_algorithm_parse(STR("none"), &a), 1);
    assert_int_equal(jwt_algorithm_parse(STR(""), &a), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_payload_text),
        cmocka_unit_test(test_amr),
        cmocka_unit_test(test_rfc7515_hs256),
        cmocka_unit_test(test_rfc8037_eddsa),
        cmocka_unit_test(test_rfc7515_es256),
        cmocka_unit_test(test_p256_scalar),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_header_bytes),
        cmocka_unit_test(test_confusion),
        cmocka_unit_test(test_every_character_counts),
        cmocka_unit_test(test_last_character),
        cmocka_unit_test(test_segments),
        cmocka_unit_test(test_claim_edits),
        cmocka_unit_test(test_payload_forms),
        cmocka_unit_test(test_audience),
        cmocka_unit_test(test_escaped_names),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_twin_signatures),
        cmocka_unit_test(test_eddsa_has_no_twin),
        cmocka_unit_test(test_es256_der),
        cmocka_unit_test(test_size_limit),
        cmocka_unit_test(test_key_limits),
        cmocka_unit_test(test_name_room),
        cmocka_unit_test(test_unwritable_claims),
        cmocka_unit_test(test_jwks),
        cmocka_unit_test(test_algorithm_names),
    };

    if (crypto_init())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
