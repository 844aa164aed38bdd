/*
 * What the files of the carry-over share: one installation's way from one database to the other.
 * Rooms: deploy, these files alone. Ownership: the call's. Threads: one that may wait.
 */
#ifndef HOLDFAST_DEPLOY_CARRY_INTERNAL_H
#define HOLDFAST_DEPLOY_CARRY_INTERNAL_H

#include "deploy/carry.h"

enum { CARRY_SQL_MAX = 16384, CARRY_TEXT_SIZE = 256 };

/* Each returns 0, an outcome of deploy/backup.h or a fault. */
struct carrying {
    struct carry *c;
    struct carry_report report; /* of this call */
    enum carry_engine engine;
    bool fenced;
    struct carry_words words;
    struct buf sql, text;
    int64_t came[CARRY_TABLES_MAX]; /* rows that are at hand of each table; -1: left out */
    /* One statement on the restored database. */
    int (*run)(struct carrying *g, const char *sql, int64_t *ret_changed);
    int (*number)(struct carrying *g, const char *sql, int64_t *ret);
};

/* Zero-initialised members are the caller's to set. */
struct carrying carry_begin(struct carry *c, enum carry_engine engine, bool fenced);

/* Where the call ended well its report is added to that of those before. */
void carry_end(struct carrying *g, int result, int64_t ms);

/* Refuses schemas whose columns mean something else. */
int carry_check_schema(const char *which, int64_t version);

/* A statement in the engine's words, on the restored database. */
int carry_run(struct carrying *g, const char *sql, int64_t *ret_changed);
int carry_number(struct carrying *g, const char *sql, int64_t *ret);

/* Finds @head, before anything of the trail is read. */
int carry_find_head(struct carrying *g);

/* All rules, and the trail, once the live rows are at hand. */
int carry_apply(struct carrying *g);

/* Behind the fence: what running nodes remember of accounts is the live database's. */
int carry_tell_nodes(struct carrying *g);

/* From an export of the trail, in the place of the live rows; restored is g's database. */
int carry_from_export(struct carrying *g, struct pg *restored);

#endif
