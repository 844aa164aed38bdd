#include "mail/courier.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "crypto/init.h"
#include "mail/message_parts.h"
#include "mail/simulator.h"
#include "mail/webhook_signature.h"
#include "net/http_client.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

enum {
    QUEUE_MAX = 10000,
    PATIENCE_MS = 30 * CLOCK_SECOND,
    CONNECT_MS = 2 * CLOCK_SECOND,
    CALL_MS = 10 * CLOCK_SECOND,
    PAUSE_FIRST_MS = 100,
    PAUSE_MAX_MS = 2 * CLOCK_SECOND,
    BODY_MAX = 64 * 1024,
    ANSWER_MAX = 64 * 1024
};

/* A recipient whose events are to come. */
struct errand {
    struct errand *next;
    enum simulator_fate fate;
    int64_t at; /* of the message, and of its events: the same however often one is tried */
    char provider_id[UUID_TEXT_SIZE];
    char from[COURIER_PATH_MAX + 1], to[COURIER_PATH_MAX + 1], subject[COURIER_SUBJECT_MAX + 1];
};

struct courier {
    struct courier_options options;
    char *url;
    struct http_client *client;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct errand *first, **last; /* under the lock, as all below */
    size_t waiting;
    bool stopping;
    int64_t drain_until;
    uint64_t posted, dropped;
};

static void keep_text(struct str s, char *out, size_t size)
{
    s = str_cut(s, size - 1);
    memcpy(out, s.p, s.n);
    out[s.n] = '\0';
}

/* The subject as it came, on one line. */
static void keep_subject(struct str data, char out[COURIER_SUBJECT_MAX + 1])
{
    struct message_head head;

    message_head_read(data, &head);
    keep_text(message_field_find(&head, STR("Subject")), out, COURIER_SUBJECT_MAX + 1);
    for (char *p = out; *p; p++)
        if ((unsigned char)*p < ' ')
            *p = ' ';
}

static struct errand *errand_new(const struct sandbox_message *m, struct str to,
                                 enum simulator_fate fate)
{
    struct errand *e = calloc(1, sizeof *e);

    if (!e)
        return NULL;
    e->fate = fate;
    e->at = m->at;
    uuid_format(&m->id, e->provider_id);
    keep_text(m->from, e->from, sizeof e->from);
    keep_text(to, e->to, sizeof e->to);
    keep_subject(m->data, e->subject);
    return e;
}

/* Gives up the errand's last n events. */
static void drop(struct courier *c, const struct errand *e, size_t n, const char *why)
{
    struct log_line l;

    if (c) {
        pthread_mutex_lock(&c->lock);
        c->dropped += n;
        pthread_mutex_unlock(&c->lock);
    }
    log_begin(&l, LOG_WARN, "events of the sandbox were dropped");
    log_field_int(&l, "events", (int64_t)n);
    log_field_str(&l, "message", str_of(e->provider_id));
    log_field_str(&l, "recipient", str_of(e->to));
    log_field_str(&l, "reason", str_of(why));
    log_end(&l);
}

/* Returns false where the queue is full. */
static bool enqueue(struct courier *c, struct errand *e)
{
    pthread_mutex_lock(&c->lock);
    bool room = c->waiting < c->options.queue_max;
    if (room) {
        c->waiting++;
        *c->last = e;
        c->last = &e->next;
        pthread_cond_signal(&c->changed);
    }
    pthread_mutex_unlock(&c->lock);
    return room;
}

void courier_take(void *courier, const struct sandbox_message *m)
{
    struct courier *c = courier;
    struct str rest = m->to, to;

    while (str_next(&rest, '\n', &to)) {
        enum simulator_fate fate = simulator_classify(to);
        if (simulator_count(fate) == 0)
            continue;
        struct errand *e = errand_new(m, to, fate);
        if (!e) {
            log_warn("events of the sandbox were dropped: no memory");
        } else if (!c || !enqueue(c, e)) {
            drop(c, e, simulator_count(fate), c ? "too many wait" : "there is no courier");
            free(e);
        }
    }
}

static bool is_stopping(struct courier *c)
{
    pthread_mutex_lock(&c->lock);
    bool stopping = c->stopping;
    pthread_mutex_unlock(&c->lock);
    return stopping;
}

/* Waits, unless the courier stops. */
static void pause_for(struct courier *c, int64_t ms)
{
    int64_t until = clock_mono() + ms;
    struct timespec t = {until / 1000, until % 1000 * 1000000};

    pthread_mutex_lock(&c->lock);
    while (!c->stopping && pthread_cond_timedwait(&c->changed, &c->lock, &t) != ETIMEDOUT)
        ;
    pthread_mutex_unlock(&c->lock);
}

/* One attempt. Returns the answer's status; 0 where none came, with the fault's message; a fault.
 */
