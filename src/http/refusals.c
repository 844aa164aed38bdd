#include "http/refusals.h"

#include "base/fault.h"
#include "base/log.h"

#include <pthread.h>

enum { LABEL_SIZE = 256, IP_SIZE = 48, PATH_SIZE = 256 };

/* What makes refusals equal; apart from the rest, so that a search reads little. */
struct key {
    struct uuid user_id;
    const struct route *route;
    int problem;
};

struct refusal {
    int64_t count; /* not yet recorded */
    int64_t at;    /* when the latest record was written (monotonic ms); 0: none was */
    struct uuid tenant_id, request_id;
    char label[LABEL_SIZE], ip[IP_SIZE], path[PATH_SIZE];
};

struct refusals {
    pthread_mutex_t lock;
    size_t n;
    int64_t lost; /* no place was left for them */
    struct key keys[REFUSALS_MAX];
    struct refusal entries[REFUSALS_MAX];
};

int refusals_new(struct refusals **ret)
{
    struct refusals *r = calloc(1, sizeof *r);

    if (!r)
        return fault_set(FAULT_MEMORY, "no memory for refused requests");
    pthread_mutex_init(&r->lock, NULL);
    *ret = r;
    return 0;
}

void refusals_free(struct refusals *r)
{
    if (!r)
        return;
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static void copy(char *to, size_t size, struct str text)
{
    size_t n = text.n < size ? text.n : size - 1;

    while (n < text.n && n > 0 && !str_is_utf8((struct str){text.p, n}))
        n--;
    if (n)
        memcpy(to, text.p, n);
    to[n] = '\0';
}

static bool is_equal(const struct key *a, const struct key *b)
{
    return a->route == b->route && a->problem == b->problem && uuid_eq(&a->user_id, &b->user_id);
}

/* The entry to count with; r->n where a new one is due; REFUSALS_MAX where there is no place. */
static size_t place_of(const struct refusals *r, const struct key *key)
{
    size_t own = 0, latest = r->n;

    for (size_t i = 0; i < r->n; i++) {
        if (!uuid_eq(&r->keys[i].user_id, &key->user_id))
            continue;
        if (is_equal(&r->keys[i], key))
            return i;
        own++;
        latest = i;
    }
    return own >= REFUSALS_ACCOUNT_MAX ? latest : r->n;
}

static void note(struct refusals *r, const struct call *call, const struct key *key)
{
    size_t i = place_of(r, key);

    if (i == REFUSALS_MAX) {
        r->lost++;
        return;
    }
    struct refusal *e = &r->entries[i];
    if (i == r->n) {
        r->keys[r->n++] = *key;
        e->count = e->at = 0;
    }
    /* The first of those that one record stands for is shown in it. */
    if (e->count++ == 0) {
        e->tenant_id = call->actor.tenant_id;
        e->request_id = call->actor.request_id;
        copy(e->label, sizeof e->label, call->actor.label);
        copy(e->ip, sizeof e->ip, call->actor.ip);
        copy(e->path, sizeof e->path, call->request->path);
    }
}

void refusals_note(struct refusals *r, const struct call *call, int problem)
{
    struct key key = {call->who.user_id, call->route, problem};

    pthread_mutex_lock(&r->lock);
    note(r, call, &key);
    pthread_mutex_unlock(&r->lock);
}

static int record(const struct trail *trail, const struct key *key, const struct refusal *e)
{
    const struct problem_row *problem = problem_row(key->problem);
    struct buf detail _cleanup_buf_ = buf_init(4096);
    struct json_writer w = json_writer(&detail);

    json_object_begin(&w);
    json_key(&w, "method");
    json_str(&w, str_of(http_method_name(key->route->method)));
    json_key(&w, "path");
    json_str(&w, str_of(e->path));
    json_key(&w, "status");
    json_int(&w, problem->status);
    json_key(&w, "code");
    json_str(&w, str_of(problem->code));
    json_key(&w, "count");
    json_int(&w, e->count);
    json_object_end(&w);
    if (buf_fault(&detail))
        return buf_fault(&detail);
    struct trail_actor actor = {.tenant_id = e->tenant_id,
                                .user_id = key->user_id,
                                .label = str_of(e->label),
                                .ip = str_of(e->ip),
                                .request_id = e->request_id};
    bool webhook = key->route->permission == PERMIT_WEBHOOK;
    struct trail_event event = {.action = webhook ? TRAIL_WEBHOOK_REFUSED : TRAIL_ACCESS_DENIED,
                                .tenant_id = e->tenant_id,
                                .subject = str_of(key->route->path),
                                .detail = buf_str(&detail)};
    if (webhook)
        log_warn("webhooks were refused: %lld to %s, %s, the first of them from %s",
                 (long long)e->count, key->route->path, problem->code, e->ip);
    return trail_append_now(trail, &actor, &event);
}

/* Forgets entries of whom nothing was refused for long; the lock is held. */
static void tidy(struct refusals *r, int64_t now)
{
    for (size_t i = 0; i < r->n;) {
        const struct refusal *e = &r->entries[i];
        if (e->count > 0 || now - e->at < REFUSALS_EVERY_MS) {
            i++;
            continue;
        }
        r->n--;
        r->keys[i] = r->keys[r->n];
        r->entries[i] = r->entries[r->n];
    }
}

/* Copies entry i where it is due. The flush alone removes entries, so i stays the same one. */
static bool take_due(struct refusals *r, size_t i, int64_t now, struct key *ret_key,
                     struct refusal *ret)
{
    pthread_mutex_lock(&r->lock);
    const struct refusal *e = &r->entries[i];
    bool due = i < r->n && e->count > 0 && (e->at == 0 || now - e->at >= REFUSALS_EVERY_MS);
    if (due) {
        *ret_key = r->keys[i];
        *ret = *e;
    }
    pthread_mutex_unlock(&r->lock);
    return due;
}

static void settle(struct refusals *r, size_t i, int64_t count, int64_t now)
{
    pthread_mutex_lock(&r->lock);
    r->entries[i].count -= count;
    r->entries[i].at = now;
    pthread_mutex_unlock(&r->lock);
}

int refusals_flush(struct refusals *r, const struct trail *trail, int64_t now)
{
    struct key key;
    struct refusal e;

    for (size_t i = 0; i < REFUSALS_MAX; i++) {
        if (!take_due(r, i, now, &key, &e))
            continue;
        int result = record(trail, &key, &e);
        if (result)
            return result;
        settle(r, i, e.count, now);
    }
    pthread_mutex_lock(&r->lock);
    tidy(r, now);
    int64_t lost = r->lost;
    r->lost = 0;
    pthread_mutex_unlock(&r->lock);
    if (lost)
        log_warn("%lld refused administrative requests left no record: too many accounts at once",
                 (long long)lost);
    return 0;
}
