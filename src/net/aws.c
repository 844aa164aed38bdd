#include "net/aws.h"

#include "base/clock.h"
#include "base/fault.h"
#include "crypto/init.h"
#include "net/aws_credentials.h"
#include "net/aws_place.h"
#include "net/http_client.h"

#include <pthread.h>

enum {
    IDLE_MAX = 16,
    AGAIN_MS = 5 * CLOCK_SECOND,
    SKEW_MS = 4 * CLOCK_MINUTE,
    PATH_MAX_BYTES = 200
};

struct aws {
    struct aws_options options;
    struct aws_credentials *credentials;
    /* A client serves one call at a time; they are kept for the authorities that they have read. */
    pthread_mutex_t lock;
    struct http_client *idle[IDLE_MAX];
    size_t idle_count;
};

/* A call under way. */
struct calling {
    struct aws *a;
    const struct aws_request *request;
    struct aws_keys keys;
    unsigned turn;
    struct http_client_reply reply;
    struct aws_error *error;
};

struct aws_options aws_options_of(const struct config *config)
{
    return (struct aws_options){
        .region = str_of(config->aws_region),
        .endpoint = str_of(config->aws_endpoint_url),
        .sources = {
            .key_id = str_of(config->aws_access_key_id),
            .secret = str_of(config->aws_secret_access_key),
            .session_token = str_of(config->aws_session_token),
            .role_arn = str_of(config->aws_role_arn),
            .identity_file = str_of(config->aws_identity_file),
            .role_session = str_of(config->aws_role_session),
            .container_origin = STR("http://169.254.170.2"),
            .container_relative = str_of(config->aws_container_relative),
            .container_full = str_of(config->aws_container_full),
            .container_token = str_of(config->aws_container_token),
            .container_token_file = str_of(config->aws_container_token_file),
            .metadata = str_of(config->aws_metadata_off ? "" : config->aws_metadata),
        }};
}

int aws_new(const struct aws_options *options, struct aws **ret)
{
    struct aws *a = calloc(1, sizeof *a);

    if (!a)
        return fault_set(FAULT_MEMORY, "no memory for calls to AWS");
    a->options = *options;
    pthread_mutex_init(&a->lock, NULL);
    int r = aws_credentials_new(&a->options, &a->credentials);
    if (r) {
        aws_free(a);
        return r;
    }
    *ret = a;
    return 0;
}

void aws_free(struct aws *a)
{
    if (!a)
        return;
    while (a->idle_count > 0)
        http_client_free(a->idle[--a->idle_count]);
    pthread_mutex_destroy(&a->lock);
    aws_credentials_free(a->credentials);
    free(a);
}

struct str aws_region(const struct aws *a)
{
    return a->options.region;
}

/* The operator names the region or the endpoint, so whatever address they have is meant. */
static int take_client(struct aws *a, struct http_client **ret)
{
    struct http_client_options o = {.guard.any = true,
                                    .allow_http = a->options.endpoint.n > 0,
                                    .total_timeout_ms = a->options.timeout_ms};
    struct http_client *client = NULL;

    pthread_mutex_lock(&a->lock);
    if (a->idle_count > 0)
        client = a->idle[--a->idle_count];
    pthread_mutex_unlock(&a->lock);
    if (!client)
        return http_client_new(&o, ret);
    *ret = client;
    return 0;
}

static void give_client(struct aws *a, struct http_client *client)
{
    pthread_mutex_lock(&a->lock);
    if (a->idle_count < IDLE_MAX) {
        a->idle[a->idle_count++] = client;
        client = NULL;
    }
    pthread_mutex_unlock(&a->lock);
    http_client_free(client);
}

static int fail(struct calling *c, enum aws_outcome outcome, const char *code, const char *text)
{
    snprintf(c->error->code, sizeof c->error->code, "%s", code);
    aws_error_text(str_of(text), c->error->text);
    return (int)outcome;
}

static struct str body_type(const struct aws_request *r)
{
    if (r->target.n > 0)
        return STR("application/x-amz-json-1.1");
    return r->path.n > 0 ? STR("application/json")
                         : STR("application/x-www-form-urlencoded; charset=utf-8");
}

