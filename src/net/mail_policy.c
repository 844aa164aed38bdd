#include "net/mail_policy.h"

/* White space, folded or not. */
static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct str trim(struct str s)
{
    while (s.n > 0 && is_space(s.p[0]))
        s = (struct str){s.p + 1, s.n - 1};
    while (s.n > 0 && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

static bool is_alphanumeric(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_tag_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_alphanumeric(s.p[i]) && (i == 0 || s.p[i] != '_'))
            return false;
    return s.n > 0 && !(s.p[0] >= '0' && s.p[0] <= '9');
}

static bool is_tag_value(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((s.p[i] < '!' || s.p[i] > '~') && !is_space(s.p[i]))
            return false;
    return true;
}

static struct str *find(struct tag *tags, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(tags[i].name, str_of(name)))
            return &tags[i].value;
    return NULL;
}

static bool is_repeated(const struct tag *tags, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(tags[i].name, name))
            return true;
    return false;
}

int tag_list_read(struct str text, struct tag ret_tags[TAG_LIST_MAX], size_t *ret_n)
{
    struct str rest = text, part;
    size_t n = 0;

    while (str_next(&rest, ';', &part)) {
        if (trim(part).n == 0 && trim(rest).n == 0)
            break; /* the one at the end may be empty */
        size_t equals = str_find(part, '=');
        if (equals == part.n || n == TAG_LIST_MAX)
            return 1;
        struct tag tag = {trim((struct str){part.p, equals}),
                          trim((struct str){part.p + equals + 1, part.n - equals - 1})};
        if (!is_tag_name(tag.name) || !is_tag_value(tag.value) ||
            is_repeated(ret_tags, n, tag.name))
            return 1;
        ret_tags[n++] = tag;
    }
    *ret_n = n;
    return n == 0;
}

/* How many bytes a base64 text with white space in it stands for. Returns 1 where it is none. */
static int base64_bytes(struct str s, size_t *ret)
{
    size_t digits = 0, padding = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (is_space(s.p[i]))
            continue;
        if (s.p[i] == '=')
            padding++;
        else if (padding > 0 || (!is_alphanumeric(s.p[i]) && s.p[i] != '+' && s.p[i] != '/'))
            return 1;
        else
            digits++;
    }
    if (padding > 2 || (digits + padding) % 4 != 0)
        return 1;
    *ret = digits * 3 / 4;
    return 0;
}

/* Whether a colon-separated list has a word. */
static bool has_word(struct str list, struct str word)
{
    struct str part;

    while (str_next(&list, ':', &part))
        if (str_eq(trim(part), word))
            return true;
    return false;
}

int dkim_key_read(struct str record, struct dkim_key *ret)
{
    struct tag tags[TAG_LIST_MAX];
    struct dkim_key key = {.rsa = true};
    size_t n;

    if (tag_list_read(record, tags, &n))
        return 1;
    struct str *v = find(tags, n, "v"), *k = find(tags, n, "k"), *p = find(tags, n, "p"),
               *t = find(tags, n, "t"), *s = find(tags, n, "s"), *h = find(tags, n, "h");
    if (v && (!str_eq(*v, STR("DKIM1")) || v != &tags[0].value))
        return 1;
    if (k && !str_eq(*k, STR("rsa")) && !str_eq(*k, STR("ed25519")))
        return 1;
    if (s && !has_word(*s, STR("email")) && !has_word(*s, STR("*")))
        return 1;
    if (h && !has_word(*h, STR("sha256")))
        return 1;
    if (!p || base64_bytes(*p, &key.key_bytes))
        return 1;
    key.rsa = !k || str_eq(*k, STR("rsa"));
    key.revoked = key.key_bytes == 0;
    key.testing = t && has_word(*t, STR("y"));
    *ret = key;
    return 0;
}

static int read_policy(const struct str *value, enum dmarc_policy *ret)
{
    static const struct str names[] = {STR_INIT("none"), STR_INIT("quarantine"),
                                       STR_INIT("reject")};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_eq_ci(*value, names[i])) {
            *ret = (enum dmarc_policy)i;
            return 0;
        }
    return 1;
}

static bool is_alignment(const struct str *value)
{
    return !value || str_eq_ci(*value, STR("r")) || str_eq_ci(*value, STR("s"));
}

bool dmarc_is_record(struct str text)
{
    struct str first;

    if (!str_next(&text, ';', &first))
        return false;
    size_t equals = str_find(first, '=');
    return equals < first.n && str_eq(trim((struct str){first.p, equals}), STR("v")) &&
           str_eq(trim((struct str){first.p + equals + 1, first.n - equals - 1}), STR("DMARC1"));
}

int dmarc_read(struct str record, struct dmarc *ret)
{
    struct tag tags[TAG_LIST_MAX];
    struct dmarc dmarc = {.percent = 100};
    uint64_t percent;
    size_t n;

    if (!dmarc_is_record(record) || tag_list_read(record, tags, &n))
        return 1;
    struct str *p = find(tags, n, "p"), *sp = find(tags, n, "sp"), *pct = find(tags, n, "pct"),
               *rua = find(tags, n, "rua");
    if (!p || p != &tags[1].value || read_policy(p, &dmarc.policy))
        return 1;
    dmarc.subdomain_policy = dmarc.policy;
    if (sp && read_policy(sp, &dmarc.subdomain_policy))
        return 1;
    if (pct) {
        if (str_to_u64(*pct, 100, &percent))
            return 1;
        dmarc.percent = (unsigned)percent;
    }
    if (!is_alignment(find(tags, n, "adkim")) || !is_alignment(find(tags, n, "aspf")))
        return 1;
    dmarc.reports = rua && rua->n > 0;
    *ret = dmarc;
    return 0;
}
