/* A migration in one transaction, and the proof of what became of it. */
#include "base/clock.h"
#include "base/fault.h"
#include "deploy/migrate_locks.h"
#include "deploy/migrate_rows.h"
#include "deploy/migrate_run.h"

#include <poll.h>

enum { PROVE_MS = 30000, LOOK_MS = 50, LOGS_MAX = 16 * 1024 };

static int begin(struct migrate_run *r)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    struct pg *pg = r->m->pg;
    int result = pg_run(pg, "BEGIN");

    if (result == 0)
        result = pg_query(pg, "SELECT txid_current()", NULL, 0, &rows);
    if (result)
        return result;
    snprintf(r->xid, sizeof r->xid, "%s", pg_text(rows, 0, 0));
    return migrate_begin_row(r->m, pg, r->id, r->planned->file);
}

static int run_statements(struct migrate_run *r)
{
    const struct script *script = &r->planned->script;
    int result = 0;

    for (size_t i = 0; i < script->count && result == 0; i++) {
        int64_t began = clock_mono();
        result = migrate_run_statement(r, &script->all[i]);
        if (result == 0 && script->all[i].class.lock >= SQL_SHARE_UPDATE_EXCLUSIVE)
            migrate_note_locks(r, began);
        progress_amount(r->m->options.progress, (int64_t)i + 1, (int64_t)script->count);
    }
    return result;
}

/* The row becomes true with the rest, and what the file has set for the session ends. */
static int finish(struct migrate_run *r)
{
    struct pg *pg = r->m->pg;

    if (!pg_in_transaction(pg)) {
        fault_keep("the file ended its transaction by itself, unseen");
        return MIGRATE_FAILED;
    }
    migrate_note_locks(r, r->began);
    int result = pg_run(pg, r->m->settings);
    if (result == 0)
        result = migrate_finish_row(r->m, pg, r->id);
    return result ? result : pg_run(pg, "COMMIT");
}

/* Whether the transaction is over, by the server's word. Returns 0 or an outcome of pg.h. */
static int ask_fate(struct migrate_run *r, struct pg *clerk, bool *ret_over)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    const char *param = r->xid;
    int result = pg_query(clerk, "SELECT txid_status($1::bigint)", &param, 1, &rows);

    /* Refused: a server that crashed has not heard of so high a number, so nothing was kept. */
    if (result == 0 || result == PG_REFUSED)
        *ret_over = result == PG_REFUSED || strcmp(pg_text(rows, 0, 0), "in progress") != 0;
    return result == PG_REFUSED ? 0 : result;
}

/* Whether the transaction left its row; the number alone may be another's after a crash. */
static enum migrate_fate prove(struct migrate_run *r)
{
    int64_t end = clock_mono() + PROVE_MS;
    struct pg *clerk;
    bool over = false, there = false;

    if (!*r->xid)
        return MIGRATE_FATE_ROLLED_BACK;
    while (clock_mono() < end) {
        int result = migrate_clerk(r->m, &clerk);
        if (result == 0)
            result = ask_fate(r, clerk, &over);
        if (result == 0 && over && migrate_has_row(r->m, clerk, r->id, &there) == 0)
            return there ? MIGRATE_FATE_APPLIED : MIGRATE_FATE_ROLLED_BACK;
        poll(NULL, 0, LOOK_MS);
    }
    return MIGRATE_FATE_UNKNOWN;
}

/* Keeps the attempt in history, as Prisma keeps one that was resolved. */
static void record(struct migrate_run *r)
{
    struct buf logs _cleanup_buf_ = buf_init(LOGS_MAX);
    struct pg *clerk;

    migrate_write_failure(r->result, &logs);
    const char *text = buf_cstr(&logs);
    int result = migrate_clerk(r->m, &clerk);
    if (result == 0)
        result = migrate_rolled_back_row(r->m, clerk, r->id, r->planned->file, r->began_at,
                                         text ? text : "");
    if (result)
        progress_say(r->m->options.progress, "warning: %s: the attempt is not on record: %s",
                     r->planned->file->name, fault_message());
}

/* The server ends the transaction of a session that is cancelled or lost. */
static void leave(struct migrate_run *r, int result)
{
    bool speaks = result == PG_REFUSED || result == MIGRATE_FAILED;

    if (speaks && pg_run(r->m->pg, "ROLLBACK") == 0)
        return;
    pg_close(r->m->pg);
    r->m->pg = NULL;
}

static int undo(struct migrate_run *r, int result)
{
    bool again = result == PG_REFUSED && migrate_is_lock_trouble(r) &&
                 r->result->attempts <= r->m->options.retries;

    leave(r, result);
    r->result->fate = prove(r);
    if (r->result->fate == MIGRATE_FATE_ROLLED_BACK && again && r->m->pg)
        return MIGRATE_TRY_AGAIN;
    if (r->result->fate == MIGRATE_FATE_ROLLED_BACK)
        record(r);
    return result == PG_REFUSED ? MIGRATE_FAILED : result;
}

int migrate_run_atomic(struct migrate_run *r)
{
    migrate_new_id(r->id);
    *r->xid = '\0';
    r->result->failure = (struct migrate_failure){.message = NULL};
    int result = begin(r);
    if (result == 0)
        result = run_statements(r);
    if (result == 0)
        result = finish(r);
    if (result == 0) {
        r->result->fate = MIGRATE_FATE_APPLIED;
        migrate_end_locks(r);
        return 0;
    }
    if (!r->result->failure.message) { /* BEGIN, the row of history, or COMMIT */
        int fault = migrate_note_failure(r, NULL, result);
        result = fault ? fault : result;
    }
    return undo(r, result);
}
