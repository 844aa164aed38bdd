/*
 * The OpenAPI 3.1 document, made from the route tables, the shapes and the problem table.
 *
 * Beyond the standard, an operation carries "x-permission" (anyone, metrics, client, user, admin
 * or operator) and a problem's response "x-codes", the codes it may hold.
 * Rooms: http and below. Threads: any.
 */
#ifndef HOLDFAST_HTTP_OPENAPI_H
#define HOLDFAST_HTTP_OPENAPI_H

#include "http/route.h"

/*
 * Appends the document for tables that router_new takes. Returns 0, the buffer's fault,
 * FAULT_MEMORY, or FAULT_INTERNAL where two shapes share a name.
 */
int openapi_write(const struct route_table *tables, size_t n, struct buf *out);

#endif
