/*
 * A look over JSON text without understanding it: how deep it nests, and which key stands where.
 * Rooms: http. Ownership: views point into the text. Threads: any.
 */
#ifndef HOLDFAST_HTTP_SHAPE_SCAN_H
#define HOLDFAST_HTTP_SHAPE_SCAN_H

#include "base/str.h"

/* How many brackets and braces are open at once at most; strings do not count. */
size_t shape_scan_depth(struct str text);

/* The last complete string in text, with its quotes; empty where there is none. */
struct str shape_scan_last_string(struct str text);

/* The last complete string in text that a colon follows, with its quotes. */
struct str shape_scan_last_key(struct str text);

#endif
