/*
 * What the files of reports share. Rooms: deploy. Ownership: texts live in the arena. Threads: any.
 */
#ifndef HOLDFAST_DEPLOY_REPORT_PARTS_H
#define HOLDFAST_DEPLOY_REPORT_PARTS_H

#include "deploy/report.h"

/* A copy of at most max bytes of UTF-8, each control a space. p is NULL without memory. */
struct str report_text(struct arena *a, struct str text, size_t max);

/* Reads a name; VERIFY_NOT_ASKED and REPORT_STEP_WAITING for one that is none, or NULL. */
enum verify_verdict report_verdict_of(const char *name);
enum report_state report_state_of(const char *name);

/* Fills left, and why where nothing has yet, from the result and the steps. 0 or FAULT_MEMORY. */
int report_leave(struct arena *a, struct report *r);

#endif
