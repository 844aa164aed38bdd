/*
 * Inside of deploy/migrate_plan.h: asks the database about what the words of statements warn of.
 * Rooms: deploy. Ownership and threads: as there.
 */
#ifndef HOLDFAST_DEPLOY_MIGRATE_DANGER_H
#define HOLDFAST_DEPLOY_MIGRATE_DANGER_H

#include "deploy/migrate_plan.h"

/* Fills the plan's dangers. Returns 0, an outcome of pg.h or FAULT_MEMORY. */
int migrate_dangers(struct migrate *m, struct arena *a, struct migrate_plan *plan);

/* What is known of a table that a statement names. */
struct migrate_table {
    bool is_there, is_empty;
    const char *facts; /* its rows and size */
};

/* Looks at a table by its name as written. Returns as above. */
int migrate_table(struct migrate *m, struct arena *a, struct str name, struct migrate_table *ret);

struct migrate_column {
    bool is_there, is_required;
    const char *type;
};

int migrate_column(struct migrate *m, struct arena *a, struct str table, struct str column,
                   struct migrate_column *ret);

/* Whether a column holds NULL; where that takes too long to find out, that it does. */
int migrate_has_null(struct migrate *m, struct arena *a, struct str table, struct str column,
                     bool *ret);

/* Whether an expression calls a function whose value differs from row to row. */
int migrate_is_volatile(struct migrate *m, struct arena *a, struct str expression, bool *ret);

/* How many tables a schema has; -1: there is no such schema. */
int migrate_schema_tables(struct migrate *m, struct arena *a, struct str schema, int64_t *ret);

#endif
