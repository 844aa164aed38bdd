#include "deploy/migrate_locks.h"

#include "base/clock.h"
#include "base/fault.h"

static struct migrate_held *find(struct migrate_run *r, const char *table, int64_t since)
{
    struct migrate_result *result = r->result;

    for (size_t i = 0; i < result->held_count; i++)
        if (strcmp(result->held[i].table, table) == 0)
            return &result->held[i];
    const char *kept = arena_str(r->a, str_of(table)).p;
    if (result->held_count == MIGRATE_HELD_MAX || !kept)
        return NULL;
    r->taken[result->held_count] = since;
    result->held[result->held_count] = (struct migrate_held){.table = kept};
    return &result->held[result->held_count++];
}

void migrate_note_locks(struct migrate_run *r, int64_t since)
{
    static const char sql[] =
        "SELECT c.oid::regclass::text, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE l.pid = $1::int AND l.granted"
        " AND l.locktype = 'relation' AND c.relkind IN ('r', 'p', 'm') AND n.nspname NOT LIKE"
        " 'pg\\_%' AND n.nspname <> 'information_schema' AND c.relname <> '_prisma_migrations'"
        " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " ORDER BY 1";
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    char pid[16];
    const char *param = pid;
    struct pg *clerk;

    snprintf(pid, sizeof pid, "%d", r->m->backend);
    if (migrate_clerk(r->m, &clerk) || pg_query(clerk, sql, &param, 1, &rows))
        return;
    for (int i = 0; i < pg_rows_count(rows); i++) {
        enum sql_lock lock = sql_lock_of_mode(pg_text(rows, i, 1));
        struct migrate_held *held = find(r, pg_text(rows, i, 0), since);
        if (held && lock > held->lock)
            held->lock = lock;
    }
}

void migrate_end_locks(struct migrate_run *r)
{
    int64_t now = clock_mono();

    for (size_t i = 0; i < r->result->held_count; i++)
        r->result->held[i].ms = now - r->taken[i];
}

int migrate_invalid(struct migrate *m, struct arena *a, struct migrate_index_row **ret,
                    size_t *ret_count)
{
    static const char sql[] =
        "SELECT i.indexrelid::bigint, i.indexrelid::regclass::text, i.indrelid::regclass::text"
        " FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE NOT i.indisvalid"
        " AND c.relkind = 'i' AND NOT EXISTS (SELECT 1 FROM pg_stat_progress_create_index p"
        " WHERE p.index_relid = i.indexrelid) ORDER BY 2";
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    struct pg *clerk;
    int result = migrate_clerk(m, &clerk);

    if (result == 0)
        result = pg_query(clerk, sql, NULL, 0, &rows);
    if (result)
        return result;
    size_t count = (size_t)pg_rows_count(rows);
    struct migrate_index_row *all = arena_array(a, count ? count : 1, sizeof *all);
    if (!all)
        return FAULT_MEMORY;
    for (size_t i = 0; i < count; i++) {
        all[i] =
            (struct migrate_index_row){.oid = pg_int(rows, (int)i, 0),
                                       .name = arena_str(a, str_of(pg_text(rows, (int)i, 1))).p,
                                       .table = arena_str(a, str_of(pg_text(rows, (int)i, 2))).p};
        if (!all[i].name || !all[i].table)
            return FAULT_MEMORY;
    }
    *ret = all;
    *ret_count = count;
    return 0;
}
