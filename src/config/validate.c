#include "config/validate.h"

#include <arpa/inet.h>

enum { JWT_DIGITS = 128, KEY_DIGITS = 64, TOKEN_MIN = 32, DISTINCT_MIN = 8 };

static bool is_hex(const char *s, size_t n)
{
    return strlen(s) == n && strspn(s, "0123456789abcdefABCDEF") == n;
}

/* Random digits of this length all but always hold at least DISTINCT_MIN different ones. */
static bool looks_random(const char *s)
{
    bool seen[256] = {false};
    int distinct = 0;

    for (; *s; s++) {
        distinct += !seen[(unsigned char)*s];
        seen[(unsigned char)*s] = true;
    }
    return distinct >= DISTINCT_MIN;
}

static void check_digits(const char *key, const char *value, size_t digits, struct buf *problems)
{
    if (!value || !*value)
        buf_printf(problems, "%s: is not set; it takes %zu hexadecimal digits\n", key, digits);
    else if (!is_hex(value, digits))
        buf_printf(problems, "%s: is not %zu hexadecimal digits\n", key, digits);
    else if (!looks_random(value))
        buf_printf(problems, "%s: is not random\n", key);
}

static void check_retired(const char *key, const char *list, size_t digits, struct buf *problems)
{
    struct str rest = str_of(list), part;
    char one[JWT_DIGITS + 1];

    while (str_next(&rest, ',', &part)) {
        part = str_trim(part);
        if (part.n != digits) {
            buf_printf(problems, "%s: an entry is not %zu hexadecimal digits\n", key, digits);
            continue;
        }
        memcpy(one, part.p, part.n);
        one[part.n] = '\0';
        check_digits(key, one, digits, problems);
        explicit_bzero(one, sizeof one);
    }
}

/* The value of a parameter in a URL's query, or the empty view. */
static struct str url_parameter(struct str url, struct str name)
{
    size_t at = str_find(url, '?');
    struct str rest = {url.p + at, url.n - at}, part;

    if (rest.n)
        rest = (struct str){rest.p + 1, rest.n - 1};
    while (str_next(&rest, '&', &part)) {
        if (str_has_prefix(part, name) && part.n > name.n && part.p[name.n] == '=')
            return (struct str){part.p + name.n + 1, part.n - name.n - 1};
    }
    return (struct str){"", 0};
}

/* Whether a PostgreSQL URL names a Unix socket: no host, or one that is a (quoted) path. */
static bool is_socket(struct str url)
{
    struct str host = url_parameter(url, STR("host"));

    return str_has_prefix(host, STR("/")) || str_has_prefix_ci(host, STR("%2F")) ||
           str_has_prefix(url, STR("postgresql:///")) || str_has_prefix(url, STR("postgres:///"));
}

static void check_database(struct str url, bool production, struct buf *problems)
{
    bool postgres =
        str_has_prefix(url, STR("postgresql://")) || str_has_prefix(url, STR("postgres://"));

    if (!postgres && !str_has_prefix(url, STR("sqlite:"))) {
        buf_printf(problems, "DATABASE_URL: begins with neither sqlite: nor postgresql://\n");
        return;
    }
    if (str_eq(url, STR("sqlite:")))
        buf_printf(problems, "DATABASE_URL: names no file\n");
    if (!production || !postgres || is_socket(url))
        return;
    struct str mode = url_parameter(url, STR("sslmode"));
    if (!str_eq(mode, STR("verify-full")) && !str_eq(mode, STR("verify-ca")))
        buf_printf(problems, "DATABASE_URL: the connection's TLS is not verified; add "
                             "sslmode=verify-full (or verify-ca)\n");
}

static void check_token(const char *key, const char *value, struct buf *problems)
{
    if (*value && strlen(value) < TOKEN_MIN)
        buf_printf(problems, "%s: is shorter than %d characters\n", key, TOKEN_MIN);
}

