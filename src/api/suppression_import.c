/* A list of addresses that are not to be written to: read as it comes, taken whole or not at all.
 */
#include "api/suppressions.h"
#include "base/fault.h"
#include "identity/tenant.h"
#include "mail/suppression_csv.h"

enum { PIECE = 16 * 1024, DETAIL_MAX = 2048, MISTAKES_MAX = 4096 };

const char *const suppression_scopes[] = {"tenant", "installation", NULL};
enum { SCOPE_TENANT, SCOPE_INSTALLATION };

int suppression_scope(struct call *call, int64_t scope, const struct uuid *tenant,
                      struct uuid *ret_tenant)
{
    const struct uuid *bound = app_bound(call);
    bool named = !uuid_is_nil(tenant);

    if (scope == SCOPE_INSTALLATION && bound)
        return call_problem(call, PROBLEM_FORBIDDEN, "For all tenants operators alone decide.");
    if (scope == SCOPE_INSTALLATION && named)
        return call_problem_field(call, "tenantId", "The whole installation is of no tenant.");
    if (bound && named && !uuid_eq(tenant, bound))
        return call_problem(call, PROBLEM_NOT_FOUND, "There is no such tenant.");
    if (scope == SCOPE_INSTALLATION)
        *ret_tenant = (struct uuid){{0}};
    else
        *ret_tenant = named ? *tenant : call->who.tenant_id;
    return 0;
}

int suppression_check_tenant(struct store_txn *t, struct call *call, const struct uuid *id)
{
    struct tenant tenant;
    int r = uuid_is_nil(id) ? 0 : tenant_find(t, call->arena, id, &tenant);

    return r == TENANT_UNKNOWN ? call_problem(call, PROBLEM_NOT_FOUND, "There is no such tenant.")
                               : r;
}

int suppression_full(struct call *call)
{
    return call_problem(call, PROBLEM_LIST_FULL,
                        "A tenant has %lld suppressions of its own at most "
                        "(EMAIL_SUPPRESSION_LIMIT). Nothing was taken.",
                        (long long)config_current()->suppression_limit);
}

int suppression_record(struct store_txn *t, struct call *call, struct trail_event *event,
                       const struct uuid *tenant, const struct buf *detail)
{
    int r = buf_fault(detail);

    event->tenant_id = *tenant;
    event->detail = buf_str(detail);
    return r ? r : trail_append(app_of(call)->trail, t, &call->actor, event);
}

struct import_query {
    uint64_t given;
    int64_t scope;
    struct uuid tenant_id;
};

static const struct field query_fields[] = {SUPPRESSION_SCOPE_FIELDS(struct import_query)};
const struct shape suppression_import_query =
    SHAPE("SuppressionImportQuery", struct import_query, query_fields);

#define COUNT_FIELD(member, help)                                                                  \
    {                                                                                              \
#member, FIELD_INT, FIELD_REQUIRED, offsetof(struct suppression_import_result, member), 0, \
            0, NULL, NULL, help                                                                    \
    }
static const struct field result_fields[] = {
    COUNT_FIELD(lines, "Records that were read."),
    COUNT_FIELD(added, "New, or in place of one that expires earlier."),
    COUNT_FIELD(existing, "Suppressed for this reason at least as long already."),
    COUNT_FIELD(duplicates, "An address and reason named again."),
};
const struct shape suppression_import_shape =
    SHAPE("SuppressionImport", struct suppression_import_result, result_fields);

struct importing {
    struct call *call;
    struct suppression_import *import;
    struct uuid tenant_id;
    struct suppression_import_result result;
};

static void write_count(struct json_writer *w, const char *key, int64_t n)
{
    json_key(w, key);
    json_int(w, n);
}

