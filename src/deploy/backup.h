/*
 * Backups of the product's database: taken, listed, thinned out.
 * Rooms: deploy, cli. Ownership: results live in the caller's arena. Threads: one that may wait.
 *
 * A backup is one file and its manifest (deploy/backup_manifest.h). Of PostgreSQL it is pg_dump's
 * custom format, of SQLite a database; either holds one moment, whose rows and sequences the
 * manifest counts. What is there is whole: nothing of a failed or killed backup stays.
 */
#ifndef HOLDFAST_DEPLOY_BACKUP_H
#define HOLDFAST_DEPLOY_BACKUP_H

#include "deploy/backup_manifest.h"
#include "deploy/progress.h"

#include <stdatomic.h>

/* Outcomes of backups, verifications and restores. fault_message() says more. */
enum backup_outcome {
    BACKUP_FAILED = 1,  /* it could not be done; nothing is changed */
    BACKUP_UNREACHABLE, /* the database is out of reach */
    BACKUP_CANCELLED,   /* nothing is changed */
    BACKUP_DAMAGED,     /* the backup is not what it was */
    BACKUP_WRITTEN,     /* the database was written to since: deploy/writes.h */
    BACKUP_LOCKED,      /* somebody else restores this database now */
    BACKUP_UNDONE,      /* a restore failed half-way; the database is as it was, and serves */
    BACKUP_STUCK        /* a restore failed, and the database may refuse connections: a person */
};

/* Where the product's data are, and how work on them is followed and ended. */
struct backup_place {
    const char *url;       /* postgresql://... or sqlite:PATH */
    const char *admin_url; /* may create databases; NULL: url, with the database postgres */
    const struct progress *progress; /* NULL: nobody listens */
    const atomic_int *cancel;        /* NULL: never */
};

struct backup {
    const char *path; /* of the file */
    struct backup_manifest manifest;
};

/*
 * Takes a backup into the directory, which is made where it is missing. kept: why this one is never
 * to be removed, NULL where it may be. Returns 0, BACKUP_FAILED, BACKUP_UNREACHABLE,
 * BACKUP_CANCELLED, or a fault.
 */
int backup_create(const struct backup_place *place, const char *directory, const char *kept,
                  struct arena *a, struct backup *ret);

/* Reads the manifest of the backup at path. Returns 0, BACKUP_DAMAGED, FAULT_IO, FAULT_MEMORY. */
int backup_open(const char *path, struct arena *a, struct backup *ret);

struct backup_entry {
    struct backup backup;
    bool there;       /* the file is, with the size that the manifest says */
    const char *note; /* what is wrong with it; "" for nothing */
};

/* The directory's backups, newest first, none where it is missing. Returns 0, FAULT_IO or
 * FAULT_MEMORY. */
int backup_list(const char *directory, struct arena *a, struct backup_entry **ret, size_t *ret_n);

/*
 * Removes backups of this database past the keep newest, and those older than keep_days (0: no
 * such limit), but never the newest whole one, the newest that was verified, nor one that is kept.
 * Returns 0, FAULT_IO or FAULT_MEMORY; ret_removed counts them.
 */
int backup_thin_out(const char *directory, const char *database, int64_t keep, int64_t keep_days,
                    int64_t now, size_t *ret_removed);

/* A backup that was kept may be removed from now on. Returns 0, FAULT_IO or FAULT_MEMORY. */
int backup_let_go(struct backup *b);

static inline bool backup_is_sqlite(const char *url)
{
    return strncmp(url, "sqlite:", 7) == 0;
}

#endif
