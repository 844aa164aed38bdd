/*
 * The mail log: one row a message and recipient, from its acceptance on.
 *
 * Rooms: mail and below. Ownership: strings live in the caller's arena. Threads: inside a job.
 *
 * A tenant parameter is the caller's bound; NULL (for operators and for what the server does
 * itself) means any. Addresses are normalised (identity/email_address.h).
 *
 * What changes rows that are there takes STORE_LOCK_MAIL: such functions come before anything of
 * the job that takes the trail's lock, and none follows mail_log_create in the same job.
 */
#ifndef HOLDFAST_MAIL_LOG_H
#define HOLDFAST_MAIL_LOG_H

#include "base/arena.h"
#include "base/uuid.h"
#include "mail/state.h"
#include "store/store.h"

enum {
    MAIL_RECIPIENTS_MAX = 50, /* of one message */
    MAIL_CODE_MAX = 100,      /* bytes kept of an error's code */
    MAIL_DETAIL_MAX = 1000    /* and of what a server said of it */
};

enum mail_log_outcome { MAIL_LOG_UNKNOWN = 1 };

struct mail_recipient {
    struct str address;
    struct uuid user_id;   /* nil: no account */
    enum mail_state state; /* MAIL_QUEUED; MAIL_SUPPRESSED, MAIL_REJECTED: never handed over */
    struct str code;       /* why it is not queued, such as the suppression's reason; or empty */
};

struct mail_message {
    struct uuid id, tenant_id;
    struct str template_name, subject, transport;
    const struct mail_recipient *recipients; /* different addresses */
    size_t n;                                /* at most MAIL_RECIPIENTS_MAX */
};

/*
 * Logs a message that is accepted at now: one row a recipient. Returns 0, FAULT_INTERNAL for more
 * recipients than may be, another state or an address without a domain, or another fault.
 */
int mail_log_create(struct store_txn *t, const struct mail_message *message, int64_t now);

/* As above for n messages, the i-th of which is accepted at at[i]: their counters move together. */
int mail_log_create_all(struct store_txn *t, const struct mail_message *messages, const int64_t *at,
                        size_t n);

struct mail_log_entry {
    struct uuid id, message_id, tenant_id, user_id; /* user_id may be nil */
    struct str provider_id;                         /* empty: not handed over */
    struct str recipient, domain, template_name, subject, transport;
    struct mail_mark mark;
    int64_t created_at, sent_at; /* 0: not sent */
};

struct mail_log_query {
    const struct uuid *tenant;
    enum mail_state state; /* MAIL_NO_STATE: any */
    struct str recipient;  /* empty: any */
    int64_t since, until;  /* since <= created_at < until; 0: no bound */
    struct uuid before;    /* the last id of the page before; nil: from the newest */
    size_t limit;
};

/*
 * Newest first, in an array of the arena. A page is read along an index at any depth; only of one
 * recipient's rows, those of other states are passed over. Returns 0 or a fault.
 */
int mail_log_list(struct store_txn *t, struct arena *a, const struct mail_log_query *query,
                  struct mail_log_entry **ret_items, size_t *ret_n);

/* The statement that mail_log_list runs, for who explains it. */
struct mail_log_statement {
    const char *sql;
    struct store_param params[7];
    size_t n;
    struct uuid below, from; /* what the first two point to */
};
void mail_log_statement(const struct mail_log_query *query, struct mail_log_statement *ret);

/* One row. Returns 0, MAIL_LOG_UNKNOWN or a fault. */
int mail_log_find(struct store_txn *t, struct arena *a, const struct uuid *tenant,
                  const struct uuid *id, struct mail_log_entry *ret_entry);

/* All rows of a message, by address. Returns 0, MAIL_LOG_UNKNOWN or a fault. */
int mail_log_find_message(struct store_txn *t, struct arena *a, const struct uuid *tenant,
                          const struct uuid *message_id, struct mail_log_entry **ret_items,
                          size_t *ret_n);

/* The least id that a row of this time can have. */
struct uuid mail_log_id_from(int64_t ms);

/* The columns of an entry, from email_logs l, and how they are read. */
#define MAIL_LOG_COLUMNS                                                                           \
    "l.id, l.message_id, l.tenant_id, l.user_id, l.provider_id, l.recipient, l.domain,"            \
    " l.template, l.subject, l.transport, l.state, l.counted, l.state_at, l.error_code, l.detail," \
    " l.created_at, l.sent_at"
int mail_log_read(struct store_rows *rows, struct arena *a, size_t limit,
                  struct mail_log_entry **ret_items, size_t *ret_n);

/*
 * Removes at most limit rows (and as many events, by when they came) that are older than
 * before; the counters stay. *ret_removed: rows and events. Returns 0 or a fault.
 */
int mail_log_reap(struct store_txn *t, int64_t before, int64_t limit, int64_t *ret_removed);

#endif