static int import_job(struct store_txn *t, void *arg)
{
    struct importing *i = arg;
    struct buf detail _cleanup_buf_ = buf_init(DETAIL_MAX);
    struct json_writer w = json_writer(&detail);
    struct trail_event event = {.action = TRAIL_MAIL_IMPORT};
    struct suppression_importer by = {.tenant_id = i->tenant_id,
                                      .limit = config_current()->suppression_limit,
                                      .created_by = i->call->actor.label,
                                      .now = i->call->now};
    int r = suppression_check_tenant(t, i->call, &i->tenant_id);

    if (r == 0)
        r = suppression_import_apply(t, i->import, &by, &i->result);
    if (r == SUPPRESSION_FULL)
        return suppression_full(i->call);
    if (r)
        return r;
    json_object_begin(&w);
    write_count(&w, "lines", i->result.lines);
    write_count(&w, "added", i->result.added);
    write_count(&w, "existing", i->result.existing);
    write_count(&w, "duplicates", i->result.duplicates);
    json_object_end(&w);
    return suppression_record(t, i->call, &event, &i->tenant_id, &detail);
}

/* "line 2: not an address; line 9: ...; and 3 more". */
static int refuse(struct call *call, const struct suppression_import *import)
{
    struct buf text _cleanup_buf_ = buf_init(MISTAKES_MAX);
    size_t n;
    int64_t total;
    const struct suppression_mistake *mistakes = suppression_import_mistakes(import, &n, &total);

    for (size_t i = 0; i < n; i++)
        buf_printf(&text, "%sline %lld: %s", i ? "; " : "", (long long)mistakes[i].line,
                   mistakes[i].text);
    if (total > (int64_t)n)
        buf_printf(&text, "; and %lld more", (long long)(total - (int64_t)n));
    buf_add_str(&text, STR(". Nothing was taken."));
    if (buf_fault(&text))
        return buf_fault(&text);
    call->problem_detail = arena_str(call->arena, buf_str(&text));
    call->problem_field = STR("body");
    return call->problem_detail.p ? PROBLEM_INVALID_FIELD : FAULT_MEMORY;
}

/* Returns 0, PROBLEM_TOO_LARGE, PROBLEM_TIMEOUT or a fault. */
static int read_body(struct call *call, struct suppression_import *import)
{
    char piece[PIECE];
    ssize_t n = 0;
    int r = 0;

    while (r == 0 && call->request->stream &&
           (n = http_body_read(call->request, piece, sizeof piece)) > 0)
        r = suppression_import_feed(import, (struct str){piece, (size_t)n});
    if (r == 0 && n == FAULT_LIMIT)
        return call_problem(call, PROBLEM_TOO_LARGE, "A list has at most %d bytes.",
                            SUPPRESSION_IMPORT_BYTES);
    /* Who is gone reads no answer; who is too slow is told so, and neither is our fault. */
    if (r == 0 && n == FAULT_IO)
        return call_problem(call, PROBLEM_TIMEOUT, "The list broke off, or came too slowly.");
    if (r == 0 && n < 0)
        return (int)n;
    return r ? r : suppression_import_finish(import);
}

static int take_list(struct importing *i)
{
    size_t n;
    int64_t mistakes;
    int r = read_body(i->call, i->import);

    if (r)
        return r;
    suppression_import_mistakes(i->import, &n, &mistakes);
    if (mistakes)
        return refuse(i->call, i->import);
    return store_write(app_of(i->call)->store, import_job, i);
}

int suppression_import_post(struct call *call)
{
    const struct import_query *query = call->query;
    struct importing i = {.call = call};
    int r = suppression_scope(call, query->scope, &query->tenant_id, &i.tenant_id);

    /* A slow client holds its worker here as it does when it reads an export. */
    if (r == 0)
        r = api_export_begin(call);
    if (r)
        return r;
    r = suppression_import_new(&i.import);
    if (r == 0)
        r = take_list(&i);
    suppression_import_free(i.import);
    api_export_end(call);
    if (r)
        return r;
    call->trailed = true;
    return call_reply(call, &i.result);
}
