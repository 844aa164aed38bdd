#include "net/spf.h"

#include "net/dns_name.h"

#include <arpa/inet.h>

enum argument { ARGUMENT_NONE, ARGUMENT_DOMAIN, ARGUMENT_HOST, ARGUMENT_IP4, ARGUMENT_IP6 };

/* HOST is an optional domain and optional prefix lengths; PTR's optional domain alone is read as
 * one too. */
static const struct mechanism {
    struct str name;
    enum argument argument;
    bool lookup;
} mechanisms[] = {
    {STR_INIT("all"), ARGUMENT_NONE, false}, {STR_INIT("include"), ARGUMENT_DOMAIN, true},
    {STR_INIT("a"), ARGUMENT_HOST, true},    {STR_INIT("mx"), ARGUMENT_HOST, true},
    {STR_INIT("ptr"), ARGUMENT_HOST, true},  {STR_INIT("ip4"), ARGUMENT_IP4, false},
    {STR_INIT("ip6"), ARGUMENT_IP6, false},  {STR_INIT("exists"), ARGUMENT_DOMAIN, true},
};

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static struct str without_dot(struct str s)
{
    return (struct str){s.p, s.n > 0 && s.p[s.n - 1] == '.' ? s.n - 1 : s.n};
}

/* "%{...}" (section 7.1), s beginning behind its "%{". Returns its length there, or 0. */
static size_t macro_length(struct str s)
{
    size_t i = 0;

    if (s.n == 0 || !is_letter(s.p[0]) || !strchr("slodiphcrtvSLODIPHCRTV", s.p[0]))
        return 0;
    for (i = 1; i < s.n && is_digit(s.p[i]); i++)
        continue;
    if (i < s.n && (s.p[i] == 'r' || s.p[i] == 'R'))
        i++;
    while (i < s.n && s.p[i] && strchr(".-+,/_=", s.p[i]))
        i++;
    return i < s.n && s.p[i] == '}' ? i + 1 : 0;
}

/* A macro-string (section 7.1). */
static bool is_macro_string(struct str s, bool *ret_has_macros)
{
    *ret_has_macros = false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= ' ' || s.p[i] > '~')
            return false;
        if (s.p[i] != '%')
            continue;
        *ret_has_macros = true;
        if (++i == s.n)
            return false;
        if (s.p[i] == '%' || s.p[i] == '_' || s.p[i] == '-')
            continue;
        size_t n = s.p[i] == '{' ? macro_length((struct str){s.p + i + 1, s.n - i - 1}) : 0;
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

/* A domain-spec: a name, or what becomes one when its macros are expanded. */
static bool is_domain(struct str s)
{
    bool macros;

    return s.n > 0 && s.n <= DNS_NAME_MAX && is_macro_string(s, &macros) &&
           (macros || dns_name_is_owner(without_dot(s)));
}

/* An optional "/n" at the end, at most max; a number without leading zeros. */
static bool is_length(struct str s, uint64_t max)
{
    uint64_t n;

    return s.n > 0 && (s.p[0] != '0' || s.n == 1) && str_to_u64(s, max, &n) == 0;
}

static bool is_network(struct str s, int family, uint64_t max)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char bytes[sizeof(struct in6_addr)];
    size_t slash = str_find(s, '/');

    if (slash < s.n && !is_length((struct str){s.p + slash + 1, s.n - slash - 1}, max))
        return false;
    if (slash >= sizeof text || memchr(s.p, '\0', slash))
        return false;
    memcpy(text, s.p, slash);
    text[slash] = '\0';
    return inet_pton(family, text, bytes) == 1;
}

/* "/n", "//m" or "/n//m" (section 5.6, dual-cidr-length). */
static bool is_dual_length(struct str s)
{
    if (s.n >= 2 && s.p[1] == '/')
        return is_length((struct str){s.p + 2, s.n - 2}, 128);
    struct str v4 = {s.p + 1, s.n - 1};
    size_t slash = str_find(v4, '/');
    if (!is_length((struct str){v4.p, slash}, 32))
        return false;
    if (slash == v4.n)
        return true;
    return v4.n - slash >= 2 && v4.p[slash + 1] == '/' &&
           is_length((struct str){v4.p + slash + 2, v4.n - slash - 2}, 128);
}

