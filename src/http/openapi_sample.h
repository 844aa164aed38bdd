/*
 * Routes of every kind, for the tests of the documents and for looking at the docs page.
 * Rooms: tests of http.
 */
#ifndef HOLDFAST_HTTP_OPENAPI_SAMPLE_H
#define HOLDFAST_HTTP_OPENAPI_SAMPLE_H

#include "http/route.h"

enum { OPENAPI_SAMPLE_TABLES = 5 };
extern const struct route_table openapi_sample[OPENAPI_SAMPLE_TABLES];

#endif
