/* The audit log, as far as the caller may read it. */
#include "api/app.h"
#include "base/fault.h"
#include "trail/export.h"

struct log_query {
    uint64_t given;
    int64_t limit;
    struct str cursor, actor, action, subject;
    int64_t since, until;
};

static const struct field query_fields[] = {
    LIST_QUERY_FIELDS(struct log_query),
    {"actor", FIELD_STR, 0, offsetof(struct log_query, actor), 1, 300, NULL, NULL,
     "Who did it: an id or an address."},
    {"action", FIELD_STR, 0, offsetof(struct log_query, action), 1, 60, NULL, NULL,
     "What was done, such as session.revoke."},
    {"subject", FIELD_STR, 0, offsetof(struct log_query, subject), 1, 300, NULL, NULL,
     "To whom: an id or an address."},
    {"since", FIELD_TIME, 0, offsetof(struct log_query, since), 0, 0, NULL, NULL,
     "Not before this time."},
    {"until", FIELD_TIME, 0, offsetof(struct log_query, until), 0, 0, NULL, NULL,
     "Before this time."},
};
static const struct shape query_shape = SHAPE("AuditQuery", struct log_query, query_fields);

struct record_view {
    int64_t seq, at;
    struct uuid tenant_id, actor_id, subject_id, request_id;
    struct str actor, action, subject, ip, detail;
};

static const struct field record_fields[] = {
    {"seq", FIELD_INT, FIELD_REQUIRED, offsetof(struct record_view, seq), 0, 0, NULL, NULL,
     "The record's number, without gaps over the installation."},
    {"at", FIELD_TIME, FIELD_REQUIRED, offsetof(struct record_view, at), 0, 0, NULL, NULL, "When."},
    {"action", FIELD_STR, FIELD_REQUIRED, offsetof(struct record_view, action), 0, 0, NULL, NULL,
     "What was done."},
    {"actor", FIELD_STR, FIELD_REQUIRED, offsetof(struct record_view, actor), 0, 0, NULL, NULL,
     "Who did it."},
    {"actorId", FIELD_UUID, FIELD_REQUIRED | FIELD_NULLABLE, offsetof(struct record_view, actor_id),
     0, 0, NULL, NULL, "The user who did it."},
    {"subject", FIELD_STR, FIELD_REQUIRED, offsetof(struct record_view, subject), 0, 0, NULL, NULL,
     "To whom or what."},
    {"subjectId", FIELD_UUID, FIELD_REQUIRED | FIELD_NULLABLE,
     offsetof(struct record_view, subject_id), 0, 0, NULL, NULL, "Its id."},
    {"tenantId", FIELD_UUID, FIELD_REQUIRED | FIELD_NULLABLE,
     offsetof(struct record_view, tenant_id), 0, 0, NULL, NULL, "Whose record it is."},
    {"ip", FIELD_STR, FIELD_REQUIRED, offsetof(struct record_view, ip), 0, 0, NULL, NULL,
     "Where from."},
    {"requestId", FIELD_UUID, FIELD_REQUIRED | FIELD_NULLABLE,
     offsetof(struct record_view, request_id), 0, 0, NULL, NULL, "The request that did it."},
    {"detail", FIELD_JSON, FIELD_REQUIRED, offsetof(struct record_view, detail), 0, 0, NULL, NULL,
     "More, by the action."},
};
static const struct shape record_shape = SHAPE("AuditRecord", struct record_view, record_fields);

struct reading {
    struct call *call;
    struct trail_filter filter;
    int64_t before;
    size_t limit, n;
    struct record_view *views;
};

static int take(const struct trail_record *r, void *arg)
{
    struct reading *reading = arg;
    struct arena *a = reading->call->arena;
    struct record_view *v = &reading->views[reading->n++];

    *v = (struct record_view){.seq = r->seq,
                              .at = r->at,
                              .tenant_id = r->tenant_id,
                              .actor_id = r->actor_id,
                              .subject_id = r->subject_id,
                              .request_id = r->request_id,
                              .actor = arena_str(a, r->actor),
                              .action = arena_str(a, r->action),
                              .subject = arena_str(a, r->subject),
                              .ip = arena_str(a, r->ip),
                              .detail = arena_str(a, r->detail)};
    return v->actor.p && v->action.p && v->subject.p && v->ip.p && v->detail.p ? 0 : FAULT_MEMORY;
}

static int read_job(struct store_txn *t, void *arg)
{
    struct reading *reading = arg;

    reading->n = 0;
    return trail_list(t, &reading->filter, reading->before, (int)reading->limit, take, reading);
}

static int make_filter(struct call *call, const struct log_query *query, struct trail_filter *ret)
{
    struct trail_filter filter = {.all_tenants = app_bound(call) == NULL,
                                  .tenant_id = call->who.tenant_id,
                                  .action = query->action,
                                  .since = query->since,
                                  .until = query->until};
    enum trail_action action;

    if (query->action.n && trail_action_parse(query->action, &action))
        return call_problem_field(call, "action", "There is no such action.");
    if (query->actor.n)
        trail_filter_actor(&filter, query->actor);
    if (query->subject.n)
        trail_filter_subject(&filter, query->subject);
    *ret = filter;
    return 0;
}

static int write_piece(struct str text, void *arg)
{
    struct call *call = arg;

    return http_stream_write(call->reply, text.p, text.n);
}

/* A stream, because the log may be larger than memory. On record before the first byte leaves. */
static int write_csv(struct call *call, const struct trail_filter *filter)
{
    struct trail_event event = {.action = TRAIL_TRAIL_EXPORT,
                                .tenant_id = call->who.tenant_id,
                                .detail = STR("{\"format\":\"csv\"}")};
    int r = api_export_head(call, &event, "audit-log.csv", "text/csv; charset=utf-8");

    if (r)
        return r;
    r = trail_export(app_of(call)->trail, TRAIL_CSV, filter, write_piece, call, NULL);
    if (r)
        http_stream_abort(call->reply);
    return r;
}

static int stream_csv(struct call *call, const struct trail_filter *filter)
{
    int r = api_export_begin(call);

    if (r)
        return r;
    r = write_csv(call, filter);
    api_export_end(call);
    return r;
}

static int get_log(struct call *call)
{
    const struct log_query *query = call->query;
    struct reading reading = {.call = call, .limit = list_limit(query->limit)};
    char cursor[24] = "";
    int r = make_filter(call, query, &reading.filter);

    if (r == 0 && api_wants(call, "text/csv"))
        return stream_csv(call, &reading.filter);
    if (r == 0)
        r = api_cursor_number(call, query->cursor, &reading.before);
    reading.views = arena_array(call->arena, reading.limit, sizeof *reading.views);
    if (r == 0 && !reading.views)
        r = FAULT_MEMORY;
    if (r == 0)
        r = store_read(app_of(call)->store, read_job, &reading);
    if (r)
        return r;
    if (reading.n == reading.limit)
        snprintf(cursor, sizeof cursor, "%lld", (long long)reading.views[reading.n - 1].seq);
    return call_reply_list(call, reading.views, reading.n, str_of(cursor));
}

/* clang-format off */
static const struct route routes[] = {
    {HTTP_GET, "/v1/audit-log", PERMIT_ADMIN, LANE_WORKER, ROUTE_LIST | ROUTE_TRAIL, 200,
     &query_shape, NULL, &record_shape,
     "The tenant's records of the audit log, newest first; Accept: text/csv exports", get_log},
};
/* clang-format on */

const struct route_table api_audit = ROUTE_TABLE("Audit log", routes);
