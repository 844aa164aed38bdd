/*
 * Users: who may sign in, with what, and in which state.
 * Rooms: identity and below. Ownership: strings live in the caller's arena. Threads: inside a job.
 *
 * Nothing here writes the feed, the trail or a notice: the caller adds those to its transaction.
 *
 * A tenant parameter is the caller's bound: an id of another tenant is USER_UNKNOWN; NULL (for
 * operators and for what the server does itself) means any.
 *
 * disabled: an administrator's decision. locked_at: too many consecutive failed sign-ins, for
 * FAILURES_LOCK_MS (identity/failures.h); or an administrator, until one lifts it. A right password
 * lifts neither.
 */
#ifndef HOLDFAST_USER_H
#define HOLDFAST_USER_H

#include "base/arena.h"
#include "base/uuid.h"
#include "identity/role.h"
#include "store/store.h"

enum user_outcome {
    USER_UNKNOWN = 1,
    USER_EXISTS,       /* the address is another user's */
    USER_LAST_OPERATOR /* the change would leave the installation without an enabled operator */
};

enum email_status { EMAIL_OK, EMAIL_INVALID, EMAIL_UNSUBSCRIBED };

/* "ok", "invalid", "unsubscribed". */
struct str email_status_name(enum email_status status);

/* Returns 0, or 1 where name is none of them. */
int email_status_parse(struct str name, enum email_status *ret_status);

struct user {
    struct uuid id, tenant_id;
    struct str email;
    enum role role;
    struct str password_hash;
    int64_t password_changed_at;
    bool password_temporary; /* must be replaced before anything else */
    bool disabled;
    int64_t locked_at;     /* 0: not locked */
    int64_t locked_until;  /* when the lock passes; 0: not locked, or until it is lifted */
    int64_t failed_logins; /* consecutive, as last flushed (identity/failures.h) */
    enum email_status email_status;
    int64_t not_before; /* the epoch: families begun at or before this time are ended */
    bool mfa_active;
    int64_t created_at, updated_at;
};

/*
 * SQL: the epoch of the user whose id is the expression. It only grows: rows are added to epochs,
 * and removed when nothing can be of a time before them (user_reap_epochs).
 */
#define USER_EPOCH(id)                                                                             \
    "coalesce((SELECT max(e.not_before) FROM epochs e WHERE e.user_id = " id "), 0)"

/* Whether a right password lets the user in. */
static inline bool user_may_sign_in(const struct user *u)
{
    return !u->disabled && u->locked_at == 0;
}

/* Each returns 0, USER_UNKNOWN or a fault. email is normalised (identity/email_address.h). */
int user_find(struct store_txn *t, struct arena *a, const struct uuid *tenant,
              const struct uuid *id, struct user *ret_user);
int user_find_by_email(struct store_txn *t, struct arena *a, const struct uuid *tenant,
                       struct str email, struct user *ret_user);

struct user_new {
    struct uuid tenant_id;
    struct str email; /* normalised */
    enum role role;
    struct str password_hash;
    bool password_temporary;
};

/* Returns 0, USER_EXISTS (the transaction stays usable) or a fault. */
int user_insert(struct store_txn *t, const struct user_new *user, int64_t now, struct uuid *ret_id);

struct user_query {
    const struct uuid *tenant; /* NULL: all */
    const struct uuid *after;  /* the last id of the page before; NULL: from the start */
    struct str email_prefix;   /* lower case; empty: any */
    size_t limit;
};

/* Users by ascending id (so by age), in an array of the arena. Returns 0 or a fault. */
int user_list(struct store_txn *t, struct arena *a, const struct user_query *query,
              struct user **ret_users, size_t *ret_n);

/* What to change; NULL leaves a field as it is. */
struct user_patch {
    const struct str *email; /* normalised; a new one has EMAIL_OK */
    const enum role *role;
    const bool *disabled;
    const bool *locked; /* true: until it is lifted; false also clears the consecutive failures */
};

/* The user before and after: what the caller's feed and trail entries are made of. */
struct user_change {
    struct user before, after;
};

/*
 * Returns 0, USER_UNKNOWN, USER_LAST_OPERATOR (by disabling, locking or demoting), USER_EXISTS (the
 * job must then return: the transaction may be unusable), or a fault.
 */
int user_update(struct store_txn *t, struct arena *a, const struct uuid *tenant,
                const struct uuid *id, const struct user_patch *patch, int64_t now,
                struct user_change *ret_change);

