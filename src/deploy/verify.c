#include "deploy/verify.h"

#include "base/fault.h"
#include "base/json.h"
#include "net/http_client.h"

#include <stdarg.h>
#include <stdio.h>

enum { TIMEOUT_MS = 10000, BODY_MAX = 256 * 1024, ATTEMPTS = 6, TOO_MANY = 429 };

struct asking {
    const struct conf_environment *e;
    struct http_client *client;
    struct http_client_reply reply;
    struct verify_answer *answer;
};

static int __attribute__((format(printf, 2, 3))) fail(struct asking *a, const char *format, ...)
{
    va_list args;

    a->answer->verdict = VERIFY_FAILED;
    va_start(args, format);
    vsnprintf(a->answer->why, sizeof a->answer->why, format, args);
    va_end(args);
    return 0;
}

/* Makes the call. Returns 0 with a->reply; 1 where there is no answer, which is said; a fault. */
static int call(struct asking *a, const struct http_client_request *request)
{
    struct buf body _cleanup_buf_ = buf_init(BODY_MAX);
    int result = http_client_call(a->client, request, &body, &a->reply);

    if (result <= 0 || result == HTTP_CLIENT_TOO_LARGE)
        return result < 0 ? result : 0;
    fail(a, "%.*s: %.200s", (int)(request->url.n < 90 ? request->url.n : 90), request->url.p,
         fault_message());
    return 1;
}

static int get(struct asking *a, const char *url, const struct http_client_header *header,
               const char *keep)
{
    struct http_client_request request = {.method = STR("GET"),
                                          .url = str_of(url),
                                          .headers = header,
                                          .header_count = header ? 1 : 0,
                                          .keep = str_of(keep)};

    return call(a, &request);
}

static int ask_without_token(struct asking *a)
{
    int result = get(a, a->e->verify.url, NULL, "");

    if (result)
        return result < 0 ? result : 0;
    return a->reply.status == 401 ? 0 : fail(a, "answered %d without a token", a->reply.status);
}

static int ask_with_token(struct asking *a)
{
    struct buf value _cleanup_buf_ = buf_secret(HTTP_CLIENT_HEADER_SIZE_MAX);

    if (buf_printf(&value, "Bearer %s", a->e->verify.token))
        return fail(a, "the token is too long");
    struct http_client_header header = {STR("Authorization"), buf_str(&value)};
    int result = get(a, a->e->verify.url, &header, "");
    if (result)
        return result < 0 ? result : 0;
    return a->reply.status == 200 ? 0 : fail(a, "answered %d with the token", a->reply.status);
}

static int ask_redirect(struct asking *a)
{
    int result = get(a, a->e->verify.http_url, NULL, "Location");

    if (result)
        return result < 0 ? result : 0;
    if (a->reply.status != 301 && a->reply.status != 308)
        return fail(a, "answered %d, no lasting redirect (301, 308)", a->reply.status);
    if (!str_has_prefix_ci(str_of(a->reply.kept), STR("https://")))
        return fail(a, "redirects to %.100s", *a->reply.kept ? a->reply.kept : "nowhere");
    return 0;
}

static const char stranger[] = "https://stranger.invalid";

static int ask_cors(struct asking *a)
{
    struct http_client_header header = {STR("Origin"), str_of(a->e->verify.cors_origin)};
    static const char allowed[] = "Access-Control-Allow-Origin";
    int result = get(a, a->e->health.url, &header, allowed);

    if (result)
        return result < 0 ? result : 0;
    if (strcmp(a->reply.kept, a->e->verify.cors_origin) != 0)
        return fail(a, "allows %.100s, not %.100s", *a->reply.kept ? a->reply.kept : "no origin",
                    a->e->verify.cors_origin);
    header.value = str_of(stranger);
    result = get(a, a->e->health.url, &header, allowed);
    if (result)
        return result < 0 ? result : 0;
    if (strcmp(a->reply.kept, stranger) == 0 || strcmp(a->reply.kept, "*") == 0)
        return fail(a, "allows any origin");
    return 0;
}

