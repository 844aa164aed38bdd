#include "net/aws_form.h"

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

static void add_encoded(struct buf *form, struct str value)
{
    for (size_t i = 0; i < value.n; i++) {
        if (is_unreserved(value.p[i]))
            buf_add_char(form, value.p[i]);
        else
            buf_printf(form, "%%%02X", (unsigned char)value.p[i]);
    }
}

void aws_form_begin(struct buf *form, const char *action, const char *version)
{
    buf_reset(form);
    buf_printf(form, "Action=%s&Version=%s", action, version);
}

void aws_form_add(struct buf *form, const char *name, struct str value)
{
    buf_printf(form, "&%s=", name);
    add_encoded(form, value);
}
