/*
 * The migrations that a product brings: Prisma's directory of them, on disk.
 * Rooms: deploy, cli. Ownership: all is the arena's. Threads: any.
 *
 * Each directory in it is one migration, named by it, in the order of the names' bytes. It holds
 * migration.sql, and may hold down.sql, the reviewed way back. migration_lock.toml beside them
 * names the database that they are written for.
 */
#ifndef HOLDFAST_DEPLOY_MIGRATIONS_H
#define HOLDFAST_DEPLOY_MIGRATIONS_H

#include "base/arena.h"
#include "deploy/sql_class.h"
#include "deploy/sql_split.h"

enum {
    MIGRATIONS_MAX = 10000,
    MIGRATION_NAME_MAX = 255,
    MIGRATION_BYTES_MAX = 16 * 1024 * 1024,
    MIGRATION_STATEMENTS_MAX = 100000,
    MIGRATION_CHECKSUM_SIZE = 65
};

/* Outcomes; fault_message() names the file, and the line where there is one. They lie beyond those
 * of deploy/pg.h, as deploy/migrate.h's do. */
enum migrations_outcome {
    MIGRATIONS_MISSING = 10, /* no such directory, or it cannot be read */
    MIGRATIONS_WRONG,        /* a file is not what it has to be */
    MIGRATIONS_NO_SCRIPT,    /* P3015: a directory without migration.sql */
    MIGRATIONS_PROVIDER      /* P3019: they are written for another database */
};

struct migration {
    const char *name;
    struct str sql, down; /* down.p is NULL where there is no down.sql */
    /* SHA-256 in hexadecimal: of the file, and with its line ends as LF and as CR LF. */
    char checksum[MIGRATION_CHECKSUM_SIZE];
    char checksum_lf[MIGRATION_CHECKSUM_SIZE], checksum_crlf[MIGRATION_CHECKSUM_SIZE];
};

struct migrations {
    const char *directory;
    struct migration *all;
    size_t count;
};

/* Reads the directory. Returns 0, an outcome or a fault. */
int migrations_read(struct arena *a, const char *directory, struct migrations *ret);

/* NULL: there is none of this name. */
const struct migration *migrations_find(const struct migrations *m, const char *name);

/* Whether the checksum is one that this file has, however its lines end. */
bool migration_has_checksum(const struct migration *m, const char *checksum);

struct script_statement {
    struct sql_statement at;
    struct sql_class class;
};

/* A file divided: what runs, and how. */
struct script {
    const struct script_statement *all;
    size_t count;
    bool atomic; /* in one transaction; else statement by statement */
    /* Where not: the statement for which, and why, as the end of "line 3: …". */
    const struct script_statement *apart;
    const char *why;
};

/*
 * Divides sql, a file that messages call name. A BEGIN and COMMIT that frame the whole file are
 * left out, as the transaction that replaces them does the same. Returns 0, MIGRATIONS_WRONG or a
 * fault.
 */
int script_read(struct arena *a, const char *name, struct str sql, struct script *ret);

#endif
