#include "deploy/writes.h"

#include "base/fault.h"
#include "deploy/backup_internal.h"

enum { SQL_SIZE = 8192, OTHERS_MAX = 256, EPOCH_BITS = 32 };

struct looking {
    struct pg *live;
    const struct backup_manifest *m;
    struct arena *a;
    struct writes *w;
    struct survey now;
    bool same;             /* the same database of the same server: transactions can be compared */
    const char *condition; /* of a row whose version may be younger than the snapshot */
};

static const char *copy(struct arena *a, const char *text)
{
    return arena_str(a, str_of(text)).p;
}

static int add_other(struct looking *l, const char *sentence)
{
    if (!sentence)
        return FAULT_MEMORY;
    if (l->w->n_others < OTHERS_MAX)
        l->w->others[l->w->n_others++] = sentence;
    return 0;
}

/* Reads the moment, and whether it is comparable at all. */
static int read_moment(struct pg *live, const struct backup_manifest *m, struct arena *a,
                       const char **ret_snapshot, bool *ret_same)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    int r = pg_query(live,
                     "SELECT pg_current_snapshot(), (SELECT system_identifier FROM"
                     " pg_control_system()), oid FROM pg_database WHERE datname ="
                     " current_database()",
                     NULL, 0, &rows);

    if (r)
        return r;
    *ret_snapshot = copy(a, pg_text(rows, 0, 0));
    if (!*ret_snapshot)
        return FAULT_MEMORY;
    *ret_same =
        strcmp(pg_text(rows, 0, 1), m->system) == 0 && strcmp(pg_text(rows, 0, 2), m->oid) == 0;
    return 0;
}

/*
 * Which versions of rows may be younger than the snapshot "xmin:xmax:in,progress": those of xmax
 * and later. Where transactions were in progress then, all from xmin on: the list does not name
 * their subtransactions. The comparison is of 32 bits; a frozen row's old number can only be taken
 * for a young one.
 */
int writes_younger_than(const char *snapshot, struct arena *a, const char **ret)
{
    struct str rest = str_of(snapshot), part[3] = {0};
    uint64_t xmin, xmax;

    for (int i = 0; i < 3; i++)
        str_next(&rest, ':', &part[i]);
    if (str_to_u64(part[0], INT64_MAX, &xmin) || str_to_u64(part[1], INT64_MAX, &xmax)) {
        fault_keep("the snapshot \"%.60s\" is none", snapshot);
        return BACKUP_DAMAGED;
    }
    uint64_t from = (part[2].n ? xmin : xmax) & ((1ULL << EPOCH_BITS) - 1);
    *ret = arena_printf(a, "age(xmin) BETWEEN 0 AND age('%llu'::xid)", (unsigned long long)from);
    return *ret ? 0 : FAULT_MEMORY;
}

int writes_younger(struct pg *live, const struct backup_manifest *m, struct arena *a,
                   const char **ret)
{
    const char *snapshot, *condition = NULL;
    bool same = false;
    int r = backup_pg(read_moment(live, m, a, &snapshot, &same), "the server's transactions");

    if (r == 0 && same)
        r = writes_younger_than(m->snapshot, a, &condition);
    if (r == 0)
        *ret = condition;
    return r;
}

static int count_newer(struct looking *l, const char *relation, int64_t *ret)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    const char *sql =
        arena_printf(l->a, "SELECT count(*) FROM ONLY %s WHERE %s", relation, l->condition);
    int r = sql ? pg_query(l->live, sql, NULL, 0, &rows) : FAULT_MEMORY;

    if (r == 0)
        *ret = pg_int(rows, 0, 0);
    return r;
}

static void add_table(struct looking *l, struct writes_table t)
{
    if (t.then != t.now || t.newer > 0 || t.made || t.gone)
        l->w->tables[l->w->n_tables++] = t;
}

