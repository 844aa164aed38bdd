/*
 * The reviewed way back of migrations that are applied: their down.sql.
 * Rooms: deploy, cli. Ownership and threads: as deploy/migrate.h.
 */
#ifndef HOLDFAST_DEPLOY_MIGRATE_DOWN_H
#define HOLDFAST_DEPLOY_MIGRATE_DOWN_H

#include "deploy/migrate.h"

/*
 * Takes back those named, the last one first, each by its down.sql. One whose statements allow it
 * runs in a transaction together with its row of history, which then says "rolled back", so that it
 * may be done again after a death anywhere. What is not applied is passed over. To be called in the
 * turn that migrate_lock gave. Returns 0; MIGRATE_NO_FILE where one has no down.sql, before
 * anything ran; MIGRATE_FAILED, MIGRATIONS_WRONG, an outcome of pg.h, or FAULT_MEMORY.
 */
int migrate_down(struct migrate *m, struct arena *a, const struct migrations *files,
                 const struct migrate_view *view, const char *const *names, size_t n);

#endif
