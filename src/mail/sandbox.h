/*
 * The sandbox's messages: what was sent in development, kept to be looked at instead of delivered.
 *
 * A message's id as text is also what the sandbox, as a provider, calls it: the log's provider_id,
 * and the messageId of the events that come back.
 *
 * Rooms: mail and below. Ownership: strings of what is read live in the caller's arena. Threads:
 * functions that take a transaction run inside a job; sandbox_keep is called from any worker.
 */
#ifndef HOLDFAST_MAIL_SANDBOX_H
#define HOLDFAST_MAIL_SANDBOX_H

#include "base/arena.h"
#include "base/uuid.h"
#include "store/store.h"

enum {
    SANDBOX_KEEP = 500,                   /* the newest messages that are kept, by default */
    SANDBOX_PAGE = 200,                   /* messages of a page, at most */
    SANDBOX_PAGE_BYTES = 16 * 1024 * 1024 /* of their data; a page of more ends early */
};

struct sandbox_message {
    struct uuid id;
    int64_t at; /* ms since 1970 */
    struct str helo, from;
    struct str to; /* the recipients of the envelope, one a line */
    struct str data;
};

enum sandbox_outcome { SANDBOX_UNKNOWN = 1 };

/*
 * Keeps a message (whose id is set), removes the oldest beyond `keep`, and tells the listener.
 * Returns 0 or a fault; FAULT_STORE also where an address is no text.
 */
int sandbox_keep(struct store *s, const struct sandbox_message *m, int64_t keep);

/* Who is told of each message that this process keeps, once it is on disk; on the thread that keeps
 * it, so told does not block. */
struct sandbox_listener {
    void (*told)(void *context, const struct sandbox_message *m);
    void *context;
};

/* There is one listener, or none (NULL). When this returns, the former is told of nothing more. */
void sandbox_listen(const struct sandbox_listener *listener);

/* Newest first. */
struct sandbox_page {
    struct sandbox_message *items;
    size_t n;
    int64_t start, total; /* total: of all that the query is about */
};

/*
 * The messages from number start (0 is the newest), at most limit and SANDBOX_PAGE, fewer where
 * they are large, at least one where there is one. Returns 0 or a fault.
 */
int sandbox_list(struct store_txn *t, struct arena *a, int64_t start, int64_t limit,
                 struct sandbox_page *ret_page);

/* Where sandbox_search looks; case does not count (of ASCII). */
enum sandbox_kind {
    SANDBOX_FROM,      /* the envelope's sender and the From fields */
    SANDBOX_TO,        /* the envelope's recipients and the To fields */
    SANDBOX_CONTAINING /* the message as it came */
};

/* "from", "to" or "containing". Returns 0, or 1 where it is none of them. */
int sandbox_kind_parse(struct str name, enum sandbox_kind *ret_kind);

/* As sandbox_list, of the messages where text occurs. Reads every message once. */
int sandbox_search(struct store_txn *t, struct arena *a, enum sandbox_kind kind, struct str text,
                   int64_t start, int64_t limit, struct sandbox_page *ret_page);

/* Returns 0, SANDBOX_UNKNOWN or a fault. */
int sandbox_find(struct store_txn *t, struct arena *a, const struct uuid *id,
                 struct sandbox_message *ret_message);
int sandbox_remove(struct store_txn *t, const struct uuid *id);

/* Removes all. Returns 0 or a fault. */
int sandbox_clear(struct store_txn *t);

/* Whether a message is found by text: what sandbox_search asks of each. */
bool sandbox_matches(const struct sandbox_message *m, enum sandbox_kind kind, struct str text);

#endif
