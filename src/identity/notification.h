/*
 * Notices: what a user is told in the application. Stored as kind and detail; the words are made
 * when they are read.
 * Rooms: identity and below. Ownership: strings live in the caller's arena. Threads: inside a job.
 */
#ifndef HOLDFAST_NOTIFICATION_H
#define HOLDFAST_NOTIFICATION_H

#include "base/arena.h"
#include "base/uuid.h"
#include "store/store.h"

enum notification_kind {
    NOTIFICATION_SESSION_REVOKED,  /* detail: the reason */
    NOTIFICATION_SESSIONS_REVOKED, /* detail: the reason */
    NOTIFICATION_TOKEN_REUSED,     /* detail: address and device */
    NOTIFICATION_NEW_DEVICE,       /* detail: address and device */
    NOTIFICATION_PASSWORD_CHANGED,
    NOTIFICATION_PASSWORD_RESET, /* by an administrator */
    NOTIFICATION_EMAIL_CHANGED,  /* detail: the new address */
    NOTIFICATION_MFA_ENABLED,
    NOTIFICATION_MFA_DISABLED,
    NOTIFICATION_RECOVERY_CODE_USED, /* detail: how many are left */
    NOTIFICATION_ACCOUNT_LOCKED,
    NOTIFICATION_ACCOUNT_UNLOCKED,
    NOTIFICATION_ROLE_CHANGED,       /* detail: the new role */
    NOTIFICATION_EMAIL_BOUNCED,      /* in the application only, as mail does not reach them */
    NOTIFICATION_EMAIL_UNSUBSCRIBED, /* in the application only, as they want no mail */
    NOTIFICATION_KINDS
};

/* The detail is cut to this many bytes, at a character. */
enum { NOTIFICATION_DETAIL_MAX = 500 };

/* How many notices of a user notification_reap keeps. */
enum { NOTIFICATION_KEEP = 500 };

enum notification_outcome { NOTIFICATION_UNKNOWN = 1 };

struct notification {
    int64_t id; /* ascending */
    struct str kind, title, body, detail;
    int64_t created_at, read_at; /* 0: unread */
};

/* The kind's name in the store and on the wire: "session_revoked". */
struct str notification_kind_name(enum notification_kind kind);

/* What a notice is about, where it goes out by mail too. */
enum notification_mail {
    NOTIFICATION_MAIL_SECURITY, /* the safety of the account */
    NOTIFICATION_MAIL_ACCOUNT,  /* the account otherwise */
    NOTIFICATION_MAIL_NONE      /* it stays in the application */
};

struct notification_words {
    struct str title, body; /* UTF-8 without controls */
    enum notification_mail mail;
};

/*
 * The words of a notice, by its kind's name and its detail. Returns 0, NOTIFICATION_UNKNOWN for a
 * kind that a newer release brought, or FAULT_MEMORY.
 */
int notification_words(struct arena *a, struct str kind, struct str detail,
                       struct notification_words *ret_words);

/* Tells one user. Returns 0 or a fault. */
int notification_add(struct store_txn *t, const struct uuid *tenant_id, const struct uuid *user_id,
                     enum notification_kind kind, struct str detail, int64_t now);

/* Tells every existing user in bulk_ids, in one statement. Returns 0 or a fault. */
int notification_add_bulk(struct store_txn *t, enum notification_kind kind, struct str detail,
                          int64_t now);

struct notification_addressee {
    struct uuid tenant_id, user_id;
};

/*
 * The same in half the time, for n users who have all been read in this transaction. One that is
 * deleted meanwhile is told nothing where sessions/mass.c sees it; else the notice goes with
 * notification_reap. Returns 0 or a fault.
 */
int notification_add_many(struct store_txn *t, enum notification_kind kind, struct str detail,
                          int64_t now, const struct notification_addressee *to, size_t n);

/*
 * Takes such a notice back, of the same kind, detail and time, from each user in bulk_ids that has
 * one. Returns 0 or a fault.
 */
int notification_remove_bulk(struct store_txn *t, enum notification_kind kind, struct str detail,
                             int64_t now);

struct notification_query {
    int64_t before; /* only ids below; 0: from the newest */
    bool unread;    /* only unread ones */
    size_t limit;
};

/* Newest first, in an array of the arena. Returns 0 or a fault. */
int notification_list(struct store_txn *t, struct arena *a, const struct uuid *user_id,
                      const struct notification_query *query, struct notification **ret_items,
                      size_t *ret_n);

/* One notice of the user. Returns 0, NOTIFICATION_UNKNOWN or a fault. */
int notification_find(struct store_txn *t, struct arena *a, const struct uuid *user_id, int64_t id,
                      struct notification *ret_item);

/*
 * Marks a notice of the user as read at now (the first time counts) or unread. Returns 0,
 * NOTIFICATION_UNKNOWN or a fault.
 */
int notification_mark_read(struct store_txn *t, const struct uuid *user_id, int64_t id, bool read,
                           int64_t now);

/* How many are unread. Returns 0 or a fault. */
int notification_unread(struct store_txn *t, const struct uuid *user_id, int64_t *ret_count);

/*
 * Removes what is older than a user's newest `keep` notices, and those of users who are no more,
 * for the next max_users users after *cursor, and moves *cursor on; at the end *cursor is nil
 * again, for the next round. ret_removed (may be NULL): how many. Returns 0 or a fault.
 */
int notification_reap(struct store_txn *t, int64_t keep, int64_t max_users, struct uuid *cursor,
                      int64_t *ret_removed);

#endif
