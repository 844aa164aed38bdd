/*
 * The secrets of a development installation, made once and kept in a file. Rooms: config.
 * Threads: before others.
 */
#ifndef HOLDFAST_CONFIG_SECRETS_H
#define HOLDFAST_CONFIG_SECRETS_H

#include "config/config.h"

/*
 * Fills JWT_SECRET, ENCRYPTION_KEY and SES_WEBHOOK_SECRET where they are unset from
 * DATA_DIR/secrets.env (0600). What the file lacks, as one of an earlier version does, is made and
 * added to it, the directory and the file first where they are absent; a new one is owned by
 * RUN_AS_USER, an old one stays whose it was. The file is replaced as a whole, under a lock, so two
 * processes that start at once end up with the same secrets. Without the last of the three a server
 * starts too: where it cannot be kept there is a warning. Returns 0, CONFIG_INVALID with *problems,
 * or a fault.
 */
int secrets_fill(struct config *c, struct buf *problems);

#endif
