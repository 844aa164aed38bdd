/*
 * What the files of a restore share.
 * Rooms: deploy, these files alone. Ownership: the run's. Threads: one that may wait.
 */
#ifndef HOLDFAST_DEPLOY_RESTORE_INTERNAL_H
#define HOLDFAST_DEPLOY_RESTORE_INTERNAL_H

#include "deploy/restore.h"
#include "deploy/twin.h"

/* How far the database that a restore fills is. */
enum restore_mark { MARK_RESTORING, MARK_READY, MARK_FENCED };

/* Such a database of the server's catalogue. */
struct restore_twin {
    char name[TWIN_NAME_SIZE], id8[BACKUP_ID8_SIZE];
    enum restore_mark mark;
    char backup[UUID_TEXT_SIZE]; /* the backup's id; "" where it has no comment yet */
};

struct restoring {
    const struct backup_place *place;
    const struct restore *options;
    struct arena *a;
    struct restore_report *report;
    struct pg *server; /* cancellable */
    const char *live;  /* the database's name */
    bool there;        /* it exists */
    struct restore_twin twin;
    char failed[TWIN_NAME_SIZE];
};

/* Tells of the stage. Returns 0 or what the caller's on_stage did. */
int restore_enter(struct restoring *r, enum restore_stage stage);

/* A comment that says how far the twin is, as SQL literal text. */
const char *restore_comment(struct arena *a, enum restore_mark mark, const char *backup,
                            const char *live);

/* The twins of this database. Returns as backup_create. */
int restore_twins(struct pg *server, struct arena *a, const char *live, struct restore_twin **ret,
                  size_t *ret_n);

/* From a twin that is ready to the swap, or back. */
int restore_swap(struct restoring *r);

/* Lifts the fence that a run of this twin set, and says so in its comment: in one transaction. */
int restore_lift(struct pg *server, const char *live, const struct restore_twin *twin);

/* Of SQLite: copies the backup over the live database, which was copied aside. */
int restore_run_sqlite(const struct backup_place *place, const struct restore *options,
                       struct arena *a, struct restore_report *report);

#endif
