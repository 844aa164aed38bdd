/*
 * Files of KEY=VALUE lines: ".env", --config and the generated secrets. Rooms: config.
 */
#ifndef HOLDFAST_CONFIG_ENVFILE_H
#define HOLDFAST_CONFIG_ENVFILE_H

#include "base/buf.h"

/*
 * One assignment of a file. Returns 0 to go on, or a fault.
 */
typedef int envfile_visit(void *context, struct str key, struct str value, int line);

/* Outcomes of envfile_read. */
enum { ENVFILE_ABSENT = 1, ENVFILE_INVALID = 2 };

/*
 * Calls visit for each line "KEY=VALUE" of the file at path (at most 1 MiB). "#" begins a comment
 * line, "export " may stand before a key, and a value may be quoted: '...' as it is, "..." with
 * \n, \" and \\. A line that is none of this is named in *problems. Returns 0, an outcome or a
 * fault.
 */
int envfile_read(const char *path, envfile_visit *visit, void *context, struct buf *problems);

/* As envfile_read, over text that is in memory; name stands in the problems. */
int envfile_parse(struct str text, const char *name, envfile_visit *visit, void *context,
                  struct buf *problems);

/* Appends what is left to read of fd, whose path stands in faults. Returns 0 or a fault. */
int envfile_load(const char *path, int fd, struct buf *out);

#endif
