/*
 * Tenants: the organisations that users belong to.
 * Rooms: identity and below. Ownership: strings live in the caller's arena. Threads: inside a job.
 *
 * Names are for people and need not be unique: registration always makes a new tenant, so nobody
 * learns of, or enters, an existing one by typing its name.
 */
#ifndef HOLDFAST_TENANT_H
#define HOLDFAST_TENANT_H

#include "base/arena.h"
#include "base/uuid.h"
#include "store/store.h"

enum { TENANT_NAME_MAX = 100 };

enum tenant_outcome {
    TENANT_UNKNOWN = 1,
    TENANT_REGISTERED /* only a tenant that somebody registered has this name */
};

struct tenant {
    struct uuid id;
    struct str name;
    int64_t created_at;
};

/* Whether name is UTF-8 of 1 to TENANT_NAME_MAX code points, untrimmed ends and controls refused.
 */
bool tenant_name_valid(struct str name);

/* A new tenant of a valid name. Returns 0 or a fault. */
int tenant_insert(struct store_txn *t, struct str name, int64_t now, struct uuid *ret_id);

/* Returns 0, TENANT_UNKNOWN or a fault. */
int tenant_find(struct store_txn *t, struct arena *a, const struct uuid *id,
                struct tenant *ret_tenant);

/* The oldest tenant of exactly this name. Returns 0, TENANT_UNKNOWN or a fault. */
int tenant_find_by_name(struct store_txn *t, struct arena *a, struct str name,
                        struct tenant *ret_tenant);

/*
 * The tenant an operator means: the one of this id where name_or_id is a UUID (TENANT_UNKNOWN
 * where there is none), else the oldest of this name, else a new one of this name. Anybody may
 * register any name, so a tenant that was registered is never meant by it: TENANT_REGISTERED. The
 * transaction writes. Returns 0, an outcome or a fault.
 */
int tenant_find_or_insert(struct store_txn *t, struct arena *a, struct str name_or_id, int64_t now,
                          struct tenant *ret_tenant);

#endif
