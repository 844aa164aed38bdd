/*
 * Rows for the mass revocation's measurement.
 * Used by: seed.c and its two sinks. Ownership: a row's views are valid during the call.
 * Threads: one.
 */
#ifndef BENCH_SEED_H
#define BENCH_SEED_H

#include "base/uuid.h"

/* A user with one live family. */
struct seed_row {
    struct uuid user, family;
    char email[64];
    uint8_t seed[32];
    int64_t now, expires_at, idle_expires_at;
};

/* Where rows go. Each returns 0 or a fault. */
struct seed_sink {
    int (*open)(const char *url, const char *like_email, void **ret_state);
    int (*user)(void *state, const struct seed_row *row);
    int (*family)(void *state, const struct seed_row *row);
    int (*turn)(void *state);   /* all users are there; the families follow */
    int (*finish)(void *state); /* commits, gathers statistics, closes */
};

extern const struct seed_sink seed_sqlite, seed_postgres;

#endif
