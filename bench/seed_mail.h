/*
 * Rows of mail for the measurement of figures and of the log.
 * Used by: seed_mail.c and its two sinks. Ownership: a row's views are valid during the call.
 * Threads: one.
 */
#ifndef BENCH_SEED_MAIL_H
#define BENCH_SEED_MAIL_H

#include "base/uuid.h"

enum { SEED_STATES = 8, SEED_COUNTS = SEED_STATES + 2 };

/* A row of email_logs. */
struct seed_log {
    struct uuid id, message, tenant, user; /* user is nil for none */
    char provider[40], recipient[64];
    const char *domain, *template_name, *state, *code;
    bool counted;
    int64_t at;
};

/* A row of email_figures. */
struct seed_figure {
    struct uuid tenant;
    int kind;
    int64_t span, bucket;
    const char *name;
    int64_t counts[SEED_COUNTS];
};

/*
 * Where rows go: all log rows, then all others. Indexes of the log are dropped by open and made by
 * finish, which sorts instead of searching. Each returns 0 or a fault.
 */
struct seed_mail_sink {
    int (*open)(const char *url, void **ret_state);
    int (*log)(void *state, const struct seed_log *row);
    int (*turn)(void *state);
    int (*figure)(void *state, const struct seed_figure *row);
    int (*finish)(void *state);
};

extern const struct seed_mail_sink seed_mail_sqlite, seed_mail_postgres;

#endif
