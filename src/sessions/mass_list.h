/*
 * Lists of users to revoke, as people write them: one id or address a line, "#" comments, blank
 * lines, any line ends, a byte order mark, repetitions.
 *
 * Rooms: sessions and below. Ownership: the list owns its entries; their texts point into what was
 * given. Threads: one at a time; mass_list_resolve and mass_list_run on a worker.
 */
#ifndef HOLDFAST_SESSIONS_MASS_LIST_H
#define HOLDFAST_SESSIONS_MASS_LIST_H

#include "sessions/mass.h"

/* How many entries a list may have. */
enum { MASS_LIST_MAX = 10 * 1000 * 1000 };

enum mass_entry_state {
    MASS_PENDING,   /* an id that was not looked up yet */
    MASS_ADDRESS,   /* an address that was not resolved yet */
    MASS_MALFORMED, /* neither an id nor an address */
    MASS_DUPLICATE, /* another entry stands for the same user */
    MASS_UNKNOWN,   /* no such user within the bound */
    MASS_DONE       /* sessions says how many were (or would be) ended */
};

struct mass_entry {
    struct str text;
    size_t line; /* from 1 */
    struct uuid id;
    int64_t sessions;
    enum mass_entry_state state;
};

struct mass_list {
    struct mass_entry *entries;
    size_t n, cap;
};

void mass_list_free(struct mass_list *list);

/* Adds one entry, trimmed. Returns 0, FAULT_MEMORY, or FAULT_LIMIT past MASS_LIST_MAX. */
int mass_list_add(struct mass_list *list, struct str text, size_t line);

/* Adds the entries of a whole file. Same returns. */
int mass_list_read(struct mass_list *list, struct str file);

/* Adds the entries of "a,b,c". Same returns. */
int mass_list_split(struct mass_list *list, struct str commas);

/* How many entries are in a state. */
size_t mass_list_count(const struct mass_list *list, enum mass_entry_state state);

/*
 * Looks the addresses up among a tenant's users (NULL: all) and marks repetitions. An address
 * elsewhere is as unknown as one that nobody has: it must not be told to be some id's. Returns 0
 * or a fault.
 */
int mass_list_resolve(struct sessions *s, const struct uuid *tenant, struct mass_list *list);

/*
 * The pending entries in the order of their ids, then of their lines; *ret_sorted is freed by the
 * caller. Returns 0 or FAULT_MEMORY.
 */
int mass_list_pending(struct mass_list *list, struct mass_entry ***ret_sorted, size_t *ret_n);

/*
 * Called after each chunk with how many entries are done, on any of the threads, by one at a time;
 * returns false to have no further chunk begun.
 */
typedef bool mass_progress(size_t done, size_t total, void *context);

/* Outcome: progress said to stop; what was done is done, with what was under way. */
enum { MASS_STOPPED = 1 };

/*
 * Revokes (or counts) all pending entries in the order of their ids, chunk by chunk, on as many
 * threads as options says; sets their states. totals counts
 * malformed and unknown addresses as requested and unknown too. Returns 0, MASS_STOPPED or a fault.
 */
int mass_list_run(struct sessions *s, const struct trail_actor *actor,
                  const struct mass_options *options, struct mass_list *list,
                  mass_progress *progress, void *context, struct mass_totals *ret_totals);

#endif
