/*
 * The system's log, apart because its header shares names with base/log.h.
 * Rooms: trail only. Threads: any.
 */
#ifndef HOLDFAST_TRAIL_AUTHLOG_H
#define HOLDFAST_TRAIL_AUTHLOG_H

#include "base/str.h"

/* Sends a line with facility authpriv and level notice. */
void authlog_write(struct str line);

#endif
