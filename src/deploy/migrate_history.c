/* Prisma's table _prisma_migrations: read, held against the directory, resolved by hand. */
#include "base/fault.h"
#include "deploy/migrate_rows.h"
#include "deploy/migrate_session.h"

#include <stdlib.h>

static const char *const state_names[] = {
    [MIGRATE_APPLIED] = "applied",         [MIGRATE_PENDING] = "pending",
    [MIGRATE_ROLLED_BACK] = "rolled back", [MIGRATE_IS_FAILED] = "failed",
    [MIGRATE_IS_EDITED] = "edited",        [MIGRATE_IS_MISSING] = "missing",
};

const char *migrate_state_name(enum migrate_state state)
{
    return state_names[state];
}

/* Whether the schema has the table of history, and others: those of extensions do not count. */
static int look_for_tables(struct migrate *m, bool *ret_history, bool *ret_others)
{
    static const char sql[] =
        "SELECT coalesce(bool_or(c.relname = '_prisma_migrations'), false)::int,"
        " coalesce(bool_or(c.relname <> '_prisma_migrations'), false)::int"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'f') AND NOT EXISTS"
        " (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid"
        " AND d.deptype = 'e')";
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    int result = pg_query(m->pg, sql, &m->schema, 1, &rows);

    if (result)
        return result;
    *ret_history = pg_int(rows, 0, 0) != 0;
    *ret_others = pg_int(rows, 0, 1) != 0;
    return 0;
}

static const char *keep(struct arena *a, const char *text)
{
    return arena_str(a, str_of(text)).p;
}

int migrate_rows(struct migrate *m, struct arena *a, struct migrate_row **ret, size_t *ret_count)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    const char *sql =
        arena_printf(a,
                     "SELECT id, migration_name, checksum, coalesce(logs, ''),"
                     " (extract(epoch from started_at) * 1000)::bigint,"
                     " coalesce((extract(epoch from finished_at) * 1000)::bigint, 0),"
                     " coalesce((extract(epoch from rolled_back_at) * 1000)::bigint, 0)"
                     " FROM %s ORDER BY started_at, id",
                     m->table);
    int result = sql ? pg_query(m->pg, sql, NULL, 0, &rows) : FAULT_MEMORY;

    if (result)
        return result;
    size_t count = (size_t)pg_rows_count(rows);
    struct migrate_row *all = arena_array(a, count ? count : 1, sizeof *all);
    bool whole = all != NULL;
    for (size_t i = 0; whole && i < count; i++) {
        struct migrate_row *r = &all[i];
        int at = (int)i;
        r->id = keep(a, pg_text(rows, at, 0));
        r->name = keep(a, pg_text(rows, at, 1));
        r->checksum = keep(a, pg_text(rows, at, 2));
        r->logs = keep(a, pg_text(rows, at, 3));
        r->started = pg_int(rows, at, 4);
        r->finished = pg_int(rows, at, 5);
        r->rolled_back = pg_int(rows, at, 6);
        whole = r->id && r->name && r->checksum && r->logs;
    }
    if (!whole)
        return FAULT_MEMORY;
    *ret = all;
    *ret_count = count;
    return 0;
}

static bool is_failed(const struct migrate_row *r)
{
    return r->finished == 0 && r->rolled_back == 0;
}

static bool is_applied(const struct migrate_row *r)
{
    return r->finished != 0 && r->rolled_back == 0;
}

/* A failed attempt tells more than an applied one, and that more than one that was rolled back. */
static int weight(const struct migrate_row *r)
{
    return is_failed(r) ? 3 : is_applied(r) ? 2 : 1;
}

static enum migrate_state state_of(const struct migration *file, const struct migrate_row *r)
{
    if (!r)
        return MIGRATE_PENDING;
    if (is_failed(r))
        return MIGRATE_IS_FAILED;
    if (!is_applied(r))
        return MIGRATE_ROLLED_BACK;
    if (!file)
        return MIGRATE_IS_MISSING;
    return migration_has_checksum(file, r->checksum) ? MIGRATE_APPLIED : MIGRATE_IS_EDITED;
}

