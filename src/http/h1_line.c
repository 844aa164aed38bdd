#include "http/h1_inner.h"

/* clang-format off */
const unsigned char h1_token_chars[128] = {
    /* 00 */ 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    /* 10 */ 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    /*  ! */ 0, 1, 0, 1, 1, 1, 1, 1, 0, 0, 1, 1, 0, 1, 1, 0,
    /*  0 */ 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0,
    /*  @ */ 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    /*  P */ 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1,
    /*  ` */ 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    /*  p */ 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 1, 0,
};
/* clang-format on */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_port(struct str s)
{
    uint64_t port;

    return s.n > 0 && s.n <= 5 && str_to_u64(s, 65535, &port) == 0;
}

bool h1_is_host(struct str s)
{
    enum { HOST_MAX = 261 }; /* a DNS name, a colon and a port */
    size_t i = 0;

    if (s.n == 0 || s.n > HOST_MAX)
        return false;
    if (s.p[0] == '[') {
        for (i = 1; i < s.n && (is_hex(s.p[i]) || s.p[i] == ':' || s.p[i] == '.'); i++)
            ;
        if (i < 3 || i == s.n || s.p[i] != ']')
            return false;
        i++;
    } else {
        while (i < s.n && (is_alpha(s.p[i]) || is_digit(s.p[i]) || s.p[i] == '.' || s.p[i] == '-' ||
                           s.p[i] == '_'))
            i++;
        if (i == 0)
            return false;
    }
    return i == s.n || (s.p[i] == ':' && is_port((struct str){s.p + i + 1, s.n - i - 1}));
}

/* HTTP-version is case-sensitive (RFC 9112, section 2.3). */
static enum h1_error parse_version(struct str s, int *ret_minor)
{
    if (s.n != 8 || memcmp(s.p, "HTTP/", 5) != 0 || !is_digit(s.p[5]) || s.p[6] != '.' ||
        !is_digit(s.p[7]))
        return H1_BAD_REQUEST_LINE;
    if (s.p[5] != '1' || s.p[7] > '1')
        return H1_BAD_VERSION;
    *ret_minor = s.p[7] - '0';
    return H1_OK;
}

static enum h1_error parse_method(struct str s, enum http_method *ret)
{
    for (int m = 0; m < HTTP_METHODS; m++) {
        if (str_eq(s, str_of(http_method_name((enum http_method)m)))) {
            *ret = (enum http_method)m;
            return H1_OK;
        }
    }
    for (size_t i = 0; i < s.n; i++) {
        if (!h1_is_token_char(s.p[i]))
            return H1_BAD_REQUEST_LINE;
    }
    return s.n ? H1_UNKNOWN_METHOD : H1_BAD_REQUEST_LINE;
}

/* Splits "http://host[/path]" (RFC 9112, section 3.2.2) into the host and the origin form. */
static enum h1_error parse_absolute(struct str s, enum http_method method, struct h1_head *ret)
{
    static const struct str schemes[] = {STR_INIT("http://"), STR_INIT("https://")};
    size_t skip = 0;

    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        if (str_has_prefix_ci(s, schemes[i]))
            skip = schemes[i].n;
    }
    if (skip == 0)
        return H1_BAD_TARGET;
    s = (struct str){s.p + skip, s.n - skip};
    size_t n = str_find(s, '/');
    ret->host = (struct str){s.p, n};
    if (!h1_is_host(ret->host)) /* refuses "?" too, so a query has its path before it */
        return H1_BAD_TARGET;
    if (n < s.n)
        ret->target = (struct str){s.p + n, s.n - n};
    else
        ret->target = method == HTTP_OPTIONS ? STR("*") : STR("/");
    return H1_OK;
}

static enum h1_error parse_target(struct str s, enum http_method method, struct h1_head *ret)
{
    enum h1_error error = H1_OK;

    /* A fragment is never sent; a reader that cuts it off would see another target. */
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= 0x20 || c >= 0x7F || c == '#')
            return H1_BAD_TARGET;
    }
    ret->target = s;
    if (s.n == 0)
        return H1_BAD_TARGET;
    if (s.p[0] != '/' && !(method == HTTP_OPTIONS && str_eq(s, STR("*"))))
        error = parse_absolute(s, method, ret);
    if (error)
        return error;
    size_t n = str_find(ret->target, '?');
    ret->path = (struct str){ret->target.p, n};
    ret->query = n < ret->target.n ? (struct str){ret->target.p + n + 1, ret->target.n - n - 1}
                                   : (struct str){ret->target.p + n, 0};
    return H1_OK;
}

enum h1_error h1_parse_request_line(struct str line, struct h1_head *ret)
{
    size_t first = str_find(line, ' ');
    struct str method = {line.p, first};

    if (first == line.n)
        return H1_BAD_REQUEST_LINE;
    struct str rest = {line.p + first + 1, line.n - first - 1};
    size_t second = str_find(rest, ' ');
    if (second == rest.n)
        return H1_BAD_REQUEST_LINE;
    struct str target = {rest.p, second};
    struct str version = {rest.p + second + 1, rest.n - second - 1};

    enum h1_error error = parse_version(version, &ret->minor);
    if (!error)
        error = parse_method(method, &ret->method);
    if (!error)
        error = parse_target(target, ret->method, ret);
    return error;
}
