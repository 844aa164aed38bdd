/*
 * Inside of deploy/migrate.h: the session's connections.
 * Rooms: deploy. Ownership and threads: as there.
 */
#ifndef HOLDFAST_DEPLOY_MIGRATE_SESSION_H
#define HOLDFAST_DEPLOY_MIGRATE_SESSION_H

#include "deploy/migrate.h"

enum { MIGRATE_TEXT_MAX = 1000 };

struct migrate {
    struct migrate_options options;
    struct arena *a;
    const char *schema;   /* the bare name */
    const char *table;    /* "schema"."_prisma_migrations" */
    const char *settings; /* SQL that makes the session what it has to be */
    struct pg *pg;        /* runs the migrations and holds the lock */
    int backend;          /* its process */
    /* Looks at what the other waits for, and writes what became of it, cancelled or not. */
    struct pg *clerk;
    /* What the statement that runs has waited for; empty: nothing yet. */
    char blockers[MIGRATE_TEXT_MAX];
    bool waits;     /* for a lock, at the last look */
    int64_t looked; /* monotonic */
};

/* The clerk's connection, opened anew where it was lost. Returns 0 or an outcome of pg.h. */
int migrate_clerk(struct migrate *m, struct pg **ret);

/* Forgets what was waited for, before a statement. */
void migrate_forget(struct migrate *m);

/* Called while a statement waits: looks for who is in its way. */
void migrate_watch(void *session);

/* Writes who holds the advisory lock to text; "" where nobody does any more. */
void migrate_holder(struct migrate *m, char text[MIGRATE_TEXT_MAX]);

#endif
