#include "crypto/jwt_payload.h"

#include "base/fault.h"
#include "base/json.h"

/* By the bits of amr. */
static const struct str methods[] = {
    STR_INIT("[]"),
    STR_INIT("[\"pwd\"]"),
    STR_INIT("[\"otp\"]"),
    STR_INIT("[\"pwd\",\"otp\",\"mfa\"]"),
};

enum { N_METHODS = sizeof methods / sizeof methods[0] };

static const int64_t time_max = INT64_C(1) << 53; /* what every JSON reader keeps exactly */

static bool role_char(char c)
{
    return (c >= 'a' && c <= 'z') || c == '_';
}

void jwt_payload_names(struct str issuer, struct str audience, struct buf *out)
{
    struct json_writer w = json_writer(out);

    json_object_begin(&w);
    json_key(&w, "iss");
    json_str(&w, issuer);
    json_key(&w, "aud");
    json_str(&w, audience);
}

static bool is_writable(const struct jwt_claims *claims)
{
    size_t n = strnlen(claims->role, sizeof claims->role);

    if (n == 0 || n == sizeof claims->role)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!role_char(claims->role[i]))
            return false;
    return claims->amr < N_METHODS && claims->iat >= 0 && claims->iat < claims->exp &&
           claims->exp <= time_max;
}

int jwt_payload_write(struct str names, const struct jwt_claims *claims, struct buf *out)
{
    char sub[UUID_TEXT_SIZE], tid[UUID_TEXT_SIZE], sid[UUID_TEXT_SIZE], jti[UUID_TEXT_SIZE];

    if (!is_writable(claims))
        return fault_set(FAULT_INTERNAL, "claims that no token can carry");
    uuid_format(&claims->sub, sub);
    uuid_format(&claims->tid, tid);
    uuid_format(&claims->sid, sid);
    uuid_format(&claims->jti, jti);
    buf_add_str(out, names);
    return buf_printf(out,
                      ",\"sub\":\"%s\",\"tid\":\"%s\",\"sid\":\"%s\",\"role\":\"%s\",\"amr\":%s,"
                      "\"iat\":%lld,\"exp\":%lld,\"jti\":\"%s\"}",
                      sub, tid, sid, claims->role, methods[claims->amr].p, (long long)claims->iat,
                      (long long)claims->exp, jti);
}

/* Each of these takes its piece from the rest's beginning, or returns false. */

static bool take(struct str *rest, struct str literal)
{
    if (!str_has_prefix(*rest, literal))
        return false;
    *rest = (struct str){rest->p + literal.n, rest->n - literal.n};
    return true;
}

/* A JSON string that json_str may have written; its content is not looked at. */
static bool take_string(struct str *rest)
{
    size_t i = 1;

    if (rest->n == 0 || rest->p[0] != '"')
        return false;
    while (i < rest->n && rest->p[i] != '"')
        i += rest->p[i] == '\\' ? 2 : 1;
    if (i >= rest->n)
        return false;
    *rest = (struct str){rest->p + i + 1, rest->n - i - 1};
    return true;
}

static bool take_uuid(struct str *rest, struct str name, struct uuid *ret)
{
    struct str text;

    if (!take(rest, name) || rest->n < UUID_TEXT)
        return false;
    text = (struct str){rest->p, UUID_TEXT};
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] >= 'A' && text.p[i] <= 'F')
            return false;
    if (uuid_parse(text, ret))
        return false;
    *rest = (struct str){rest->p + UUID_TEXT, rest->n - UUID_TEXT};
    return take(rest, STR("\""));
}

static bool take_role(struct str *rest, char ret_role[JWT_ROLE_SIZE])
{
    size_t n = 0;

    if (!take(rest, STR(",\"role\":\"")))
        return false;
    while (n < rest->n && role_char(rest->p[n]))
        n++;
    if (n == 0 || n >= JWT_ROLE_SIZE)
        return false;
    memset(ret_role, 0, JWT_ROLE_SIZE);
    memcpy(ret_role, rest->p, n);
    *rest = (struct str){rest->p + n, rest->n - n};
    return take(rest, STR("\""));
}

static bool take_methods(struct str *rest, unsigned *ret_amr)
{
    if (!take(rest, STR(",\"amr\":")))
        return false;
    for (unsigned i = 0; i < N_METHODS; i++) {
        if (take(rest, methods[i])) {
            *ret_amr = i;
            return true;
        }
    }
    return false;
}

static bool take_time(struct str *rest, struct str name, int64_t *ret_time)
{
    struct str digits;

    if (!take(rest, name))
        return false;
    digits = (struct str){rest->p, 0};
    while (digits.n < rest->n && rest->p[digits.n] >= '0' && rest->p[digits.n] <= '9')
        digits.n++;
    if (digits.n == 0 || (digits.n > 1 && digits.p[0] == '0') ||
        str_to_i64(digits, 0, time_max, ret_time))
        return false;
    *rest = (struct str){rest->p + digits.n, rest->n - digits.n};
    return true;
}

int jwt_payload_read(struct str names, struct str payload, struct jwt_claims *ret_claims)
{
    struct jwt_claims claims = {.amr = 0};
    struct str rest = payload;
    bool ours = take(&rest, names);

    if (!ours && !(take(&rest, STR("{\"iss\":")) && take_string(&rest) &&
                   take(&rest, STR(",\"aud\":")) && take_string(&rest)))
        return JWT_MALFORMED;
    if (!take_uuid(&rest, STR(",\"sub\":\""), &claims.sub) ||
        !take_uuid(&rest, STR(",\"tid\":\""), &claims.tid) ||
        !take_uuid(&rest, STR(",\"sid\":\""), &claims.sid) || !take_role(&rest, claims.role) ||
        !take_methods(&rest, &claims.amr) || !take_time(&rest, STR(",\"iat\":"), &claims.iat) ||
        !take_time(&rest, STR(",\"exp\":"), &claims.exp) ||
        !take_uuid(&rest, STR(",\"jti\":\""), &claims.jti) || !str_eq(rest, STR("}")))
        return JWT_MALFORMED;
    if (!ours)
        return JWT_AUDIENCE;
    *ret_claims = claims;
    return 0;
}
