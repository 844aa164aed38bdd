#include "mail/mime_parts.h"

#include "base/clock.h"

enum {
    WORD_MAX = 75,              /* an encoded word, its delimiters included (RFC 2047, section 2) */
    WORD_FRAME = 12,            /* "=?UTF-8?Q?" and "?=" */
    WORD_MIN = WORD_FRAME + 12, /* with one character of four bytes */
    UNBROKEN_MAX = 60,          /* a longer word is encoded, so that its field can be folded */
    NAME_UNFOLDED_MAX = 40
};

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* What stands for itself in an encoded word wherever that may stand (RFC 2047, section 5). */
static bool is_q_safe(char c)
{
    return is_alnum(c) || c == '!' || c == '*' || c == '+' || c == '-' || c == '/';
}

static size_t q_cost(char c)
{
    return is_q_safe(c) || c == ' ' ? 1 : 3;
}

/* The bytes of the character at i. */
static size_t character(struct str s, size_t i)
{
    size_t n = 1;

    while (i + n < s.n && ((unsigned char)s.p[i + n] & 0xC0) == 0x80)
        n++;
    return n;
}

static void add_q(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == ' ')
            buf_add_char(out, '_');
        else if (is_q_safe(s.p[i]))
            buf_add_char(out, s.p[i]);
        else
            buf_printf(out, "=%02X", (unsigned)(unsigned char)s.p[i]);
    }
}

static void add_base64(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i += 3) {
        uint32_t group = 0;
        for (size_t j = 0; j < 3; j++)
            group = group << 8 | (i + j < s.n ? (unsigned char)s.p[i + j] : 0u);
        for (size_t j = 0; j < 4; j++)
            buf_add_char(out, i + j > s.n ? '=' : base64_digits[group >> (18 - 6 * j) & 63]);
    }
}

/* Which encoding is the shorter one of the whole. */
static bool prefers_q(struct str s)
{
    size_t cost = 0;

    for (size_t i = 0; i < s.n; i++)
        cost += q_cost(s.p[i]);
    return cost <= (s.n + 2) / 3 * 4;
}

/* How many bytes of s, in whole characters, a word of at most room characters takes; at least one
 * character. */
static size_t word_length(struct str s, bool q, size_t room)
{
    size_t taken = 0, cost = 0;

    while (taken < s.n) {
        size_t n = character(s, taken);
        for (size_t i = 0; i < n; i++)
            cost += q_cost(s.p[taken + i]);
        size_t needed = q ? cost : (taken + n + 2) / 3 * 4;
        if (needed > room && taken > 0)
            break;
        taken += n;
    }
    return taken;
}

/* Encoded words, one a line. used: what the first line holds already. */
static void add_words(struct buf *out, struct str s, size_t used)
{
    bool q = prefers_q(s);

    if (used + WORD_MIN > MIME_ENCODED_LINE) {
        buf_add_str(out, STR("\r\n "));
        used = 1;
    }
    while (s.n > 0) {
        size_t line = MIME_ENCODED_LINE - used;
        size_t room = (line < WORD_MAX ? line : WORD_MAX) - WORD_FRAME;
        size_t n = word_length(s, q, room);
        struct str part = {s.p, n};
        buf_add_str(out, q ? STR("=?UTF-8?Q?") : STR("=?UTF-8?B?"));
        if (q)
            add_q(out, part);
        else
            add_base64(out, part);
        buf_add_str(out, STR("?="));
        s = (struct str){s.p + n, s.n - n};
        if (s.n > 0)
            buf_add_str(out, STR("\r\n "));
        used = 1;
    }
}

/*
 * Whether a value cannot be written as it is: it is no ASCII, would be taken for an encoded word,
 * would lose its spaces, or could not be folded.
 */
static bool needs_words(struct str s)
{
    size_t unbroken = 0;

    if (s.n == 0)
        return false;
    if (s.p[0] == ' ' || s.p[s.n - 1] == ' ')
        return true;
    for (size_t i = 0; i < s.n; i++) {
        unbroken = s.p[i] == ' ' ? 0 : unbroken + 1;
        if ((unsigned char)s.p[i] >= 0x80 || unbroken > UNBROKEN_MAX)
            return true;
        if (s.p[i] == '=' && i + 1 < s.n && s.p[i + 1] == '?')
            return true;
    }
    return false;
}

/* ASCII words, folded before the spaces that lead to a word that no longer fits. */
static void add_folded(struct buf *out, struct str s, size_t used)
{
    size_t i = 0;

    while (i < s.n) {
        size_t end = i;
        while (end < s.n && s.p[end] == ' ')
            end++;
        while (end < s.n && s.p[end] != ' ')
            end++;
        size_t n = end - i;
        if (i > 0 && used + n > MIME_ENCODED_LINE) {
            buf_add_str(out, STR("\r\n"));
            used = 0;
        }
        buf_add(out, s.p + i, n);
        used += n;
        i = end;
    }
}

static void add_name(struct buf *out, struct str name)
{
    buf_add_str(out, name);
    buf_add_str(out, STR(": "));
}

void mime_write_text_field(struct buf *out, struct str name, struct str value)
{
    add_name(out, name);
    if (needs_words(value))
        add_words(out, value, name.n + 2);
    else
        add_folded(out, value, name.n + 2);
    buf_add_str(out, STR("\r\n"));
}

void mime_write_plain_field(struct buf *out, struct str name, struct str value)
{
    add_name(out, name);
    buf_add_str(out, value);
    buf_add_str(out, STR("\r\n"));
}

/* A display name as it is where it is plain words, else between quotation marks (section 3.2.4). */
static void add_ascii_name(struct buf *out, struct str name)
{
    bool plain = true;

    for (size_t i = 0; i < name.n; i++)
        plain = plain && (is_alnum(name.p[i]) || name.p[i] == '-' ||
                          (name.p[i] == ' ' && name.p[i - 1] != ' '));
    if (plain) {
        buf_add_str(out, name);
        return;
    }
    buf_add_char(out, '"');
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '"' || name.p[i] == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, name.p[i]);
    }
    buf_add_char(out, '"');
}

/* Name and address have lines of their own where they would not fit into one. */
static void add_address(struct buf *out, const struct mime_address *a, size_t used)
{
    if (a->name.n == 0) {
        buf_add_str(out, a->address);
        return;
    }
    bool words = a->name.n > NAME_UNFOLDED_MAX || needs_words(a->name);
    size_t before = out->n;
    if (words)
        add_words(out, a->name, used);
    else
        add_ascii_name(out, a->name);
    bool fits = !words && used + (out->n - before) + a->address.n + 3 <= MIME_ENCODED_LINE;
    buf_add_str(out, fits ? STR(" <") : STR("\r\n <"));
    buf_add_str(out, a->address);
    buf_add_char(out, '>');
}

void mime_write_address_field(struct buf *out, struct str name, const struct mime_address *list,
                              size_t n)
{
    add_name(out, name);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_add_str(out, STR(",\r\n "));
        add_address(out, &list[i], i > 0 ? 1 : name.n + 2);
    }
    buf_add_str(out, STR("\r\n"));
}

void mime_write_date_field(struct buf *out, int64_t ms)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)(ms / CLOCK_SECOND);
    struct tm t = {0};

    gmtime_r(&seconds, &t);
    buf_printf(out, "Date: %s, %02d %s %04d %02d:%02d:%02d +0000\r\n", days[t.tm_wday], t.tm_mday,
               months[t.tm_mon], t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
}
