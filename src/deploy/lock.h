/*
 * One deployment of an environment at a time: a lock that names its holder and dies with it.
 *
 * Rooms: deploy, cli. Ownership: a lock is its taker's until deploy_lock_release. Threads: one at a
 * time.
 *
 * It is a file's lock under the directory of deployments, for this machine, and an advisory lock of
 * the database's server, for all. The latter is taken on the maintenance database where that lets
 * us in: a restore swaps the product's own, and would end it.
 */
#ifndef HOLDFAST_DEPLOY_LOCK_H
#define HOLDFAST_DEPLOY_LOCK_H

#include "deploy/conf.h"

struct deploy_lock;

enum deploy_lock_outcome {
    DEPLOY_LOCK_HELD = 1,   /* fault_message() says by whom, and since when */
    DEPLOY_LOCK_UNREACHABLE /* the database */
};

/*
 * Takes it, or says at once that another holds it. directory exists; id is the deployment's. Where
 * the environment's database is not PostgreSQL, or there is none, the file is all. Returns 0, an
 * outcome, or a fault.
 */
int deploy_lock_take(const struct conf_environment *e, const char *directory, const char *id,
                     struct deploy_lock **ret);

/*
 * Whether it is still held: a connection that was lost took the lock with it, and then it is taken
 * again. Same returns as deploy_lock_take.
 */
int deploy_lock_check(struct deploy_lock *l);

/* NULL is allowed. */
void deploy_lock_release(struct deploy_lock *l);

/* Where to create databases beside the product's: database.admin_url, or its own server's database
 * postgres. *ret_database is NULL where the URL says it all. */
void deploy_admin_place(const struct conf_environment *e, const char **ret_url,
                        const char **ret_database);

/* Whether the environment's database is PostgreSQL. */
bool deploy_on_postgres(const struct conf_environment *e);

#endif