static int compare_tables(struct looking *l)
{
    const struct survey *then = &l->m->survey, *now = &l->now;

    l->w->tables = arena_array(l->a, then->n_tables + now->n_tables, sizeof *l->w->tables);
    if (!l->w->tables)
        return FAULT_MEMORY;
    for (size_t i = 0; i < now->n_tables; i++) {
        const struct survey_table *n = &now->tables[i], *t = survey_table(then, n->name);
        struct writes_table w = {n->name, t ? t->rows : 0, n->rows, -1, !t, false};
        int r = l->same ? count_newer(l, n->name, &w.newer) : 0;
        if (r)
            return r;
        add_table(l, w);
    }
    for (size_t i = 0; i < then->n_tables; i++)
        if (!survey_table(now, then->tables[i].name))
            add_table(l, (struct writes_table){then->tables[i].name, then->tables[i].rows, 0, 0,
                                               false, true});
    return 0;
}

static int compare_sequences(struct looking *l)
{
    const struct survey *then = &l->m->survey;
    int r = 0;

    for (size_t i = 0; r == 0 && i < then->n_sequences; i++) {
        const struct survey_sequence *t = &then->sequences[i],
                                     *n = survey_sequence(&l->now, t->name);
        if (n && n->value != t->value)
            r = add_other(l, arena_printf(l->a, "sequence %s: from %lld to %lld", t->name,
                                          (long long)t->value, (long long)n->value));
    }
    return r;
}

static int compare_kinds(struct looking *l)
{
    const struct survey *then = &l->m->survey;
    int r = 0;

    for (size_t i = 0; r == 0 && i < l->now.n_kinds; i++) {
        const struct survey_kind *n = &l->now.kinds[i], *t = survey_kind(then, n->name);
        if (!t || strcmp(t->definitions, n->definitions) != 0)
            r = add_other(l, arena_printf(l->a, "schema: %s were changed (%lld, there were %lld)",
                                          n->name, (long long)n->count,
                                          t ? (long long)t->count : 0LL));
    }
    for (size_t i = 0; r == 0 && i < then->n_kinds; i++)
        if (!survey_kind(&l->now, then->kinds[i].name))
            r = add_other(l, arena_printf(l->a, "schema: %s were removed", then->kinds[i].name));
    return r;
}

/* Only a superuser may read the table that they are in. */
static int compare_large_objects(struct looking *l)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    int64_t newer = 0;
    int r = pg_query(l->live,
                     "SELECT EXISTS (SELECT FROM pg_largeobject_metadata),"
                     " has_table_privilege('pg_largeobject', 'SELECT')",
                     NULL, 0, &rows);

    if (r || pg_text(rows, 0, 0)[0] != 't')
        return r;
    if (!l->same || pg_text(rows, 0, 1)[0] != 't')
        return add_other(l, "large objects: it cannot be seen whether they were written");
    r = count_newer(l, "pg_largeobject", &newer);
    return r || newer == 0 ? r
                           : add_other(l, arena_printf(l->a, "large objects: %lld pages written",
                                                       (long long)newer));
}

/* For writes_more: what PostgreSQL counted so far. */
static const char counters[] =
    "SELECT format('%I.%I', schemaname, s.relname), n_tup_ins + n_tup_upd + n_tup_del"
    " FROM pg_stat_all_tables s JOIN pg_class c ON c.oid = relid WHERE NOT relisshared AND"
    " schemaname !~ '^pg_(toast|temp)' AND s.relname NOT IN ('pg_statistic',"
    " 'pg_statistic_ext_data') ORDER BY 1";

static int read_counters(struct pg *live, struct arena *a, struct writes *w)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL, *on _cleanup_pg_rows_ = NULL;
    int r = pg_query(live, "SELECT pg_stat_clear_snapshot(), current_setting('track_counts')", NULL,
                     0, &on);

    if (r == 0)
        r = pg_query(live, counters, NULL, 0, &rows);
    if (r)
        return r;
    w->counted = pg_server_version(live) >= 150000 && strcmp(pg_text(on, 0, 1), "on") == 0;
    w->n_counters = (size_t)pg_rows_count(rows);
    w->counters = arena_array(a, w->n_counters, sizeof *w->counters);
    if (!w->counters)
        return FAULT_MEMORY;
    for (size_t i = 0; i < w->n_counters; i++) {
        w->counters[i] =
            (struct writes_counter){copy(a, pg_text(rows, (int)i, 0)), pg_int(rows, (int)i, 1)};
        if (!w->counters[i].name)
            return FAULT_MEMORY;
    }
    return 0;
}

