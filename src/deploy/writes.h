/*
 * What was written to a database since a backup was taken of it: what a restore would lose.
 * Rooms: deploy, cli. Ownership: everything lives in the arena. Threads: one that may wait.
 *
 * That nothing was written is never a guess. Either no transaction that could write has begun since
 * (the server's horizon of transactions is the backup's), or each table has as many rows as it had,
 * and none whose version is younger than the snapshot: then the rows are those of the snapshot,
 * because a deleted or changed one would be missing. What cannot be shown counts as written.
 */
#ifndef HOLDFAST_DEPLOY_WRITES_H
#define HOLDFAST_DEPLOY_WRITES_H

#include "deploy/backup.h"
#include "deploy/pg.h"

struct writes_table {
    const char *name;
    int64_t then, now;
    int64_t newer;   /* rows whose version may be younger than the backup; -1: not known,
                        which one of `others` says too */
    bool made, gone; /* the table was made, or dropped */
};

/* How often rows of a table were written so far, as the server's statistics count it. */
struct writes_counter {
    const char *name;
    int64_t n;
};

struct writes {
    bool none;
    bool horizon;                /* none, because no transaction has begun since */
    struct writes_table *tables; /* those that differ */
    size_t n_tables;
    const char **others; /* sentences: sequences, schema, large objects */
    size_t n_others;

    /* The moment that was looked at, for writes_more. */
    const char *snapshot;
    struct writes_counter *counters;
    size_t n_counters;
    bool counted; /* the server counts, and shows at once what a session did that has ended */
};

/* Looks at the live database. Returns as backup_create. */
int writes_since(struct pg *live, const struct backup_manifest *m, struct arena *a,
                 struct writes *ret);

/*
 * Whether anything was written after writes_since looked, in a time that does not depend on how
 * much there is: for a database that nobody else is connected to any more. The tables are added to
 * *names, a comma between them. Returns as backup_create.
 */
int writes_more(struct pg *live, const struct writes *before, struct arena *a, struct buf *names,
                bool *ret_more);

/*
 * A condition of SQL that holds for each row of a table whose version may be younger than the
 * backup; NULL where that cannot be told, because it is of another database. Returns as
 * backup_create, and BACKUP_DAMAGED.
 */
int writes_younger(struct pg *live, const struct backup_manifest *m, struct arena *a,
                   const char **ret);

/* The same of a snapshot of the live database itself ("xmin:xmax:in,progress"). */
int writes_younger_than(const char *snapshot, struct arena *a, const char **ret);

/* The list for people, a line each. */
void writes_print(const struct writes *w, struct buf *out);

#endif
