#include "deploy/migrate_run.h"

#include "base/clock.h"
#include "base/fault.h"

#include <poll.h>

enum { BRIEF = 160, BACKOFF_MAX = 30000, LOOK_MS = 50, SLOW_MS = 2000 };

bool migrate_is_lock_trouble(const struct migrate_run *r)
{
    const char *state = r->result->failure.sqlstate;

    return strcmp(state, "55P03") == 0 || strcmp(state, "40P01") == 0;
}

/* Where in the file a place in a statement is; position counts characters from 1. */
static void find_place(const struct script_statement *s, int64_t position, int *ret_line,
                       int *ret_column)
{
    int line = s->at.line, column = s->at.column;
    int64_t seen = 0;

    for (size_t i = 0; i < s->at.text.n && position > 0; i++) {
        unsigned char c = (unsigned char)s->at.text.p[i];
        if ((c & 0xC0) == 0x80)
            continue;
        if (++seen == position)
            break;
        column++;
        if (c == '\n') {
            line++;
            column = 1;
        }
    }
    *ret_line = line;
    *ret_column = column;
}

static const char *keep(struct migrate_run *r, const char *text)
{
    return *text ? arena_str(r->a, str_of(text)).p : "";
}

static const char *brief(struct migrate_run *r, const struct script_statement *s)
{
    struct buf out _cleanup_buf_ = buf_init(BRIEF + 8);

    return s && sql_brief(s->at.text, BRIEF, false, &out) == 0 ? arena_str(r->a, buf_str(&out)).p
                                                               : "";
}

int migrate_note_failure(struct migrate_run *r, const struct script_statement *s, int outcome)
{
    struct migrate_failure *f = &r->result->failure;
    struct pg_error e = {.message = fault_message(), .detail = "", .hint = ""};

    if (outcome == PG_REFUSED)
        e = pg_error(r->m->pg);
    *f = (struct migrate_failure){.message = keep(r, e.message),
                                  .detail = keep(r, e.detail),
                                  .hint = keep(r, e.hint),
                                  .statement = brief(r, s),
                                  .blockers = ""};
    memcpy(f->sqlstate, e.sqlstate, sizeof f->sqlstate);
    if (s)
        find_place(s, e.position, &f->line, &f->column);
    if (migrate_is_lock_trouble(r))
        f->blockers = keep(r, r->m->blockers);
    return f->message && f->detail && f->hint && f->statement && f->blockers ? 0 : FAULT_MEMORY;
}

int migrate_write_failure(const struct migrate_result *result, struct buf *out)
{
    const struct migrate_failure *f = &result->failure;

    if (f->line)
        buf_printf(out, "line %d, column %d: ", f->line, f->column);
    buf_printf(out, "%s", f->message);
    if (*f->sqlstate)
        buf_printf(out, " (%s)", f->sqlstate);
    if (*f->detail)
        buf_printf(out, "\n%s", f->detail);
    if (*f->hint)
        buf_printf(out, "\nHint: %s", f->hint);
    if (*f->blockers)
        buf_printf(out, "\nIn the way: %s", f->blockers);
    if (*f->statement)
        buf_printf(out, "\nThe statement: %s", f->statement);
    return buf_fault(out);
}

int migrate_run_statement(struct migrate_run *r, const struct script_statement *s)
{
    struct arena a _cleanup_arena_ = arena_init(s->at.text.n + 1024);
    const char *sql = arena_str(&a, s->at.text).p;
    int64_t began = clock_mono();

    if (!sql)
        return FAULT_MEMORY;
    migrate_forget(r->m);
    int result = pg_run(r->m->pg, sql);
    if (result) {
        int fault = result < 0 ? result : migrate_note_failure(r, s, result);
        return fault ? fault : result;
    }
    int64_t ms = clock_mono() - began;
    if (ms >= SLOW_MS)
        progress_say(r->m->options.progress, "line %d took %lld.%lld s", s->at.line,
                     (long long)(ms / 1000), (long long)(ms % 1000 / 100));
    r->result->statements_done++;
    return 0;
}

int migrate_wait_again(struct migrate_run *r)
{
    const struct migrate_options *o = &r->m->options;
    const struct migrate_failure *f = &r->result->failure;
    int64_t ms = o->backoff_ms;

    for (int i = 1; i < r->result->attempts && ms < BACKOFF_MAX; i++)
        ms *= 2;
    ms = ms < BACKOFF_MAX ? ms : BACKOFF_MAX;
    progress_say(o->progress,
                 "%s: %s at line %d; undone, and tried again in %lld ms (%d of %d)%s%s",
                 r->planned->file->name, f->message, f->line, (long long)ms, r->result->attempts,
                 o->retries, *f->blockers ? ": " : "", f->blockers);
    for (int64_t end = clock_mono() + ms; clock_mono() < end;) {
        if (o->cancel && atomic_load(o->cancel)) {
            fault_keep("interrupted");
            return PG_CANCELLED;
        }
        poll(NULL, 0, LOOK_MS);
    }
    return 0;
}

int migrate_run(struct migrate_run *r)
{
    int result;

    r->began_at = clock_now();
    r->began = clock_mono();
    r->result->attempts = 1;
    if (!r->planned->script.atomic) {
        result = migrate_run_apart(r);
    } else {
        while ((result = migrate_run_atomic(r)) == MIGRATE_TRY_AGAIN) {
            if ((result = migrate_wait_again(r)))
                break;
            r->result->attempts++;
            r->result->statements_done = 0;
            r->result->held_count = 0;
            r->began = clock_mono();
        }
    }
    r->result->ms = clock_mono() - r->began;
    return result;
}
