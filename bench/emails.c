#include "base/json.h"
#include "bench/load.h"

enum { BODY_MAX = 4096, ADDRESS_MAX = 64, AUTHORIZATION_MAX = 512 };

static const char text[] =
    "Hello,\n\nthank you for your order. It has been paid for and leaves our house tomorrow. "
    "Below is what you ordered; the invoice is in your account.\n\n"
    "  1  Reading lamp, brass, with a dimmer          89.00\n"
    "  2  Light bulb, warm white, 2700 K               7.50\n"
    "     Shipping                                     4.90\n"
    "     Total                                      108.90\n\n"
    "Should anything be wrong with it, write to us within thirty days.\n";

static const char html[] =
    "<p>Hello,</p><p>thank you for your order. It has been paid for and leaves our house tomorrow. "
    "Below is what you ordered; the invoice is in your account.</p><table>"
    "<tr><td>1</td><td>Reading lamp, brass, with a dimmer</td><td>89.00</td></tr>"
    "<tr><td>2</td><td>Light bulb, warm white, 2700 K</td><td>7.50</td></tr>"
    "<tr><td></td><td>Shipping</td><td>4.90</td></tr>"
    "<tr><td></td><td>Total</td><td>108.90</td></tr></table>"
    "<p>Should anything be wrong with it, write to us within thirty days.</p>";

static int write_body(struct buf *out, uint64_t n)
{
    char to[ADDRESS_MAX];
    unsigned long long number = n;
    const char *const members[][2] = {{"to", to},
                                      {"subject", "Your receipt"},
                                      {"template", "receipt"},
                                      {"text", text},
                                      {"html", html}};
    struct json_writer w = json_writer(out);

    snprintf(to, sizeof to, "user%llu@d%llu.example", number, number % 100);
    json_object_begin(&w);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        json_key(&w, members[i][0]);
        json_str(&w, str_of(members[i][1]));
    }
    json_object_end(&w);
    return buf_fault(out);
}

int load_email(struct buf *out, const struct load_options *o, uint64_t n)
{
    _cleanup_buf_ struct buf body = buf_init(BODY_MAX), header = buf_init(AUTHORIZATION_MAX);
    int r = write_body(&body, n);

    if (r == 0)
        r = buf_printf(&header, "Authorization: Bearer %.*s\r\n", STR_ARG(o->lines[0]));
    return r ? r : load_post(out, o, STR("/v1/emails"), buf_str(&header), buf_str(&body));
}
