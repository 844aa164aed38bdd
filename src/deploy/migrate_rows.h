/*
 * Inside of deploy/migrate.h: rows of _prisma_migrations are read and written.
 * Rooms: deploy. Ownership and threads: as there.
 */
#ifndef HOLDFAST_DEPLOY_MIGRATE_ROWS_H
#define HOLDFAST_DEPLOY_MIGRATE_ROWS_H

#include "base/uuid.h"
#include "deploy/migrate_session.h"

/* Each returns 0, an outcome of pg.h or FAULT_MEMORY. */

/* All rows, oldest first; the table has to be there. */
int migrate_rows(struct migrate *m, struct arena *a, struct migrate_row **ret, size_t *ret_count);

/* Makes schema and table where they are not there. */
int migrate_make_history(struct migrate *m);

/* A new row's id. */
void migrate_new_id(char ret_id[UUID_TEXT_SIZE]);

/* A row of a migration that begins. */
int migrate_begin_row(struct migrate *m, struct pg *pg, const char *id, const struct migration *f);
/* It is applied. */
int migrate_finish_row(struct migrate *m, struct pg *pg, const char *id);
/* What is to be known of how it goes. */
int migrate_log_row(struct migrate *m, struct pg *pg, const char *id, const char *logs);
/* It is undone. */
int migrate_undo_row(struct migrate *m, struct pg *pg, const char *id);
/* A row of one that began at started (ms since 1970), failed and was rolled back. */
int migrate_rolled_back_row(struct migrate *m, struct pg *pg, const char *id,
                            const struct migration *f, int64_t started, const char *logs);
/* Whether there is a row of the id. */
int migrate_has_row(struct migrate *m, struct pg *pg, const char *id, bool *ret);

#endif
