/*
 * What tests of the carry-over share: a live and a restored database of either engine, which begin
 * as one, with accounts, sessions and a trail.
 * Rooms: tests of deploy. Ownership: carry_scene_release removes all. Threads: the test's.
 */
#ifndef HOLDFAST_DEPLOY_CARRY_SCENE_H
#define HOLDFAST_DEPLOY_CARRY_SCENE_H

#include "deploy/carry.h"
#include "deploy/fixture.h"
#include "trail/verify.h"

/* Accounts 1 to 24 of the tenant ee; the session of account i is 0x80 + i. */
enum { CARRY_SCENE_TEXT_MAX = 1 << 16, CARRY_SCENE_USERS = 24 };

struct carry_scene {
    bool postgres;
    struct product *p; /* PostgreSQL: the live database */
    char directory[64], live_url[512], restored_url[512];
    struct store *live, *restored; /* NULL while they are closed */
    struct buf text;
    struct backup_manifest manifest;
    struct carry carry;
    bool ahead; /* not yet behind the fence; PostgreSQL */
};

/* cmocka's setups and teardown; the state is a struct carry_scene without a restored database. */
int carry_scene_postgres(void **state);
int carry_scene_sqlite(void **state);
int carry_scene_release(void **state);

/* The restored database is made as the live one is now; both stores are open then. */
void carry_scene_copy(struct carry_scene *s);
void carry_scene_close(struct carry_scene *s);
struct store *carry_scene_open(const char *url);
struct pg *carry_scene_connect(const char *url);

/* Statements in which #7f stands for the id of sixteen such bytes. */
void carry_scene_run(struct carry_scene *s, struct store *store, const char *sql);
int64_t carry_scene_number(struct carry_scene *s, struct store *store, const char *sql);

/* All in one transaction. */
struct carry_statements {
    struct carry_scene *s;
    const char *sql[64];
    size_t n;
};
void carry_scene_run_all(struct store *store, struct carry_statements *all);

/* Appends a record about an account to the store's trail; verifies it. */
void carry_scene_record(struct store *store, enum trail_action action, uint8_t subject);
struct trail_report carry_scene_verify(struct store *store);

/* As a restore does: nobody has them open meanwhile, but the stores are open after it. */
int carry_scene_carry(struct carry_scene *s);
void carry_scene_carry_well(struct carry_scene *s);

/* The same, and the stores stay closed. */
int carry_scene_carry_closed(struct carry_scene *s);

/* What the report says by the rule of this name. */
int64_t carry_scene_told(const struct carry_scene *s, const char *name);

#endif
