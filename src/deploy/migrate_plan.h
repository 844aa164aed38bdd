/*
 * What is to be applied, and what it may destroy: what the words of the statements tell, and what
 * the database knows of the tables that they name.
 * Rooms: deploy, cli. Ownership: all is the arena's. Threads: as deploy/migrate.h.
 */
#ifndef HOLDFAST_DEPLOY_MIGRATE_PLAN_H
#define HOLDFAST_DEPLOY_MIGRATE_PLAN_H

#include "deploy/migrate.h"
#include "deploy/sql_danger.h"

struct migrate_danger {
    struct migrate_danger *next;
    const struct migration *file;
    int line;
    enum sql_danger_kind kind;
    bool destroys;     /* not to be run without consent; else only good to know */
    const char *what;  /* "drops the column "User"."age"" */
    const char *facts; /* "about 12,000 rows, 3 MB"; "" where there is nothing to say */
};

struct migrate_planned {
    const struct migration *file;
    struct script script;
    enum sql_lock lock; /* the strongest on a table that is not made here too */
    struct str locked;  /* which, as written; may be empty */
};

struct migrate_plan {
    struct migrate_planned *all; /* in their order */
    size_t count;
    struct migrate_danger *dangers; /* likewise */
    size_t danger_count, destroying;
};

/*
 * Plans what is pending. Nothing is changed. Looks into a table take two seconds at most; one that
 * cannot be looked into counts as one with rows. Returns 0, MIGRATIONS_WRONG for a file that cannot
 * be divided, an outcome of pg.h, or FAULT_MEMORY.
 */
int migrate_plan(struct migrate *m, struct arena *a, const struct migrations *files,
                 const struct migrate_view *view, struct migrate_plan *ret);

#endif
