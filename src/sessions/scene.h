/*
 * What the tests of sessions share: a node with keys, trail and gate over a fresh store of either
 * engine, users, and sessions that begin as a sign-in begins them.
 *
 * Rooms: tests of sessions and below. Ownership: scene_release removes all. Threads: the test's.
 */
#ifndef HOLDFAST_SESSIONS_SCENE_H
#define HOLDFAST_SESSIONS_SCENE_H

#include "sessions/login.h"
#include "store/fixture.h"

#include <pthread.h>

enum { SCENE_DAY = 24 * 3600 * 1000 };

/* One process of an installation. */
struct scene_node {
    struct store *store;
    struct trail *trail;
    struct sessions *s;
};

struct scene {
    struct fixture *base;
    struct scene_node node;
    struct sessions *s;    /* the node's */
    struct config *config; /* the published one; a test may change it */
    struct arena a;
    struct uuid tenant, other; /* two tenants */
    struct trail_actor actor;  /* "tester" */
};

int scene_sqlite(void **state);
int scene_postgres(void **state);
int scene_release(void **state);

/* Another process on the same store. */
struct scene_node scene_node_open(struct scene *f);
void scene_node_close(struct scene_node *node);

/* Commits a user "<name>@example.com" of the tenant, whose password hash is this text. */
struct uuid scene_user(struct scene *f, const struct uuid *tenant, const char *name, enum role role,
                       const char *hash);

/* A member of the first tenant whose password nobody knows. */
struct uuid scene_member(struct scene *f, const char *name);
struct user scene_read_user(struct scene *f, const struct uuid *id);

/* Begins a session at now, as a sign-in does. */
struct session_family scene_begin(struct scene *f, const struct uuid *user, int64_t now);

/* The grant of a family at a generation. */
struct session_grant scene_grant(struct scene *f, const struct session_family *family,
                                 uint32_t generation, int64_t now);

/* Ends all sessions of all users that began at or before a time, by rows of epochs alone. */
void scene_end_epochs(struct scene *f, int64_t not_before);

/* Runs a statement past all that guards it. Returns how many rows it changed. */
int64_t scene_run(struct scene *f, const char *sql, const struct store_param *params, size_t n);

/* The first column of the first row; -1 where there is none. */
int64_t scene_number(struct scene *f, const char *sql);

/* How many notices of this kind and records of this action there are. */
int64_t scene_notices(struct scene *f, const char *kind);
int64_t scene_records(struct scene *f, const char *action);

/* From now on the node's statements are counted, whatever they are. */
void scene_count_statements(struct scene *f);
int64_t scene_statements(void);

#define SCENE_BOTH(f) FIXTURE_EACH(f, scene)

#endif
