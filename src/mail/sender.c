#include "mail/sender.h"

#include "mail/recipient.h"

/* The name before the angle brackets, without quotation marks and what they escape. */
static size_t unquote(struct str s, char *out)
{
    bool quoted = s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"';
    size_t n = 0;

    if (quoted)
        s = (struct str){s.p + 1, s.n - 2};
    for (size_t i = 0; i < s.n; i++) {
        if (quoted && s.p[i] == '\\' && i + 1 < s.n)
            i++;
        out[n++] = s.p[i];
    }
    return n;
}

int sender_parse(struct str text, struct sender *ret_sender)
{
    struct sender sender;
    struct str s = str_trim(text);
    size_t n;

    if (recipient_parse(s, sender.address, &n))
        return 1;
    /* An address holds no '<', so the last one is where it begins. */
    while (s.n > 0 && s.p[s.n - 1] != '<')
        s.n--;
    struct str name = s.n > 0 ? str_trim((struct str){s.p, s.n - 1}) : STR("");
    if (name.n > MIME_NAME_MAX || sender_domain(&sender).n > SENDER_DOMAIN_MAX)
        return 1;
    sender.name[unquote(name, sender.name)] = '\0';
    *ret_sender = sender;
    return 0;
}

struct str sender_domain(const struct sender *sender)
{
    struct str address = str_of(sender->address);
    size_t at = str_find(address, '@');

    return (struct str){address.p + at + 1, address.n - at - 1};
}