/* ":domain", "/n" or both; a slash inside a macro is a part of the domain. */
static bool is_host(struct str s, bool lengths)
{
    size_t end = s.n, depth = 0;

    if (s.n == 0)
        return true;
    for (size_t i = 0; i < s.n && end == s.n; i++) {
        depth += s.p[i] == '{';
        depth -= depth > 0 && s.p[i] == '}';
        if (s.p[i] == '/' && depth == 0)
            end = i;
    }
    if (end > 0 && (s.p[0] != ':' || !is_domain((struct str){s.p + 1, end - 1})))
        return false;
    return end == s.n || (lengths && is_dual_length((struct str){s.p + end, s.n - end}));
}

static bool is_argument(const struct mechanism *m, struct str s)
{
    struct str behind = {s.p + 1, s.n ? s.n - 1 : 0};

    if (m->argument == ARGUMENT_NONE)
        return s.n == 0;
    if (m->argument == ARGUMENT_HOST)
        return is_host(s, m->name.p[0] != 'p');
    if (s.n == 0 || s.p[0] != ':')
        return false;
    if (m->argument == ARGUMENT_DOMAIN)
        return is_domain(behind);
    return m->argument == ARGUMENT_IP4 ? is_network(behind, AF_INET, 32)
                                       : is_network(behind, AF_INET6, 128);
}

static int read_mechanism(struct str term, struct str include, struct spf *spf)
{
    char qualifier = '+';

    if (term.n > 0 && strchr("+-~?", term.p[0]) && term.p[0]) {
        qualifier = term.p[0];
        term = (struct str){term.p + 1, term.n - 1};
    }
    size_t n = 0;
    while (n < term.n && term.p[n] != ':' && term.p[n] != '/')
        n++;
    for (size_t i = 0; i < sizeof mechanisms / sizeof *mechanisms; i++) {
        const struct mechanism *m = &mechanisms[i];
        struct str argument = {term.p + n, term.n - n};
        if (!str_eq_ci((struct str){term.p, n}, m->name))
            continue;
        if (!is_argument(m, argument))
            return 1;
        spf->lookups += m->lookup;
        if (i == 0 && !spf->all) /* what stands behind it is never looked at (section 5.1) */
            spf->all = qualifier;
        if (i == 1 && !spf->all && qualifier == '+' &&
            str_eq_ci(without_dot((struct str){argument.p + 1, argument.n - 1}), include))
            spf->includes = true;
        return 0;
    }
    return 1;
}

/* name "=" value (section 6); each of the two known ones at most once. */
static int read_modifier(struct str name, struct str value, bool *explains, struct spf *spf)
{
    bool macros;

    for (size_t i = 0; i < name.n; i++)
        if (!is_letter(name.p[i]) && (i == 0 || (!is_digit(name.p[i]) && name.p[i] != '-' &&
                                                 name.p[i] != '_' && name.p[i] != '.')))
            return 1;
    if (str_eq_ci(name, STR("redirect"))) {
        if (spf->redirects || !is_domain(value))
            return 1;
        spf->redirects = true;
        spf->lookups++;
        return 0;
    }
    if (str_eq_ci(name, STR("exp"))) {
        if (*explains || !is_domain(value))
            return 1;
        *explains = true;
        return 0;
    }
    return name.n > 0 && is_macro_string(value, &macros) ? 0 : 1;
}

/* Where a modifier's "=" stands: before anything of a mechanism's argument. */
static size_t find_equals(struct str term)
{
    for (size_t i = 0; i < term.n && term.p[i] != ':' && term.p[i] != '/'; i++)
        if (term.p[i] == '=')
            return i;
    return term.n;
}

bool spf_is_record(struct str text)
{
    return str_has_prefix_ci(text, STR("v=spf1")) && (text.n == 6 || text.p[6] == ' ');
}

int spf_read(struct str record, struct str include, struct spf *ret, struct str *ret_term)
{
    struct str rest, term;
    struct spf spf = {0};
    bool explains = false;

    if (!spf_is_record(record)) {
        *ret_term = record;
        return 1;
    }
    rest = (struct str){record.p + 6, record.n - 6};
    while (str_next(&rest, ' ', &term)) {
        if (term.n == 0)
            continue;
        size_t equals = find_equals(term);
        int r = equals < term.n
                    ? read_modifier((struct str){term.p, equals},
                                    (struct str){term.p + equals + 1, term.n - equals - 1},
                                    &explains, &spf)
                    : read_mechanism(term, include, &spf);
        if (r) {
            *ret_term = term;
            return 1;
        }
    }
    *ret = spf;
    return 0;
}
