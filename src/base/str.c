#include "base/str.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool str_eq_ci(struct str a, struct str b)
{
    return a.n == b.n && str_has_prefix_ci(a, b);
}

bool str_has_prefix(struct str s, struct str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool str_has_prefix_ci(struct str s, struct str prefix)
{
    if (s.n < prefix.n)
        return false;
    for (size_t i = 0; i < prefix.n; i++)
        if (lower(s.p[i]) != lower(prefix.p[i]))
            return false;
    return true;
}

bool str_has_suffix(struct str s, struct str suffix)
{
    if (s.n < suffix.n)
        return false;
    return suffix.n == 0 || memcmp(s.p + (s.n - suffix.n), suffix.p, suffix.n) == 0;
}

int str_compare(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n && a.p && b.p ? memcmp(a.p, b.p, n) : 0;

    return c ? c : (a.n > b.n) - (a.n < b.n);
}

struct str str_cut(struct str s, size_t max)
{
    if (s.n > max) {
        s.n = max;
        while (s.n > 0 && ((unsigned char)s.p[s.n] & 0xc0) == 0x80)
            s.n--;
    }
    return s.p ? s : STR("");
}

struct str str_trim(struct str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

size_t str_find(struct str s, char c)
{
    const char *at = s.n ? memchr(s.p, c, s.n) : NULL;
    return at ? (size_t)(at - s.p) : s.n;
}

bool str_next(struct str *rest, char sep, struct str *ret_part)
{
    if (rest->n == 0)
        return false;
    size_t at = str_find(*rest, sep);
    *ret_part = (struct str){rest->p, at};
    size_t taken = at == rest->n ? at : at + 1;
    *rest = (struct str){rest->p + taken, rest->n - taken};
    return true;
}

int str_to_u64(struct str s, uint64_t max, uint64_t *ret)
{
    uint64_t v = 0;

    if (s.n == 0 || s.n > 20)
        return 1;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned char)s.p[i] - (unsigned)'0';
        if (digit > 9 || v > (UINT64_MAX - digit) / 10)
            return 1;
        v = v * 10 + digit;
    }
    if (v > max)
        return 1;
    *ret = v;
    return 0;
}

int str_to_i64(struct str s, int64_t min, int64_t max, int64_t *ret)
{
    bool negative = s.n > 0 && s.p[0] == '-';
    uint64_t magnitude;

    if (negative)
        s = (struct str){s.p + 1, s.n - 1};
    if (str_to_u64(s, negative ? (uint64_t)INT64_MAX + 1 : INT64_MAX, &magnitude))
        return 1;
    int64_t v = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    if (v < min || v > max)
        return 1;
    *ret = v;
    return 0;
}

/* The length of the UTF-8 sequence at p, or 0 where it is ill-formed. */
static size_t utf8_sequence(const unsigned char *p, size_t n)
{
    unsigned char low = 0x80, high = 0xBF;
    size_t length;

    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xC2 && p[0] <= 0xDF) {
        length = 2;
    } else if (p[0] >= 0xE0 && p[0] <= 0xEF) {
        length = 3;
        low = p[0] == 0xE0 ? 0xA0 : low;
        high = p[0] == 0xED ? 0x9F : high;
    } else if (p[0] >= 0xF0 && p[0] <= 0xF4) {
        length = 4;
        low = p[0] == 0xF0 ? 0x90 : low;
        high = p[0] == 0xF4 ? 0x8F : high;
    } else {
        return 0;
    }
    if (n < length || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    return length;
}

/* How many bytes of ASCII s begins with, counted in whole words: most text is nothing else. */
static size_t ascii_words(struct str s)
{
    const uint64_t high = UINT64_C(0x8080808080808080);
    uint64_t word;
    size_t i = 0;

    for (; i + sizeof word <= s.n; i += sizeof word) {
        memcpy(&word, s.p + i, sizeof word);
        if (word & high)
            break;
    }
    return i;
}

size_t str_control_length(struct str s, size_t i)
{
    const unsigned char *p = (const unsigned char *)s.p + i;
    size_t n = s.n - i;

    if (p[0] < 0x20 || p[0] == 0x7F)
        return 1;
    if (p[0] == 0xC2 && n > 1 && p[1] < 0xA0)
        return 2;
    return p[0] == 0xE2 && n > 2 && p[1] == 0x80 && (p[2] == 0xA8 || p[2] == 0xA9) ? 3 : 0;
}

bool str_has_control(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (str_control_length(s, i))
            return true;
    return false;
}

void str_without_controls(struct str s, char *out)
{
    for (size_t i = 0, n; i < s.n; i += n) {
        size_t control = str_control_length(s, i);
        n = control ? control : 1;
        memset(out + i, control ? ' ' : s.p[i], n);
    }
}

bool str_is_utf8(struct str s)
{
    for (size_t i = ascii_words(s); i < s.n;) {
        size_t step = utf8_sequence((const unsigned char *)s.p + i, s.n - i);
        if (step == 0)
            return false;
        i += step;
    }
    return true;
}

size_t str_utf8_length(struct str s)
{
    size_t count = 0;

    for (size_t i = 0; i < s.n; i++)
        count += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    return count;
}