static int compare_all(struct looking *l)
{
    int r = survey_postgres(l->live, l->a, NULL, NULL, &l->now);

    if (r == 0)
        r = compare_tables(l);
    if (r == 0)
        r = compare_sequences(l);
    if (r == 0)
        r = compare_kinds(l);
    if (r == 0)
        r = compare_large_objects(l);
    if (r == 0 && !l->same)
        r = add_other(l, "the backup is of another database than this one: which rows were "
                         "written since cannot be seen");
    return r;
}

/* The counters are read before the moment: what is written in between counts as later. */
static int look(struct looking *l)
{
    int r = read_counters(l->live, l->a, l->w);

    if (r == 0)
        r = survey_begin(l->live);
    if (r == 0)
        r = read_moment(l->live, l->m, l->a, &l->w->snapshot, &l->same);
    if (r)
        return r;
    l->w->horizon = l->same && strcmp(l->w->snapshot, l->m->snapshot) == 0;
    if (!l->w->horizon)
        r = compare_all(l);
    l->w->none = r == 0 && l->w->n_tables == 0 && l->w->n_others == 0;
    return r;
}

int writes_since(struct pg *live, const struct backup_manifest *m, struct arena *a,
                 struct writes *ret)
{
    struct writes w = {.others = arena_array(a, OTHERS_MAX, sizeof *w.others)};
    struct looking l = {.live = live, .m = m, .a = a, .w = &w};
    int r = w.others ? writes_younger_than(m->snapshot, a, &l.condition) : FAULT_MEMORY;

    if (r)
        return r;
    r = look(&l);
    if (r == 0)
        r = pg_run(live, "COMMIT");
    if (r)
        return backup_pg(r, "what was written since the backup");
    *ret = w;
    return 0;
}

static int64_t counter_of(const struct writes *w, const char *name)
{
    for (size_t i = 0; i < w->n_counters; i++)
        if (strcmp(w->counters[i].name, name) == 0)
            return w->counters[i].n;
    return 0;
}

int writes_more(struct pg *live, const struct writes *before, struct arena *a, struct buf *names,
                bool *ret_more)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    struct writes now = {0};
    bool more = false;
    int r = pg_query(live, "SELECT pg_current_snapshot()", NULL, 0, &rows);

    if (r == 0 && strcmp(pg_text(rows, 0, 0), before->snapshot) != 0) {
        r = read_counters(live, a, &now);
        more = !before->counted || !now.counted;
    }
    for (size_t i = 0; r == 0 && i < now.n_counters; i++) {
        if (now.counters[i].n == counter_of(before, now.counters[i].name))
            continue;
        buf_printf(names, "%s%s", names->n ? ", " : "", now.counters[i].name);
        more = true;
    }
    if (r)
        return backup_pg(r, "what was written since");
    *ret_more = more;
    return 0;
}

void writes_print(const struct writes *w, struct buf *out)
{
    for (size_t i = 0; i < w->n_tables; i++) {
        const struct writes_table *t = &w->tables[i];
        buf_printf(out, "table %s: ", t->name);
        if (t->made || t->gone)
            buf_printf(out, "%s, %lld rows\n", t->made ? "new" : "dropped",
                       (long long)(t->made ? t->now : t->then));
        else if (t->newer < 0)
            buf_printf(out, "%lld rows, there were %lld\n", (long long)t->now, (long long)t->then);
        else
            buf_printf(out, "%lld rows, there were %lld; %lld written since\n", (long long)t->now,
                       (long long)t->then, (long long)t->newer);
    }
    for (size_t i = 0; i < w->n_others; i++)
        buf_printf(out, "%s\n", w->others[i]);
}
