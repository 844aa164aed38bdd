/* Addresses that are not written to: listed, added, lifted, and in and out as CSV. */
#include "api/suppressions.h"

#include "api/email_views.h"
#include "base/encode.h"
#include "base/fault.h"
#include "identity/email_address.h"
#include "mail/suppression_csv.h"

enum {
    EXPORT_ROWS = 500,
    EXPORT_BYTES = 4 << 20,
    DETAIL_MAX = 2048,
    CURSOR_BYTES = 17 + EMAIL_ADDRESS_MAX,
    CURSOR_MAX = BASE64URL_LENGTH(CURSOR_BYTES)
};

static const char *const reasons[] = {
    "bounce", "complaint", "soft_bounces", "unsubscribe", "manual", "provider", NULL};
_Static_assert(sizeof reasons / sizeof *reasons == SUPPRESSION_REASONS + 1,
               "each reason has a name");
struct list_of_addresses {
    uint64_t given;
    int64_t limit;
    struct str cursor, address;
    int64_t reason;
    bool expired;
};

enum { GIVEN_REASON = 3 };

static const struct field query_fields[] = {
    {"limit", FIELD_INT, 0, offsetof(struct list_of_addresses, limit), 1, API_LIMIT_MAX, NULL, NULL,
     "How many at most; 50 by default."},
    {"cursor", FIELD_STR, 0, offsetof(struct list_of_addresses, cursor), 1, CURSOR_MAX, NULL, NULL,
     "The nextCursor of the page before."},
    {"address", FIELD_STR, 0, offsetof(struct list_of_addresses, address), 1, 254, NULL, NULL,
     "Only this address."},
    [GIVEN_REASON] = {"reason", FIELD_CHOICE, 0, offsetof(struct list_of_addresses, reason), 0, 0,
                      reasons, NULL, "Only those listed for this."},
    {"expired", FIELD_BOOL, 0, offsetof(struct list_of_addresses, expired), 0, 0, NULL, NULL,
     "true: also those that have expired and stop nothing any more."},
};
static const struct shape query_shape =
    SHAPE("SuppressionQuery", struct list_of_addresses, query_fields);

/* The tenant, the reason and the address of the last entry, opaque. */
static void write_cursor(const struct suppression *s, char ret_text[CURSOR_MAX + 1])
{
    uint8_t bytes[CURSOR_BYTES];

    memcpy(bytes, s->tenant_id.b, 16);
    bytes[16] = (uint8_t)s->reason;
    memcpy(bytes + 17, s->address.p, s->address.n);
    ret_text[base64url_encode(bytes, 17 + s->address.n, ret_text)] = '\0';
}

static int read_cursor(struct call *call, struct str text, struct suppression *ret)
{
    char address[EMAIL_ADDRESS_SIZE];
    uint8_t bytes[CURSOR_BYTES];
    size_t n = 0, address_n;

    if (base64url_decode(text, sizeof bytes, bytes, &n) || n <= 17 ||
        bytes[16] >= SUPPRESSION_REASONS ||
        email_address_normalise((struct str){(char *)bytes + 17, n - 17}, address, &address_n))
        return call_problem_field(call, "cursor", "This is no cursor of ours.");
    memcpy(ret->tenant_id.b, bytes, 16);
    ret->reason = (enum suppression_reason)bytes[16];
    ret->address = arena_str(call->arena, (struct str){address, address_n});
    return ret->address.p ? 0 : FAULT_MEMORY;
}

struct listing {
    struct arena *arena;
    struct suppression_query query;
    struct suppression after;
    struct suppression *items;
    size_t n;
};

static int list_job(struct store_txn *t, void *arg)
{
    struct listing *l = arg;

    return suppression_list(t, l->arena, &l->query, &l->items, &l->n);
}

static int make_query(struct call *call, struct listing *l)
{
    const struct list_of_addresses *q = call->query;
    int r = 0;

    l->query =
        (struct suppression_query){.tenant = app_bound(call),
                                   .reason = shape_given(q, GIVEN_REASON) ? (int)q->reason : -1,
                                   .valid_at = q->expired ? 0 : call->now,
                                   .limit = list_limit(q->limit)};
    if (q->cursor.n) {
        r = read_cursor(call, q->cursor, &l->after);
        l->query.after = &l->after;
    }
    if (r == 0 && q->address.n)
        r = api_address(call, "address", q->address, &l->query.address);
    return r;
}

