/*
 * Checks of a route row that need no other row.
 * Rooms: http. Threads: any.
 */
#ifndef HOLDFAST_HTTP_ROUTE_CHECK_H
#define HOLDFAST_HTTP_ROUTE_CHECK_H

#include "http/route.h"

/* Returns 0, or FAULT_INTERNAL with a message naming the row and what is wrong with it. */
int route_check(const struct route *route);

/*
 * Takes the next segment of *rest, which begins with its '/', and moves *rest past it. Returns
 * false at the end. "/a//b/" gives "a", "", "b", "".
 */
bool route_next_segment(struct str *rest, struct str *ret_segment);

#endif
