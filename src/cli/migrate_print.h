/*
 * What the commands of holdfast migrate print, for people and as JSON.
 * Rooms: cli. Ownership: nothing is kept. Threads: the main thread.
 */
#ifndef HOLDFAST_CLI_MIGRATE_PRINT_H
#define HOLDFAST_CLI_MIGRATE_PRINT_H

#include "deploy/migrate_apply.h"

/* What is known by then; NULL where it is not. */
struct migrate_shown {
    const char *place; /* the database, without a password */
    const char *schema, *directory;
    const struct migrate_view *view;
    const struct migrate_plan *plan;
    const struct migrate_report *report;
    int outcome;       /* why it ended; 0: well */
    const char *error; /* what that was about */
    bool colour;
};

enum { MIGRATE_PRINT_MAX = 64 * 1024 * 1024 };

/* Each appends and returns 0 or the buffer's fault. */
int migrate_print_head(const struct migrate_shown *s, struct buf *out);
/* The state of all migrations; of those that are applied the latest. */
int migrate_print_view(const struct migrate_shown *s, struct buf *out);
/* What is to be applied and how, what it destroys, and what else is good to know. */
int migrate_print_plan(const struct migrate_shown *s, struct buf *out);
/* What became of one that was begun. */
int migrate_print_result(const struct migrate_shown *s, const struct migrate_result *r,
                         struct buf *out);
/* Indexes that are not valid, with what to do. */
int migrate_print_indexes(const struct migrate_shown *s, struct buf *out);
/* All of it as one JSON object. */
int migrate_print_json(const struct migrate_shown *s, struct buf *out);

#endif
