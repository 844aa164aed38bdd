#include "crypto/jwt.h"

#include "base/encode.h"
#include "base/fault.h"
#include "base/json.h"
#include "crypto/init.h"
#include "crypto/jwt_key.h"
#include "crypto/jwt_payload.h"

_Static_assert(JWT_HEADER_MAX == 96 && BASE64URL_LENGTH(JWT_SIGNATURE_MAX) == 86,
               "what JWT_PAYLOAD_MAX leaves out");

struct jwt_keys {
    struct jwt_key ring[1 + JWT_RETIRED_MAX]; /* the first is the active one */
    size_t n;
    struct buf names; /* the beginning of each payload */
};

static const struct jwt_key *find(const struct jwt_keys *keys, struct str header)
{
    for (size_t i = 0; i < keys->n; i++)
        if (str_eq(header, (struct str){keys->ring[i].header, keys->ring[i].n_header}))
            return &keys->ring[i];
    return NULL;
}

static int add(struct jwt_keys *keys, enum jwt_algorithm algorithm, struct str secret)
{
    struct jwt_key *key = &keys->ring[keys->n];
    int e;

    if (secret.n < JWT_SECRET_MIN)
        return fault_set(FAULT_LIMIT, "a token secret is shorter than %d bytes", JWT_SECRET_MIN);
    if ((e = jwt_key_init(algorithm, secret, key)))
        return e;
    if (find(keys, (struct str){key->header, key->n_header})) {
        jwt_key_release(key);
        return fault_set(FAULT_LIMIT, "a token secret is listed twice");
    }
    keys->n++;
    return 0;
}

static int set_names(struct jwt_keys *keys, struct str issuer, struct str audience)
{
    if (issuer.n == 0 || issuer.n > JWT_NAME_MAX || audience.n == 0 || audience.n > JWT_NAME_MAX)
        return fault_set(FAULT_LIMIT, "a token's issuer and audience have 1 to %d bytes",
                         JWT_NAME_MAX);
    /* Escaped, a text may take six times its bytes. */
    keys->names = buf_init(JWT_PAYLOAD_MAX - JWT_CLAIMS_MAX);
    jwt_payload_names(issuer, audience, &keys->names);
    return buf_fault(&keys->names);
}

int jwt_keys_new(enum jwt_algorithm algorithm, struct str active, const struct str *retired,
                 size_t n_retired, struct str issuer, struct str audience,
                 struct jwt_keys **ret_keys)
{
    struct jwt_keys *keys;
    int e;

    if (n_retired > JWT_RETIRED_MAX)
        return fault_set(FAULT_LIMIT, "more than %d retired token secrets", JWT_RETIRED_MAX);
    if (!(keys = calloc(1, sizeof *keys)))
        return fault_set(FAULT_MEMORY, "no memory for token keys");
    e = set_names(keys, issuer, audience);
    if (!e)
        e = add(keys, algorithm, active);
    for (size_t i = 0; !e && i < n_retired; i++)
        e = add(keys, algorithm, retired[i]);
    if (e)
        jwt_keys_free(keys);
    else
        *ret_keys = keys;
    return e;
}

void jwt_keys_free(struct jwt_keys *keys)
{
    if (!keys)
        return;
    for (size_t i = 0; i < keys->n; i++)
        jwt_key_release(&keys->ring[i]);
    buf_free(&keys->names);
    free(keys);
}

const char *jwt_keys_id(const struct jwt_keys *keys)
{
    return keys->ring[0].id;
}

/* Appends a dot and the bytes' encoding. */
static int add_segment(struct buf *out, const void *bytes, size_t n)
{
    int e = buf_reserve(out, 1 + BASE64URL_LENGTH(n));

    if (e)
        return e;
    out->p[out->n++] = '.';
    out->n += base64url_encode(bytes, n, out->p + out->n);
    return 0;
}

int jwt_issue(const struct jwt_keys *keys, const struct jwt_claims *claims, struct buf *ret_token)
{
    const struct jwt_key *key = &keys->ring[0];
    _cleanup_buf_ struct buf payload = buf_init(JWT_PAYLOAD_MAX), token = buf_secret(JWT_MAX);
    uint8_t signature[JWT_SIGNATURE_MAX];
    int e = jwt_payload_write(buf_str(&keys->names), claims, &payload);

    if (e)
        return e;
    buf_add(&token, key->header, key->n_header);
    if ((e = add_segment(&token, payload.p, payload.n)) ||
        (e = jwt_key_sign(key, buf_str(&token), signature)) ||
        (e = add_segment(&token, signature, key->n_signature)))
        return e;
    return buf_add_str(ret_token, buf_str(&token));
}

/* A token's three segments, and what its signature covers. */
struct segments {
    struct str header, payload, signature, input;
};

static bool split(struct str token, struct segments *ret)
{
    size_t first = str_find(token, '.'), second;
    struct str rest;

    if (first == token.n)
        return false;
    rest = (struct str){token.p + first + 1, token.n - first - 1};
    second = str_find(rest, '.');
    if (second == rest.n)
        return false;
    ret->header = (struct str){token.p, first};
    ret->payload = (struct str){rest.p, second};
    ret->signature = (struct str){rest.p + second + 1, rest.n - second - 1};
    ret->input = (struct str){token.p, first + 1 + second};
    return str_find(ret->signature, '.') == ret->signature.n;
}

/* Whether one of our keys signed the token. */
static int authenticate(const struct jwt_keys *keys, const struct segments *s)
{
    const struct jwt_key *key = find(keys, s->header);
    uint8_t signature[JWT_SIGNATURE_MAX];
    size_t n;

    if (!key || base64url_decode(s->signature, sizeof signature, signature, &n) ||
        n != key->n_signature)
        return JWT_SIGNATURE;
    return jwt_key_verify(key, s->input, signature);
}

int jwt_verify(const struct jwt_keys *keys, struct str token, int64_t now_ms,
               struct jwt_claims *ret_claims)
{
    char payload[JWT_PAYLOAD_MAX];
    struct jwt_claims claims;
    struct segments s;
    size_t n;
    int e;

    if (token.n > JWT_MAX || !split(token, &s))
        return JWT_MALFORMED;
    if ((e = authenticate(keys, &s)))
        return e;
    if (base64url_decode(s.payload, sizeof payload, payload, &n))
        return JWT_MALFORMED;
    if ((e = jwt_payload_read(buf_str(&keys->names), (struct str){payload, n}, &claims)))
        return e;
    if (claims.exp * 1000 <= now_ms)
        return JWT_EXPIRED;
    if (claims.iat * 1000 > now_ms + JWT_SKEW_MS)
        return JWT_NOT_YET;
    *ret_claims = claims;
    return 0;
}

int jwt_jwks(const struct jwt_keys *keys, struct buf *ret_json)
{
    buf_add_str(ret_json, STR("{\"keys\":["));
    for (size_t i = 0; i < keys->n && keys->ring[0].algorithm != JWT_HS256; i++) {
        if (i > 0)
            buf_add_char(ret_json, ',');
        jwt_key_write(&keys->ring[i], ret_json);
    }
    return buf_add_str(ret_json, STR("]}"));
}
