/*
 * The dispatcher: everything between the engine and a handler, in one fixed order: rate limit,
 * route, authentication, role, second factor, binding; then the reply with its headers, the trail
 * of administrative routes, metrics and the log.
 *
 * Rooms: api and cli. Ownership: the dispatcher refers to tables, sessions and app, which outlive
 * it. Threads: as struct http_app says.
 */
#ifndef HOLDFAST_HTTP_DISPATCH_H
#define HOLDFAST_HTTP_DISPATCH_H

#include "http/engine.h"
#include "http/route_table.h"
#include "sessions/sessions.h"

struct dispatch;

/* Returns 0 or a fault; FAULT_INTERNAL names a row that is not right (router_new). */
int dispatch_new(const struct route_table *tables, size_t n, struct sessions *sessions, void *app,
                 struct dispatch **ret);
void dispatch_free(struct dispatch *d);

/* What the engine calls. */
struct http_app dispatch_app(struct dispatch *d);

/*
 * Records the administrative requests that were refused; called each second. last: also those that
 * would have waited to be recorded together. Returns 0 or a fault.
 */
int dispatch_flush(struct dispatch *d, bool last);

/* Requests by route and status, and their times by route, as Prometheus text. */
void dispatch_write_metrics(struct dispatch *d, struct buf *out);

#endif
