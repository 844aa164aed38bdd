#include "mail/fixture.h"

const struct mail_event_policy mail_test_policy = {MAIL_SOFT_LIMIT, 7 * (int64_t)SCENE_DAY};

struct queueing {
    struct mail_message message;
    int64_t now;
};

static int queue_job(struct store_txn *t, void *arg)
{
    struct queueing *q = arg;

    return mail_log_create(t, &q->message, q->now);
}

struct uuid mail_queue_all(struct scene *f, const struct uuid *tenant, const char *template_name,
                           const struct str *addresses, size_t n, int64_t now)
{
    struct mail_recipient recipients[MAIL_RECIPIENTS_MAX] = {{{0}}};
    struct queueing q = {.message = {.id = uuid_new(),
                                     .tenant_id = *tenant,
                                     .template_name = str_of(template_name),
                                     .subject = STR("Subject"),
                                     .transport = STR("sandbox"),
                                     .recipients = recipients,
                                     .n = n},
                         .now = now};

    for (size_t i = 0; i < n; i++)
        recipients[i].address = addresses[i];
    assert_done(store_write(f->node.store, queue_job, &q));
    return q.message.id;
}

struct uuid mail_queue(struct scene *f, const char *address, int64_t now)
{
    struct str to = str_of(address);

    return mail_queue_all(f, &f->tenant, "welcome", &to, 1, now);
}

static const char queued_sql[] = "SELECT id FROM email_logs WHERE message_id = $1"
                                 " AND state = 'queued' AND ($2 = '' OR recipient = $2)";

int mail_settle_message(struct store_txn *t, const struct uuid *message_id, const char *recipient,
                        const struct mail_settlement *what, int64_t *ret_rows)
{
    struct mail_settlement items[MAIL_RECIPIENTS_MAX];
    struct store_rows *rows = NULL;
    size_t n = 0;
    int r = store_query(t, queued_sql, &rows, PARAMS(P_ID(message_id), P_TEXT(str_of(recipient))));

    while (r == 0 && n < MAIL_RECIPIENTS_MAX && (r = store_rows_next(rows)) == 1) {
        items[n] = *what;
        items[n++].log_id = store_col_id(rows, 0);
        r = 0;
    }
    store_rows_free(rows);
    return r ? r : mail_settle(t, items, n, ret_rows);
}

struct handing {
    struct uuid message_id;
    struct mail_settlement what;
    int64_t rows;
};

static int hand_over_job(struct store_txn *t, void *arg)
{
    struct handing *h = arg;

    return mail_settle_message(t, &h->message_id, "", &h->what, &h->rows);
}

int64_t mail_hand_over(struct scene *f, const struct uuid *message_id, const char *provider_id,
                       int64_t at)
{
    struct handing h = {
        *message_id, {.state = MAIL_SENT, .provider_id = str_of(provider_id), .at = at}, 0};

    assert_done(store_write(f->node.store, hand_over_job, &h));
    return h.rows;
}

static struct mail_event event_of(struct str kind, const char *provider_id, const char *address,
                                  int64_t at)
{
    return (struct mail_event){.kind = kind,
                               .provider_id = str_of(provider_id),
                               .recipient = str_of(address),
                               .at = at,
                               .state = MAIL_NO_STATE};
}

struct mail_event mail_delivery(const char *provider_id, const char *address, int64_t at)
{
    struct mail_event e = event_of(STR("delivery"), provider_id, address, at);

    e.state = MAIL_DELIVERED;
    e.action = MAIL_ACTION_SOFT_RESET;
    return e;
}

struct mail_event mail_delay(const char *provider_id, const char *address, int64_t at)
{
    struct mail_event e = event_of(STR("delivery_delay"), provider_id, address, at);

    e.state = MAIL_DELAYED;
    e.code = STR("4.4.1");
    return e;
}

struct mail_event mail_bounce(const char *provider_id, const char *address, int64_t at)
{
    struct mail_event e = event_of(STR("bounce"), provider_id, address, at);

    e.subtype = STR("Permanent/General");
    e.feedback_id = str_of(provider_id);
    e.code = STR("5.1.1");
    e.detail = STR("550 no such user");
    e.state = MAIL_BOUNCED;
    e.counted = true;
    e.action = MAIL_ACTION_INVALIDATE;
    return e;
}

struct mail_event mail_soft_bounce(const char *provider_id, const char *address, int64_t at)
{
    struct mail_event e = mail_bounce(provider_id, address, at);

    e.subtype = STR("Transient/MailboxFull");
    e.feedback_id = STR("");
    e.code = STR("4.2.2");
    e.counted = false;
    e.action = MAIL_ACTION_SOFT_COUNT;
    return e;
}

struct mail_event mail_complaint(const char *provider_id, const char *address, int64_t at)
{
    struct mail_event e = event_of(STR("complaint"), provider_id, address, at);

