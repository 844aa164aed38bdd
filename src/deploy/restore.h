/*
 * Puts a backup in the place of the product's database.
 * Rooms: deploy, cli. Ownership: results live in the caller's arena. Threads: one that may wait.
 *
 * The backup is restored into a database of its own, beside the live one, which serves meanwhile.
 * Then, in the shortest time there is: nobody may connect any more (the fence), sessions are ended,
 * the carry-over runs, both databases change their names in one transaction. The live one is kept
 * as NAME_failed_<8 digits>.
 *
 * How far it got stands in the server's catalogue, so that whoever comes after a killed run knows:
 * the new database holdfast_restore_<8 digits> has a comment with its stage, which says "fenced"
 * from the very transaction that fences to the one that swaps; and its maker is alive as long as it
 * holds the lock of those digits (deploy/twin.h). A dead maker's fence is lifted by
 * restore_recover, what it had half restored is dropped, and what it had restored is taken up by
 * the next restore of the same backup.
 */
#ifndef HOLDFAST_DEPLOY_RESTORE_H
#define HOLDFAST_DEPLOY_RESTORE_H

#include "deploy/backup.h"
#include "deploy/writes.h"

/* In their order. Each is told before it begins, and must do no harm when it is done again. */
enum restore_stage {
    RESTORE_CREATE,
    RESTORE_FILL,
    RESTORE_COMPARE,
    RESTORE_READY, /* the new database is whole, dressed as the live one, and marked so */
    RESTORE_FENCE,
    RESTORE_END_SESSIONS,
    RESTORE_CARRY_OVER,
    RESTORE_SWAP,
    RESTORE_DONE
};

const char *restore_stage_name(enum restore_stage stage);

struct restore {
    const char *path;
    bool accept_data_loss; /* of what was written since the backup */
    /* Copies what must not be lost from the live database, NULL where it is gone, into the restored
     * one: deploy/carry.h. Called once before the fence, and then behind it, while nobody else is
     * connected to either; with a killed run, more often. What it returns, if not 0, lifts the
     * fence and is returned. NULL: nothing is carried over. */
    int (*carry_over)(void *context, struct pg *live, struct pg *restored, bool fenced);
    /* The same of two SQLite files, while nobody can write to the live database. */
    int (*carry_over_sqlite)(void *context, const char *live, const char *restored);
    /* Told of each stage before it begins; not 0 stops there, as above. NULL: not. */
    int (*on_stage)(void *context, enum restore_stage stage);
    void *context;
};

struct restore_report {
    struct backup backup;
    const char *database, *failed; /* failed: what the live one is called now; "" for none */
    const char *restored;          /* the new database, while it is not swapped in */
    struct writes writes;          /* since the backup, whether lost or not */
    const char *late;              /* tables that were written after `writes` was made */
    bool resumed;                  /* a killed run had restored it */
    bool swapped;
    int64_t interruption_us; /* from the fence until the new database could be reached */
    int64_t ms;
};

/*
 * Restores. A killed run's rest is seen to first. Returns 0; BACKUP_WRITTEN, where something was
 * written since the backup and that was not accepted (ret_report has the list); BACKUP_LOCKED,
 * fault_message() names who restores; BACKUP_UNDONE where it failed after the fence and the live
 * database serves again; BACKUP_STUCK where that could not be brought about, fault_message() says
 * what to do; BACKUP_FAILED, BACKUP_DAMAGED, BACKUP_UNREACHABLE, BACKUP_CANCELLED (nothing has
 * changed: cancelling has no effect from the fence on), a fault, or what a callback returned.
 * ret_report is written whatever is returned.
 */
int restore_run(const struct backup_place *place, const struct restore *options, struct arena *a,
                struct restore_report *ret_report);

/*
 * Sees to what killed restores of the place's database left: lifts their fences and drops what they
 * had half restored. To be called before anything else is done with the database. *ret_lifted says
 * whether it was fenced off. Returns as backup_create; does nothing for SQLite.
 */
int restore_recover(const struct backup_place *place, struct arena *a, bool *ret_lifted);

#endif
