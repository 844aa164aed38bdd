/* Notices and preferences of one's own. */
#include "api/app.h"
#include "base/fault.h"
#include "base/json.h"
#include "identity/notification.h"
#include "identity/preferences.h"

struct notice_view {
    struct str id, kind, title, body;
    int64_t created_at, read_at;
};

static const struct field notice_fields[] = {
    {"id", FIELD_STR, FIELD_REQUIRED, offsetof(struct notice_view, id), 0, 0, NULL, NULL,
     "The notice's id."},
    {"kind", FIELD_STR, FIELD_REQUIRED, offsetof(struct notice_view, kind), 0, 0, NULL, NULL,
     "What happened, for programs: session_revoked, new_device and so on."},
    {"title", FIELD_STR, FIELD_REQUIRED, offsetof(struct notice_view, title), 0, 0, NULL, NULL,
     "What happened, in a few words."},
    {"body", FIELD_STR, FIELD_REQUIRED, offsetof(struct notice_view, body), 0, 0, NULL, NULL,
     "What it means, and the reason."},
    {"createdAt", FIELD_TIME, FIELD_REQUIRED, offsetof(struct notice_view, created_at), 0, 0, NULL,
     NULL, "When."},
    {"readAt", FIELD_TIME, FIELD_REQUIRED | FIELD_NULLABLE, offsetof(struct notice_view, read_at),
     0, 0, NULL, NULL, "When it was marked as read."},
};
static const struct shape notice_shape = SHAPE("Notification", struct notice_view, notice_fields);

struct notice_query {
    uint64_t given;
    int64_t limit;
    struct str cursor;
    bool unread;
};

static const struct field query_fields[] = {
    LIST_QUERY_FIELDS(struct notice_query),
    {"unread", FIELD_BOOL, 0, offsetof(struct notice_query, unread), 0, 0, NULL, NULL,
     "Only those not read yet."},
};
static const struct shape query_shape =
    SHAPE("NotificationQuery", struct notice_query, query_fields);

static int view_of(struct call *call, const struct notification *n, struct notice_view *ret)
{
    char *id = arena_printf(call->arena, "%lld", (long long)n->id);

    *ret = (struct notice_view){.id = str_of(id),
                                .kind = n->kind,
                                .title = n->title,
                                .body = n->body,
                                .created_at = n->created_at,
                                .read_at = n->read_at};
    return id ? 0 : FAULT_MEMORY;
}

struct listing {
    struct call *call;
    struct notification_query query;
    struct notification *items;
    size_t n;
};

static int list_job(struct store_txn *t, void *arg)
{
    struct listing *l = arg;

    return notification_list(t, l->call->arena, &l->call->who.user_id, &l->query, &l->items, &l->n);
}

static int reply_list(struct call *call, const struct listing *l)
{
    struct notice_view *views = arena_array(call->arena, l->n + 1, sizeof *views);
    int r = views ? 0 : FAULT_MEMORY;

    for (size_t i = 0; r == 0 && i < l->n; i++)
        r = view_of(call, &l->items[i], &views[i]);
    if (r)
        return r;
    struct str cursor = l->n == l->query.limit ? views[l->n - 1].id : STR("");
    return call_reply_list(call, views, l->n, cursor);
}

static int get_notifications(struct call *call)
{
    const struct notice_query *query = call->query;
    struct listing l = {.call = call,
                        .query = {.unread = query->unread, .limit = list_limit(query->limit)}};
    int r = api_cursor_number(call, query->cursor, &l.query.before);

    if (r == 0)
        r = store_read(app_of(call)->store, list_job, &l);
    return r ? r : reply_list(call, &l);
}

struct read_body {
    uint64_t given;
    bool read;
};

static const struct field read_fields[] = {
    {"read", FIELD_BOOL, FIELD_REQUIRED, offsetof(struct read_body, read), 0, 0, NULL, NULL,
     "Whether it counts as read."},
};
static const struct shape read_shape = SHAPE("NotificationPatch", struct read_body, read_fields);

struct marking {
    struct call *call;
    int64_t id;
    struct notification item;
};

static int mark_job(struct store_txn *t, void *arg)
{
    struct marking *m = arg;
    struct call *call = m->call;
    const struct read_body *body = call->body;
    const struct uuid *user = &call->who.user_id;
    int r = notification_mark_read(t, user, m->id, body->read, call->now);

    if (r == 0)
        r = notification_find(t, call->arena, user, m->id, &m->item);
    return r == NOTIFICATION_UNKNOWN ? PROBLEM_NOT_FOUND : r;
}