static int attempt(struct asking *a, struct str body)
{
    static const struct http_client_header json = {STR_INIT("Content-Type"),
                                                   STR_INIT("application/json")};
    struct http_client_request request = {.method = STR("POST"),
                                          .url = str_of(a->e->verify.login_url),
                                          .headers = &json,
                                          .header_count = 1,
                                          .body = body};

    return call(a, &request);
}

/* A minute that has known attempts already may end earlier: what counts is how it ends. */
static int ask_rate(struct asking *a)
{
    struct buf body _cleanup_buf_ = buf_init(4096);
    struct json_writer w = json_writer(&body);

    json_object_begin(&w);
    json_key(&w, "email");
    json_str(&w, str_of(a->e->verify.login_email));
    json_key(&w, "password");
    json_str(&w, STR("not the password"));
    json_object_end(&w);
    if (buf_fault(&body))
        return fail(a, "the address is too long");
    for (int i = 1; i <= ATTEMPTS; i++) {
        int result = attempt(a, buf_str(&body));
        if (result)
            return result < 0 ? result : 0;
        if (a->reply.status < 300)
            return fail(a, "attempt %d was let in with a wrong password (%d)", i, a->reply.status);
    }
    return a->reply.status == TOO_MANY ? 0 : fail(a, "attempt 6 was answered %d", a->reply.status);
}

static bool has_url(const struct conf_environment *e)
{
    return e->verify.url != NULL;
}

static bool has_token(const struct conf_environment *e)
{
    return e->verify.url && e->verify.token;
}

static bool has_http_url(const struct conf_environment *e)
{
    return e->verify.http_url != NULL;
}

static bool has_origin(const struct conf_environment *e)
{
    return e->verify.cors_origin != NULL;
}

static bool has_login(const struct conf_environment *e)
{
    return e->verify.login_url && e->verify.login_email;
}

/* clang-format off */
static const struct {
    const char *name, *title;
    bool (*wanted)(const struct conf_environment *e);
    int (*ask)(struct asking *a); /* 0 or a fault; says by fail() what is wrong */
} checks[] = {
    {"no-token", "Without a token the answer is 401", has_url, ask_without_token},
    {"token", "With a token it is 200", has_token, ask_with_token},
    {"redirect", "http:// leads to https:// for good", has_http_url, ask_redirect},
    {"cors", "The front end's origin is allowed, and a stranger's is not", has_origin, ask_cors},
    {"rate-limit", "The 6th wrong password in a minute is answered with 429", has_login, ask_rate},
};
/* clang-format on */
enum { CHECKS = sizeof checks / sizeof *checks };

static int ask_all(struct asking *a, const struct verify_options *o, struct verify_report *ret)
{
    int result = 0;

    for (size_t i = 0; i < CHECKS && result >= 0; i++) {
        a->answer = &ret->answers[ret->n++];
        *a->answer = (struct verify_answer){.name = checks[i].name, .title = checks[i].title};
        if (o->cancel && atomic_load(o->cancel)) {
            fault_keep("interrupted");
            return VERIFY_CANCELLED;
        }
        if (checks[i].wanted(o->environment))
            result = checks[i].ask(a);
        else
            a->answer->verdict = VERIFY_NOT_ASKED;
    }
    return result;
}

int verify_run(const struct verify_options *o, struct verify_report *ret)
{
    struct http_client_options options = {.guard = {.any = true},
                                          .allow_http = true,
                                          .ca_file = o->ca_file,
                                          .total_timeout_ms = TIMEOUT_MS};
    struct asking a = {.e = o->environment};
    struct verify_report report = {.n = 0};
    int result = http_client_new(&options, &a.client);

    if (result)
        return result;
    result = ask_all(&a, o, &report);
    http_client_free(a.client);
    if (result < 0)
        return result;
    *ret = report;
    for (size_t i = 0; result == 0 && i < report.n; i++)
        if (report.answers[i].verdict == VERIFY_FAILED) {
            fault_keep("%s: %s", report.answers[i].name, report.answers[i].why);
            return VERIFY_SOME_FAILED;
        }
    return result;
}

int verify_describe(const struct conf_environment *e, struct buf *out)
{
    for (size_t i = 0; i < CHECKS; i++)
        if (checks[i].wanted(e))
            buf_printf(out, "%s\n", checks[i].title);
    return buf_fault(out);
}
