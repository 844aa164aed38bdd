/*
 * Deployments in the store: what is known of them wherever they were made, and the trail's records
 * of them.
 *
 * Rooms: deploy, api, cli. Ownership: texts live in the caller's arena. Threads: inside a job.
 *
 * The journal on the disk is what counts; a row is what was last told of it. Whoever deploys puts
 * the report when it begins and when it ends; any put may be repeated, or made up for later, such
 * as after a restore that took the row away, or once the store is in reach again.
 */
#ifndef HOLDFAST_DEPLOY_RECORD_H
#define HOLDFAST_DEPLOY_RECORD_H

#include "deploy/report.h"
#include "trail/trail.h"

enum record_outcome { RECORD_UNKNOWN = 1, RECORD_AMBIGUOUS };

struct record {
    struct uuid id;
    struct str environment, release, previous; /* previous may be empty */
    enum report_result result;
    struct str who;
    int64_t began_at, ended_at; /* ended_at 0: running */
    struct str report;          /* JSON, of record_find alone */
};

/*
 * Adds the deployment, or brings its row up to date, unless the row knows more of its journal. Once
 * each: deployment.start with a row that is new, and what it came to each time that changes, as
 * deployment.done, .failed, .rolled_back or .incomplete. Takes the trail's lock: call it last.
 * Returns 0 or a fault.
 */
int record_put(struct store_txn *t, const struct trail *trail, const struct trail_actor *actor,
               const struct report *r);

/* The same in a transaction of its own. */
int record_put_now(struct store *s, const struct trail *trail, const struct trail_actor *actor,
                   const struct report *r);

struct record_query {
    struct str environment; /* empty: any */
    struct uuid before;     /* the last id of the page before; nil: from the newest */
    size_t limit;
};

/* Newest first, in an array of the arena. Returns 0 or a fault. */
int record_list(struct store_txn *t, struct arena *a, const struct record_query *query,
                struct record **ret_items, size_t *ret_n);

/* The only deployment whose id lies in low..high. Returns 0, RECORD_UNKNOWN, RECORD_AMBIGUOUS or a
 * fault. */
int record_find_between(struct store_txn *t, const struct uuid *low, const struct uuid *high,
                        struct uuid *ret);

/* Returns 0, RECORD_UNKNOWN or a fault. */
int record_find(struct store_txn *t, struct arena *a, const struct uuid *id, struct record *ret);

#endif