static int reply_list(struct call *call, const struct listing *l)
{
    struct suppression_view *views = arena_array(call->arena, l->n + 1, sizeof *views);
    char cursor[CURSOR_MAX + 1] = "";

    if (!views)
        return FAULT_MEMORY;
    for (size_t i = 0; i < l->n; i++)
        views[i] = suppression_view(&l->items[i]);
    if (l->n == l->query.limit)
        write_cursor(&l->items[l->n - 1], cursor);
    return call_reply_list(call, views, l->n, str_of(cursor));
}

/* Page by page; the entry that a page begins behind outlives the page's memory. */
static int write_rows(struct call *call, struct listing *l)
{
    struct arena page = arena_init(EXPORT_BYTES);
    struct buf out _cleanup_buf_ = buf_init(EXPORT_BYTES);
    char last[EMAIL_ADDRESS_SIZE];
    int r;

    l->arena = &page;
    l->query.limit = EXPORT_ROWS;
    suppression_csv_head(&out);
    do {
        r = store_read(app_of(call)->store, list_job, l);
        for (size_t i = 0; r == 0 && i < l->n; i++)
            suppression_csv_line(&l->items[i], &out);
        if (r == 0 && l->n) {
            const struct suppression *s = &l->items[l->n - 1];
            size_t n = s->address.n < sizeof last ? s->address.n : sizeof last;
            memcpy(last, s->address.p, n);
            l->after = (struct suppression){
                .tenant_id = s->tenant_id, .reason = s->reason, .address = {last, n}};
            l->query.after = &l->after;
        }
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
                                .detail = STR("{\"what\":\"suppressions\",\"format\":\"csv\"}")};
    int r = api_export_begin(call);

    if (r)
        return r;
    r = api_export_head(call, &event, "suppressions.csv", "text/csv; charset=utf-8");
    if (r == 0) {
        r = write_rows(call, l);
        if (r)
            http_stream_abort(call->reply);
    }
    api_export_end(call);
    return r;
}

static int get_suppressions(struct call *call)
{
    struct listing l = {.arena = call->arena};
    int r = make_query(call, &l);

    if (r == 0 && api_wants(call, "text/csv"))
        return export_rows(call, &l);
    if (r == 0)
        r = store_read(app_of(call)->store, list_job, &l);
    return r ? r : reply_list(call, &l);
}

struct adding {
    struct call *call;
    struct suppression entry;
};

static int add_job(struct store_txn *t, void *arg)
{
    struct adding *a = arg;
    struct buf detail _cleanup_buf_ = buf_init(DETAIL_MAX);
    struct json_writer w = json_writer(&detail);
    struct trail_event event = {.action = TRAIL_MAIL_SUPPRESS, .subject = a->entry.address};
    int r = suppression_check_tenant(t, a->call, &a->entry.tenant_id);

    if (r == 0 && (r = suppression_add(t, &a->entry)) == SUPPRESSION_EXISTS)
        r = call_problem(a->call, PROBLEM_CONFLICT,
                         "The address is suppressed for this reason at least as long already.");
    if (r)
        return r;
    json_object_begin(&w);
    json_key(&w, "reason");
    json_str(&w, suppression_reason_name(a->entry.reason));
    json_key(&w, "expiresAt");
    json_time(&w, a->entry.expires_at);
    json_object_end(&w);
    return suppression_record(t, a->call, &event, &a->entry.tenant_id, &detail);
}

struct add_body {
    uint64_t given;
    int64_t scope;
    struct uuid tenant_id;
    struct str address, note;
    int64_t reason, expires_at;
};

enum { GIVEN_ADD_REASON = SUPPRESSION_SCOPE_COUNT + 1 };

