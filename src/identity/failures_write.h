/*
 * How a batch of counted failures is written: the half of failures.h that speaks to the store.
 * Rooms: identity only. Ownership: the batch is the caller's. Threads: inside a job.
 */
#ifndef HOLDFAST_FAILURES_WRITE_H
#define HOLDFAST_FAILURES_WRITE_H

#include "identity/failures.h"

/* One user's counts as taken from memory, and what the store says of the user afterwards. */
struct failures_item {
    struct failures_note note;
    int64_t consecutive; /* of note.count, those since the last success */
    int64_t stored;      /* set: users.failed_logins */
    bool exists;         /* set: the user was not deleted meanwhile */
};

/* What one transaction writes; items are sorted by note.user_id. */
struct failures_batch {
    struct failures_item *items;
    struct uuid *ids;            /* room for n */
    struct failures_note *notes; /* room for n */
    size_t n;
    int64_t now, limit;
    failures_told *told;
    void *arg;
};

enum { FAILURES_COUNT_BITS = 20, FAILURES_COUNT_MAX = (1 << FAILURES_COUNT_BITS) - 1 };

/* A store_job over a struct failures_batch: writes it and sets what is marked so. */
int failures_write(struct store_txn *t, void *batch);

#endif
