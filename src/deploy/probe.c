#include "deploy/probe.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "net/http_client.h"

#include <poll.h>
#include <stdio.h>

enum { LOOK_MS = 50, ANSWER_MAX = 64 * 1024 };

struct asking {
    const struct probe *p;
    struct probe_result r;
    int64_t began, last_good; /* monotonic; 0: none was */
    int64_t row;              /* good answers since the last other one, or the reverse below 0 */
};

static bool is_cancelled(const struct probe *p)
{
    return p->cancel && atomic_load(p->cancel);
}

/* Waits until then, or less where it is interrupted. */
static void wait_until(const struct probe *p, int64_t then)
{
    int64_t left;

    while ((left = then - clock_mono()) > 0 && !is_cancelled(p))
        poll(NULL, 0, (int)(left < LOOK_MS ? left : LOOK_MS));
}

static int64_t pause_of(const struct asking *a)
{
    const struct probe *p = a->p;
    int64_t spread = p->within_ms / (p->retries > 0 ? p->retries : 1);

    return a->last_good || spread < p->interval_ms ? p->interval_ms : spread;
}

static int give_up(const struct asking *a, int outcome)
{
    const struct probe *p = a->p;

    if (outcome == PROBE_CANCELLED)
        fault_keep("interrupted");
    else if (outcome == PROBE_ILL)
        fault_keep("not well for %lld s: %s", (long long)p->failing_ms / 1000, a->r.why);
    else if (a->r.good)
        fault_keep("well %lld times of %lld, never %lld in a row; last: %s", (long long)a->r.good,
                   (long long)a->r.asked, (long long)p->successes, a->r.why);
    else
        fault_keep("never well in %lld tries over %lld s; last: %s", (long long)a->r.asked,
                   (long long)(clock_mono() - a->began) / 1000, a->r.why);
    return outcome;
}

/* Takes an answer in. Returns -1 to go on, 0 once it is proven, or an outcome. */
static int judge(struct asking *a, bool good, int64_t now)
{
    const struct probe *p = a->p;

    a->r.asked++;
    if (good) {
        a->r.good++;
        a->last_good = now;
        a->row = a->row > 0 ? a->row + 1 : 1;
        progress_say(p->progress, "well (%lld of %lld in a row)", (long long)a->row,
                     (long long)p->successes);
        return a->row >= p->successes ? 0 : -1;
    }
    a->row = a->row < 0 ? a->row - 1 : -1;
    progress_say(p->progress, "not well: %s", a->r.why);
    if (a->last_good && now - a->last_good >= p->failing_ms)
        return give_up(a, PROBE_ILL);
    if (!a->last_good && -a->row >= p->retries)
        return give_up(a, PROBE_TIMEOUT);
    return -1;
}

static int ask_on(struct asking *a)
{
    const struct probe *p = a->p;

    for (;;) {
        if (is_cancelled(p))
            return give_up(a, PROBE_CANCELLED);
        int64_t asked_at = clock_mono();
        int answer = p->ask(p->context, a->r.why);
        if (answer < 0)
            return answer;
        int verdict = judge(a, answer == 0, clock_mono());
        if (verdict >= 0)
            return verdict;
        int64_t next = asked_at + pause_of(a);
        if (next - a->began >= p->within_ms)
            return give_up(a, PROBE_TIMEOUT);
        progress_amount(p->progress, clock_mono() - a->began, p->within_ms);
        wait_until(p, next);
    }
}

int probe_run(const struct probe *p, struct probe_result *ret)
{
    struct asking a = {.p = p, .began = clock_mono()};
    int result = ask_on(&a);

    if (ret)
        *ret = a.r;
    return result;
}

int probe_ask_http(void *context, char why[PROBE_WHY_SIZE])
{
    const struct probe_http *h = context;
    struct http_client_options options = {.guard = {.any = true},
                                          .allow_http = true,
                                          .ca_file = h->ca_file,
                                          .connect_timeout_ms = h->timeout_ms,
                                          .total_timeout_ms = h->timeout_ms};
    struct http_client_request request = {.method = STR("GET"), .url = str_of(h->url)};
    struct buf body _cleanup_buf_ = buf_init(ANSWER_MAX);
    struct http_client_reply reply;
    struct http_client *client;
    int result = http_client_new(&options, &client);

    if (result)
        return result;
    result = http_client_call(client, &request, &body, &reply);
    http_client_free(client);
    if (result < 0)
        return result;
    if (result)
        snprintf(why, PROBE_WHY_SIZE, "%.290s", fault_message());
    else if (reply.status < 200 || reply.status > 299)
        snprintf(why, PROBE_WHY_SIZE, "answered %d", reply.status);
    else
        return 0;
    return 1;
}
