/* The log of mail: what was sent to whom, and what became of it. */
#include "api/app.h"
#include "api/email_views.h"
#include "base/fault.h"
#include "identity/email_address.h"
#include "mail/log_csv.h"

enum { EXPORT_ROWS = 500, EXPORT_BYTES = 4 << 20, EVENTS_MAX = 1000 };

/* In the order of enum mail_state. */
static const char *const statuses[] = {"queued",    "sent",       "delayed",
                                       "delivered", "suppressed", "rejected",
                                       "bounced",   "complained", NULL};
_Static_assert(sizeof statuses / sizeof *statuses == MAIL_STATES + 1, "each state has a name");

struct log_query {
    uint64_t given;
    int64_t limit;
    struct str cursor, recipient;
    int64_t status, since, until;
};

enum { GIVEN_STATUS = 2 };

static const struct field query_fields[] = {
    LIST_QUERY_FIELDS(struct log_query),
    [GIVEN_STATUS] = {"status", FIELD_CHOICE, 0, offsetof(struct log_query, status), 0, 0, statuses,
                      NULL, "What became of it."},
    {"recipient", FIELD_STR, 0, offsetof(struct log_query, recipient), 1, 254, NULL, NULL,
     "An address."},
    {"since", FIELD_TIME, 0, offsetof(struct log_query, since), 0, 0, NULL, NULL,
     "Accepted at or after this."},
    {"until", FIELD_TIME, 0, offsetof(struct log_query, until), 0, 0, NULL, NULL,
     "And before this."},
};
static const struct shape query_shape = SHAPE("EmailLogQuery", struct log_query, query_fields);

static int make_query(struct call *call, struct mail_log_query *ret)
{
    const struct log_query *q = call->query;
    struct uuid scratch;
    const struct uuid *before;
    int r = api_cursor_id(call, q->cursor, &scratch, &before);

    if (r)
        return r;
    *ret = (struct mail_log_query){
        .tenant = app_bound(call),
        .state = shape_given(q, GIVEN_STATUS) ? (enum mail_state)q->status : MAIL_NO_STATE,
        .since = q->since,
        .until = q->until,
        .limit = list_limit(q->limit),
    };
    if (before)
        ret->before = *before;
    if (q->since < 0 || q->until < 0)
        return call_problem_field(call, q->since < 0 ? "since" : "until", "Nothing was sent then.");
    return q->recipient.n ? api_address(call, "recipient", q->recipient, &ret->recipient) : 0;
}

struct listing {
    struct arena *arena;
    struct mail_log_query query;
    struct mail_log_entry *items;
    size_t n;
};

static int list_job(struct store_txn *t, void *arg)
{
    struct listing *l = arg;
    int r = mail_log_list(t, l->arena, &l->query, &l->items, &l->n);

    if (r == 0)
        email_logs_veil(l->query.tenant, l->items, l->n);
    return r;
}

static int reply_list(struct call *call, const struct listing *l)
{
    struct email_log_view *views = arena_array(call->arena, l->n + 1, sizeof *views);
    char cursor[UUID_TEXT_SIZE] = "";

    if (!views)
        return FAULT_MEMORY;
    for (size_t i = 0; i < l->n; i++)
        views[i] = email_log_view(&l->items[i]);
    if (l->n == l->query.limit)
        uuid_format(&l->items[l->n - 1].id, cursor);
    return call_reply_list(call, views, l->n, str_of(cursor));
}

/* Page by page, each in memory of its own. */
static int write_rows(struct call *call, struct listing *l)
{
    struct arena page = arena_init(EXPORT_BYTES);
    struct buf out _cleanup_buf_ = buf_init(EXPORT_BYTES);
    int r;

    l->arena = &page;
    l->query.limit = EXPORT_ROWS;
    mail_log_csv_head(&out);
    do {
        r = store_read(app_of(call)->store, list_job, l);
        for (size_t i = 0; r == 0 && i < l->n; i++)
            mail_log_csv_line(&l->items[i], &out);
        if (r == 0 && l->n)
            l->query.before = l->items[l->n - 1].id;
        if (r == 0)
            r = api_export_write(call, &out);
        arena_free(&page);
    } while (r == 0 && l->n == EXPORT_ROWS);
    return r;
}

static int export_rows(struct call *call, struct listing *l)
{
    struct trail_event event = {.action = TRAIL_MAIL_EXPORT,
                                .tenant_id = call->who.tenant_id,
                                .subject = l->query.recipient,
                                .detail = STR("{\"what\":\"log\",\"format\":\"csv\"}")};
    int r = api_export_begin(call);

    if (r)
        return r;
    r = api_export_head(call, &event, "email-log.csv", "text/csv; charset=utf-8");
    if (r == 0) {
        r = write_rows(call, l);
        if (r)
            http_stream_abort(call->reply);
    }
    api_export_end(call);
    return r;
}

static int get_logs(struct call *call)
{
    struct listing l = {.arena = call->arena};
    int r = make_query(call, &l.query);

    if (r == 0 && api_wants(call, "text/csv"))
        return export_rows(call, &l);
    if (r == 0)
        r = store_read(app_of(call)->store, list_job, &l);
    return r ? r : reply_list(call, &l);
}

struct finding {
    struct call *call;
    struct uuid id;
    struct mail_log_entry entry;
    struct mail_event_entry *events;
    size_t n;
};

static int find_job(struct store_txn *t, void *arg)
{
    struct finding *f = arg;
    struct arena *a = f->call->arena;
    int r = mail_log_find(t, a, app_bound(f->call), &f->id, &f->entry);

    if (r)
        return r == MAIL_LOG_UNKNOWN ? PROBLEM_NOT_FOUND : r;
    email_logs_veil(app_bound(f->call), &f->entry, 1);
    return mail_event_list(t, a, &f->id, 0, EVENTS_MAX, &f->events, &f->n);
}

static int get_message(struct call *call)
{
    struct finding f = {.call = call};
    int r = call_param_id(call, 0, &f.id);

    if (r == 0)
        r = store_read(app_of(call)->store, find_job, &f);
    if (r)
        return r;
    struct email_event_view *events = arena_array(call->arena, f.n + 1, sizeof *events);
    if (!events)
        return FAULT_MEMORY;
    for (size_t i = 0; i < f.n; i++)
        events[i] = email_event_view(&f.events[i]);
    struct email_message_view view = {email_log_view(&f.entry), {events, f.n}};
    return call_reply(call, &view);
}

/* clang-format off */
static const struct route routes[] = {
    {HTTP_GET, "/v1/email-monitoring/logs", PERMIT_ADMIN, LANE_WORKER, ROUTE_LIST, 200,
     &query_shape, NULL, &email_log_shape,
     "What was sent, newest first; Accept: text/csv exports all that match", get_logs},
    {HTTP_GET, "/v1/email-monitoring/logs/:id", PERMIT_ADMIN, LANE_WORKER, 0, 200, NULL, NULL,
     &email_message_shape, "One message to one recipient, and what happened to it", get_message},
};
/* clang-format on */

const struct route_table api_email_logs = ROUTE_TABLE("Health and log of mail", routes);
