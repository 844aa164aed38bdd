/*
 * SQLite databases as backups see them.
 * Rooms: deploy. Ownership: a handle is the caller's until sqlite3_close. Threads: one at a time.
 */
#ifndef HOLDFAST_DEPLOY_BACKUP_SQLITE_H
#define HOLDFAST_DEPLOY_BACKUP_SQLITE_H

#include "deploy/backup_internal.h"

#include <sqlite3.h>

/* Opens a database that exists; others' locks are waited for. Returns 0 or BACKUP_UNREACHABLE. */
int backup_sqlite_open(const char *path, int flags, sqlite3 **ret);

/* BACKUP_FAILED with what SQLite says of the database at path. */
int backup_sqlite_failure(sqlite3 *db, const char *path);

/* Copies all pages while the source may be written to. Returns 0, BACKUP_FAILED or
 * BACKUP_CANCELLED; progress by bytes. */
int backup_sqlite_copy(const struct backup_place *place, sqlite3 *from, sqlite3 *to);

/* The same into an empty file, which is a database without a journal after it, and checked. */
int backup_sqlite_copy_into(const struct backup_place *place, sqlite3 *from, const char *path);

/* PRAGMA integrity_check. Returns 0, or BACKUP_DAMAGED with its first finding. */
int backup_sqlite_check(sqlite3 *db, const char *path);

#endif
