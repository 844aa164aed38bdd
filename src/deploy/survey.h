/*
 * What a database holds, in figures: each table's rows, each sequence's value, extensions, and
 * digests of the schema; and whether another holds the same.
 * Rooms: deploy. Ownership: everything lives in the arena it was read into. Threads: any.
 */
#ifndef HOLDFAST_DEPLOY_SURVEY_H
#define HOLDFAST_DEPLOY_SURVEY_H

#include "base/arena.h"
#include "base/buf.h"

struct pg;
struct sqlite3;

struct survey_table {
    const char *name; /* of PostgreSQL with its schema, each quoted where SQL needs it */
    int64_t rows;
    bool extension; /* made by an extension: a dump does not hold its rows */
};

/* pg_dump reads sequences as they are, not as they were: a dump has one between two values. */
struct survey_sequence {
    const char *name;
    int64_t value, later, step;
    bool called, cycles;
};

struct survey_extension {
    const char *name, *version;
};

/* A kind of objects, such as "indexes". */
struct survey_kind {
    const char *name;
    int64_t count;
    const char *structure;   /* SHA-256 of names and types, which a dump and restore keeps */
    const char *definitions; /* SHA-256 of all there is to know: tells of any change in one place */
};

struct survey {
    struct survey_table *tables;
    struct survey_sequence *sequences;
    struct survey_extension *extensions;
    struct survey_kind *kinds;
    size_t n_tables, n_sequences, n_extensions, n_kinds;
};

/*
 * Reads all of it within the connection's transaction, which survey_begin began: a snapshot, from
 * which writes are kept out. on_table (may be NULL) is told of each table before it is counted.
 * Return as pg_query.
 */
int survey_begin(struct pg *c);
int survey_postgres(struct pg *c, struct arena *a,
                    void (*on_table)(void *context, size_t i, size_t n), void *context,
                    struct survey *ret);

/* Reads the sequences alone, as they are now, into `later` of those of s. */
int survey_sequences_later(struct pg *c, struct survey *s);

/* Of an SQLite database within its transaction. Returns 0, FAULT_STORE or FAULT_MEMORY. */
int survey_sqlite(struct sqlite3 *db, struct arena *a, struct survey *ret);

/*
 * Adds a line to findings for each thing that a restored database holds otherwise than the wanted
 * one did. Returns how many.
 */
size_t survey_compare(const struct survey *wanted, const struct survey *found,
                      struct buf *findings);

/* The table, sequence or kind of this name; NULL where there is none. */
const struct survey_table *survey_table(const struct survey *s, const char *name);
const struct survey_sequence *survey_sequence(const struct survey *s, const char *name);
const struct survey_kind *survey_kind(const struct survey *s, const char *name);

int64_t survey_rows(const struct survey *s);

#endif
