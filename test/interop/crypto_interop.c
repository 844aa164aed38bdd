/*
 * What crypto_interop.mjs drives: our tokens for another implementation to verify, and its tokens
 * and codes for ours.
 *   issue ALG SECRET ROLE IAT     prints a token that lives 900 s, and the JWK Set
 *   verify ALG SECRET TOKEN NOW   prints the outcome of jwt_verify, NOW in ms
 *   totp HEX CODE NOW             prints the outcome of totp_verify
 */
#include "base/encode.h"
#include "crypto/init.h"
#include "crypto/jwt.h"
#include "crypto/totp.h"

static int64_t number(const char *text)
{
    int64_t n = 0;

    if (str_to_i64(str_of(text), 0, INT64_MAX, &n))
        _Exit(2);
    return n;
}

static struct jwt_keys *keys_of(const char *algorithm, const char *secret)
{
    enum jwt_algorithm a;
    struct jwt_keys *keys;

    if (jwt_algorithm_parse(str_of(algorithm), &a) ||
        jwt_keys_new(a, str_of(secret), NULL, 0, STR("https://auth.example.com"),
                     STR("\"holdfast\""), &keys))
        _Exit(2);
    return keys;
}

static int issue(char **args)
{
    _cleanup_jwt_keys_ struct jwt_keys *keys = keys_of(args[0], args[1]);
    _cleanup_buf_ struct buf token = buf_init(JWT_MAX), jwks = buf_init(65536);
    struct jwt_claims claims = {.sub = uuid_new(),
                                .tid = uuid_new(),
                                .sid = uuid_new(),
                                .jti = uuid_new(),
                                .amr = JWT_AMR_PWD,
                                .iat = number(args[3])};

    claims.exp = claims.iat + 900;
    snprintf(claims.role, sizeof claims.role, "%s", args[2]);
    if (jwt_issue(keys, &claims, &token) || jwt_jwks(keys, &jwks))
        return 2;
    printf("%s\n%s\n", buf_cstr(&token), buf_cstr(&jwks));
    return 0;
}

static int verify(char **args)
{
    _cleanup_jwt_keys_ struct jwt_keys *keys = keys_of(args[0], args[1]);
    struct jwt_claims claims;

    printf("%d\n", jwt_verify(keys, str_of(args[2]), number(args[3]), &claims));
    return 0;
}

static int totp(char **args)
{
    uint8_t secret[TOTP_SECRET_SIZE];
    int64_t step;

    if (hex_decode(str_of(args[0]), sizeof secret, secret))
        return 2;
    printf("%d\n", totp_verify(secret, str_of(args[1]), number(args[2]), 0, &step));
    return 0;
}

int main(int argc, char **argv)
{
    struct str verb = str_of(argc > 1 ? argv[1] : NULL);

    if (crypto_init())
        return 2;
    if (argc == 6 && str_eq(verb, STR("issue")))
        return issue(argv + 2);
    if (argc == 6 && str_eq(verb, STR("verify")))
        return verify(argv + 2);
    if (argc == 5 && str_eq(verb, STR("totp")))
        return totp(argv + 2);
    return 2;
}