static const struct field add_fields[] = {
    SUPPRESSION_SCOPE_FIELDS(struct add_body),
    {"address", FIELD_STR, FIELD_REQUIRED, offsetof(struct add_body, address), 1, 254, NULL, NULL,
     "That is not to be written to."},
    [GIVEN_ADD_REASON] = {"reason", FIELD_CHOICE, 0, offsetof(struct add_body, reason), 0, 0,
                          reasons, NULL, "manual by default."},
    {"expiresAt", FIELD_TIME, 0, offsetof(struct add_body, expires_at), 0, 0, NULL, NULL,
     "Until when; never by default."},
    {"note", FIELD_STR, 0, offsetof(struct add_body, note), 0, SUPPRESSION_NOTE_MAX, NULL, NULL,
     "For people."},
};
static const struct shape add_shape = SHAPE("SuppressionRequest", struct add_body, add_fields);

static int make_entry(struct call *call, struct suppression *s)
{
    const struct add_body *body = call->body;

    *s = (struct suppression){
        .reason = shape_given(body, GIVEN_ADD_REASON) ? (enum suppression_reason)body->reason
                                                      : SUPPRESSION_MANUAL,
        .source = STR("api"),
        .note = body->note.p ? body->note : STR(""),
        .created_by = call->actor.label,
        .created_at = call->now,
        .expires_at = body->expires_at,
    };
    if (body->expires_at && body->expires_at <= call->now)
        return call_problem_field(call, "expiresAt", "This is over already.");
    if (body->note.n > SUPPRESSION_NOTE_MAX)
        return call_problem_field(call, "note", "must have at most %d bytes.",
                                  SUPPRESSION_NOTE_MAX);
    int r = suppression_scope(call, body->scope, &body->tenant_id, &s->tenant_id);
    return r ? r : api_address(call, "address", body->address, &s->address);
}

/* Before the transaction, so that nobody else's waits for it. */
static int check_room_job(struct store_txn *t, void *arg)
{
    const struct adding *a = arg;
    int64_t n = 0, limit = config_current()->suppression_limit;

    if (limit == 0 || uuid_is_nil(&a->entry.tenant_id))
        return 0;
    int r = suppression_count_own(t, &a->entry.tenant_id, limit, &n);
    return r == 0 && n >= limit ? suppression_full(a->call) : r;
}

static int post_suppression(struct call *call)
{
    struct adding a = {.call = call};
    int r = make_entry(call, &a.entry);

    if (r == 0)
        r = store_read(app_of(call)->store, check_room_job, &a);
    if (r == 0)
        r = store_write(app_of(call)->store, add_job, &a);
    if (r)
        return r;
    call->trailed = true;
    struct suppression_view view = suppression_view(&a.entry);
    return call_reply(call, &view);
}

struct remove_query {
    uint64_t given;
    struct uuid tenant_id;
    struct str address;
    int64_t reason;
};

enum { GIVEN_REMOVE_REASON = 2 };

static const struct field remove_fields[] = {
    {"address", FIELD_STR, FIELD_REQUIRED, offsetof(struct remove_query, address), 1, 254, NULL,
     NULL, "That may be written to again."},
    {"tenantId", FIELD_UUID, 0, offsetof(struct remove_query, tenant_id), 0, 0, NULL, NULL,
     "What stops this tenant's mail; for operators, whose default is all."},
    [GIVEN_REMOVE_REASON] = {"reason", FIELD_CHOICE, 0, offsetof(struct remove_query, reason), 0, 0,
                             reasons, NULL,
                             "Only entries for this reason; by default all, unless the recipient "
                             "unsubscribed or complained, which has to be named, or an operator "
                             "alone may lift one."},
};
static const struct shape remove_shape =
    SHAPE("SuppressionRemoval", struct remove_query, remove_fields);

struct removing {
    struct call *call;
    struct suppression_removal removal;
};

/* They are to be named, so that nobody is written to again who does not want it by mistake. */
static int refuse_wishes(struct call *call, unsigned wishes)
{
    char text[SUPPRESSION_REASONS_SIZE];

    suppression_reasons_print(wishes, text);
    return call_problem(call, PROBLEM_CONFLICT,
                        "The recipient does not want this mail (%s). Nothing was removed: name the "
                        "reason that is to be lifted.",
                        text);
}

