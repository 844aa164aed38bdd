/* What the log of mail holds of one person: given to them, and taken out, as they ask. */
#include "api/app.h"
#include "api/email_views.h"
#include "base/fault.h"
#include "mail/erasure.h"

/* Memory for a page of messages that all have as many events as may be. */
enum {
    PAGE_ROWS = 20,
    EVENTS_MAX = 1000,
    PAGE_BYTES = 64 << 20,
    OUT_BYTES = 8 << 20,
    FLUSH_BYTES = 64 * 1024,
    LISTED_MAX = 100
};

struct giving {
    struct call *call;
    struct uuid user_id;
    struct user user;
    bool lines; /* one object a line, not one for all */
    struct arena arena;
    struct mail_person person;
    struct uuid after;
    struct mail_log_entry *items;
    size_t n;
    struct email_message_view *views;
    struct buf out;
    struct json_writer w;
};

static int find_job(struct store_txn *t, void *arg)
{
    struct giving *g = arg;
    int r = user_find(t, g->call->arena, app_bound(g->call), &g->user_id, &g->user);

    return r == USER_UNKNOWN ? PROBLEM_NOT_FOUND : r;
}

static int find_user(struct giving *g)
{
    int r = call_param_id(g->call, 0, &g->user_id);

    if (r == 0)
        r = store_read(app_of(g->call)->store, find_job, g);
    g->person = (struct mail_person){
        .address = g->user.email, .user_id = g->user_id, .tenant = app_bound(g->call)};
    return r;
}

static int read_events(struct store_txn *t, struct giving *g, size_t i)
{
    struct mail_event_entry *events = NULL;
    size_t n = 0;
    int r = mail_event_list(t, &g->arena, &g->items[i].id, 0, EVENTS_MAX, &events, &n);
    struct email_event_view *views = r ? NULL : arena_array(&g->arena, n + 1, sizeof *views);

    if (r || !views)
        return r ? r : FAULT_MEMORY;
    for (size_t k = 0; k < n; k++)
        views[k] = email_event_view(&events[k]);
    g->views[i] = (struct email_message_view){email_log_view(&g->items[i]), {views, n}};
    return 0;
}

static int page_job(struct store_txn *t, void *arg)
{
    struct giving *g = arg;

    arena_free(&g->arena);
    g->n = 0;
    g->views = arena_array(&g->arena, PAGE_ROWS, sizeof *g->views);
    int r = g->views
                ? mail_person_logs(t, &g->arena, &g->person, &g->after, PAGE_ROWS, &g->items, &g->n)
                : FAULT_MEMORY;
    if (r == 0)
        email_logs_veil(g->person.tenant, g->items, g->n);
    for (size_t i = 0; r == 0 && i < g->n; i++)
        r = read_events(t, g, i);
    return r;
}

/* In a stream of lines each says what it is. */
static void write_one(struct giving *g, const char *type, const struct shape *shape,
                      const void *view)
{
    if (g->lines) {
        g->w.comma = false;
        json_object_begin(&g->w);
        json_key(&g->w, type);
    }
    shape_write(&g->w, shape, view);
    if (g->lines) {
        json_object_end(&g->w);
        buf_add_char(&g->out, '\n');
    }
}

static int write_messages(struct giving *g)
{
    int r;

    do {
        r = store_read(app_of(g->call)->store, page_job, g);
        for (size_t i = 0; r == 0 && i < g->n; i++) {
            write_one(g, "message", &email_message_shape, &g->views[i]);
            g->after = g->items[i].id;
            if (g->out.n > FLUSH_BYTES)
                r = api_export_write(g->call, &g->out);
        }
        if (r == 0)
            r = api_export_write(g->call, &g->out);
    } while (r == 0 && g->n == PAGE_ROWS);
    return r;
}

struct listing {
    struct giving *g;
    struct suppression *items;
    size_t n;
};

static int suppressions_job(struct store_txn *t, void *arg)
{
    struct listing *l = arg;
    struct suppression_query query = {.tenant = l->g->person.tenant,
                                      .address = l->g->person.address,
                                      .reason = -1,
                                      .limit = LISTED_MAX};

    return suppression_list(t, &l->g->arena, &query, &l->items, &l->n);
}

