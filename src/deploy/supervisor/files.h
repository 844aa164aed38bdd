/*
 * Small files that outlive whoever writes them, in a directory that is open.
 * Rooms: deploy. Ownership: the caller's. Threads: any.
 */
#ifndef HOLDFAST_DEPLOY_SUPERVISOR_FILES_H
#define HOLDFAST_DEPLOY_SUPERVISOR_FILES_H

#include "base/buf.h"

#include <jansson.h>

enum { FILES_MAX = 4 << 20 };

/* Outcome of files_read. */
enum { FILES_NONE = 1 };

/*
 * Puts the value in place of the file, or makes it (0600), so that whoever dies when: the file
 * holds the old or the new value, and the new one once 0 is returned. Else FAULT_IO or
 * FAULT_MEMORY.
 */
int files_write(int directory, const char *name, const json_t *value);

/* A new reference. Returns 0, FILES_NONE, FAULT_IO (also where it holds no object), FAULT_LIMIT or
 * FAULT_MEMORY. */
int files_read(int directory, const char *name, json_t **ret);

/* Removes it, on disk too; it need not be there. Returns 0 or FAULT_IO. */
int files_remove(int directory, const char *name);

/* Makes the directory (0700) and those above it where they are missing, and opens it. Returns 0 or
 * FAULT_IO. */
int files_directory(const char *path, int *ret_fd);

/* Keeps the file below twice max bytes: past max, what it holds becomes name.1, and it is emptied.
 * Its writers append. */
void files_trim(int directory, const char *name, int64_t max);

/* The last max bytes of the file, as whole lines; nothing where there is none. */
int files_tail(int directory, const char *name, size_t max, struct buf *out);

#endif
