/*
 * The parts of the OpenAPI document that openapi.c puts together.
 * Rooms: http. Threads: one at a time. Failure of writing is the buffer's.
 */
#ifndef HOLDFAST_HTTP_OPENAPI_PARTS_H
#define HOLDFAST_HTTP_OPENAPI_PARTS_H

#include "http/route.h"

/* A member whose value is a string. */
void openapi_member(struct json_writer *w, const char *key, const char *value);

/* An object {"$ref": "#/components/<kind>/<name>"}. */
void openapi_reference(struct json_writer *w, const char *kind, const char *name);

/* "responses" of a row: its success, and the problems that can occur. */
void openapi_responses(struct json_writer *w, const struct route *route);

/* "security" and "x-permission" of a row. */
void openapi_security(struct json_writer *w, const struct route *route);

/* What the documents say about who may call. */
const char *openapi_permission_text(enum permission permission);

/*
 * "components": the shapes that the tables reach, Problem, and the security schemes. Returns 0,
 * FAULT_MEMORY, or FAULT_INTERNAL where two shapes share a name.
 */
int openapi_components(struct json_writer *w, const struct route_table *tables, size_t n);

#endif
