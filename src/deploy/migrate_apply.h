/*
 * Applies what is planned, on the product's database or, to rehearse it, on a scratch database; and
 * tells what each migration took: time, and locks on what was there before it.
 * Rooms: deploy, cli. Ownership: all is the arena's. Threads: as deploy/migrate.h.
 *
 * A file of statements that allow it runs in one transaction, together with its row of history:
 * where it fails, the database is as it was, and that is proven by the transaction's own fate
 * before the row says "rolled back". Others run statement by statement, what becomes of each is
 * written to the row's logs as it goes, and where one fails the row stays failed: a person has to
 * look. A lock that is not had in time is tried for again, with all that had been done undone.
 */
#ifndef HOLDFAST_DEPLOY_MIGRATE_APPLY_H
#define HOLDFAST_DEPLOY_MIGRATE_APPLY_H

#include "deploy/migrate_plan.h"

enum migrate_fate {
    MIGRATE_FATE_NONE, /* it was not begun */
    MIGRATE_FATE_APPLIED,
    MIGRATE_FATE_ROLLED_BACK, /* proven: nothing of it is left */
    MIGRATE_FATE_PARTLY,      /* statements before the one that failed stay */
    MIGRATE_FATE_UNKNOWN      /* the connection was lost, and the server does not say */
};

const char *migrate_fate_name(enum migrate_fate fate);

/* A lock that a migration held on a table which others may have wanted meanwhile. */
struct migrate_held {
    const char *table;
    enum sql_lock lock;
    int64_t ms; /* at most: from the start of the statement that took it */
};

enum { MIGRATE_HELD_MAX = 64 };

struct migrate_failure {
    char sqlstate[6]; /* "" where the server said nothing, as when it is gone */
    int line, column; /* in the file; 0: not of a statement, as when COMMIT failed */
    const char *message, *detail, *hint; /* "" where there is none */
    const char *statement;               /* its beginning, on one line */
    const char *blockers;                /* who was in the way of a lock; "" */
};

struct migrate_result {
    const struct migration *file;
    enum migrate_fate fate;
    int64_t ms; /* of the last attempt */
    int attempts;
    size_t statements_done;
    struct migrate_held held[MIGRATE_HELD_MAX];
    size_t held_count;
    struct migrate_failure failure; /* of the last attempt, where it failed */
};

struct migrate_index {
    const char *name, *table;
    bool ours; /* not so before, or named by a file that ran */
};

struct migrate_report {
    struct migrate_result *all; /* as the plan's */
    size_t count, applied;
    struct migrate_index *invalid; /* indexes that are not valid, when all is over */
    size_t invalid_count;
};

/*
 * Applies the plan, which migrate_ready has let pass, in the turn that migrate_lock gave. Consent
 * to what it destroys is the caller's to have. The report is written where it was begun at all, on
 * each outcome: 0; MIGRATE_FAILED; MIGRATE_INVALID_INDEX where all ran; PG_CANCELLED;
 * PG_UNREACHABLE (a migration's fate tells what is known); PG_REFUSED where the database refuses us
 * before anything ran; FAULT_MEMORY.
 */
int migrate_apply(struct migrate *m, struct arena *a, const struct migrate_plan *plan,
                  struct migrate_report *ret);

#endif
