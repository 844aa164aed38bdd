/*
 * Hands a message over for smtp_interop.py: smtp_interop URL CA-FILE FROM RECIPIENT... <message
 * Prints a line for each recipient: result, stage, code and text. An empty CA-FILE allows plain.
 */
#include "net/smtp.h"

#include "base/buf.h"
#include "base/fault.h"

enum { URL = 1, CA_FILE, FROM, RECIPIENTS };

static int read_all(struct buf *b)
{
    char piece[4096];
    size_t n;

    while ((n = fread(piece, 1, sizeof piece, stdin)) > 0)
        buf_add(b, piece, n);
    return buf_fault(b);
}

int main(int argc, char **argv)
{
    static const char *const results[] = {"accepted", "temporary", "permanent", "uncertain"};
    struct buf mime = buf_init(SMTP_SEND_MESSAGE_MAX);
    struct str to[SMTP_SEND_RECIPIENTS_MAX];
    struct smtp_fate fates[SMTP_SEND_RECIPIENTS_MAX];

    if (argc <= RECIPIENTS || argc - RECIPIENTS > SMTP_SEND_RECIPIENTS_MAX || read_all(&mime))
        return 2;
    struct smtp_outgoing m = {.from = str_of(argv[FROM]),
                              .recipients = to,
                              .recipient_count = (size_t)(argc - RECIPIENTS),
                              .mime = buf_str(&mime)};
    struct smtp_options o = {.url = str_of(argv[URL]),
                             .guard.any = true,
                             .allow_plain = argv[CA_FILE][0] == '\0',
                             .ca_file = argv[CA_FILE][0] ? argv[CA_FILE] : NULL};
    for (size_t i = 0; i < m.recipient_count; i++)
        to[i] = str_of(argv[RECIPIENTS + i]);
    int r = smtp_send(&o, &m, fates);
    if (r)
        printf("%d %s\n", r, fault_message());
    for (size_t i = 0; r == 0 && i < m.recipient_count; i++)
        printf("%s %d %d %s\n", results[fates[i].result], (int)fates[i].stage, fates[i].code,
               fates[i].text);
    buf_free(&mime);
    return r != 0;
}
