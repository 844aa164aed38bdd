/*
 * What backups, verifications and restores share among themselves.
 * Rooms: deploy, these files alone. Ownership: the caller's. Threads: one that may wait.
 */
#ifndef HOLDFAST_DEPLOY_BACKUP_INTERNAL_H
#define HOLDFAST_DEPLOY_BACKUP_INTERNAL_H

#include "deploy/backup.h"
#include "deploy/backup_file.h"
#include "deploy/pg.h"

enum { BACKUP_LOCK_WAIT_MS = 60000, BACKUP_LINE_MAX = 1024 };

/* The outcome for what a call of deploy/pg.h returned; doing is put before the message. */
int backup_pg(int result, const char *doing);

/* The last 8 hexadecimal digits of an id, which are random, and their number. */
enum { BACKUP_ID8_SIZE = 9 };
void backup_id8(const struct uuid *id, char ret[BACKUP_ID8_SIZE]);

/* Takes the backup into f. m has its id, time, file and database's name already. */
int backup_take_postgres(const struct backup_place *place, struct backup_file *f, struct arena *a,
                         struct backup_manifest *m);
int backup_take_sqlite(const struct backup_place *place, struct backup_file *f, struct arena *a,
                       struct backup_manifest *m);

/* Refuses where the directory's disk has less room than the bytes. */
int backup_check_room(const char *directory, int64_t bytes);

/*
 * Opens the file and holds it against the manifest's size and checksum. Returns 0 with the open
 * file, BACKUP_DAMAGED, BACKUP_CANCELLED or FAULT_IO.
 */
int backup_check_file(const struct backup_place *place, const struct backup *b, int *ret_fd);

/* Reads a whole database in a transaction of its own. */
int backup_survey(struct pg *c, const char *doing, struct arena *a, struct survey *ret);

#endif
