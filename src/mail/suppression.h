/*
 * Addresses that are not written to, of one tenant or of the whole installation: an entry for each
 * reason, which comes, expires and is lifted by itself.
 *
 * Rooms: mail and below. Ownership: strings live in the caller's arena. Threads: inside a job.
 *
 * A tenant parameter is the caller's bound; NULL (for operators and for what the server does
 * itself) means any. Within a tenant's bound are its own entries, and those of the installation
 * that concern it (mail/suppression_reach.h), of which it learns neither the note nor who made
 * them. Those it may lift that a bounce made, since a mailbox may work again; what a person decided
 * for all, or a recipient wished, only an operator lifts. Addresses are normalised
 * (identity/email_address.h).
 */
#ifndef HOLDFAST_MAIL_SUPPRESSION_H
#define HOLDFAST_MAIL_SUPPRESSION_H

#include "base/arena.h"
#include "base/json.h"
#include "base/uuid.h"
#include "store/store.h"

enum suppression_outcome {
    SUPPRESSION_EXISTS = 1, /* suppressed for this reason at least as long already */
    SUPPRESSION_UNKNOWN,
    SUPPRESSION_WISHED,   /* it is the recipient's own wish, which is lifted only by its name */
    SUPPRESSION_RESERVED, /* it is the installation's, and lifted by operators alone */
    SUPPRESSION_FULL      /* the tenant has as many as it may */
};

enum suppression_reason {
    SUPPRESSION_BOUNCE,
    SUPPRESSION_COMPLAINT,
    SUPPRESSION_SOFT_BOUNCES,
    SUPPRESSION_UNSUBSCRIBE,
    SUPPRESSION_MANUAL,
    SUPPRESSION_PROVIDER, /* on the provider's own list */
    SUPPRESSION_REASONS
};

/* "bounce", "complaint", "soft_bounces", "unsubscribe", "manual", "provider". */
struct str suppression_reason_name(enum suppression_reason reason);

/* Returns 0, or 1 where name is none of them. */
int suppression_reason_parse(struct str name, enum suppression_reason *ret_reason);

/* Several reasons: 1 << enum suppression_reason, each. As an array of their names. */
void suppression_reasons_write(struct json_writer *w, unsigned reasons);

/* As "complaint, unsubscribe", cut where it does not fit; all fit into SUPPRESSION_REASONS_SIZE. */
enum { SUPPRESSION_REASONS_SIZE = 80 };
void suppression_reasons_print(unsigned reasons, char ret_text[SUPPRESSION_REASONS_SIZE]);

struct suppression {
    struct uuid tenant_id; /* nil: the whole installation */
    struct str address;
    enum suppression_reason reason;
    struct str source;     /* "event", "import", "api", ... */
    struct str note;       /* for people */
    struct str created_by; /* what a person reads */
    int64_t created_at;
    int64_t expires_at; /* 0: never */
};

/*
 * Replaces an entry of the same tenant, address and reason that expires earlier. Returns 0,
 * SUPPRESSION_EXISTS or a fault.
 */
int suppression_add(struct store_txn *t, const struct suppression *s);

/* How many entries a tenant has of its own, counted up to max. Returns 0 or a fault. */
int suppression_count_own(struct store_txn *t, const struct uuid *tenant_id, int64_t max,
                          int64_t *ret_n);

struct suppression_removal {
    const struct uuid *tenant;
    struct str address;
    int reason; /* an enum suppression_reason; -1: any that is not the recipient's own */
    int64_t now;
    bool by_operator; /* who lifts any entry within the bound; without a bound it is one */
};

/*
 * Removes the entries of an address for a reason, or all of them. That somebody unsubscribed or
 * complained is not undone in passing: where such an entry is in force and no reason is named,
 * nothing is removed. Nor is it where one is in force that only operators lift; where a reason is
 * named, such a one stays, and what is the tenant's own goes. With the entries, or those of soft
 * bounces, the soft bounces are forgotten.
 *
 * Returns 0 with the reasons of what was removed; SUPPRESSION_RESERVED with those that stand in the
 * way, or are all that there is; SUPPRESSION_WISHED with those that have to be named;
 * SUPPRESSION_UNKNOWN where there is nothing within the bound; or a fault.
 */
int suppression_remove(struct store_txn *t, const struct suppression_removal *removal,
                       unsigned *ret_reasons);

struct suppression_query {
    const struct uuid *tenant;
    struct str address;              /* exact; empty: any */
    int reason;                      /* an enum suppression_reason; -1: any */
    int64_t valid_at;                /* leaves out what has expired by then; 0: all */
    const struct suppression *after; /* the last one of the page before; NULL: the start */
    size_t limit;
    bool by_operator; /* who reads notes and makers of all; without a bound it is one */
};

/*
 * By address, tenant and reason, in an array of the arena; what is not for the caller is empty.
 * Reads a page along an index, at any
 * depth and whatever others have; besides, entries that have expired and are kept to be looked at.
 * Returns 0 or a fault.
 */
int suppression_list(struct store_txn *t, struct arena *a, const struct suppression_query *query,
                     struct suppression **ret_items, size_t *ret_n);

enum { SUPPRESSION_FIND_MAX = 50 };

/*
 * Why an address is not to be written to: the strongest reason of all entries. A complaint is
 * stronger than a bounce, then come the provider's list, manual and soft bounces. Last is that
 * somebody unsubscribed, which stops least: so it is the reason only where there is no other.
 */
struct suppression_hit {
    bool found;
    enum suppression_reason reason;
};

/* Whether it stops a message: who unsubscribed still gets what an account's safety depends on. */
static inline bool suppression_stops(const struct suppression_hit *hit, bool security)
{
    return hit->found && (!security || hit->reason != SUPPRESSION_UNSUBSCRIBE);
}

/*
 * What stops mail of a tenant to these addresses (SUPPRESSION_FIND_MAX at most) at now: entries of
 * its own and of the installation. One statement for each 25, which only reads. ret_hits has n
 * elements.
 * Returns 0, FAULT_INTERNAL for more addresses, or another fault.
 */
int suppression_find(struct store_txn *t, const struct uuid *tenant_id, const struct str *addresses,
                     size_t n, int64_t now, struct suppression_hit *ret_hits);

/* Removes at most limit entries that have expired at now, and as many soft bounces of before. */
int suppression_reap(struct store_txn *t, int64_t now, int64_t soft_before, int64_t limit,
                     int64_t *ret_removed);

#endif
