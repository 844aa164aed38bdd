#include "mail/sns_call.h"

#include "base/fault.h"
#include "base/log.h"
#include "net/http_client.h"

enum {
    CONNECT_MS = 5 * CLOCK_SECOND,
    TOTAL_MS = 10 * CLOCK_SECOND,
    ANSWER_MAX = 64 * 1024,
    TARGET_MAX = 3 * SNS_URL_MAX
};

/* The URL, at another origin where there is one. */
static int write_target(struct str url, const char *origin, struct buf *out)
{
    size_t host = sizeof "https://" - 1;

    if (!origin)
        return buf_add_str(out, url);
    host += str_find((struct str){url.p + host, url.n - host}, '/');
    buf_add_str(out, str_of(origin));
    return buf_add_str(out, (struct str){url.p + host, url.n - host});
}

/* GETs the URL. Returns 0 with a status, an enum http_client_outcome, or a fault. */
static int get(const struct sns_caller *caller, struct str url, const char *origin, bool api,
               struct buf *answer, int *ret_status)
{
    _cleanup_buf_ struct buf target = buf_init(TARGET_MAX);
    struct http_client_options options = {.guard = caller->guard,
                                          .ca_file = caller->ca_file,
                                          .allow_http = api && origin,
                                          .connect_timeout_ms = CONNECT_MS,
                                          .total_timeout_ms = TOTAL_MS};
    struct http_client_reply reply;
    struct http_client *client;
    int r = write_target(url, origin, &target);

    if (api && origin)
        options.guard.any = true;
    if (r == 0)
        r = http_client_new(&options, &client);
    if (r)
        return r;
    r = http_client_call(
        client, &(struct http_client_request){.method = STR("GET"), .url = buf_str(&target)},
        answer, &reply);
    http_client_free(client);
    if (r == 0)
        *ret_status = reply.status;
    return r;
}

/* Whether the next try may be answered otherwise. */
static bool is_passing(int status)
{
    return status >= 500 || status == 429 || status == 408;
}

int sns_call_fetch(void *context, const char *url, struct buf *ret_pem)
{
    int status = 0,
        r = get(context, str_of(url), ((const struct sns_caller *)context)->certificates, false,
                ret_pem, &status);

    if (r < 0)
        return r;
    if (r == 0 && status == 200)
        return 0;
    if (r > 0)
        log_warn("fetching %s: %s", url, fault_message());
    else
        log_warn("fetching %s: status %d", url, status);
    if (r == HTTP_CLIENT_TOO_LARGE || r == HTTP_CLIENT_INVALID || (r == 0 && !is_passing(status)))
        return SNS_FETCH_REFUSED;
    return SNS_FETCH_UNREACHABLE;
}

int sns_call_confirm(const struct sns_caller *caller, const struct sns_message *message)
{
    _cleanup_buf_ struct buf url = buf_init(SNS_URL_MAX), answer = buf_init(ANSWER_MAX);
    int status = 0, r = sns_confirm_url(message, &url);

    if (r)
        return r < 0 ? r : fault_set(FAULT_INTERNAL, "nothing to confirm");
    r = get(caller, buf_str(&url), caller->api, true, &answer, &status);
    if (r < 0 || (r == 0 && status == 200))
        return r;
    /* The token is as good as a password for this: neither URL nor answer is logged. */
    if (r > 0)
        log_warn("a subscription of %.*s could not be confirmed: outcome %d",
                 STR_ARG(message->topic_arn), r);
    else
        log_warn("a subscription of %.*s was not confirmed: status %d", STR_ARG(message->topic_arn),
                 status);
    return r == 0 && !is_passing(status) ? SNS_CONFIRM_REFUSED : SNS_CONFIRM_UNREACHABLE;
}
