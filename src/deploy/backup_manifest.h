/*
 * What is known of a backup, kept as JSON beside it: FILE.json.
 * Rooms: deploy, cli. Ownership: everything lives in the arena. Threads: any.
 */
#ifndef HOLDFAST_DEPLOY_BACKUP_MANIFEST_H
#define HOLDFAST_DEPLOY_BACKUP_MANIFEST_H

#include "base/json.h"
#include "deploy/survey.h"

enum { BACKUP_FORMAT = 1, BACKUP_DIGEST_SIZE = 65, BACKUP_MANIFEST_MAX = 64 << 20 };
#define BACKUP_MANIFEST_SUFFIX ".json"

struct backup_manifest {
    struct uuid id;
    int64_t taken_at;       /* ms since 1970 */
    const char *file;       /* its name, without a directory */
    const char *engine;     /* "postgresql" or "sqlite" */
    const char *database;   /* its name, or an SQLite database's path */
    const char *server;     /* the server's version, or SQLite's */
    const char *tool;       /* what wrote the file, as it names itself */
    int64_t bytes;          /* of the file */
    int64_t database_bytes; /* of the database when it was taken */
    char sha256[BACKUP_DIGEST_SIZE];
    const char *kept;    /* why it is never to be removed; "" where it may be */
    int64_t verified_at; /* when it was last restored and found whole; 0: never */
    const char *damage;  /* what was wrong with it when last looked at; "" for nothing */

    /* Of PostgreSQL alone; else "". */
    const char *system;   /* the identifier that a server's data keep for good */
    const char *oid;      /* the database's */
    const char *snapshot; /* as pg_current_snapshot() gives it: the xid horizon */
    const char *wal;      /* the place in the log */
    const char *encoding, *collate, *ctype;

    struct survey survey;
};

/* Writes it as JSON. Returns 0 or the buffer's fault. */
int backup_manifest_write(const struct backup_manifest *m, struct buf *out);

/*
 * Outcomes of reading: fault_message() says what is wrong.
 */
enum backup_manifest_outcome { MANIFEST_BAD = 1, MANIFEST_NEWER };

/* Reads what backup_manifest_write wrote. Returns 0, an outcome or FAULT_MEMORY. */
int backup_manifest_read(struct str json, struct arena *a, struct backup_manifest *ret);

#endif
