#include "mail/watch.h"

#include "base/fault.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"

enum { WORK_MAX = 1 << 20, DETAIL_MAX = 2048 };

void mail_watch_init(struct mail_watch *w)
{
    *w = (struct mail_watch){0};
    pthread_mutex_init(&w->lock, NULL);
}

void mail_watch_release(struct mail_watch *w)
{
    pthread_mutex_destroy(&w->lock);
}

struct checking {
    struct trail *trail;
    struct arena arena;
    struct mail_window window;
    struct mail_health health;
    struct str before; /* the state on record, empty where there is none */
    bool changed;
};

static int health_job(struct store_txn *t, void *arg)
{
    struct checking *c = arg;
    struct str advice[MAIL_ADVICE_MAX];
    size_t n;

    return mail_health_check(t, &c->arena, NULL, &c->window, &mail_thresholds_default, &c->health,
                             advice, &n);
}

static int take_last(const struct trail_record *record, void *arg)
{
    struct checking *c = arg;

    c->before = arena_str(&c->arena, record->subject);
    return c->before.p ? 0 : FAULT_MEMORY;
}

static int read_last(struct store_txn *t, struct checking *c)
{
    struct trail_filter filter = {.all_tenants = true,
                                  .action = str_of(trail_action_name(TRAIL_MAIL_HEALTH))};

    c->before = STR("");
    return trail_list(t, &filter, 0, 1, take_last, c);
}

static void write_rate(struct json_writer *w, const char *key, struct mail_rate rate)
{
    json_key(w, key);
    if (rate.known)
        json_double(w, mail_rate_value(rate));
    else
        json_nil(w);
}

static void write_detail(const struct checking *c, struct buf *out)
{
    struct json_writer w = json_writer(out);

    json_object_begin(&w);
    json_key(&w, "before");
    if (c->before.n)
        json_str(&w, c->before);
    else
        json_nil(&w);
    json_key(&w, "sent");
    json_int(&w, c->health.sent);
    write_rate(&w, "bounce", c->health.bounce);
    write_rate(&w, "complaint", c->health.complaint);
    write_rate(&w, "delivery", c->health.delivery);
    json_object_end(&w);
}

/* Behind the lock of the trail, so that of several nodes one finds the change. */
static int record_job(struct store_txn *t, void *arg)
{
    struct checking *c = arg;
    struct buf detail _cleanup_buf_ = buf_init(DETAIL_MAX);
    struct trail_actor actor = {.label = STR("system")};
    struct trail_event event = {.action = TRAIL_MAIL_HEALTH,
                                .subject = mail_status_name(c->health.status)};
    int r = store_lock(t, STORE_LOCK_TRAIL);

    c->changed = false;
    if (r == 0)
        r = read_last(t, c);
    if (r || str_eq(c->before, event.subject))
        return r;
    c->changed = true;
    write_detail(c, &detail);
    event.detail = buf_str(&detail);
    return buf_fault(&detail) ? buf_fault(&detail) : trail_append(c->trail, t, &actor, &event);
}

static int before_job(struct store_txn *t, void *arg)
{
    return read_last(t, arg);
}

/* Looks first, so that most hours write nothing. */
static int record_change(struct checking *c, struct store *store)
{
    int r = store_read(store, before_job, c);

    if (r || str_eq(c->before, mail_status_name(c->health.status)))
        return r;
    return store_write(store, record_job, c);
}

static void log_change(const struct checking *c)
{
    struct log_line l;

    log_begin(&l, c->health.status == MAIL_HEALTHY ? LOG_INFO : LOG_WARN, "mail health changed");
    log_field_str(&l, "before", c->before.n ? c->before : STR("unknown"));
    log_field_str(&l, "status", mail_status_name(c->health.status));
    log_field_int(&l, "sent", c->health.sent);
    log_field_int(&l, "bounced", c->health.counts.bounced_counted);
    log_field_int(&l, "complained", c->health.counts.complained_counted);
    log_field_int(&l, "delivered", mail_counts_delivered(&c->health.counts));
    log_end(&l);
}

int mail_watch_check(struct mail_watch *w, struct store *store, struct trail *trail, int64_t now)
{
    struct checking c = {.trail = trail,
                         .arena = arena_init(WORK_MAX),
                         .window = mail_window(NULL, now - MAIL_WATCH_WINDOW_MS, now, 0, now)};
    int r = store_read(store, health_job, &c);

    bool known = r == 0;

    if (known && c.health.status != MAIL_INSUFFICIENT_DATA)
        r = record_change(&c, store);
    /* Who reads the figures finds the record of what they say. */
    if (known) {
        pthread_mutex_lock(&w->lock);
        w->checked_at = now;
        w->health = c.health;
        pthread_mutex_unlock(&w->lock);
    }
    if (r == 0 && c.changed)
        log_change(&c);
    arena_free(&c.arena);
    return r;
}

static void write_gauge(struct buf *out, const char *name, const char *help, int64_t value)
{
    metric_write_head(out, name, "gauge", help);
    metric_write(out, name, "", value > 0 ? (uint64_t)value : 0);
}

static void write_states(struct buf *out, enum mail_status status)
{
    static const char name[] = "holdfast_email_health";
    char label[64];

    metric_write_head(out, name, "gauge",
                      "1 for the state that mail was in at the last hourly check.");
    for (int i = MAIL_HEALTHY; i <= MAIL_INSUFFICIENT_DATA; i++) {
        snprintf(label, sizeof label, "status=\"%.*s\"",
                 STR_ARG(mail_status_name((enum mail_status)i)));
        metric_write(out, name, label, (int)status == i);
    }
}

void mail_watch_write_metrics(struct mail_watch *w, struct buf *out)
{
    pthread_mutex_lock(&w->lock);
    int64_t checked_at = w->checked_at;
    struct mail_health h = w->health;
    pthread_mutex_unlock(&w->lock);

    if (!checked_at)
        return;
    write_states(out, h.status);
    write_gauge(out, "holdfast_email_checked_timestamp_seconds", "When it was checked.",
                checked_at / CLOCK_SECOND);
    write_gauge(out, "holdfast_email_sent", "Messages handed over in the 24 hours before.", h.sent);
    write_gauge(out, "holdfast_email_bounced", "Of these, bounces that count in the rate.",
                h.counts.bounced_counted);
    write_gauge(out, "holdfast_email_complained", "Of these, complaints that count in the rate.",
                h.counts.complained_counted);
    write_gauge(out, "holdfast_email_delivered", "Of these, delivered; 0 where nobody tells.",
                mail_counts_delivered(&h.counts));
}
