#include "net/dns_name.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_label(struct str s, bool underscores)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (underscores && c == '_');
        bool inner = i > 0 && i + 1 < s.n;
        if (!letter && !is_digit(c) && !(c == '-' && inner))
            return false;
    }
    return s.n > 0 && s.n <= DNS_LABEL_MAX;
}

static bool is_number(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_digit(s.p[i]))
            return false;
    return true;
}

static bool is_name(struct str s, bool underscores)
{
    struct str rest = s, label = {0};

    if (s.n == 0 || s.n > DNS_NAME_MAX || s.p[s.n - 1] == '.')
        return false;
    while (str_next(&rest, '.', &label))
        if (!is_label(label, underscores))
            return false;
    return !is_number(label);
}

bool dns_name_is_host(struct str s)
{
    return is_name(s, false);
}

bool dns_name_is_owner(struct str s)
{
    return is_name(s, true);
}
