/*
 * Whether a release is well: asked until so many answers in a row say so, or enough say it is not.
 *
 * Rooms: deploy, cli. Ownership: the caller's. Threads: one that may wait.
 *
 * One bad answer decides nothing. Until the first good one, the tries are spread over the limit:
 * the product is starting. From then on it is asked each interval, and is ill once no answer was
 * good for failing_ms.
 */
#ifndef HOLDFAST_DEPLOY_PROBE_H
#define HOLDFAST_DEPLOY_PROBE_H

#include "deploy/conf.h"
#include "deploy/progress.h"

#include <stdatomic.h>

enum { PROBE_WHY_SIZE = 300 };

struct probe {
    /* Asks once. Returns 0 for a good answer; 1, with the reason in why, for any other; a fault. */
    int (*ask)(void *context, char why[PROBE_WHY_SIZE]);
    void *context;
    int64_t interval_ms, within_ms, failing_ms, successes, retries;
    const atomic_int *cancel;
    const struct progress *progress;
};

enum probe_outcome {
    PROBE_ILL = 1, /* it was well once, and then not for failing_ms */
    PROBE_TIMEOUT, /* not well within the limit, or within so many tries */
    PROBE_CANCELLED
};

struct probe_result {
    int64_t asked, good;
    char why[PROBE_WHY_SIZE]; /* of the last answer that was not good */
};

/* Returns 0 once it is proven well, an outcome (fault_message() says why), or a fault. ret may be
 * NULL, and is written on each outcome. */
int probe_run(const struct probe *p, struct probe_result *ret);

/* Asks a URL: 200 to 299 is good. */
struct probe_http {
    const char *url;
    int64_t timeout_ms;
    const char *ca_file; /* NULL: the system's */
};
int probe_ask_http(void *context, char why[PROBE_WHY_SIZE]);

#endif
