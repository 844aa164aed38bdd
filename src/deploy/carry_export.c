/*
 * Where the live database has none of Holdfast's tables any more: what an export of the trail tells
 * of, as far as it goes. Which sessions were ended it does not tell of all, so all are; a password
 * or second factor that was changed it does not hold, so the account is locked.
 */
#include "base/fault.h"
#include "deploy/backup_internal.h"
#include "deploy/carry_internal.h"

#include <errno.h>
#include <stdlib.h>

enum { LINE_BYTES = 1 << 16, BATCH_BYTES = 1 << 20, PATH_SHOWN = 200 };

static const char make_sql[] =
    "CREATE TEMPORARY TABLE carry_export (seq bigint, at bigint, action text, actor text,"
    " tenant_id bytea, subject_id bytea, subject text, detail json) ON COMMIT DROP";

#define ID(member) "decode(replace(e ->> '" member "', '-', ''), 'hex')"
static const char add_sql[] =
    "INSERT INTO pg_temp.carry_export SELECT (e ->> 'seq')::bigint,"
    " (extract(epoch FROM (e ->> 'at')::timestamptz) * 1000)::bigint, e ->> 'action',"
    " coalesce(e ->> 'actor', ''), " ID("tenantId") ", " ID(
        "subjectId") ","
                     " coalesce(e ->> 'subject', ''), e -> 'detail' FROM "
                     "json_array_elements($1::json) e";

#define SUBJECTS(actions)                                                                          \
    "id IN (SELECT subject_id FROM pg_temp.carry_export WHERE seq > @head AND action IN"           \
    " (" actions "))"
#define REFUSALS "FROM pg_temp.carry_export e WHERE seq > @head AND "

static const struct {
    const char *counted_as; /* a rule's name; NULL: accounts that were restricted */
    const char *sql;
} replays[] = {
    {"allEnded", "INSERT INTO restored.epochs (user_id, not_before, at, reason) SELECT id, @now,"
                 " @now, 'restored without the live database' FROM restored.users u WHERE NOT"
                 " EXISTS (SELECT 1 FROM restored.epochs e WHERE e.user_id = u.id AND"
                 " e.not_before >= @taken)"},
    {NULL,
     "UPDATE restored.users SET disabled = 1, updated_at = @now WHERE disabled = 0 AND " SUBJECTS(
         "'user.disable', 'user.delete'")},
    {NULL, "UPDATE restored.users SET locked_at = @now, locked_until = NULL, updated_at = @now"
           " WHERE NOT (locked_at IS NOT NULL AND locked_until IS NULL) AND " SUBJECTS(
               "'password.change', 'password.reset', 'mfa.enable', 'mfa.recovery'")},
    {"suppressions",
     "INSERT INTO restored.suppressions (tenant_id, address, reason, source, note, created_at,"
     " created_by, expires_at) SELECT coalesce(tenant_id, @nil), lower(subject), CASE action WHEN"
     " 'email.unsubscribe' THEN 'unsubscribe' ELSE coalesce(detail ->> 'reason', 'manual') END,"
     " 'trail', '', at, actor, NULL " REFUSALS "action IN ('mail.suppress', 'email.unsubscribe')"
     " AND subject <> '' AND (tenant_id IS NULL OR EXISTS (SELECT 1 FROM restored.tenants t WHERE"
     " t.id = e.tenant_id)) ON CONFLICT DO NOTHING"},
    {"preferencesNew",
     "INSERT INTO restored.preferences AS r (user_id, email_security, email_product, updated_at)"
     " SELECT DISTINCT subject_id, 1, 0, @now " REFUSALS "action = 'email.unsubscribe' AND EXISTS"
     " (SELECT 1 FROM restored.users u WHERE u.id = e.subject_id) ON CONFLICT (user_id) DO UPDATE"
     " SET email_product = 0, updated_at = excluded.updated_at WHERE r.email_product <> 0"},
};

struct reading {
    struct pg *restored;
    const char *path;
    FILE *file;
    struct buf batch; /* a JSON array, but for its end */
    int64_t first, line;
};

static int send_batch(struct reading *b)
{
    if (b->batch.n == 0)
        return 0;
    buf_add_char(&b->batch, ']');
    const char *params[] = {buf_cstr(&b->batch)};
    if (!params[0])
        return buf_fault(&b->batch);
    int r = pg_query(b->restored, add_sql, params, 1, NULL);
    buf_reset(&b->batch);
    if (r == 0)
        return 0;
    char why[200];
    snprintf(why, sizeof why, "%s", fault_message());
    fault_keep("%.*s, lines %lld to %lld: no export of the trail: %s", PATH_SHOWN, b->path,
               (long long)b->first, (long long)b->line, why);
    return r == PG_UNREACHABLE ? BACKUP_UNREACHABLE : BACKUP_FAILED;
}

static int read_lines(struct reading *b)
{
    char *text = NULL;
    size_t room = 0;
    ssize_t n;
    int r = 0;

    while (r == 0 && (n = getline(&text, &room, b->file)) > 0) {
        b->line++;
        if (b->batch.n == 0)
            b->first = b->line;
        buf_add_char(&b->batch, b->batch.n ? ',' : '[');
        buf_add_str(&b->batch, str_trim((struct str){text, (size_t)n}));
        if (n > LINE_BYTES) {
            fault_keep("%.*s, line %lld: longer than any record", PATH_SHOWN, b->path,
                       (long long)b->line);
            r = BACKUP_FAILED;
        } else if (b->batch.n > BATCH_BYTES) {
            r = send_batch(b);
        }
    }
    if (r == 0 && ferror(b->file))
        r = fault_errno(FAULT_IO, errno, "%.*s", PATH_SHOWN, b->path);
    free(text);
    return r ? r : send_batch(b);
}

static int read_export(struct carrying *g, struct pg *restored)
{
    struct reading b = {.restored = restored,
                        .path = g->c->trail_export,
                        .batch = buf_init(BATCH_BYTES + 2 * LINE_BYTES)};

    b.file = fopen(b.path, "re");
    if (!b.file)
        return fault_errno(FAULT_IO, errno, "%.*s", PATH_SHOWN, b.path);
    int r = read_lines(&b);
    fclose(b.file);
    buf_free(&b.batch);
    return r;
}

static int64_t *count_of(struct carry_report *report, const char *name)
{
    for (size_t i = 0; name && i < carry_rules_count; i++)
        if (carry_rules[i].name && strcmp(carry_rules[i].name, name) == 0)
            return &report->rows[i];
    return &report->accounts_restricted;
}

int carry_from_export(struct carrying *g, struct pg *restored)
{
    struct carry_report *report = &g->report;
    int r = carry_find_head(g);

    if (r == 0)
        r = backup_pg(pg_run(restored, make_sql), "the carry-over");
    if (r == 0)
        r = read_export(g, restored);
    for (size_t i = 0; r == 0 && i < sizeof replays / sizeof *replays; i++) {
        int64_t n = 0;
        r = carry_run(g, replays[i].sql, &n);
        *count_of(report, replays[i].counted_as) += n;
    }
    if (r == 0)
        r = carry_tell_nodes(g);
    report->from_export = true;
    report->trail = CARRY_TRAIL_UNKNOWN;
    report->trail_from = report->trail_to = g->words.head;
    return r ? r : backup_pg(pg_run(restored, "DROP TABLE pg_temp.carry_export"), "the carry-over");
}
