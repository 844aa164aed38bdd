/*
 * A backup's file from its first byte to its name. It is written under a name that ends in
 * ".partial", locked for as long as its writer lives; it gets its own name once it is whole and on
 * disk, and its manifest stands beside it. What a dead writer left is known by the missing lock.
 * Rooms: deploy. Ownership: a file is the caller's until backup_file_end. Threads: one at a time.
 */
#ifndef HOLDFAST_DEPLOY_BACKUP_FILE_H
#define HOLDFAST_DEPLOY_BACKUP_FILE_H

#include "base/buf.h"
#include "deploy/progress.h"

#include <stdatomic.h>

struct backup_file {
    const char *directory, *name; /* the caller's; name without a directory */
    int fd;                       /* where it is written to; mode 0600 */
    int directory_fd;
};

/* Outcomes. fault_message() says more. */
enum backup_file_outcome { BACKUP_FILE_CANCELLED = 1 };

/* Makes the directory where it is missing (0700) and begins the file. Returns 0 or FAULT_IO. */
int backup_file_begin(const char *directory, const char *name, struct backup_file *ret);

/*
 * Gives the file its name, with its manifest beside it: both on disk, or neither there. Returns 0
 * or FAULT_IO.
 */
int backup_file_finish(struct backup_file *f, struct str manifest);

/* The same without a manifest, for a file that is kept and is no backup. */
int backup_file_keep(struct backup_file *f);

/* Closes it; one that was not finished is removed. Again: nothing. */
void backup_file_end(struct backup_file *f);

/* Removes what dead writers left in the directory. Returns how many files; 0 where there is none.
 */
int backup_file_sweep(const char *directory);

/* Replaces a file's manifest on disk. Returns 0 or FAULT_IO. */
int backup_file_remark(const char *path, struct str manifest);

/* Removes a backup with its manifest. Returns 0 or FAULT_IO. */
int backup_file_remove(const char *directory, const char *name);

/* Bytes that the directory's disk has left for us; that of its nearest parent where it is missing.
 * Returns 0 or FAULT_IO. */
int backup_file_room(const char *directory, int64_t *ret);

/*
 * The SHA-256 of a file as hexadecimal digits, and its size. Returns 0, BACKUP_FILE_CANCELLED, or
 * FAULT_IO. Progress by bytes.
 */
int backup_file_digest(int fd, const struct progress *progress, const atomic_int *cancel,
                       char ret_digest[65], int64_t *ret_bytes);

/* The whole of a file of at most max bytes. Returns 0 or FAULT_IO. */
int backup_file_read(const char *path, struct buf *out);

#endif
