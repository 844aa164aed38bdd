/*
 * Inside of deploy/migrate_apply.h: runs one migration.
 * Rooms: deploy. Ownership and threads: as there.
 */
#ifndef HOLDFAST_DEPLOY_MIGRATE_RUN_H
#define HOLDFAST_DEPLOY_MIGRATE_RUN_H

#include "base/uuid.h"
#include "deploy/migrate_apply.h"
#include "deploy/migrate_session.h"

struct migrate_run {
    struct migrate *m;
    struct arena *a;
    const struct migrate_planned *planned;
    struct migrate_result *result;
    char id[UUID_TEXT_SIZE];         /* of its row of history */
    char xid[24];                    /* of its transaction */
    int64_t began_at;                /* ms since 1970 */
    int64_t began;                   /* monotonic, of the attempt */
    int64_t taken[MIGRATE_HELD_MAX]; /* when each lock was taken, monotonic */
};

/* Runs it with its further attempts. Returns 0, MIGRATE_FAILED, PG_CANCELLED, PG_UNREACHABLE or
 * FAULT_MEMORY; result says what became of it. */
int migrate_run(struct migrate_run *r);

/* One attempt in a transaction; statement by statement. Returns as migrate_run, or
 * MIGRATE_TRY_AGAIN where a lock was not had in time and nothing is left of the attempt. */
enum { MIGRATE_TRY_AGAIN = 50 };
int migrate_run_atomic(struct migrate_run *r);
int migrate_run_apart(struct migrate_run *r);

/* Runs a statement of the file. Returns an outcome of pg.h, with result->failure filled, or 0. */
int migrate_run_statement(struct migrate_run *r, const struct script_statement *s);

/* Fills result->failure of what the server just refused, or of a connection that was lost; s NULL:
 * not of a statement. Returns 0 or FAULT_MEMORY. */
int migrate_note_failure(struct migrate_run *r, const struct script_statement *s, int outcome);

/* Whether what was refused is worth another attempt: a lock not had in time, a deadlock. */
bool migrate_is_lock_trouble(const struct migrate_run *r);

/* Waits before the next attempt; it has to be had with retries left. Returns 0 or PG_CANCELLED. */
int migrate_wait_again(struct migrate_run *r);

/* The failure as text for logs and history. */
int migrate_write_failure(const struct migrate_result *result, struct buf *out);

#endif
