#include "identity/email_address.h"

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* atext (RFC 5322, section 3.2.3). */
static bool is_atext(char c)
{
    return is_alnum(c) || (c != 0 && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

/* A Dot-string: atoms with single dots between them. */
static bool local_valid(struct str s)
{
    if (s.n == 0 || s.n > EMAIL_LOCAL_MAX || s.p[0] == '.' || s.p[s.n - 1] == '.')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '.' ? s.p[i - 1] == '.' : !is_atext(s.p[i]))
            return false;
    }
    return true;
}

static bool label_valid(struct str s)
{
    if (s.n == 0 || s.n > EMAIL_LABEL_MAX || s.p[0] == '-' || s.p[s.n - 1] == '-')
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!is_alnum(s.p[i]) && s.p[i] != '-')
            return false;
    return true;
}

static bool all_digits(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return true;
}

static bool domain_valid(struct str s)
{
    struct str label = {NULL, 0};
    size_t labels = 1;

    if (str_eq_ci(s, STR("localhost")))
        return true;
    for (size_t i = 0, begin = 0; i <= s.n; i++) {
        if (i < s.n && s.p[i] != '.')
            continue;
        label = (struct str){s.p + begin, i - begin};
        if (!label_valid(label))
            return false;
        labels += i < s.n;
        begin = i + 1;
    }
    return labels >= 2 && !all_digits(label);
}

int email_address_normalise(struct str typed, char ret_address[EMAIL_ADDRESS_SIZE], size_t *ret_n)
{
    size_t at = str_find(typed, '@');

    if (typed.n > EMAIL_ADDRESS_MAX || at == typed.n || !local_valid((struct str){typed.p, at}) ||
        !domain_valid((struct str){typed.p + at + 1, typed.n - at - 1}))
        return 1;
    for (size_t i = 0; i < typed.n; i++) {
        char c = typed.p[i];
        ret_address[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    ret_address[typed.n] = 0;
    *ret_n = typed.n;
    return 0;
}

bool email_address_is_local(struct str address)
{
    size_t at = str_find(address, '@');
    struct str domain = {address.p + at, address.n - at};

    return str_eq(domain, STR("@localhost")) || str_has_suffix(domain, STR(".localhost"));
}