static int post(struct courier *c, struct str body)
{
    _cleanup_buf_ struct buf header = buf_init(WEBHOOK_HEADER_MAX), answer = buf_init(ANSWER_MAX);
    struct http_client_reply reply;
    int r = webhook_signature_write(&c->options.key, 1, body, clock_now(), &header);

    if (r)
        return r;
    const struct http_client_header headers[] = {
        {STR("Content-Type"), STR("application/json")},
        {STR("X-Webhook-Signature"), buf_str(&header)},
    };
    struct http_client_request request = {.method = STR("POST"),
                                          .url = str_of(c->url),
                                          .headers = headers,
                                          .header_count = sizeof headers / sizeof *headers,
                                          .body = body};
    r = http_client_call(c->client, &request, &answer, &reply);
    if (r < 0)
        return r;
    return r ? 0 : reply.status;
}

/*
 * Tries until the webhook takes the event, refuses it, or patience is over. While the courier
 * stops, each is tried once. Returns whether it was taken, else with *ret_why.
 */
static bool deliver(struct courier *c, struct str body, char ret_why[200])
{
    int64_t until = clock_mono() + c->options.patience_ms, pause = PAUSE_FIRST_MS;

    for (;;) {
        int status = post(c, body);
        if (status >= 200 && status < 300)
            return true;
        if (status > 0)
            snprintf(ret_why, 200, "the webhook answered %d", status);
        else
            snprintf(ret_why, 200, "%.199s", fault_message());
        bool hopeless = status < 0 || (status >= 300 && status < 500 && status != 429);
        if (hopeless || is_stopping(c) || clock_mono() + pause >= until)
            return false;
        pause_for(c, pause);
        pause = pause * 2 < PAUSE_MAX_MS ? pause * 2 : PAUSE_MAX_MS;
    }
}

static void run_errand(struct courier *c, const struct errand *e)
{
    _cleanup_buf_ struct buf body = buf_init(BODY_MAX);
    struct simulator_mail mail = {.provider_id = str_of(e->provider_id),
                                  .from = str_of(e->from),
                                  .to = str_of(e->to),
                                  .subject = str_of(e->subject),
                                  .sent_at = e->at,
                                  .now = e->at};
    char why[200] = "";
    size_t n = simulator_count(e->fate);

    for (size_t i = 0; i < n; i++) {
        buf_reset(&body);
        if (simulator_write(e->fate, i, &mail, &body))
            snprintf(why, sizeof why, "%.199s", fault_message());
        else if (deliver(c, buf_str(&body), why))
            why[0] = '\0';
        if (why[0]) {
            drop(c, e, n - i, why);
            return;
        }
        pthread_mutex_lock(&c->lock);
        c->posted++;
        pthread_mutex_unlock(&c->lock);
    }
}

/* The next errand, once there is one; NULL at the end. */
static struct errand *next_errand(struct courier *c)
{
    struct errand *e = NULL;

    pthread_mutex_lock(&c->lock);
    while (!c->first && !c->stopping)
        pthread_cond_wait(&c->changed, &c->lock);
    if (c->first && (!c->stopping || clock_mono() < c->drain_until)) {
        e = c->first;
        c->first = e->next;
        if (!c->first)
            c->last = &c->first;
        c->waiting--;
    }
    pthread_mutex_unlock(&c->lock);
    return e;
}

static void *carry(void *arg)
{
    struct courier *c = arg;
    struct errand *e;

    while ((e = next_errand(c))) {
        run_errand(c, e);
        free(e);
    }
    return NULL;
}

static void courier_free(struct courier *c)
{
    struct errand *e;

    while ((e = c->first)) {
        c->first = e->next;
        drop(c, e, simulator_count(e->fate), "the server stops");
        free(e);
    }
    http_client_free(c->client);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->changed);
    crypto_wipe(&c->options.key, sizeof c->options.key);
    free(c->url);
    free(c);
}

/* Signals are for the main thread. */
static int start_thread(struct courier *c)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&c->thread, NULL, carry, c);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error ? fault_errno(FAULT_INTERNAL, error, "cannot start the sandbox's courier") : 0;
}

int courier_start(const struct courier_options *options, struct courier **ret)
{
    struct http_client_options client = {.guard = options->guard,
                                         .allow_http = true,
                                         .connect_timeout_ms = CONNECT_MS,
                                         .total_timeout_ms = CALL_MS};
    struct courier *c = calloc(1, sizeof *c);
    pthread_condattr_t monotonic;

    if (!c)
        return fault_set(FAULT_MEMORY, "no memory for the sandbox's courier");
    c->options = *options;
    if (!c->options.queue_max)
        c->options.queue_max = QUEUE_MAX;
    if (!c->options.patience_ms)
        c->options.patience_ms = PATIENCE_MS;
    c->last = &c->first;
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&c->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    c->url = strdup(options->url);
    int r = c->url ? http_client_new(&client, &c->client)
                   : fault_set(FAULT_MEMORY, "no memory for the sandbox's courier");
    if (r == 0)
        r = start_thread(c);
    if (r) {
        courier_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

void courier_stats(struct courier *c, struct courier_stats *ret)
{
    pthread_mutex_lock(&c->lock);
    *ret = (struct courier_stats){c->posted, c->dropped, c->waiting};
    pthread_mutex_unlock(&c->lock);
}

void courier_stop(struct courier *c, int64_t drain_ms)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    c->stopping = true;
    c->drain_until = clock_mono() + drain_ms;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
    courier_free(c);
}
