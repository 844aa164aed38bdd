#include "deploy/migrate_plan.h"

#include "base/fault.h"
#include "deploy/migrate_danger.h"
#include "deploy/migrate_session.h"

static bool is_created(const struct migrate_plan *plan, size_t upto, struct str table)
{
    for (size_t i = 0; i <= upto; i++)
        for (size_t j = 0; j < plan->all[i].script.count; j++)
            if (str_eq_ci(plan->all[i].script.all[j].class.creates, table))
                return true;
    return false;
}

/* The strongest lock on what others may use meanwhile. */
static void find_lock(struct migrate_plan *plan, size_t i)
{
    struct migrate_planned *p = &plan->all[i];

    for (size_t j = 0; j < p->script.count; j++) {
        const struct sql_class *class = &p->script.all[j].class;
        if (class->lock <= p->lock || (class->table.n && is_created(plan, i, class->table)))
            continue;
        p->lock = class->lock;
        p->locked = class->table;
    }
}

static int plan_one(struct arena *a, const struct migrations *files, const struct migration *file,
                    struct migrate_planned *p)
{
    const char *path = arena_printf(a, "%s/%s/migration.sql", files->directory, file->name);

    p->file = file;
    return path ? script_read(a, path, file->sql, &p->script) : FAULT_MEMORY;
}

static int plan_all(struct arena *a, const struct migrations *files,
                    const struct migrate_view *view, struct migrate_plan *plan)
{
    int result = 0;

    plan->all = arena_array(a, view->pending ? view->pending : 1, sizeof *plan->all);
    if (!plan->all)
        return FAULT_MEMORY;
    for (size_t i = 0; i < view->count && result == 0; i++) {
        const struct migrate_entry *e = &view->all[i];
        if (e->state != MIGRATE_PENDING && e->state != MIGRATE_ROLLED_BACK)
            continue;
        result = plan_one(a, files, e->file, &plan->all[plan->count]);
        if (result == 0)
            find_lock(plan, plan->count++);
    }
    return result;
}

int migrate_plan(struct migrate *m, struct arena *a, const struct migrations *files,
                 const struct migrate_view *view, struct migrate_plan *ret)
{
    struct migrate_plan plan = {0};
    int result = plan_all(a, files, view, &plan);

    if (result == 0)
        result = migrate_dangers(m, a, &plan);
    if (result == 0)
        *ret = plan;
    return result;
}