    e.subtype = STR("abuse");
    e.feedback_id = str_of(provider_id);
    e.code = STR("abuse");
    e.state = MAIL_COMPLAINED;
    e.counted = true;
    e.action = MAIL_ACTION_UNSUBSCRIBE;
    return e;
}

struct applying {
    const struct mail_event *events;
    size_t n;
    struct mail_event_result result;
};

static int apply_job(struct store_txn *t, void *arg)
{
    struct applying *a = arg;

    return mail_event_apply(t, a->events, a->n, &mail_test_policy, NOW, &a->result, NULL);
}

struct mail_event_result mail_apply(struct scene *f, const struct mail_event *events, size_t n)
{
    struct applying a = {events, n, {0}};

    assert_done(store_write(f->node.store, apply_job, &a));
    return a.result;
}

struct mail_event_result mail_apply_one(struct scene *f, struct mail_event event)
{
    return mail_apply(f, &event, 1);
}

struct finding {
    struct scene *f;
    const struct uuid *message_id;
    struct mail_log_entry *items;
    size_t n;
};

static int find_job(struct store_txn *t, void *arg)
{
    struct finding *g = arg;

    return mail_log_find_message(t, &g->f->a, NULL, g->message_id, &g->items, &g->n);
}

struct mail_log_entry mail_entry(struct scene *f, const struct uuid *message_id)
{
    struct finding g = {.f = f, .message_id = message_id};

    assert_done(store_read(f->node.store, find_job, &g));
    assert_int_equal(g.n, 1);
    return g.items[0];
}

static int read_number(struct store_rows *rows, void *arg)
{
    int64_t *number = arg;
    int r = store_rows_next(rows);

    *number = r > 0 ? store_col_int(rows, 0) : -1;
    return r < 0 ? r : 0;
}

int64_t mail_number_of(struct scene *f, const char *sql, const char *parameter)
{
    int64_t number = -1;

    assert_done(
        store_find(f->node.store, sql, read_number, &number, PARAMS(P_TEXT(str_of(parameter)))));
    return number;
}

#define SUM(what) "sum(CASE WHEN " what " THEN 1 ELSE 0 END)"
#define SUMS_OF_SENT                                                                               \
    SUM("state = 'queued'") ", " SUM("state = 'sent'") ", " SUM("state = 'delayed'")
#define SUMS_OF_ENDED                                                                              \
    SUM("state = 'delivered'") ", " SUM("state = 'suppressed'") ", " SUM("state = 'rejected'")
#define SUMS_OF_BAD                                                                                \
    SUM("state = 'bounced'")                                                                       \
    ", " SUM("state = 'complained'") ", " SUM("state = 'bounced' AND counted = 1") ", " SUM(       \
        "state = 'complained' AND counted = 1")
#define SUMS SUMS_OF_SENT ", " SUMS_OF_ENDED ", " SUMS_OF_BAD
#define COUNTS                                                                                     \
    "queued, sent, delayed, delivered, suppressed, rejected, bounced, complained, "                \
    "bounced_counted, complained_counted"
#define RECOUNT_BY(kind, name, where)                                                              \
    "SELECT tenant_id, " kind " AS k, s.span, created_at - created_at % s.span AS b, " name        \
    " AS n, " SUMS " FROM email_logs, (SELECT 300000 AS span UNION ALL SELECT 3600000 UNION ALL"   \
    " SELECT 86400000) s" where " GROUP BY 1, 2, 3, 4, 5"
#define RECOUNT                                                                                    \
    RECOUNT_BY("1", "''", "")                                                                      \
    " UNION ALL " RECOUNT_BY("2", "domain", "") " UNION ALL " RECOUNT_BY(                          \
        "3", "template", "") " UNION ALL " RECOUNT_BY("4", "error_code",                           \
                                                      " WHERE error_code <> ''")
#define FIGURES                                                                                    \
    "SELECT tenant_id, kind, span, bucket, name, " COUNTS " FROM email_figures"                    \
    " WHERE queued <> 0 OR sent <> 0 OR delayed <> 0 OR delivered <> 0 OR suppressed <> 0"         \
    " OR rejected <> 0 OR bounced <> 0 OR complained <> 0 OR bounced_counted <> 0"                 \
    " OR complained_counted <> 0"
#define LEFT_OF(a, b)                                                                              \
    "SELECT count(*) FROM (SELECT * FROM (" a ") x EXCEPT SELECT * FROM (" b ") y) z"

void mail_assert_counters(struct scene *f)
{
    assert_int_equal(scene_number(f, LEFT_OF(RECOUNT, FIGURES)), 0);
    assert_int_equal(scene_number(f, LEFT_OF(FIGURES, RECOUNT)), 0);
}
