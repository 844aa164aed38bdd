/*
 * The trail: the audit log that shows whether anyone changed it.
 *
 * Rooms: identity and below. Ownership: a struct trail holds copies of its keys and wipes them.
 * Threads: any worker thread, on a trail that never changes after trail_new; never an event thread.
 *
 * Each record is numbered from 1 without gaps and carries an HMAC-SHA256 over its fields and the
 * MAC of the record before it, under a key that is not in the database. The head row says where
 * the chain ends and is authenticated in the same way. Whoever can write to the database can
 * therefore neither edit, insert, reorder nor remove a record unseen. What they can do is put
 * back an older state whole; checkpoints (trail/checkpoint.h), signed and kept elsewhere, show
 * that.
 *
 * Privacy: records are read by administrators, exported and kept for years. detail holds what was
 * decided and on whose behalf (ids, roles, counts, reasons, names of settings), never a password,
 * token, code, key or the value of a secret setting, nor the body of a request.
 */
#ifndef HOLDFAST_TRAIL_H
#define HOLDFAST_TRAIL_H

#include "store/store.h"
#include "trail/actions.h"

/* Longest fields, in bytes. */
enum { TRAIL_LABEL_MAX = 512, TRAIL_IP_MAX = 64, TRAIL_DETAIL_MAX = 16 * 1024 };

enum { TRAIL_SECRET_SIZE = 32, TRAIL_RETIRED_MAX = 8 };

struct trail;

struct trail_options {
    const char *logs_dir; /* checkpoints go to <logs_dir>/trail/checkpoints.jsonl; NULL: none */
    bool syslog;          /* checkpoints go to syslog (facility authpriv) as well */
};

/*
 * A trail in this store, keyed from the active encryption secret; records and checkpoints made
 * under the n_retired former ones (at most TRAIL_RETIRED_MAX) still verify. Touches neither the
 * store nor the disk. The store must outlive it. Returns 0, FAULT_LIMIT, FAULT_CRYPTO,
 * FAULT_MEMORY.
 */
int trail_new(struct store *store, const uint8_t active[TRAIL_SECRET_SIZE],
              const uint8_t (*retired)[TRAIL_SECRET_SIZE], size_t n_retired,
              const struct trail_options *options, struct trail **ret_trail);

/* Wipes the keys; NULL is allowed. */
void trail_free(struct trail *trail);

/* Who does something. A value that holds views: it lives as long as the request. */
struct trail_actor {
    struct uuid tenant_id;  /* nil: of no tenant */
    struct uuid user_id;    /* nil: not a user */
    struct str label;       /* what a person reads: an address, "system", "cli:root" */
    struct str ip;          /* as text; empty where there is none */
    struct uuid request_id; /* nil: no request */
};

/* What was done. */
struct trail_event {
    enum trail_action action;
    struct uuid tenant_id;  /* whose administrators may read it; nil: operators only */
    struct uuid subject_id; /* nil: nothing with an id */
    struct str subject;     /* what a person reads: an address, a name; may be empty */
    struct str detail;      /* a JSON object on one line; empty stands for {} */
};

/*
 * Appends a record inside the caller's transaction: both take effect or neither. From the append
 * until the end of the transaction the appends of all nodes wait for this one, so callers append
 * last. Takes STORE_LOCK_TRAIL; three statements beside. Texts are UTF-8 without NUL.
 * Returns 0; FAULT_LIMIT for a field that is too long; FAULT_INTERNAL for an unknown action, text
 * that is not UTF-8 or holds NUL, or detail that is no JSON object; FAULT_STORE where the chain
 * cannot be continued: the head row is missing though records exist, is not authentic, or is under
 * an encryption key that is not configured; other faults of the store. On all of them the
 * transaction must be given up.
 */
int trail_append(const struct trail *trail, struct store_txn *txn, const struct trail_actor *actor,
                 const struct trail_event *event);

/* As trail_append, in a transaction of its own. */
int trail_append_now(const struct trail *trail, const struct trail_actor *actor,
                     const struct trail_event *event);

/* A record as it is stored. Views are valid during the callback only. */
struct trail_record {
    int64_t seq, at;                                         /* number from 1; ms since 1970 */
    struct uuid tenant_id, actor_id, subject_id, request_id; /* nil where there is none */
    struct str actor, action, subject, ip, detail;
};

/* Which records. All conditions must hold; zeroed, it selects those of no tenant: nothing leaks. */
struct trail_filter {
    bool all_tenants; /* for operators; else only records of tenant_id */
    struct uuid tenant_id;
    struct uuid actor_id;   /* nil: any */
    struct str actor;       /* exact label; empty: any */
    struct str action;      /* exact name; empty: any */
    struct uuid subject_id; /* nil: any; the events about one user */
    struct str subject;     /* exact label; empty: any */
    int64_t since, until;   /* ms since 1970; since <= at < until; 0: no bound */
};

/*
 * For queries of the outside: text that is a UUID selects by id, other text by label.
 */
void trail_filter_actor(struct trail_filter *filter, struct str text);
void trail_filter_subject(struct trail_filter *filter, struct str text);

/* Takes a record; returns 0 to go on, anything else ends the listing and is forwarded. */
typedef int trail_each(const struct trail_record *record, void *arg);

enum { TRAIL_LIST_MAX = 1000 };

/*
 * Gives the newest limit (at most TRAIL_LIST_MAX) records with numbers below before (0: from the
 * head), newest first. The next page's cursor is the last record's number. Runs inside the
 * caller's job, which may be repeated: each must then begin anew.
 */
int trail_list(struct store_txn *txn, const struct trail_filter *filter, int64_t before, int limit,
               trail_each *each, void *arg);

/* As trail_list, oldest first, with numbers above after. */
int trail_list_from(struct store_txn *txn, const struct trail_filter *filter, int64_t after,
                    int limit, trail_each *each, void *arg);

#endif