static int by_name(const void *a, const void *b)
{
    const struct migrate_entry *x = a, *y = b;

    return strcmp(x->name, y->name);
}

/* One entry a name: those of one name lie side by side, and the weightiest row tells the state. */
static size_t merge(struct migrate_entry *all, size_t count)
{
    size_t kept = 0;

    qsort(all, count, sizeof *all, by_name);
    for (size_t i = 0; i < count; i++) {
        struct migrate_entry *last = kept ? &all[kept - 1] : NULL;
        if (!last || strcmp(last->name, all[i].name) != 0) {
            all[kept++] = all[i];
            continue;
        }
        if (all[i].file)
            last->file = all[i].file;
        if (all[i].row && (!last->row || weight(all[i].row) > weight(last->row)))
            last->row = all[i].row;
    }
    return kept;
}

static int compare(struct arena *a, const struct migrations *files, const struct migrate_row *rows,
                   size_t row_count, struct migrate_view *view)
{
    size_t count = files->count + row_count;
    struct migrate_entry *all = arena_array(a, count ? count : 1, sizeof *all);

    if (!all)
        return FAULT_MEMORY;
    for (size_t i = 0; i < files->count; i++)
        all[i] = (struct migrate_entry){.name = files->all[i].name, .file = &files->all[i]};
    for (size_t i = 0; i < row_count; i++)
        all[files->count + i] = (struct migrate_entry){.name = rows[i].name, .row = &rows[i]};
    count = merge(all, count);
    view->all = all;
    for (size_t i = 0; i < count; i++) {
        struct migrate_entry *e = &all[i];
        e->state = state_of(e->file, e->row);
        if (e->state == MIGRATE_ROLLED_BACK && !e->file)
            continue; /* neither here nor there */
        view->counts[e->state]++;
        all[view->count++] = *e;
    }
    view->pending = view->counts[MIGRATE_PENDING] + view->counts[MIGRATE_ROLLED_BACK];
    return 0;
}

int migrate_look(struct migrate *m, struct arena *a, const struct migrations *files,
                 struct migrate_view *ret)
{
    struct migrate_view view = {0};
    struct migrate_row *rows = NULL;
    size_t count = 0;
    int result = look_for_tables(m, &view.has_history, &view.has_tables);

    if (result == 0 && view.has_history)
        result = migrate_rows(m, a, &rows, &count);
    if (result == 0)
        result = compare(a, files, rows, count, &view);
    if (result == 0)
        *ret = view;
    return result;
}

static const struct migrate_entry *first_of(const struct migrate_view *v, enum migrate_state state)
{
    for (size_t i = 0; i < v->count; i++)
        if (v->all[i].state == state)
            return &v->all[i];
    return NULL;
}

int migrate_ready(const struct migrate_view *view)
{
    const struct migrate_entry *failed = first_of(view, MIGRATE_IS_FAILED),
                               *edited = first_of(view, MIGRATE_IS_EDITED);

    if (!view->has_history && view->has_tables && view->pending) {
        fault_keep("the schema is not empty, and has no history of migrations; take those that it "
                   "has already for applied: holdfast migrate resolve --applied NAME");
        return MIGRATE_NOT_EMPTY;
    }
    if (failed) {
        fault_keep("%s failed, and nothing is applied before that is resolved: holdfast migrate "
                   "resolve --applied or --rolled-back %s",
                   failed->name, failed->name);
        return MIGRATE_BROKEN;
    }
    if (edited) {
        fault_keep("%s was edited after it was applied: its file has the checksum %s, and what was "
                   "applied had %s",
                   edited->name, edited->file->checksum, edited->row->checksum);
        return MIGRATE_EDITED;
    }
    return 0;
}
