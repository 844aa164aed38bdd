/*
 * The secrets of a development installation, made once and kept in a file. Rooms: config.
 */
#ifndef HOLDFAST_CONFIG_SECRETS_H
#define HOLDFAST_CONFIG_SECRETS_H

#include "config/config.h"

/*
 * Fills JWT_SECRET and ENCRYPTION_KEY where they are unset from DATA_DIR/secrets.env (0600),
 * making the directory and the file first where they are absent, owned by RUN_AS_USER. Two
 * processes that start at once end up with the same secrets. Returns 0, CONFIG_INVALID with
 * *problems, or a fault.
 */
int secrets_fill(struct config *c, struct buf *problems);

#endif
