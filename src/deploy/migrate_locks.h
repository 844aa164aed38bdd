/*
 * Inside of deploy/migrate_apply.h: which locks a migration holds, as seen from outside.
 * Rooms: deploy. Ownership and threads: as there.
 */
#ifndef HOLDFAST_DEPLOY_MIGRATE_LOCKS_H
#define HOLDFAST_DEPLOY_MIGRATE_LOCKS_H

#include "deploy/migrate_run.h"

/* Adds the locks that the transaction holds now, those that are new as of since (monotonic). What
 * it made itself nobody else sees, and is left out. A look that fails leaves them out. */
void migrate_note_locks(struct migrate_run *r, int64_t since);

/* They are released. */
void migrate_end_locks(struct migrate_run *r);

/* The indexes that are not valid, but for those that are being made just now. Returns 0, an outcome
 * of pg.h or FAULT_MEMORY. */
struct migrate_index_row {
    int64_t oid;
    const char *name, *table;
};
int migrate_invalid(struct migrate *m, struct arena *a, struct migrate_index_row **ret,
                    size_t *ret_count);

#endif
