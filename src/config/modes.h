/*
 * Whose the files are that hold secrets or the whole store, and who else may read them.
 * Rooms: config. Threads: before others; touches no file that it has not checked.
 */
#ifndef HOLDFAST_CONFIG_MODES_H
#define HOLDFAST_CONFIG_MODES_H

#include "config/config.h"

#include <sys/types.h>

/* Who is to own them: whoever runs this, or whom root is going to become (RUN_AS_USER). */
struct modes_owner {
    uid_t uid;
    gid_t gid;
    bool foreign; /* not who runs this now: what is made has to be given away */
};
struct modes_owner modes_owner(const struct config *c);

/*
 * The SQLite database with its journals, and the generated secrets, where they are there. In
 * production a line to *problems for each that others may use or own; elsewhere access is taken
 * from others, with a warning.
 */
void modes_check(const struct config *c, struct buf *problems);

/* A file of settings that holds secrets: in production not for everyone, although for a group. */
void modes_check_settings(const struct config *c, const char *file, struct buf *problems);

/*
 * Gives what root owns, a file without other names or a directory, to a foreign owner. Returns 0
 * or FAULT_IO.
 */
int modes_give(const struct modes_owner *owner, const char *path);

#endif
