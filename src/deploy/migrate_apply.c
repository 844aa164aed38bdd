#include "deploy/migrate_apply.h"

#include "base/fault.h"
#include "deploy/migrate_locks.h"
#include "deploy/migrate_rows.h"
#include "deploy/migrate_run.h"

static const char *const fate_names[] = {
    [MIGRATE_FATE_NONE] = "not begun",          [MIGRATE_FATE_APPLIED] = "applied",
    [MIGRATE_FATE_ROLLED_BACK] = "rolled back", [MIGRATE_FATE_PARTLY] = "partly applied",
    [MIGRATE_FATE_UNKNOWN] = "unknown",
};

const char *migrate_fate_name(enum migrate_fate fate)
{
    return fate_names[fate];
}

static int run_all(struct migrate *m, struct arena *a, const struct migrate_plan *plan,
                   struct migrate_report *report)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct migrate_run r = {
            .m = m, .a = a, .planned = &plan->all[i], .result = &report->all[i]};
        progress_say(m->options.progress, "%s: begins", plan->all[i].file->name);
        int result = migrate_run(&r);
        report->applied += r.result->fate == MIGRATE_FATE_APPLIED;
        if (result)
            return result;
        progress_say(m->options.progress, "%s: applied in %lld ms", plan->all[i].file->name,
                     (long long)r.result->ms);
    }
    return 0;
}

static bool was_invalid(const struct migrate_index_row *before, size_t count, int64_t oid)
{
    for (size_t i = 0; i < count; i++)
        if (before[i].oid == oid)
            return true;
    return false;
}

/* Whether a file that ran makes an index of this name, which IF NOT EXISTS may have passed over. */
static bool is_named(struct migrate *m, struct arena *a, const struct migrate_plan *plan,
                     int64_t oid)
{
    for (size_t i = 0; i < plan->count; i++)
        for (size_t j = 0; j < plan->all[i].script.count; j++) {
            struct str index = plan->all[i].script.all[j].class.index;
            struct pg_rows *rows _cleanup_pg_rows_ = NULL;
            const char *name = index.n && m->pg ? arena_str(a, index).p : NULL;
            if (name &&
                pg_query(m->pg, "SELECT to_regclass($1)::oid::bigint", &name, 1, &rows) == 0 &&
                pg_int(rows, 0, 0) == oid)
                return true;
        }
    return false;
}

static int find_invalid(struct migrate *m, struct arena *a, const struct migrate_plan *plan,
                        const struct migrate_index_row *before, size_t before_count,
                        struct migrate_report *report)
{
    struct migrate_index_row *after;
    size_t count;
    int result = migrate_invalid(m, a, &after, &count);

    if (result)
        return result;
    report->invalid = arena_array(a, count ? count : 1, sizeof *report->invalid);
    if (!report->invalid)
        return FAULT_MEMORY;
    for (size_t i = 0; i < count; i++)
        report->invalid[i] =
            (struct migrate_index){.name = after[i].name,
                                   .table = after[i].table,
                                   .ours = !was_invalid(before, before_count, after[i].oid) ||
                                           is_named(m, a, plan, after[i].oid)};
    report->invalid_count = count;
    return 0;
}

static bool left_invalid(const struct migrate_report *report)
{
    for (size_t i = 0; i < report->invalid_count; i++)
        if (report->invalid[i].ours) {
            fault_keep("the index %s on %s is not valid", report->invalid[i].name,
                       report->invalid[i].table);
            return true;
        }
    return false;
}

int migrate_apply(struct migrate *m, struct arena *a, const struct migrate_plan *plan,
                  struct migrate_report *ret)
{
    struct migrate_report report = {.count = plan->count};
    struct migrate_index_row *before;
    size_t count;
    int result = migrate_invalid(m, a, &before, &count);

    if (result == 0)
        result = migrate_make_history(m);
    if (result)
        return result;
    report.all = arena_array(a, plan->count ? plan->count : 1, sizeof *report.all);
    if (!report.all)
        return FAULT_MEMORY;
    for (size_t i = 0; i < plan->count; i++)
        report.all[i].file = plan->all[i].file;
    result = run_all(m, a, plan, &report);
    char why[400];
    snprintf(why, sizeof why, "%s", fault_message());
    int looked = find_invalid(m, a, plan, before, count, &report);
    *ret = report;
    if (result) {
        fault_keep("%s", why);
        return result;
    }
    if (looked)
        return looked;
    return left_invalid(&report) ? MIGRATE_INVALID_INDEX : 0;
}
