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

/* One to three digits that *text begins with, which moves past them; -1: there are none. */
static int take_number(struct str *text)
{
    int number = 0;
    size_t n = 0;

    for (; n < text->n && n < 3 && is_digit(text->p[n]); n++)
        number = 10 * number + (text->p[n] - '0');
    *text = (struct str){text->p + n, text->n - n};
    return n ? number : -1;
}

static bool take_dot(struct str *text)
{
    if (text->n == 0 || *text->p != '.')
        return false;
    *text = (struct str){text->p + 1, text->n - 1};
    return true;
}

/*
 * The length of the enhanced status that a reply's text begins with (RFC 3463, section 2; RFC 2034,
 * section 4); 0: none. *ret_known: its subject is one of those that no operator's affairs are told
 * under (section 3: of X.1 all but the sender's address, X.2, and a message that is too large).
 */
static size_t status_length(struct str text, bool *ret_known)
{
    struct str rest = text;
    int class = take_number(&rest), subject = take_dot(&rest) ? take_number(&rest) : -1;
    int detail = subject >= 0 && take_dot(&rest) ? take_number(&rest) : -1;

    *ret_known = false;
    if ((class != 2 && class != 4 && class != 5) || detail < 0 || (rest.n && *rest.p != ' '))
        return 0;
    *ret_known = (subject == 1 && detail != 7 && detail != 8) || subject == 2 ||
                 (subject == 3 && detail == 4);
    return text.n - rest.n;
}

/* Of what a server said behind its code. */
static struct str words_of_reply(struct str text)
{
    bool known;
    size_t status = status_length(text, &known);

    return known ? text : (struct str){text.p, status};
}

struct str tenant_words_error(struct str error)
{
    struct str word = {error.p, str_find(error, ' ')};

    if (!is_reply(word))
        return is_code(word) ? word : STR("");
    if (word.n == error.n)
        return word;
    struct str words = words_of_reply((struct str){error.p + word.n + 1, error.n - word.n - 1});
    return words.n ? (struct str){error.p, word.n + 1 + words.n} : word;
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
    if (mark->state != MAIL_REJECTED || str_eq(mark->code, STR(OUTBOX_CODE_SANDBOX)))
        return mark->detail;
    if (is_reply(mark->code))
        return words_of_reply(mark->detail);
    return str_eq(mark->code, STR(OUTBOX_CODE_EXPIRED)) ? words_of_expiry(mark->detail) : STR("");
}