static int patch_notification(struct call *call)
{
    struct marking m = {.call = call};
    struct notice_view view;

    if (str_to_i64(call->params[0], 1, INT64_MAX, &m.id))
        return PROBLEM_NOT_FOUND;
    int r = store_write(app_of(call)->store, mark_job, &m);
    if (r == 0)
        r = view_of(call, &m.item, &view);
    return r ? r : call_reply(call, &view);
}

struct preferences_view {
    uint64_t given;
    bool security, product;
    int64_t updated_at;
};

static const struct field preference_fields[] = {
    {"emailSecurity", FIELD_BOOL, FIELD_REQUIRED, offsetof(struct preferences_view, security), 0, 0,
     NULL, NULL, "Whether security notices come by mail too."},
    {"emailProduct", FIELD_BOOL, FIELD_REQUIRED, offsetof(struct preferences_view, product), 0, 0,
     NULL, NULL, "Whether everything else may come by mail."},
};
static const struct shape preferences_shape =
    SHAPE("Preferences", struct preferences_view, preference_fields);
static const struct shape preferences_request_shape =
    SHAPE("PreferencesRequest", struct preferences_view, preference_fields);

struct preferring {
    struct call *call;
    struct preferences preferences;
};

static int get_job(struct store_txn *t, void *arg)
{
    struct preferring *p = arg;

    return preferences_get(t, &p->call->who.user_id, &p->preferences);
}

static int write_detail(const struct preferences *p, struct buf *out)
{
    struct json_writer w = json_writer(out);

    json_object_begin(&w);
    json_key(&w, "emailSecurity");
    json_bool(&w, p->email_security);
    json_key(&w, "emailProduct");
    json_bool(&w, p->email_product);
    json_object_end(&w);
    return buf_fault(out);
}

static int put_job(struct store_txn *t, void *arg)
{
    struct preferring *p = arg;
    const struct principal *who = &p->call->who;
    struct buf detail _cleanup_buf_ = buf_init(256);
    int r = preferences_put(t, &who->user_id, &p->preferences);

    if (r == USER_UNKNOWN)
        return PROBLEM_TOKEN_REVOKED;
    if (r == 0)
        r = write_detail(&p->preferences, &detail);
    if (r)
        return r;
    struct trail_event event = {.action = TRAIL_PREFERENCES_UPDATE,
                                .tenant_id = who->tenant_id,
                                .subject_id = who->user_id,
                                .subject = who->email,
                                .detail = buf_str(&detail)};
    return trail_append(app_of(p->call)->trail, t, &p->call->actor, &event);
}

static int reply_preferences(struct call *call, const struct preferences *p)
{
    struct preferences_view view = {.security = p->email_security, .product = p->email_product};

    return call_reply(call, &view);
}

static int get_preferences(struct call *call)
{
    struct preferring p = {.call = call};
    int r = store_read(app_of(call)->store, get_job, &p);

    return r ? r : reply_preferences(call, &p.preferences);
}

static int put_preferences(struct call *call)
{
    const struct preferences_view *body = call->body;
    struct preferring p = {.call = call,
                           .preferences = {.email_security = body->security,
                                           .email_product = body->product,
                                           .updated_at = call->now}};
    int r = store_write(app_of(call)->store, put_job, &p);

    return r ? r : reply_preferences(call, &p.preferences);
}

/* clang-format off */
static const struct route routes[] = {
    {HTTP_GET, "/v1/notifications", PERMIT_USER, LANE_WORKER, ROUTE_LIST, 200, &query_shape, NULL,
     &notice_shape, "One's own notices, newest first", get_notifications},
    {HTTP_PATCH, "/v1/notifications/:id", PERMIT_USER, LANE_WORKER, 0, 200, NULL, &read_shape,
     &notice_shape, "Mark a notice as read or unread", patch_notification},
    {HTTP_GET, "/v1/preferences", PERMIT_USER, LANE_WORKER, 0, 200, NULL, NULL, &preferences_shape,
     "What one wants to be told by mail", get_preferences},
    {HTTP_PUT, "/v1/preferences", PERMIT_USER, LANE_WORKER, 0, 200, NULL,
     &preferences_request_shape, &preferences_shape, "Change it", put_preferences},
};
/* clang-format on */

const struct route_table api_notifications = ROUTE_TABLE("Notifications", routes);