/* What bounced by itself a tenant may try again; what was decided for all is not its to lift. */
static int refuse_reserved(struct call *call, unsigned reserved)
{
    char text[SUPPRESSION_REASONS_SIZE];

    suppression_reasons_print(reserved, text);
    return call_problem(call, PROBLEM_FORBIDDEN,
                        "It holds for the whole installation (%s), which only an operator can "
                        "lift. Nothing was removed: what else there is has to be named by its "
                        "reason.",
                        text);
}

static int remove_job(struct store_txn *t, void *arg)
{
    struct removing *m = arg;
    struct buf detail _cleanup_buf_ = buf_init(DETAIL_MAX);
    struct json_writer w = json_writer(&detail);
    struct trail_event event = {.action = TRAIL_MAIL_UNSUPPRESS, .subject = m->removal.address};
    unsigned removed = 0;
    int r = suppression_remove(t, &m->removal, &removed);

    if (r == SUPPRESSION_UNKNOWN)
        return call_problem(m->call, PROBLEM_NOT_FOUND, "This address is not suppressed.");
    if (r == SUPPRESSION_WISHED)
        return refuse_wishes(m->call, removed);
    if (r == SUPPRESSION_RESERVED)
        return refuse_reserved(m->call, removed);
    if (r)
        return r;
    json_object_begin(&w);
    json_key(&w, "reasons");
    suppression_reasons_write(&w, removed);
    json_object_end(&w);
    return suppression_record(t, m->call, &event,
                              m->removal.tenant ? m->removal.tenant : &m->call->who.tenant_id,
                              &detail);
}

static int make_removal(struct call *call, struct suppression_removal *removal)
{
    const struct remove_query *query = call->query;
    const struct uuid *bound = app_bound(call);
    bool named = !uuid_is_nil(&query->tenant_id);

    if (bound && named && !uuid_eq(&query->tenant_id, bound))
        return call_problem(call, PROBLEM_NOT_FOUND, "There is no such tenant.");
    *removal = (struct suppression_removal){
        .tenant = named ? &query->tenant_id : bound,
        .reason = shape_given(query, GIVEN_REMOVE_REASON) ? (int)query->reason : -1,
        .now = call->now,
        .by_operator = !bound};
    return api_address(call, "address", query->address, &removal->address);
}

static int delete_suppression(struct call *call)
{
    struct removing m = {.call = call};
    int r = make_removal(call, &m.removal);

    if (r == 0)
        r = store_write(app_of(call)->store, remove_job, &m);
    if (r)
        return r;
    call->trailed = true;
    return call_reply_empty(call);
}

/* clang-format off */
static const struct route routes[] = {
    {HTTP_GET, "/v1/email-monitoring/suppressions", PERMIT_ADMIN, LANE_WORKER, ROUTE_LIST, 200,
     &query_shape, NULL, &email_suppression_shape,
     "Addresses that are not written to, and why; Accept: text/csv exports all that match",
     get_suppressions},
    {HTTP_POST, "/v1/email-monitoring/suppressions", PERMIT_ADMIN, LANE_WORKER, 0, 201, NULL,
     &add_shape, &email_suppression_shape, "Do not write to an address any more", post_suppression,
     ROUTE_PROBLEM(PROBLEM_LIST_FULL) | ROUTE_PROBLEM(PROBLEM_CONFLICT) | ROUTE_PROBLEM(PROBLEM_NOT_FOUND)},
    {HTTP_DELETE, "/v1/email-monitoring/suppressions", PERMIT_ADMIN, LANE_WORKER, 0, 204,
     &remove_shape, NULL, NULL, "Write to an address again", delete_suppression,
     ROUTE_PROBLEM(PROBLEM_CONFLICT) | ROUTE_PROBLEM(PROBLEM_NOT_FOUND)},
    {HTTP_POST, "/v1/email-monitoring/suppressions/import", PERMIT_ADMIN, LANE_WORKER, 0, 200,
     &suppression_import_query, NULL, &suppression_import_shape,
     "Do not write to a list of addresses any more: all of it, or nothing where a line is wrong",
     suppression_import_post, ROUTE_PROBLEM(PROBLEM_LIST_FULL) | ROUTE_PROBLEM(PROBLEM_NOT_FOUND),
     "text/csv",
     SUPPRESSION_IMPORT_BYTES},
};
/* clang-format on */

const struct route_table api_suppressions = ROUTE_TABLE("Suppressions", routes);
