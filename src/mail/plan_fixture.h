/*
 * What a statement reads, as the database explains it. Rooms: tests of mail. Threads: the test's.
 */
#ifndef HOLDFAST_MAIL_PLAN_FIXTURE_H
#define HOLDFAST_MAIL_PLAN_FIXTURE_H

#include "mail/fixture.h"

struct plan {
    int64_t rows;  /* that PostgreSQL reads, those that a filter leaves out included */
    int64_t pages; /* of tables and indexes, that it looks at */
    /* Called for each search or scan that SQLite makes. */
    void (*search)(void *context, struct str line);
    void *context;
};

/* Explains a statement, which PostgreSQL runs, and fills the plan's rows and pages. */
void plan_explain(struct scene *f, const char *sql, const struct store_param *params, size_t n,
                  struct plan *plan);

/* Statistics of the table are to be taken when the test says, not half-way through what it fills
 * in. Does nothing on SQLite. */
void plan_hold_statistics(const struct scene *f, const char *table);
void plan_take_statistics(const struct scene *f, const char *table);

#endif
