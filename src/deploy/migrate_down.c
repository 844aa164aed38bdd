#include "deploy/migrate_down.h"

#include "base/fault.h"
#include "deploy/migrate_rows.h"

static const struct migrate_entry *find(const struct migrate_view *view, const char *name)
{
    for (size_t i = 0; i < view->count; i++)
        if (strcmp(view->all[i].name, name) == 0)
            return &view->all[i];
    return NULL;
}

/* Whether there is anything of it to take back. */
static bool is_there(const struct migrate_entry *e)
{
    return e && e->row && (e->state == MIGRATE_APPLIED || e->state == MIGRATE_IS_FAILED);
}

static int refused(const struct pg *pg, const char *name, const struct script_statement *s)
{
    struct pg_error e = pg_error(pg);

    fault_keep("%s/down.sql:%d: %s (%s)", name, s->at.line, e.message, e.sqlstate);
    return MIGRATE_FAILED;
}

static int run_statements(struct migrate *m, struct arena *a, const char *name,
                          const struct script *script)
{
    for (size_t i = 0; i < script->count; i++) {
        struct str text = arena_str(a, script->all[i].at.text);
        if (!text.p)
            return FAULT_MEMORY;
        int result = pg_run(m->pg, text.p);
        if (result)
            return result == PG_REFUSED ? refused(m->pg, name, &script->all[i]) : result;
    }
    return 0;
}

/* All of it, or nothing where the statements allow that. */
static int take_back(struct migrate *m, struct arena *a, const struct migrate_entry *e)
{
    struct script script;
    int result = script_read(a, arena_printf(a, "%s/down.sql", e->name), e->file->down, &script);

    if (result == 0)
        result = pg_run(m->pg, m->settings);
    if (result == 0 && script.atomic)
        result = pg_run(m->pg, "BEGIN");
    if (result)
        return result;
    migrate_forget(m);
    result = run_statements(m, a, e->name, &script);
    if (result == 0)
        result = migrate_undo_row(m, m->pg, e->row->id);
    if (!script.atomic)
        return result;
    if (result == 0)
        return pg_run(m->pg, "COMMIT");
    char why[MIGRATE_TEXT_MAX];
    snprintf(why, sizeof why, "%s", fault_message());
    pg_run(m->pg, "ROLLBACK"); /* a lost connection does it too */
    fault_keep("%s", why);
    return result;
}

int migrate_down(struct migrate *m, struct arena *a, const struct migrations *files,
                 const struct migrate_view *view, const char *const *names, size_t n)
{
    int result = 0;

    for (size_t i = 0; i < n; i++) {
        const struct migration *f = migrations_find(files, names[i]);
        if (is_there(find(view, names[i])) && (!f || !f->down.p)) {
            fault_keep("%s has no down.sql", names[i]);
            return MIGRATE_NO_FILE;
        }
    }
    for (size_t i = n; result == 0 && i > 0; i--) {
        const struct migrate_entry *e = find(view, names[i - 1]);
        if (!is_there(e))
            continue;
        progress_say(m->options.progress, "%s: taken back by its down.sql", e->name);
        result = take_back(m, a, e);
    }
    return result;
}