/* One request; *answer holds the body of whichever answer came. */
static int ask(struct calling *c, struct http_client *client, struct buf *answer)
{
    const struct aws_request *r = c->request;
    bool root = r->path.n == 0;
    struct http_client_aws sign = {.region = c->a->options.region,
                                   .service = aws_service_name(r->service),
                                   .key_id = str_of(c->keys.key_id),
                                   .secret = str_of(c->keys.secret),
                                   .session_token = str_of(c->keys.token)};
    struct http_client_header headers[] = {{STR("Content-Type"), body_type(r)},
                                           {STR("X-Amz-Target"), r->target}};
    char url[AWS_ORIGIN_SIZE + PATH_MAX_BYTES + 1];
    struct http_client_request request = {.method = r->body.n > 0 ? STR("POST") : STR("GET"),
                                          .headers = headers,
                                          .header_count = r->body.n == 0     ? 0
                                                          : r->target.n == 0 ? 1
                                                                             : 2,
                                          .body = r->body,
                                          .aws = &sign,
                                          .keep = STR("X-Amzn-ErrorType")};
    int result = aws_origin(&c->a->options, r->service, url);

    if (result)
        return result;
    if (r->path.n > PATH_MAX_BYTES)
        return fault_set(FAULT_LIMIT, "the path of a call to AWS is too long");
    snprintf(url + strlen(url), PATH_MAX_BYTES + 1, "%.*s", root ? 1 : (int)r->path.n,
             root ? "/" : r->path.p);
    request.url = str_of(url);
    return http_client_call(client, &request, answer, &c->reply);
}

/* What no answer comes to. */
static int unanswered(struct calling *c, int outcome)
{
    const char *why = fault_message();

    /* Of what we put together only the credentials can be such that they are not signed with. */
    if (outcome == HTTP_CLIENT_INVALID)
        return fail(c, AWS_CREDENTIALS, "InvalidCredentials", why);
    if (http_client_was_unsent(outcome))
        return fail(c, AWS_UNREACHABLE, outcome == HTTP_CLIENT_TLS ? "TLS" : "Unreachable", why);
    return fail(c, AWS_UNCERTAIN, outcome == HTTP_CLIENT_TIMEOUT ? "Timeout" : "ConnectionLost",
                why);
}

/* A signature is good for minutes: where the clocks differ by more, that is the reason. */
static void hint_at_clock(struct calling *c)
{
    int64_t ahead = clock_now() - c->reply.date;
    char text[2 * AWS_TEXT_SIZE];

    if (c->reply.date == 0 || (ahead < SKEW_MS && ahead > -SKEW_MS))
        return;
    snprintf(text, sizeof text, "this machine's clock is %lld minutes %s that of AWS: %s",
             (long long)((ahead < 0 ? -ahead : ahead) / CLOCK_MINUTE),
             ahead < 0 ? "behind" : "ahead of", c->error->text);
    aws_error_text(str_of(text), c->error->text);
}

static int refused(struct calling *c, struct str body)
{
    c->error->status = c->reply.status;
    c->error->retry_after_ms = c->reply.retry_after_ms > 0 ? c->reply.retry_after_ms : 0;
    aws_error_read(str_of(c->reply.kept), body, c->error);
    enum aws_outcome outcome = aws_error_class(c->error);
    if (outcome == AWS_CREDENTIALS)
        hint_at_clock(c);
    return (int)outcome;
}

static int call_once(struct calling *c, struct buf *answer)
{
    char reason[AWS_TEXT_SIZE];
    struct http_client *client;
    size_t before = answer->n;
    int r = aws_credentials_get(c->a->credentials, &c->keys, &c->turn, reason);

    if (r)
        return r < 0 ? r : fail(c, AWS_CREDENTIALS, "NoCredentials", reason);
    if ((r = take_client(c->a, &client)))
        return r;
    r = ask(c, client, answer);
    give_client(c->a, client);
    crypto_wipe(&c->keys, sizeof c->keys);
    if (r)
        return r < 0 ? r : unanswered(c, r);
    if (c->reply.status / 100 == 2)
        return 0;
    r = refused(c, before < answer->n ? (struct str){answer->p + before, answer->n - before}
                                      : STR(""));
    answer->n = before;
    return r;
}

int aws_call(struct aws *a, const struct aws_request *request, struct buf *answer,
             struct aws_error *ret_error)
{
    struct aws_error error = {0};
    struct calling c = {.a = a, .request = request, .error = &error};
    int64_t started = clock_mono();
    int r = call_once(&c, answer);

    if (r == AWS_CREDENTIALS && aws_error_is_expiry(&error) && clock_mono() - started < AGAIN_MS &&
        aws_credentials_drop(a->credentials, c.turn)) {
        error = (struct aws_error){0};
        r = call_once(&c, answer);
    }
    if (r > 0)
        *ret_error = error;
    return r;
}

const char *aws_outcome_text(int outcome)
{
    switch ((enum aws_outcome)outcome) {
    case AWS_THROTTLED:
        return "throttled";
    case AWS_TEMPORARY:
        return "failing";
    case AWS_PERMANENT:
        return "refused";
    case AWS_CREDENTIALS:
        return "not permitted";
    case AWS_UNREACHABLE:
        return "out of reach";
    case AWS_UNCERTAIN:
        return "not answering";
    }
    return "fault";
}
