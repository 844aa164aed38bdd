/* A migration statement by statement: each is its own, and what becomes of it is on record. */
#include "base/clock.h"
#include "base/fault.h"
#include "deploy/migrate_rows.h"
#include "deploy/migrate_run.h"

enum { LOGS_MAX = 64 * 1024, LOGS_KEEP = 16 * 1024, BRIEF = 60 };

struct apart {
    struct migrate_run *r;
    struct buf logs;
    size_t staying; /* statements that no rollback undoes any more */
};

/* Old lines go where there are many. */
static void shorten(struct buf *logs)
{
    if (logs->n < LOGS_KEEP)
        return;
    struct str half = {logs->p + logs->n / 2, logs->n - logs->n / 2};
    size_t line = str_find(half, '\n');
    buf_consume(logs, logs->n / 2 + (line < half.n ? line + 1 : line));
}

static int save(struct apart *p)
{
    const char *text = buf_cstr(&p->logs);
    struct pg *clerk;
    int result = text ? migrate_clerk(p->r->m, &clerk) : FAULT_MEMORY;

    return result ? result : migrate_log_row(p->r->m, clerk, p->r->id, text);
}

static void log_line(struct apart *p, const struct script_statement *s, const char *what)
{
    buf_printf(&p->logs, "line %d: %s: ", s->at.line, what);
    sql_brief(s->at.text, BRIEF, false, &p->logs);
    buf_add_char(&p->logs, '\n');
}

/* On record before it runs, so that whatever kills us, the row tells what may have been done. */
static int log_begin(struct apart *p, const struct script_statement *s)
{
    size_t before;

    shorten(&p->logs);
    before = p->logs.n;
    log_line(p, s, "begun");
    int result = save(p);
    p->logs.n = before;
    return result == PG_REFUSED ? MIGRATE_FAILED : result; /* the clerk's, not the statement's */
}

static int set_lock_timeout(struct migrate *m, int64_t ms)
{
    char sql[64];

    snprintf(sql, sizeof sql, "SET lock_timeout = %lld", (long long)ms);
    return pg_run(m->pg, sql);
}

/* What works concurrently stops nobody while it waits, and leaves an invalid index where it ends
 * early: so it may wait as long as a statement may run. */
static int run_concurrently(struct migrate_run *r, const struct script_statement *s)
{
    int result = set_lock_timeout(r->m, 0);

    if (result)
        return result;
    result = migrate_run_statement(r, s);
    if (result == 0)
        return set_lock_timeout(r->m, r->m->options.lock_ms);
    return result;
}

/* Within a transaction of the file's own there is nothing to try again: its beginning is undone. */
static int run_one(struct migrate_run *r, const struct script_statement *s)
{
    struct migrate *m = r->m;

    if (s->class.concurrently && !pg_in_transaction(m->pg))
        return run_concurrently(r, s);
    for (int retries = 0;; retries++) {
        int result = migrate_run_statement(r, s);
        if (result != PG_REFUSED || !migrate_is_lock_trouble(r) || pg_in_transaction(m->pg) ||
            retries >= m->options.retries)
            return result;
        if ((result = migrate_wait_again(r)))
            return result;
        r->result->attempts++;
    }
}

static int run_all(struct apart *p)
{
    const struct script *script = &p->r->planned->script;
    char what[40];

    for (size_t i = 0; i < script->count; i++) {
        const struct script_statement *s = &script->all[i];
        int64_t began = clock_mono();
        int result = log_begin(p, s);
        if (result == 0)
            result = run_one(p->r, s);
        if (result)
            return result;
        snprintf(what, sizeof what, "done in %lld ms", (long long)(clock_mono() - began));
        log_line(p, s, what);
        if (!pg_in_transaction(p->r->m->pg))
            p->staying = i + 1;
        progress_amount(p->r->m->options.progress, (int64_t)i + 1, (int64_t)script->count);
    }
    return 0;
}

static int finish(struct apart *p)
{
    struct migrate *m = p->r->m;

    if (pg_in_transaction(m->pg)) {
        fault_keep("the file ends within a transaction that it began");
        return MIGRATE_FAILED;
    }
    int result = save(p) ? MIGRATE_FAILED : pg_run(m->pg, m->settings);
    return result ? result : migrate_finish_row(m, m->pg, p->r->id);
}

/* Whether nothing is left of it: no statement stayed, and the one that failed was one that leaves
 * nothing. */
static bool is_harmless(const struct apart *p, int result)
{
    const struct script *script = &p->r->planned->script;
    size_t failed = p->r->result->statements_done;

    if (p->staying || result == PG_UNREACHABLE || failed >= script->count)
        return p->staying == 0 && result != PG_UNREACHABLE;
    const struct sql_class *class = &script->all[failed].class;
    return !class->concurrently && (class->frame == SQL_INSIDE || pg_in_transaction(p->r->m->pg));
}

static int fail(struct apart *p, int result)
{
    struct migrate_run *r = p->r;
    bool harmless = is_harmless(p, result);
    struct pg *clerk;

    if (result != PG_REFUSED && result != MIGRATE_FAILED) {
        pg_close(r->m->pg);
        r->m->pg = NULL;
    } else if (pg_in_transaction(r->m->pg)) {
        harmless &= pg_run(r->m->pg, "ROLLBACK") == 0;
    }
    r->result->fate = harmless                   ? MIGRATE_FATE_ROLLED_BACK
                      : result == PG_UNREACHABLE ? MIGRATE_FATE_UNKNOWN
                                                 : MIGRATE_FATE_PARTLY;
    migrate_write_failure(r->result, &p->logs);
    int saved = save(p);
    if (saved == 0 && harmless && (saved = migrate_clerk(r->m, &clerk)) == 0)
        saved = migrate_undo_row(r->m, clerk, r->id);
    if (saved)
        progress_say(r->m->options.progress, "warning: %s: the failure is not on record: %s",
                     r->planned->file->name, fault_message());
    return result == PG_REFUSED ? MIGRATE_FAILED : result;
}

int migrate_run_apart(struct migrate_run *r)
{
    struct apart p = {.r = r, .logs = buf_init(LOGS_MAX)};

    migrate_new_id(r->id);
    int result = migrate_begin_row(r->m, r->m->pg, r->id, r->planned->file);
    if (result == 0)
        result = run_all(&p);
    if (result == 0)
        result = finish(&p);
    if (result == 0) {
        r->result->fate = MIGRATE_FATE_APPLIED;
    } else {
        int fault = r->result->failure.message ? 0 : migrate_note_failure(r, NULL, result);
        result = fail(&p, fault ? fault : result);
    }
    buf_free(&p.logs);
    return result;
}
