#include "api/metrics.h"

#include "base/clock.h"

struct row {
    const char *name, *type, *help;
    uint64_t value;
};

static void write_rows(struct buf *out, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        metric_write_head(out, rows[i].name, rows[i].type, rows[i].help);
        metric_write(out, rows[i].name, "", rows[i].value);
    }
}

#define WRITE_ROWS(out, rows) write_rows(out, rows, sizeof(rows) / sizeof *(rows))

static void write_sessions(const struct sessions *s, struct buf *out)
{
    const struct session_counters *c = &s->counters;
    struct gate_stats gate;

    gate_stats(s->gate, &gate);
    const struct row rows[] = {
        {"holdfast_logins_total", "counter", "Sign-ins that succeeded.", metric_value(&c->logins)},
        {"holdfast_login_failures_total", "counter", "Sign-ins that failed.",
         metric_value(&c->login_failures)},
        {"holdfast_login_limited_total", "counter", "Sign-ins refused by a rate limit.",
         metric_value(&c->login_limited)},
        {"holdfast_refreshes_total", "counter", "Refresh tokens rotated.",
         metric_value(&c->refreshes)},
        {"holdfast_refresh_graces_total", "counter",
         "Predecessors that got the same successor again.", metric_value(&c->refresh_graces)},
        {"holdfast_refresh_forwards_total", "counter",
         "Tokens ahead of their row, after a restored database.",
         metric_value(&c->refresh_forwards)},
        {"holdfast_refresh_refusals_total", "counter", "Refresh tokens refused.",
         metric_value(&c->refresh_refusals)},
        {"holdfast_token_reuses_total", "counter", "Used refresh tokens that came back.",
         metric_value(&c->reuses)},
        {"holdfast_revoked_sessions_total", "counter", "Sessions ended by this node.",
         metric_value(&c->revocations)},
        {"holdfast_gate_families", "gauge", "Ended sessions held in memory.", gate.families},
        {"holdfast_gate_accounts", "gauge", "Accounts held in memory.", gate.accounts},
        {"holdfast_limiter_keys", "gauge", "Accounts and addresses with counted sign-ins.",
         limiter_size(s->limiter)},
        {"holdfast_feed_lag_milliseconds", "gauge", "Time since the revocation feed was read.",
         s->follower ? (uint64_t)feed_follower_lag(s->follower) : 0},
    };
    WRITE_ROWS(out, rows);
}

static void write_refusals(const struct webhook *w, struct buf *out)
{
    metric_write_head(out, "holdfast_mail_webhooks_refused_total", "counter",
                      "Webhooks that were refused, by reason.");
    for (int i = 1; i < WEBHOOK_REFUSALS; i++) {
        char label[64];
        snprintf(label, sizeof label, "reason=\"%s\"", webhook_reasons[i].name);
        metric_write(out, "holdfast_mail_webhooks_refused_total", label,
                     webhook_refused(w, (enum webhook_refusal)i));
    }
}

static void write_mail(const struct mail *m, struct buf *out)
{
    const struct intake_counters *c = intake_counters(m->intake);
    const struct row rows[] = {
        {"holdfast_mail_webhooks_total", "counter", "Webhooks that were taken.",
         webhook_taken(m->webhook)},
        {"holdfast_mail_events_total", "counter", "New events of mail.",
         metric_value(&c->accepted)},
        {"holdfast_mail_events_duplicate_total", "counter", "Events that were known already.",
         metric_value(&c->duplicates)},
        {"holdfast_mail_events_unmatched_total", "counter",
         "New events of messages that are not in the log.", metric_value(&c->unmatched)},
        {"holdfast_mail_events_alerting_total", "counter",
         "Complaints that mail fails authentication.", metric_value(&c->alerts)},
        {"holdfast_mail_recipients_unreadable_total", "counter",
         "Recipients of events that are no addresses.", webhook_unreadable(m->webhook)},
        {"holdfast_mail_suppressed_total", "counter", "Addresses that events suppressed.",
         metric_value(&c->suppressed)},
        {"holdfast_mail_users_invalid_total", "counter", "Users whose address bounced.",
         metric_value(&c->invalidated)},
        {"holdfast_mail_users_unsubscribed_total", "counter", "Users who complained.",
         metric_value(&c->unsubscribed)},
        {"holdfast_mail_batches_total", "counter", "Transactions that took events.",
         metric_value(&c->batches)},
        {"holdfast_mail_events_waiting", "gauge", "Events that wait for the present batch.",
         intake_waiting(m->intake)},
    };
    WRITE_ROWS(out, rows);
    write_refusals(m->webhook, out);
}

