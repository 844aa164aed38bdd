/*
 * What the mail log holds of one person: for their asking, and for their leaving.
 *
 * Rooms: mail and below. Ownership: strings live in the caller's arena. Threads: inside a job.
 *
 * Counters stay as they are, and so does an entry in the list of suppressions: without it the
 * address would be written to again.
 */
#ifndef HOLDFAST_MAIL_PERSON_H
#define HOLDFAST_MAIL_PERSON_H

#include "mail/log.h"

struct mail_person {
    struct str address;        /* normalised; empty: none */
    struct uuid user_id;       /* nil: no account */
    const struct uuid *tenant; /* the bound of what belongs to a tenant; NULL: any */
    int64_t before;            /* only messages accepted before; 0: all */
};

/*
 * Log rows to the address or of the account, oldest first, from behind after (nil: from the
 * start). Returns 0 or a fault.
 */
int mail_person_logs(struct store_txn *t, struct arena *a, const struct mail_person *person,
                     const struct uuid *after, size_t limit, struct mail_log_entry **ret_items,
                     size_t *ret_n);

struct mail_event_entry {
    int64_t id;         /* ascending */
    struct uuid log_id; /* nil: of no log row */
    struct str provider_id, recipient, kind, subtype, code, detail;
    int64_t at, received_at;
};

/* The events of a log row, oldest first, from behind after (0: from the start). */
int mail_event_list(struct store_txn *t, struct arena *a, const struct uuid *log_id, int64_t after,
                    size_t limit, struct mail_event_entry **ret_items, size_t *ret_n);

/* Reads at most limit rows of these columns: id, log_id, provider_id, recipient, kind, subtype,
 * code, detail, at, received_at. Returns 0 or a fault. */
int mail_event_read(struct store_rows *rows, struct arena *a, size_t limit,
                    struct mail_event_entry **ret_items, size_t *ret_n);

/*
 * Takes the person out of at most limit log rows and their events: addresses become "erased",
 * subjects and what servers said are emptied. So do as many events of no row that came before, or
 * are of a message that was erased: a bounce may be late. Of no row are those of no tenant, so a
 * tenant's bound leaves them alone unless the message is its own. What is still queued has to be
 * sent first. What the sandbox kept of these messages is removed, and what it kept of others to the
 * address (mail/sandbox_person.h). *ret_rows is 0 when all else is done. Returns 0 or a fault.
 */
int mail_person_erase(struct store_txn *t, const struct mail_person *person, int64_t limit,
                      int64_t *ret_rows);

/* Whether mail_person_erase would find anything, now or when it is sent. Returns 0 or a fault. */
int mail_person_is_left(struct store_txn *t, const struct mail_person *person, bool *ret_left);

#endif
