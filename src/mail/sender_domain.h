/*
 * What the DNS says of the domain that mail is sent from, asked now and then and kept.
 *
 * Rooms: mail and below. Ownership: a report's texts live in the caller's arena. Threads: workers;
 * who comes while one asks is told what is known so far.
 */
#ifndef HOLDFAST_MAIL_SENDER_DOMAIN_H
#define HOLDFAST_MAIL_SENDER_DOMAIN_H

#include "config/config.h"
#include "net/domain_check.h"

enum {
    SENDER_KEEP_MS = 10 * 60 * 1000, /* how long an answer is kept, */
    SENDER_RETRY_MS = 60 * 1000,     /* and one in which the DNS was silent */
    SENDER_BUDGET_MS = 3 * 1000      /* the longest that a report takes */
};

struct sender_domain;

/* Returns 0 or FAULT_MEMORY. */
int sender_domain_new(struct sender_domain **ret);
void sender_domain_free(struct sender_domain *d);

struct sender_report {
    struct str domain; /* empty: EMAIL_FROM is of no domain that the DNS could know */
    enum domain_state state;
    int64_t checked_at; /* 0: it is being asked for the first time */
    const struct domain_finding *findings;
    size_t n;
};

/*
 * Of the domain in EMAIL_FROM. Asks at most once in SENDER_KEEP_MS, as long as the settings are the
 * same. Returns 0 or a fault.
 */
int sender_domain_report(struct sender_domain *d, const struct config *config, int64_t now,
                         struct arena *arena, struct sender_report *ret);

/* "good", "warning", "bad", "unknown". */
struct str sender_state_name(enum domain_state state);

#endif