static void write_store(struct store *store, struct buf *out)
{
    struct store_stats st;

    store_stats(store, &st);
    const struct row rows[] = {
        {"holdfast_store_writes_waiting", "gauge", "Write jobs waiting for the writer.",
         st.writes_waiting},
        {"holdfast_store_connections_busy", "gauge", "Database connections in use.",
         st.connections_busy},
        {"holdfast_store_connections_open", "gauge", "Database connections open.",
         st.connections_open},
        {"holdfast_store_errors_total", "counter", "Statements and connections that failed.",
         st.errors},
    };
    WRITE_ROWS(out, rows);
    metric_write_head(out, "holdfast_store_seconds", "histogram", "Time of jobs of the store.");
    metric_write_histogram(out, "holdfast_store_seconds", "job=\"read\"", st.read);
    metric_write_histogram(out, "holdfast_store_seconds", "job=\"write\"", st.write);
}

static void write_lanes(const struct http_stats *st, struct buf *out)
{
    static const char *const names[LANES] = {"lane=\"event\"", "lane=\"worker\"",
                                             "lane=\"password\""};
    const struct {
        const char *name, *type, *help;
        const uint64_t *values;
    } rows[] = {
        {"holdfast_lane_queued", "gauge", "Requests waiting for a thread.", st->lane_queued},
        {"holdfast_lane_busy", "gauge", "Threads at work.", st->lane_busy},
        {"holdfast_lane_refused_total", "counter", "Requests refused for a full queue.",
         st->lane_refused},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        metric_write_head(out, rows[i].name, rows[i].type, rows[i].help);
        for (int lane = LANE_WORKER; lane < LANES; lane++)
            metric_write(out, rows[i].name, names[lane], rows[i].values[lane]);
    }
}

static void write_engine(struct http_engine *engine, struct buf *out)
{
    struct http_stats st;

    http_engine_stats(engine, &st);
    const struct row rows[] = {
        {"holdfast_connections_open", "gauge", "Open connections.", st.connections_open},
        {"holdfast_connections_total", "counter", "Connections accepted.", st.connections_total},
        {"holdfast_connections_refused_total", "counter", "Connections refused by a limit.",
         st.connections_refused},
        {"holdfast_timeouts_total", "counter", "Connections that ran into a deadline.",
         st.timeouts},
        {"holdfast_parse_errors_total", "counter", "Requests refused by the parser.",
         st.parse_errors},
    };
    WRITE_ROWS(out, rows);
    write_lanes(&st, out);
}

static void write_outbox(struct outbox *outbox, struct buf *out)
{
    static const char *const results[OUTBOX_RESULTS] = {
        [OUTBOX_ACCEPTED] = "result=\"accepted\"",
        [OUTBOX_TEMPORARY] = "result=\"temporary\"",
        [OUTBOX_PERMANENT] = "result=\"permanent\"",
        [OUTBOX_UNCERTAIN] = "result=\"uncertain\"",
    };
    struct outbox_stats st;

    outbox_stats(outbox, &st);
    int64_t age = st.oldest_at ? clock_now() - st.oldest_at : 0;
    const struct row rows[] = {
        {"holdfast_outbox_messages", "gauge", "Messages waiting to be handed over, of all nodes.",
         st.waiting},
        {"holdfast_outbox_oldest_seconds", "gauge", "How long the oldest of them has waited.",
         age > 0 ? (uint64_t)age / CLOCK_SECOND : 0},
        {"holdfast_outbox_in_flight", "gauge", "Copies that this node is handing over.",
         st.in_flight},
        {"holdfast_outbox_put_aside_total", "counter",
         "Messages that this node could not work on and put aside.", st.put_aside},
    };
    WRITE_ROWS(out, rows);
    metric_write_head(out, "holdfast_outbox_handovers_total", "counter",
                      "Copies handed over by this node, by what came of it.");
    for (int i = 0; i < OUTBOX_RESULTS; i++)
        metric_write(out, "holdfast_outbox_handovers_total", results[i], st.handovers[i]);
}

void metrics_write(struct app *app, struct buf *out)
{
    struct http_engine *engine = atomic_load(&app->engine);
    struct outbox *outbox = atomic_load(&app->outbox);

    dispatch_write_metrics(app->dispatch, out);
    write_sessions(app->sessions, out);
    write_mail(app->mail, out);
    write_store(app->store, out);
    mail_watch_write_metrics(&app->mail->watch, out);
    if (outbox)
        write_outbox(outbox, out);
    if (engine)
        write_engine(engine, out);
}
