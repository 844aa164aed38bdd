#include "mail/tenant_words.h"

#include "mail/outbox.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The reply code of a mail server (RFC 5321, section 4.2). */
static bool is_reply(struct str code)
{
    return code.n == 3 && is_digit(code.p[0]) && is_digit(code.p[1]) && is_digit(code.p[2]);
}

/* Of letters, digits and underscores: a code of ours or of SES's, not the name of anything. */
static bool is_code(struct str word)
{
    for (size_t i = 0; i < word.n; i++) {
        char c = word.p[i];
        if (!is_digit(c) && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && c != '_')
            return false;
    }
    return word.n > 0;
}

struct str tenant_words_error(struct str error)
{
    struct str word = {error.p, str_find(error, ' ')};

    if (is_reply(word))
        return error;
    return is_code(word) ? word : STR("");
}

/* "given up after 9 attempts; the last: " and an error. */
static struct str words_of_expiry(struct str detail)
{
    size_t at = str_find(detail, ':');

    if (at + 2 > detail.n)
        return STR("");
    struct str last = tenant_words_error((struct str){detail.p + at + 2, detail.n - at - 2});
    return (struct str){detail.p, at + 2 + last.n};
}

struct str tenant_words_detail(const struct mail_mark *mark)
{
    if (mark->state != MAIL_REJECTED || is_reply(mark->code) ||
        str_eq(mark->code, STR(OUTBOX_CODE_SANDBOX)))
        return mark->detail;
    return str_eq(mark->code, STR(OUTBOX_CODE_EXPIRED)) ? words_of_expiry(mark->detail) : STR("");
}
