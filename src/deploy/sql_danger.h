/*
 * What a statement may destroy, or stop a product with, as far as its words tell. What only the
 * database knows (is the table empty, is the new type narrower) is asked of it in
 * deploy/migrate_danger.h.
 * Rooms: deploy, cli. Ownership: views point into the statement. Threads: any.
 */
#ifndef HOLDFAST_DEPLOY_SQL_DANGER_H
#define HOLDFAST_DEPLOY_SQL_DANGER_H

#include "deploy/sql_lex.h"

enum sql_danger_kind {
    SQL_DROP, /* of what holds rows, or with CASCADE of what columns hang on */
    SQL_DROP_COLUMN,
    SQL_TRUNCATE,
    SQL_DELETE_ALL,  /* DELETE without WHERE */
    SQL_UPDATE_ALL,  /* UPDATE without WHERE */
    SQL_COLUMN_TYPE, /* ALTER COLUMN … TYPE */
    SQL_SET_NOT_NULL,
    SQL_ADD_NOT_NULL, /* ADD COLUMN … NOT NULL without a default */
    SQL_ADD_COMPUTED, /* ADD COLUMN with a default that calls functions; text: the default */
    SQL_REWRITE,      /* of a whole table; text: what does it */
    SQL_RENAME,       /* the release that serves does not find it any more */
    SQL_HIDDEN,       /* DO: code that holds such words */
    SQL_DANGER_KINDS
};

/* All as written, empty where there is none. */
struct sql_danger {
    enum sql_danger_kind kind;
    struct str object;        /* of SQL_DROP: "TABLE", "SCHEMA" */
    struct str table, column; /* table: or the schema, the type */
    struct str text;          /* the new type, the default, what rewrites */
    bool cascade;
    bool by_expression; /* a type is changed by USING */
};

/* Receives them in their order. Returns 0 to go on; else it is forwarded. */
typedef int sql_danger_sink(void *context, const struct sql_danger *danger);

int sql_dangers(struct str statement, sql_danger_sink *take, void *context);

#endif