static int write_suppressions(struct giving *g)
{
    struct listing l = {.g = g};

    arena_free(&g->arena);
    int r = store_read(app_of(g->call)->store, suppressions_job, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        struct suppression_view view = suppression_view(&l.items[i]);
        write_one(g, "suppression", &email_suppression_shape, &view);
    }
    return r ? r : api_export_write(g->call, &g->out);
}

static int write_whole(struct giving *g)
{
    int r;

    if (g->lines) {
        r = write_messages(g);
        return r ? r : write_suppressions(g);
    }
    json_object_begin(&g->w);
    json_key(&g->w, "userId");
    json_uuid(&g->w, &g->user_id);
    json_key(&g->w, "address");
    json_str(&g->w, g->person.address);
    json_key(&g->w, "exportedAt");
    json_time(&g->w, g->call->now);
    json_key(&g->w, "messages");
    json_array_begin(&g->w);
    r = write_messages(g);
    json_array_end(&g->w);
    json_key(&g->w, "suppressions");
    json_array_begin(&g->w);
    if (r == 0)
        r = write_suppressions(g);
    json_array_end(&g->w);
    json_object_end(&g->w);
    return r ? r : api_export_write(g->call, &g->out);
}

static int give(struct giving *g)
{
    struct trail_event event = {.action = TRAIL_MAIL_EXPORT,
                                .tenant_id = g->user.tenant_id,
                                .subject_id = g->user_id,
                                .subject = g->user.email,
                                .detail = STR("{\"what\":\"person\"}")};
    int r = api_export_head(g->call, &event, g->lines ? "mail.ndjson" : "mail.json",
                            g->lines ? "application/x-ndjson" : "application/json");

    if (r)
        return r;
    r = write_whole(g);
    if (r)
        http_stream_abort(g->call->reply);
    return r;
}

static int get_mail(struct call *call)
{
    struct giving g = {.call = call,
                       .lines = api_wants(call, "application/x-ndjson"),
                       .arena = arena_init(PAGE_BYTES),
                       .out = buf_init(OUT_BYTES)};
    int r = find_user(&g);

    g.w = json_writer(&g.out);
    if (r == 0)
        r = api_export_begin(call);
    if (r)
        return r;
    r = give(&g);
    api_export_end(call);
    arena_free(&g.arena);
    buf_free(&g.out);
    return r;
}

struct erasure_view {
    struct uuid user_id;
    int64_t requested_at;
};

static const struct field erasure_fields[] = {
    {"userId", FIELD_UUID, FIELD_REQUIRED, offsetof(struct erasure_view, user_id), 0, 0, NULL, NULL,
     "Whose mail it is."},
    {"requestedAt", FIELD_TIME, FIELD_REQUIRED, offsetof(struct erasure_view, requested_at), 0, 0,
     NULL, NULL,
     "Messages accepted until then are erased; mail.erased in the audit log says when."},
};
static const struct shape erasure_shape = SHAPE("MailErasure", struct erasure_view, erasure_fields);

/* On record is as good as done: housekeeping carries out what the trail says. */
static int delete_mail(struct call *call)
{
    struct giving g = {.call = call};
    int r = find_user(&g);
    struct trail_event event = {.action = TRAIL_MAIL_ERASE,
                                .tenant_id = g.user.tenant_id,
                                .subject_id = g.user_id,
                                .subject = g.user.email,
                                .detail = app_bound(call) ? STR(ERASURE_OF_TENANT)
                                                          : STR(ERASURE_EVERYWHERE)};

    if (r == 0)
        r = trail_append_now(app_of(call)->trail, &call->actor, &event);
    if (r)
        return r;
    call->trailed = true;
    struct erasure_view view = {g.user_id, call->now};
    return call_reply(call, &view);
}

/* clang-format off */
static const struct route routes[] = {
    {HTTP_GET, "/v1/users/:id/mail", PERMIT_ADMIN, LANE_WORKER, 0, 200, NULL, NULL,
     NULL, "What the log of mail holds of a user; Accept: application/x-ndjson streams lines",
     get_mail},
    {HTTP_DELETE, "/v1/users/:id/mail", PERMIT_ADMIN, LANE_WORKER, 0, 202, NULL, NULL,
     &erasure_shape, "Take a user out of the log of mail", delete_mail},
};
/* clang-format on */

const struct route_table api_user_mail = ROUTE_TABLE("Users", routes);
