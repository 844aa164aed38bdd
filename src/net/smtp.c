#include "net/smtp.h"

#include "base/fault.h"
#include "net/dns_name.h"
#include "net/smtp_check.h"
#include "net/smtp_trace.h"
#include "net/transfer.h"

#include <arpa/inet.h>

/* How long an answer to QUIT is waited for: the message has its fate by then. */
enum { FAREWELL_MS = 2000 };

struct delivery {
    struct transfer *transfer;
    struct smtp_trace trace;
    struct str rest; /* of the message */
};

static size_t give_message(char *p, size_t size, size_t count, void *context)
{
    struct delivery *d = context;
    size_t n = size * count < d->rest.n ? size * count : d->rest.n;

    memcpy(p, d->rest.p, n);
    d->rest = (struct str){d->rest.p + n, d->rest.n - n};
    /* From here on it may reach the server whole, whatever we get to see of that. */
    d->trace.message_sent = d->rest.n == 0;
    return n;
}

static int follow(CURL *easy, curl_infotype type, char *p, size_t n, void *context)
{
    struct delivery *d = context;

    if (type == CURLINFO_HEADER_OUT)
        smtp_trace_command(&d->trace, (struct str){p, n});
    else if (type == CURLINFO_HEADER_IN)
        smtp_trace_line(&d->trace, (struct str){p, n});
    if (d->trace.over)
        transfer_hurry(d->transfer, FAREWELL_MS);
    return 0;
}

static size_t discard(char *p, size_t size, size_t count, void *context)
{
    return size * count;
}

static int invalid(const char *reason)
{
    fault_keep("%s", reason);
    return SMTP_INVALID;
}

static bool lacks_part(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    CURLUcode code = curl_url_get(url, part, &text, 0);
    bool lacks = code != CURLUE_OK || (part == CURLUPART_PATH && strcmp(text, "/") == 0);

    curl_free(text);
    return lacks;
}

/* Reads the URL and puts the name for EHLO where libcurl wants it. */
static int read_url(struct transfer *t, const struct smtp_options *o)
{
    static const char *const schemes[] = {"smtp", "smtps", NULL};
    char path[DNS_NAME_MAX + 2];
    int r = transfer_url(t, o->url, schemes, true);

    if (r)
        return r < 0 ? r : SMTP_INVALID;
    if (!lacks_part(t->url, CURLUPART_PATH) || !lacks_part(t->url, CURLUPART_QUERY) ||
        !lacks_part(t->url, CURLUPART_OPTIONS))
        return invalid("the URL has more than a host, a port and userinfo");
    if (o->helo.n == 0)
        return 0;
    if (!dns_name_is_host(o->helo))
        return invalid("the name for EHLO is not a host's");
    snprintf(path, sizeof path, "/%.*s", STR_ARG(o->helo));
    return curl_url_set(t->url, CURLUPART_PATH, path, 0) == CURLUE_OK
               ? 0
               : fault_set(FAULT_MEMORY, "no memory for a URL");
}

/* By the name alone, which libcurl resolves by itself where it is "localhost". */
static bool is_this_machine(const char *host)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    const struct sockaddr *address = NULL;
    char bare[INET6_ADDRSTRLEN] = "";
    const char *use = NULL;
    size_t size = 0;

    if (*host == '[') /* as a URL has an IPv6 address */
        snprintf(bare, sizeof bare, "%.*s", (int)strcspn(host + 1, "]"), host + 1);
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        address = (const struct sockaddr *)&v4;
        size = sizeof v4;
    } else if (inet_pton(AF_INET6, bare, &v6.sin6_addr) == 1) {
        address = (const struct sockaddr *)&v6;
        size = sizeof v6;
    }
    if (address)
        use = guard_special_use(address, size);
    return use ? strcmp(use, "loopback") == 0 : str_eq_ci(str_of(host), STR("localhost"));
}