void validate_server(const struct config *c, struct buf *problems)
{
    bool production = c->env == ENV_PRODUCTION;

    check_digits("JWT_SECRET", c->jwt_secret, JWT_DIGITS, problems);
    check_digits("ENCRYPTION_KEY", c->encryption_key, KEY_DIGITS, problems);
    check_retired("JWT_RETIRED_SECRETS", c->jwt_retired_secrets, JWT_DIGITS, problems);
    check_retired("ENCRYPTION_RETIRED_KEYS", c->encryption_retired_keys, KEY_DIGITS, problems);
    check_database(str_of(c->database_url), production, problems);
    check_token("METRICS_TOKEN", c->metrics_token, problems);
    check_token("OAUTH_CLIENT_SECRET", c->oauth_client_secret, problems);
    if (*c->oauth_client_id && !*c->oauth_client_secret)
        buf_printf(problems, "OAUTH_CLIENT_SECRET: is not set, but OAUTH_CLIENT_ID is\n");
    validate_mail(c, problems);
    if (!c->admin_role_required && c->env != ENV_DEVELOPMENT)
        buf_printf(problems, "ADMIN_ROLE_REQUIRED: false works in development only\n");
}

bool validate_origin(struct str s)
{
    size_t scheme = str_has_prefix(s, STR("https://"))  ? 8
                    : str_has_prefix(s, STR("http://")) ? 7
                                                        : 0;
    if (scheme == 0 || s.n == scheme)
        return false;
    for (size_t i = scheme; i < s.n; i++) {
        char c = s.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
                  c == ':' || c == '[' || c == ']';
        if (!ok)
            return false;
    }
    return true;
}

static void derive_origins(struct config *c, struct buf *problems)
{
    struct str rest = str_of(c->frontend_url), part;

    c->origin_count = 0;
    while (str_next(&rest, ',', &part)) {
        part = str_trim(part);
        if (str_has_suffix(part, STR("/")))
            part.n--;
        if (str_find(part, '*') < part.n)
            buf_printf(problems, "FRONTEND_URL: a wildcard origin is refused; name each origin\n");
        else if (!validate_origin(part))
            buf_printf(problems,
                       "FRONTEND_URL: \"%.*s\" is not an origin such as "
                       "https://app.example.com (lower case)\n",
                       STR_ARG(part));
        else if (c->origin_count == CONFIG_LIST_MAX)
            buf_printf(problems, "FRONTEND_URL: holds more than %d origins\n", CONFIG_LIST_MAX);
        else
            c->origins[c->origin_count++] = part;
    }
}

static void derive_proxies(struct config *c, struct buf *problems)
{
    struct str rest = str_of(c->trusted_proxies), part;

    c->proxy_count = 0;
    while (str_next(&rest, ',', &part)) {
        part = str_trim(part);
        if (c->proxy_count == CONFIG_LIST_MAX)
            buf_printf(problems, "TRUSTED_PROXIES: holds more than %d ranges\n", CONFIG_LIST_MAX);
        else if (config_parse_range(part, &c->proxies[c->proxy_count]))
            buf_printf(problems, "TRUSTED_PROXIES: \"%.*s\" is neither an address nor a range\n",
                       STR_ARG(part));
        else
            c->proxy_count++;
    }
}

void validate_derive(struct config *c, struct buf *problems)
{
    derive_origins(c, problems);
    derive_proxies(c, problems);
    validate_derive_mail(c, problems);
}

int config_parse_range(struct str s, struct config_range *ret)
{
    size_t slash = str_find(s, '/');
    struct config_range range = {.bits = 128};
    struct in_addr v4;
    uint64_t bits;
    char text[INET6_ADDRSTRLEN];

    if (slash == 0 || slash >= sizeof text || memchr(s.p, '\0', slash))
        return 1;
    memcpy(text, s.p, slash);
    text[slash] = '\0';
    int base = 0;
    if (inet_pton(AF_INET, text, &v4) == 1) {
        base = 96;
        memset(range.address.s6_addr + 10, 0xFF, 2);
        memcpy(range.address.s6_addr + 12, &v4, 4);
    } else if (inet_pton(AF_INET6, text, &range.address) != 1) {
        return 1;
    }
    if (slash < s.n) {
        if (str_to_u64((struct str){s.p + slash + 1, s.n - slash - 1}, (uint64_t)(128 - base),
                       &bits))
            return 1;
        range.bits = base + (int)bits;
    }
    *ret = range;
    return 0;
}
