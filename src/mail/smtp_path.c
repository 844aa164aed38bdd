#include "mail/smtp_internal.h"

#include <arpa/inet.h>

/* atext (RFC 5322, section 3.2.3), and what RFC 6531, section 3.3, adds to it. */
static bool is_atext(char c, bool utf8)
{
    unsigned char u = (unsigned char)c;

    return (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') || (u >= '0' && u <= '9') ||
           (u >= 0x80 && utf8) || (u != 0 && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

/* The length of the local part that s begins with; 0 where there is none (section 4.1.2). */
static size_t local_length(struct str s, bool utf8)
{
    size_t i = 0;

    if (s.n > 0 && s.p[0] == '"') {
        for (i = 1; i < s.n && s.p[i] != '"'; i++) {
            if (s.p[i] == '\\')
                i++;
            unsigned char c = i < s.n ? (unsigned char)s.p[i] : 0;
            if (c < 0x20 || c == 0x7F || (c >= 0x80 && !utf8))
                return 0;
        }
        return i < s.n ? i + 1 : 0;
    }
    while (i < s.n && (is_atext(s.p[i], utf8) || (s.p[i] == '.' && i > 0 && s.p[i - 1] != '.')))
        i++;
    return i > 0 && s.p[i - 1] != '.' ? i : 0;
}

static bool literal_valid(struct str s)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    int family = AF_INET;

    if (s.n < 3 || s.p[s.n - 1] != ']')
        return false;
    struct str inner = {s.p + 1, s.n - 2};
    if (str_has_prefix_ci(inner, STR("IPv6:"))) {
        inner = (struct str){inner.p + 5, inner.n - 5};
        family = AF_INET6;
    }
    if (inner.n >= sizeof text || str_find(inner, '\0') < inner.n)
        return false;
    memcpy(text, inner.p, inner.n);
    text[inner.n] = '\0';
    return inet_pton(family, text, &address) == 1;
}

static bool domain_valid(struct str s, bool utf8)
{
    size_t label = 0;

    if (s.n == 0 || s.n > SMTP_NAME_MAX)
        return false;
    if (s.p[0] == '[')
        return literal_valid(s);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '_' || (c >= 0x80 && utf8);
        bool hyphen = c == '-' && label > 0;
        bool dot = c == '.' && label > 0 && i + 1 < s.n && s.p[i - 1] != '-';
        if (!word && !hyphen && !dot)
            return false;
        label = dot ? 0 : label + 1;
        if (label > 63)
            return false;
    }
    return s.p[s.n - 1] != '-';
}

bool smtp_host_valid(struct str s)
{
    return domain_valid(s, true);
}

/* Behind the source route "@one,@two:", which is to be ignored (section 4.1.1.3). */
static struct str skip_route(struct str s)
{
    size_t colon = str_find(s, ':');

    if (s.n == 0 || s.p[0] != '@' || colon == s.n)
        return s;
    return (struct str){s.p + colon + 1, s.n - colon - 1};
}

/* Where the bracket closes; a quoted string may hold another. */
static size_t closing(struct str s)
{
    bool quoted = false;

    for (size_t i = 0; i < s.n; i++) {
        if (quoted && s.p[i] == '\\')
            i++;
        else if (s.p[i] == '"')
            quoted = !quoted;
        else if (s.p[i] == '>' && !quoted)
            return i;
    }
    return s.n;
}

bool smtp_path_read(struct str s, bool utf8, bool null_allowed, struct smtp_path *ret)
{
    s = str_trim(s);
    if (s.n == 0 || s.p[0] != '<')
        return false;
    s = (struct str){s.p + 1, s.n - 1};
    size_t end = closing(s);
    if (end == s.n || (end + 1 < s.n && s.p[end + 1] != ' '))
        return false;
    struct str path = skip_route((struct str){s.p, end});
    ret->path = path;
    ret->parameters = str_trim((struct str){s.p + end + 1, s.n - end - 1});
    if (path.n == 0)
        return null_allowed && end == 0;
    if (!null_allowed && str_eq_ci(path, STR("postmaster")))
        return true;
    size_t local = local_length(path, utf8);
    if (path.n > SMTP_PATH_MAX || local == 0 || local == path.n || path.p[local] != '@')
        return false;
    return domain_valid((struct str){path.p + local + 1, path.n - local - 1}, utf8);
}

static enum smtp_parameter read_parameter(struct str p, struct smtp_mail_parameters *ret)
{
    if (str_has_prefix_ci(p, STR("SIZE="))) {
        struct str number = {p.p + 5, p.n - 5};
        return str_to_u64(number, UINT64_MAX, &ret->size) ? SMTP_PARAMETER_BAD : SMTP_PARAMETER_OK;
    }
    if (str_has_prefix_ci(p, STR("BODY=")))
        return str_eq_ci(p, STR("BODY=7BIT")) || str_eq_ci(p, STR("BODY=8BITMIME"))
                   ? SMTP_PARAMETER_OK
                   : SMTP_PARAMETER_BAD;
    if (str_eq_ci(p, STR("SMTPUTF8"))) {
        ret->utf8 = true;
        return SMTP_PARAMETER_OK;
    }
    return str_has_prefix_ci(p, STR("AUTH=")) ? SMTP_PARAMETER_OK : SMTP_PARAMETER_UNKNOWN;
}

enum smtp_parameter smtp_parameters_read(struct str s, struct smtp_mail_parameters *ret)
{
    struct str part;

    while (str_next(&s, ' ', &part)) {
        enum smtp_parameter p = part.n > 0 ? read_parameter(part, ret) : SMTP_PARAMETER_OK;
        if (p != SMTP_PARAMETER_OK)
            return p;
    }
    return SMTP_PARAMETER_OK;
}