/*
 * Removes the user and all that hangs on them (codes, preferences, notices, devices, families,
 * epochs).
 * ret_user (in the arena) is who it was. Returns 0, USER_UNKNOWN, USER_LAST_OPERATOR or a fault.
 */
int user_delete(struct store_txn *t, struct arena *a, const struct uuid *tenant,
                const struct uuid *id, struct user *ret_user);

/*
 * Keeps others from changing the user until the transaction ends, and waits for who is changing it
 * now: what is read behind this stays true. Returns 0, USER_UNKNOWN or a fault.
 */
int user_hold(struct store_txn *t, const struct uuid *id);

/* Sets a chosen (or temporary) password. Returns 0, USER_UNKNOWN or a fault. */
int user_set_password(struct store_txn *t, const struct uuid *id, struct str hash, bool temporary,
                      int64_t now);

/*
 * Replaces the hash of an unchanged password by one of today's cost; does nothing where the
 * password was changed meanwhile. Returns 0 or a fault.
 */
int user_rehash(struct store_txn *t, const struct uuid *id, struct str old_hash,
                struct str new_hash);

/* Forgets the consecutive failures after a success, unless locked. Returns 0 or a fault. */
int user_clear_failures(struct store_txn *t, const struct uuid *id);

/* An end of all families begun at or before not_before. */
struct user_epoch {
    int64_t not_before, at; /* at: when they are ended */
    struct str reason;
};

/*
 * The least not_before that is no less than ms. Of two transactions that add the same epoch, one
 * waits for the other to end. So what is added before the transaction has the lock of the trail is
 * of an even time, and what is added behind it of an odd one: who holds the lock waits for nobody
 * who waits for it.
 */
static inline int64_t user_epoch_before_lock(int64_t ms)
{
    return ms + (ms & 1);
}

static inline int64_t user_epoch_behind_lock(int64_t ms)
{
    return ms | 1;
}

#define USER_EPOCH_BEHIND_LOCK(ms) "(" ms " | 1)" /* SQL */

/*
 * The user is held (user_hold) by the caller. The epoch never goes back. *ret_added: 1, or 0 where
 * there is just this one already; it may be NULL. Returns 0 or a fault.
 */
int user_end_epoch(struct store_txn *t, const struct uuid *id, const struct user_epoch *epoch,
                   int64_t *ret_added);

/*
 * As above for n users, in ascending order, who need not be held where what may begin meanwhile is
 * looked for behind the lock of the trail (sessions/mass.c). That they exist is for the caller to
 * know. Returns 0, STORE_CONFLICT where one of them has just this epoch already, or a fault.
 */
int user_add_epochs(struct store_txn *t, const struct uuid *ids, size_t n,
                    const struct user_epoch *epoch);

/*
 * The same for the users in bulk_ids, of one tenant or (NULL) of any, at more than twice the cost:
 * who are none are left out, and so are who have it. *ret_added: how many rows that added. Returns
 * 0 or a fault.
 */
int user_end_epoch_bulk(struct store_txn *t, const struct uuid *tenant,
                        const struct user_epoch *epoch, int64_t *ret_added);

/*
 * Looks at the next max_rows rows of epochs after *cursor (of a user; begin with zeros), and
 * deletes those of before a time that no family is of any more, and whose entry of the feed (of the
 * same at) is gone. Returns 0 or a fault.
 */
int user_reap_epochs(struct store_txn *t, int64_t before, int64_t max_rows, struct uuid *cursor,
                     int64_t *ret_removed);

/* Returns 0, USER_UNKNOWN or a fault. */
int user_set_email_status(struct store_txn *t, const struct uuid *id, enum email_status status,
                          int64_t now);

/*
 * As above for the users with the addresses in bulk_texts, but a state only gets worse: ok,
 * invalid, unsubscribed. *ret_rows holds the ids of those that changed, in any order. Returns 0 or
 * a fault.
 */
int user_worsen_email_status_bulk(struct store_txn *t, enum email_status status, int64_t now,
                                  struct store_rows **ret_rows);

/* How many users there are, in the tenant or (NULL) in all. Returns 0 or a fault. */
int user_count(struct store_txn *t, const struct uuid *tenant, int64_t *ret_count);

/* How many operators are not disabled. Returns 0 or a fault. */
int user_count_operators(struct store_txn *t, int64_t *ret_count);

#endif
