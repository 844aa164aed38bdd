/*
 * The router: finds the row for a method and a path among all route tables.
 *
 * A path must be written exactly as in its row: no trailing slash, no "//", no percent-encoding of
 * what is fixed. A parameter takes one segment that is not empty and, decoded, is UTF-8 without
 * '/', NUL or other control characters and neither "." nor "..": else there is no such path.
 * A fixed segment goes before a parameter. HEAD is answered by the row of GET.
 * Rooms: http and below. Ownership: the router refers to the tables, which must outlive it.
 * Threads: any, once built.
 */
#ifndef HOLDFAST_HTTP_ROUTE_TABLE_H
#define HOLDFAST_HTTP_ROUTE_TABLE_H

#include "http/route.h"

struct router;

/*
 * Checks all rows and builds the router. Returns 0, FAULT_MEMORY, or FAULT_INTERNAL with a message
 * naming the row: no permission, a method that rows do not have (HEAD, OPTIONS), a malformed path,
 * too many parameters, two rows for one method and path, parameters of one path named differently,
 * no handler, a status that is no success, shapes that cannot be bound, or flags that contradict
 * the row.
 */
int router_new(const struct route_table *tables, size_t n, struct router **ret);
void router_free(struct router *router);

/* How many rows there are, and row i of them, in the order of the tables. */
size_t router_count(const struct router *router);
const struct route *router_route(const struct router *router, size_t i);

struct route_match {
    const struct route *route;
    size_t index;                        /* of the row, for router_route */
    struct str params[ROUTE_PARAMS_MAX]; /* decoded; in the arena, or in the path */
};

enum {
    ROUTER_NO_PATH = 1,      /* 404 */
    ROUTER_OTHER_METHODS = 2 /* 405, or the answer to OPTIONS: *ret_methods tells which */
};

/*
 * Looks up a raw path. Returns 0 with *ret_match, ROUTER_NO_PATH, ROUTER_OTHER_METHODS with
 * *ret_methods (bit 1 << enum http_method; HEAD beside GET; OPTIONS always), or FAULT_MEMORY.
 */
int router_find(const struct router *router, enum http_method method, struct str path,
                struct arena *arena, struct route_match *ret_match, unsigned *ret_methods);

/* Writes such a set as the value of Allow: "GET, HEAD, OPTIONS" (RFC 9110, section 10.2.1). */
void router_write_methods(struct buf *out, unsigned methods);

#endif
