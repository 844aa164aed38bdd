/*
 * What a statement is, as far as its words tell: whether it runs inside a transaction, and what it
 * locks. A table of patterns, no grammar: what it does not know runs inside one, where the server
 * refuses it unharmed if it may not.
 * Rooms: deploy, cli. Ownership: views point into the statement. Threads: any.
 */
#ifndef HOLDFAST_DEPLOY_SQL_CLASS_H
#define HOLDFAST_DEPLOY_SQL_CLASS_H

#include "deploy/sql_lex.h"

enum sql_frame {
    SQL_INSIDE,  /* runs inside a transaction */
    SQL_OUTSIDE, /* is refused inside one: CREATE INDEX CONCURRENTLY, VACUUM */
    SQL_OWN      /* begins or ends one itself, or may: BEGIN, CALL */
};

/* PostgreSQL's locks of tables, the weakest first. */
enum sql_lock {
    SQL_LOCK_NONE,
    SQL_ACCESS_SHARE,
    SQL_ROW_SHARE,
    SQL_ROW_EXCLUSIVE,
    SQL_SHARE_UPDATE_EXCLUSIVE,
    SQL_SHARE,
    SQL_SHARE_ROW_EXCLUSIVE,
    SQL_EXCLUSIVE,
    SQL_ACCESS_EXCLUSIVE
};

struct sql_class {
    enum sql_frame frame;
    enum sql_lock lock; /* the strongest on a table that is there before it */
    bool concurrently;  /* while it waits for a lock it stops nobody; failing, it leaves a trace */
    bool begins, ends;  /* a transaction: BEGIN without more, COMMIT without more */
    struct str table;   /* that is locked, as written; empty where not told */
    struct str creates; /* a table that it makes, as written */
    struct str index;   /* that it makes, as written */
    struct str enum_type, enum_value; /* ALTER TYPE enum_type ADD VALUE enum_value, as written */
};

void sql_classify(struct str statement, struct sql_class *ret);

/* The lock as LOCK TABLE calls it: "ACCESS EXCLUSIVE"; and back from pg_locks.mode. */
const char *sql_lock_name(enum sql_lock lock);
enum sql_lock sql_lock_of_mode(const char *mode);

/* Whether a body of code, such as DO's, holds one of the words; "|" stands between them. */
bool sql_body_has(struct str body, const char *words);

#endif
