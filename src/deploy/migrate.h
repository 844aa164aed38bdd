/*
 * Migrations of a product's database: a session on it, which holds Prisma's lock, and what is known
 * of each migration there. migrate_apply.h runs them.
 * Rooms: deploy, cli. Ownership: a session is the caller's until migrate_close; what calls give is
 * their arena's. Threads: a session serves one at a time, and its calls wait.
 *
 * History is Prisma's own table _prisma_migrations, with its meaning, so that Prisma and this may
 * take turns. The same serves a scratch database, where migrations are rehearsed.
 */
#ifndef HOLDFAST_DEPLOY_MIGRATE_H
#define HOLDFAST_DEPLOY_MIGRATE_H

#include "deploy/migrations.h"
#include "deploy/pg.h"
#include "deploy/progress.h"

struct migrate;

struct migrate_options {
    const char *url;          /* for deploy/pg.h; see deploy/product_url.h */
    const char *database;     /* another one of that server, such as a scratch database; or NULL */
    const char *schema;       /* NULL: public */
    const char *name;         /* application_name; NULL: "holdfast migrate" */
    int64_t lock_ms;          /* how long a statement waits for a lock; 0: 5 s */
    int64_t statement_ms;     /* how long one may run; 0: without end */
    int64_t turn_ms;          /* how long to wait for others' migrations; 0: 10 s, as Prisma */
    int retries;              /* of what got no lock in time; below 0: none; 0: 5 */
    int64_t backoff_ms;       /* before the first, doubled for each; 0: 1 s */
    bool through_fence;       /* as in deploy/pg.h */
    const atomic_int *cancel; /* all ends, and what runs is undone, once it is not 0; or NULL */
    const struct progress *progress; /* NULL: nobody hears */
};

/* Outcomes beyond those of deploy/pg.h and deploy/migrations.h. fault_message() says more. */
enum migrate_outcome {
    MIGRATE_LOCKED = 20,   /* P1002: another migrates; says who */
    MIGRATE_NOT_EMPTY,     /* P3005: there are tables, and no history */
    MIGRATE_ALREADY,       /* P3008: it is applied */
    MIGRATE_BROKEN,        /* P3009: one failed and was not resolved */
    MIGRATE_NEVER,         /* P3011: it was never applied */
    MIGRATE_NOT_FAILED,    /* P3012: it did not fail */
    MIGRATE_NO_FILE,       /* P3017: there is no migration of the name */
    MIGRATE_FAILED,        /* P3018: one failed just now */
    MIGRATE_EDITED,        /* an applied one's file is not what was applied */
    MIGRATE_INVALID_INDEX, /* all ran, and left an index that is not valid */
    MIGRATE_DESTROYS       /* what the plan destroys takes consent, which is the caller's to have */
};

/* Prisma's code of an outcome, also of deploy/migrations.h's: "P3009"; NULL where it has none. */
const char *migrate_code(int outcome);

/*
 * Connects. Returns 0, what pg_open returns, or FAULT_MEMORY. The arena serves the session and has
 * to outlive it.
 */
int migrate_open(struct arena *a, const struct migrate_options *options, struct migrate **ret);
void migrate_close(struct migrate *m);
void migrate_cleanup(struct migrate **m);
#define _cleanup_migrate_ __attribute__((cleanup(migrate_cleanup)))

/*
 * Takes the turn among all who migrate this database, Prisma among them: the session-level advisory
 * lock 72707369, which ends with the session. Returns 0, MIGRATE_LOCKED or an outcome of pg.h.
 */
int migrate_lock(struct migrate *m);

/* A row of _prisma_migrations. Times in ms since 1970, 0 for NULL. */
struct migrate_row {
    const char *id, *name, *checksum, *logs;
    int64_t started, finished, rolled_back;
};

enum migrate_state {
    MIGRATE_APPLIED,
    MIGRATE_PENDING,
    MIGRATE_ROLLED_BACK, /* pending again, after an attempt that was undone */
    MIGRATE_IS_FAILED,   /* begun, neither finished nor rolled back */
    MIGRATE_IS_EDITED,   /* applied; the file's checksum is another than the row's */
    MIGRATE_IS_MISSING   /* applied; there is no such file here */
};

/* "applied", "rolled back" … */
const char *migrate_state_name(enum migrate_state state);

struct migrate_entry {
    const char *name;
    enum migrate_state state;
    const struct migration *file;  /* NULL: there is none */
    const struct migrate_row *row; /* the one that the state is told by; NULL: there is none */
};

/* The database held against the directory. */
struct migrate_view {
    bool has_history;          /* the table is there */
    bool has_tables;           /* others are, in the schema, but for those of extensions */
    struct migrate_entry *all; /* by name */
    size_t count;
    size_t counts[MIGRATE_IS_MISSING + 1]; /* by state */
    size_t pending; /* those that are to be applied: pending and rolled back */
};

/* Reads the history. Returns 0, an outcome of pg.h, FAULT_MEMORY. */
int migrate_look(struct migrate *m, struct arena *a, const struct migrations *files,
                 struct migrate_view *ret);

/* Whether migrations may be applied: 0, MIGRATE_NOT_EMPTY, MIGRATE_BROKEN or MIGRATE_EDITED. */
int migrate_ready(const struct migrate_view *view);

/*
 * Resolves by hand. applied: the migration is taken for applied, and a failed attempt of it for
 * rolled back; returns 0, MIGRATE_NO_FILE or MIGRATE_ALREADY. Else its failed attempt is taken for
 * rolled back; returns 0, MIGRATE_NEVER or MIGRATE_NOT_FAILED. Or an outcome of pg.h.
 */
int migrate_resolve_applied(struct migrate *m, const struct migrations *files, const char *name);
int migrate_resolve_rolled_back(struct migrate *m, const char *name);

#endif
