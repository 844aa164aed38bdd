/*
 * Whether a backup can be restored, found out by restoring it into a scratch database.
 * Rooms: deploy, cli. Ownership: results live in the caller's arena. Threads: one that may wait.
 */
#ifndef HOLDFAST_DEPLOY_BACKUP_VERIFY_H
#define HOLDFAST_DEPLOY_BACKUP_VERIFY_H

#include "deploy/backup.h"

struct backup_verify {
    const char *path;
    bool quick; /* hold the file against its checksum, and leave it at that */
    /* Called with the restored database before it is dropped: for a rehearsal of migrations. What
     * it returns, if not 0, is returned. NULL: not. PostgreSQL alone. */
    int (*use)(void *context, const char *database);
    void *context;
};

struct backup_verified {
    struct backup backup;
    int64_t restore_ms; /* how long it took to restore and compare; 0: it was not done */
};

/*
 * Verifies, and keeps the verdict in the manifest. Adds a line to findings for each thing that
 * differs. Scratch databases of dead runs are dropped first. Returns 0, BACKUP_DAMAGED,
 * BACKUP_FAILED, BACKUP_UNREACHABLE, BACKUP_CANCELLED, a fault, or what use did.
 */
int backup_verify(const struct backup_place *place, const struct backup_verify *options,
                  struct arena *a, struct buf *findings, struct backup_verified *ret);

#endif
