/*
 * pg_dump and pg_restore, as PATH has them. Their URL goes to them in the environment.
 * Rooms: deploy. Ownership: the caller's. Threads: one that may wait.
 */
#ifndef HOLDFAST_DEPLOY_BACKUP_TOOLS_H
#define HOLDFAST_DEPLOY_BACKUP_TOOLS_H

#include "deploy/backup_internal.h"

/*
 * What "PROGRAM --version" prints, and the first number of it. Returns 0, BACKUP_FAILED where there
 * is no such program or it says something else, BACKUP_CANCELLED or a fault.
 */
int backup_tool_version(const struct backup_place *place, const char *program, struct arena *a,
                        const char **ret_text, int *ret_major);

/* Refuses a pg_dump that is older than the server (as pg_dump itself would, later). */
int backup_tool_check(const struct backup_place *place, struct pg *server, struct arena *a,
                      const char **ret_text);

/* Dumps the snapshot into the file. What pg_dump says is passed on. */
int backup_tool_dump(const struct backup_place *place, const char *snapshot, int fd,
                     struct arena *a);

/* Restores the file into an empty database of the server, by several connections. */
int backup_tool_restore(const struct backup_place *place, const char *database, const char *path,
                        bool scratch, struct arena *a);

#endif
