/*
 * Everything that /metrics shows. Rooms: api. Threads: any worker.
 */
#ifndef HOLDFAST_API_METRICS_H
#define HOLDFAST_API_METRICS_H

#include "api/app.h"

/* Appends the whole text (Prometheus, version 0.0.4). Failure is the buffer's. */
void metrics_write(struct app *app, struct buf *out);

#endif
