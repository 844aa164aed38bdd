/*
 * holdfast.yml: the environments a product is deployed to, and whom to tell.
 * Rooms: deploy, api, cli. Ownership: everything lives in the arena that it was read into; secrets
 * among it are wiped with the arena. Threads: any, once read.
 *
 * One table of fields (conf_fields) binds, checks and documents it.
 */
#ifndef HOLDFAST_DEPLOY_CONF_H
#define HOLDFAST_DEPLOY_CONF_H

#include "base/arena.h"
#include "base/buf.h"

enum target_id { TARGET_PROCESS, TARGET_COMPOSE, TARGET_ECS, TARGET_KUBERNETES, TARGET_PM2 };
enum { TARGET_IDS = 5 };

enum ecs_strategy { ECS_ROLLING, ECS_TASK_SETS };

/* A list of words, or of commands; items ends with NULL. */
struct conf_words {
    const char *const *items;
    size_t n;
};
struct conf_commands {
    const struct conf_words *items;
    size_t n;
};

/* Where releases run. Which fields a kind takes is in the table; others are empty. */
struct conf_target {
    int64_t kind; /* enum target_id */
    const char *directory;
    struct conf_words command;         /* process */
    const char *address;               /* process */
    int64_t port, stop_ms;             /* process; pm2: of the canary */
    struct conf_words files, services; /* compose */
    const char *project, *variable;    /* compose */
    const char *region, *cluster, *service, *container, *image;
    int64_t strategy; /* enum ecs_strategy */
    const char *context, *namespace, *deployment;
    const char *app, *ecosystem;
};

struct conf_environment {
    const char *name;
    int line;
    const char *release;
    struct conf_target target;
    struct {
        const char *url;
        int64_t interval_ms, timeout_ms, within_ms, failing_ms, successes, retries;
    } health;
    struct {
        const char *url, *admin_url;
        bool fence;
    } database;
    struct {
        const char *directory;
        struct conf_words command;
        int64_t lock_ms, statement_ms, retries;
    } migrations;
    struct {
        const char *directory;
        int64_t keep, keep_days;
        bool verify;
    } backup;
    struct {
        struct conf_commands before_migrations, after_rollout, after_rollback;
    } hooks;
    struct {
        const char *url, *token, *http_url, *cors_origin, *login_url, *login_email;
    } verify;
    struct conf_words notify; /* names of routes, which exist */
};

struct conf_route {
    const char *name;
    int line;
    const char *slack, *webhook, *pagerduty; /* one of these, or email */
    const char *pagerduty_url;               /* where its key is good */
    struct conf_words email;
};

struct conf {
    struct conf_environment *environments;
    size_t n_environments;
    struct conf_route *routes;
    size_t n_routes;
};

/* Outcome: *problems has one line each, "FILE:LINE: what is wrong". */
enum { CONF_INVALID = 1 };

/*
 * Reads the file's text. "${NAME}" in a value stands for an environment variable (environment as
 * environ), of the environment `wanted` alone: what another one needs may be missing here. All
 * problems are listed at once, none with the value of a secret. Returns 0, CONF_INVALID or a fault.
 */
int conf_read(struct arena *a, const char *file, struct str text, const char *wanted,
              char *const *environment, struct buf *problems, struct conf *ret);

/* As conf_read for the file of this name; one that cannot be read is CONF_INVALID too. */
int conf_load(struct arena *a, const char *file, const char *wanted, char *const *environment,
              struct buf *problems, struct conf *ret);

/* NULL where there is none of that name. */
const struct conf_environment *conf_environment(const struct conf *c, const char *name);
const struct conf_route *conf_route(const struct conf *c, const char *name);

const char *target_id_name(enum target_id id);

/* Prints the table of keys (key, default, help) of an environment and of a route, for the docs. */
int conf_describe(struct buf *out);

#endif
