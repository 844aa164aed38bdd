#include "mail/recipient.h"

static bool has_control(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7F)
            return true;
    return false;
}

/*
 * Where the '<' of the address stands: the first outside quotes. s.n where there is none, or where
 * what stands before it cannot be a name.
 */
static size_t find_angle(struct str s)
{
    bool quoted = false;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '"')
            quoted = !quoted;
        else if (quoted)
            i += c == '\\';
        else if (c == '<')
            return i;
        else if (c == '>' || c == ',' || c == ';')
            return s.n;
    }
    return s.n;
}

int recipient_parse(struct str text, char ret_address[EMAIL_ADDRESS_SIZE], size_t *ret_n)
{
    struct str s = str_trim(text);
    size_t angle;

    if (text.n > RECIPIENT_TEXT_MAX || s.n == 0 || has_control(s) || !str_is_utf8(s))
        return 1;
    if (s.p[s.n - 1] != '>')
        return email_address_normalise(s, ret_address, ret_n);
    angle = find_angle(s);
    if (angle == s.n)
        return 1;
    s = (struct str){s.p + angle + 1, s.n - angle - 2};
    return email_address_normalise(s, ret_address, ret_n);
}
