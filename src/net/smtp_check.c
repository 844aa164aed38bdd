#include "net/smtp_check.h"

#include "base/fault.h"
#include "net/dns_name.h"

enum { LOCAL_MAX = 64 };

static bool is_alphanumeric(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_atom(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_alphanumeric(s.p[i]) && (!s.p[i] || !strchr("!#$%&'*+-/=?^_`{|}~", s.p[i])))
            return false;
    return s.n > 0;
}

/* str_next does not give an empty part behind the last separator, so that is looked at here. */
static bool all_parts(struct str s, bool (*is_good)(struct str part))
{
    struct str rest = s, part;

    if (s.n == 0 || s.p[s.n - 1] == '.')
        return false;
    while (str_next(&rest, '.', &part))
        if (!is_good(part))
            return false;
    return true;
}

static bool is_local(struct str s)
{
    return s.n <= LOCAL_MAX && all_parts(s, is_atom);
}

bool smtp_address_is_good(struct str address)
{
    size_t at = str_find(address, '@');

    if (at == address.n)
        return false;
    struct str local = {address.p, at}, domain = {address.p + at + 1, address.n - at - 1};
    return is_local(local) && dns_name_is_host(domain);
}

bool smtp_mime_is_good(struct str mime)
{
    size_t line = 0;

    if (mime.n < 2 || mime.n > SMTP_SEND_MESSAGE_MAX || mime.p[mime.n - 2] != '\r' ||
        mime.p[mime.n - 1] != '\n')
        return false;
    for (size_t i = 0; i < mime.n; i++) {
        unsigned char c = (unsigned char)mime.p[i];
        if (c == '\r') {
            /* The last byte is a line feed, so there is a next. */
            if (mime.p[++i] != '\n')
                return false;
            line = 0;
        } else if (c == '\n' || c == '\0' || c >= 0x80 || ++line > SMTP_SEND_LINE_MAX) {
            return false;
        }
    }
    return true;
}

static int invalid(const char *reason)
{
    fault_keep("%s", reason);
    return SMTP_INVALID;
}

int smtp_check(const struct smtp_outgoing *m)
{
    if (!smtp_address_is_good(m->from))
        return invalid("the sender's address is not one");
    if (m->recipient_count == 0 || m->recipient_count > SMTP_SEND_RECIPIENTS_MAX)
        return invalid("no recipient, or too many");
    for (size_t i = 0; i < m->recipient_count; i++)
        if (!smtp_address_is_good(m->recipients[i]))
            return invalid("a recipient's address is not one");
    if (!smtp_mime_is_good(m->mime))
        return invalid("the message is not lines of 7-bit text that end with CRLF");
    return 0;
}