/* Whether a server that offers no TLS gets the message, and the password that there may be. */
static bool may_be_plain(const struct transfer *t, const struct smtp_options *o)
{
    char *host = NULL;

    if (!o->allow_plain || lacks_part(t->url, CURLUPART_USER))
        return o->allow_plain;
    bool here =
        curl_url_get(t->url, CURLUPART_HOST, &host, 0) == CURLUE_OK && is_this_machine(host);
    curl_free(host);
    return here;
}

static const char *error_of(const struct transfer *t, CURLcode code)
{
    if (t->refused && !t->permitted)
        return "the host's address is not one that may be called";
    if (code == CURLE_USE_SSL_FAILED)
        return "the server offers no TLS, and without it gets neither message nor password";
    return transfer_error(t, code);
}

static int set_envelope(struct transfer *t, const struct smtp_outgoing *m)
{
    char address[512];
    int r = 0;

    for (size_t i = 0; r == 0 && i < m->recipient_count; i++) {
        snprintf(address, sizeof address, "<%.*s>", STR_ARG(m->recipients[i]));
        r = transfer_list_add(t, address);
    }
    snprintf(address, sizeof address, "<%.*s>", STR_ARG(m->from));
    transfer_set_text(t, CURLOPT_MAIL_FROM, address);
    transfer_set_pointer(t, CURLOPT_MAIL_RCPT, t->list);
    transfer_set(t, CURLOPT_MAIL_RCPT_ALLLOWFAILS, 1);
    return r;
}

static void set_calls(struct transfer *t, struct delivery *d)
{
    transfer_set(t, CURLOPT_UPLOAD, 1);
    transfer_set_call(t, CURLOPT_READFUNCTION, (void (*)(void))give_message);
    transfer_set_pointer(t, CURLOPT_READDATA, d);
    transfer_set_size(t, CURLOPT_INFILESIZE_LARGE, d->rest.n);
    transfer_set_call(t, CURLOPT_WRITEFUNCTION, (void (*)(void))discard);
    /* The one way to see which command a reply answers. */
    transfer_set(t, CURLOPT_VERBOSE, 1);
    transfer_set_call(t, CURLOPT_DEBUGFUNCTION, (void (*)(void))follow);
    transfer_set_pointer(t, CURLOPT_DEBUGDATA, d);
}

static int deliver(struct transfer *t, const struct smtp_options *options,
                   const struct smtp_outgoing *message, struct smtp_fate *fates)
{
    struct delivery d = {.transfer = t, .rest = message->mime};
    CURLcode code;
    int r = read_url(t, options);

    if (r)
        return r;
    transfer_begin(t);
    transfer_set(t, CURLOPT_USE_SSL, may_be_plain(t, options) ? CURLUSESSL_TRY : CURLUSESSL_ALL);
    transfer_set_text(t, CURLOPT_LOGIN_OPTIONS, "AUTH=PLAIN;AUTH=LOGIN");
    set_calls(t, &d);
    if ((r = set_envelope(t, message)))
        return r;
    smtp_trace_begin(&d.trace, fates, message->recipient_count);
    if ((r = transfer_run(t, &code)))
        return r;
    smtp_trace_end(&d.trace, error_of(t, code));
    return 0;
}

int smtp_send(const struct smtp_options *options, const struct smtp_outgoing *message,
              struct smtp_fate *ret_fates)
{
    struct transfer_options o = {
        .guard = options->guard,
        .ca_file = options->ca_file,
        .protocols = "smtp,smtps",
        .connect_timeout_ms = options->connect_timeout_ms,
        .total_timeout_ms = options->total_timeout_ms,
    };
    struct smtp_fate fates[SMTP_SEND_RECIPIENTS_MAX];
    struct transfer t;
    int r = smtp_check(message);

    if (r == 0)
        r = transfer_init(&t, &o);
    if (r)
        return r;
    r = deliver(&t, options, message, fates);
    transfer_release(&t);
    if (r == 0)
        memcpy(ret_fates, fates, message->recipient_count * sizeof *fates);
    return r;
}
