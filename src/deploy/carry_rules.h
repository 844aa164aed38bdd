/*
 * What is carried over from the live database into the restored one, as a table: from it come the
 * statements, the report and the documents.
 * Rooms: deploy, cli. Ownership: constants. Threads: any.
 *
 * A text of SQL says live.TABLE for the rows of the live database and restored.TABLE for the
 * restored one's, is the same on PostgreSQL and SQLite, and names each value that is not constant:
 * @now, @taken (when the backup was), @head (the last record of the restored trail), @old (1 where
 * the backup is older than what is kept of ended sessions), @nil (the nil id), @feed, @overriding.
 * A rule must hold of its own condition what it needs of the rows: on PostgreSQL only those that
 * are younger than the backup are there, on SQLite all. Done again, it changes nothing.
 */
#ifndef HOLDFAST_DEPLOY_CARRY_RULES_H
#define HOLDFAST_DEPLOY_CARRY_RULES_H

#include "base/buf.h"

/* The first and last migration between which all columns of these rules mean the same. */
enum { CARRY_SCHEMA_MIN = 9 };

/* A table whose rows are read from the live database. */
struct carry_table {
    const char *name, *columns;
    const char *where; /* which rows; NULL: those that are younger than the backup */
    bool optional;     /* a later migration made it: left out where either database lacks it */
};

enum carry_engine { CARRY_BOTH, CARRY_POSTGRESQL, CARRY_SQLITE };

struct carry_rule {
    /* The report's member; NULL: it belongs to the rule before it, and is not told of. */
    const char *name;
    const char *says;    /* for people, before a number: "sessions ended" */
    const char *key;     /* by which a row of either is found: "families.id" */
    const char *columns; /* what changes */
    const char *tighter; /* which of the two values is taken */
    const char *table;   /* skipped where no row of this table came; NULL: never skipped */
    enum carry_engine engine;
    bool counts; /* a SELECT of a number: what is not carried */
    const char *sql;
};

enum { CARRY_RULES_MAX = 48, CARRY_TABLES_MAX = 16 };

extern const struct carry_table carry_tables[];
extern const size_t carry_tables_count;
extern const struct carry_rule carry_rules[];
extern const size_t carry_rules_count;

/* What stands for the words of a rule. */
struct carry_words {
    const char *live, *restored; /* in the place of "live." and "restored." */
    const char *nil;
    const char *feed;       /* the table's name as a literal; PostgreSQL */
    const char *overriding; /* what lets a number be given where the engine gives them */
    int64_t now, taken, head;
    bool old;
};

/* The rule's text in an engine's words, NUL-terminated. Returns NULL where it does not fit. */
const char *carry_expand(const struct carry_words *words, const char *sql, struct buf *out);

#endif
