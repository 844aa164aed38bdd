#include "deploy/announce.h"

#include "base/clock.h"
#include "base/fault.h"
#include "deploy/announce_parts.h"
#include "net/http_client.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>

enum { ANSWER_MAX = 64 * 1024, PAUSE_MS = 500 };

/* The ways over HTTP: where to, and what with. */
static const char *slack_url(const struct conf_route *route)
{
    return route->slack;
}

static const char *webhook_url(const struct conf_route *route)
{
    return route->webhook;
}

static const char *pagerduty_url(const struct conf_route *route)
{
    return route->pagerduty ? route->pagerduty_url : NULL;
}

static const struct {
    const char *name;
    const char *(*url)(const struct conf_route *route); /* NULL: the route goes another way */
    int (*write)(const struct conf_route *route, const struct report *r, struct buf *out);
} ways[] = {
    {"slack", slack_url, announce_slack},
    {"webhook", webhook_url, announce_webhook},
    {"pagerduty", pagerduty_url, announce_pagerduty},
};
enum { WAYS = sizeof ways / sizeof *ways };

struct post {
    const struct announce_options *options;
    const char *url;
    struct buf body;
    struct announce_answer *answer;
    pthread_t thread;
    bool is_open, has_thread;
};

static void fail(struct announce_answer *answer, const char *why)
{
    answer->verdict = ANNOUNCE_UNTOLD;
    snprintf(answer->why, sizeof answer->why, "%.190s", why);
}

/* One attempt within ms. Returns 0 where it was told, -1 where it is not to be tried again, else
 * how long to wait before it is. */
static int64_t try_once(struct post *p, int64_t ms)
{
    static const struct http_client_header json = {STR_INIT("Content-Type"),
                                                   STR_INIT("application/json")};
    struct http_client_options options = {.guard = {.any = true},
                                          .allow_http = true,
                                          .ca_file = p->options->ca_file,
                                          .connect_timeout_ms = ms,
                                          .total_timeout_ms = ms};
    struct http_client_request request = {.method = STR("POST"),
                                          .url = str_of(p->url),
                                          .headers = &json,
                                          .header_count = 1,
                                          .body = buf_str(&p->body)};
    struct buf body _cleanup_buf_ = buf_init(ANSWER_MAX);
    struct http_client_reply reply = {.status = 0};
    struct http_client *client;
    int result = http_client_new(&options, &client);

    if (result == 0) {
        result = http_client_call(client, &request, &body, &reply);
        http_client_free(client);
    }
    if (result && result != HTTP_CLIENT_TOO_LARGE) {
        fail(p->answer, fault_message());
        return result == HTTP_CLIENT_UNREACHABLE ? PAUSE_MS : -1;
    }
    if (reply.status >= 200 && reply.status <= 299) {
        p->answer->verdict = ANNOUNCE_TOLD;
        p->answer->why[0] = '\0';
        return 0;
    }
    p->answer->verdict = ANNOUNCE_UNTOLD;
    snprintf(p->answer->why, sizeof p->answer->why, "answered %d", reply.status);
    if (reply.status != 429 && reply.status != 503)
        return -1;
    return reply.retry_after_ms > PAUSE_MS ? reply.retry_after_ms : PAUSE_MS;
}

static void *tell(void *arg)
{
    struct post *p = arg;
    int64_t limit = p->options->timeout_ms ? p->options->timeout_ms : ANNOUNCE_MS;
    int64_t end = clock_mono() + limit, left = limit, pause;

    while ((pause = try_once(p, left)) > 0) {
        left = end - clock_mono() - pause;
        if (left <= 0)
            break;
        poll(NULL, 0, (int)pause);
        left = end - clock_mono();
        if (left <= 0)
            break;
    }
    return NULL;
}

/* Begins to tell a route over HTTP; without a thread of its own it is told at once. */
static void begin(struct post *p, const struct conf_route *route, const struct report *r, int way)
{
    p->url = ways[way].url(route);
    p->body = buf_secret(ANNOUNCE_BODY_MAX);
    p->is_open = true;
    p->answer->kind = ways[way].name;
    int result = ways[way].write(route, r, &p->body);
    if (result > 0) {
        p->answer->verdict = ANNOUNCE_NOT_MEANT;
        return;
    }
    if (result) {
        fail(p->answer, "the announcement is too long");
        return;
    }
    p->has_thread = pthread_create(&p->thread, NULL, tell, p) == 0;
    if (!p->has_thread)
        tell(p);
}

static void end(struct post *p)
{
    if (p->has_thread)
        pthread_join(p->thread, NULL);
    if (p->is_open)
        buf_free(&p->body);
}

static int way_of(const struct conf_route *route)
{
    for (int i = 0; i < WAYS; i++)
        if (ways[i].url(route))
            return i;
    return -1;
}

static void tell_by_mail(const struct announce_options *o, const struct conf_route *route,
                         const struct report *r, struct announce_answer *answer)
{
    char why[ANNOUNCE_WHY_SIZE];
    int result = 1;

    answer->kind = "email";
    if (!o->mail)
        snprintf(why, sizeof why, "mail needs the database, which is not in reach");
    else
        result = announce_mail(o->mail, route, r, why);
    if (result)
        fail(answer, result < 0 ? fault_message() : why);
    else
        answer->verdict = ANNOUNCE_TOLD;
}

static void say(const struct announce_options *o, const struct announce_answer *answer)
{
    if (answer->verdict == ANNOUNCE_TOLD)
        progress_say(o->progress, "told %s (%s)", answer->route, answer->kind);
    else if (answer->verdict == ANNOUNCE_UNTOLD)
        progress_say(o->progress, "%s (%s) was not told: %s", answer->route, answer->kind,
                     answer->why);
}

static void tell_all(const struct announce_options *o, const struct report *r,
                     struct announce_report *report)
{
    const struct conf_words *names = &o->environment->notify;
    struct post posts[ANNOUNCE_ROUTES_MAX] = {{0}};

    report->n = names->n < ANNOUNCE_ROUTES_MAX ? names->n : ANNOUNCE_ROUTES_MAX;
    for (size_t i = 0; i < report->n; i++) {
        const struct conf_route *route = conf_route(o->conf, names->items[i]);
        int way = route ? way_of(route) : -1;
        report->answers[i].route = names->items[i];
        posts[i] = (struct post){.options = o, .answer = &report->answers[i]};
        if (way >= 0)
            begin(&posts[i], route, r, way);
    }
    /* Meanwhile, and not on threads: the store is this one's. */
    for (size_t i = 0; i < report->n; i++) {
        const struct conf_route *route = conf_route(o->conf, names->items[i]);
        if (route && !posts[i].is_open)
            tell_by_mail(o, route, r, &report->answers[i]);
    }
    for (size_t i = 0; i < report->n; i++)
        end(&posts[i]);
}

int announce(const struct announce_options *o, const struct report *r, struct announce_report *ret)
{
    struct announce_report report = {.n = 0};
    int result = 0;

    if (announce_is_news(r->result))
        tell_all(o, r, &report);
    for (size_t i = 0; i < report.n; i++) {
        say(o, &report.answers[i]);
        if (report.answers[i].verdict == ANNOUNCE_UNTOLD)
            result = ANNOUNCE_SOME_UNTOLD;
    }
    if (o->environment->notify.n > report.n && announce_is_news(r->result)) {
        progress_say(o->progress, "only the first %d routes were told", ANNOUNCE_ROUTES_MAX);
        result = ANNOUNCE_SOME_UNTOLD;
    }
    if (ret)
        *ret = report;
    return result;
}
