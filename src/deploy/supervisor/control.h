/*
 * Speaks to a supervisor (commands.h).
 * Rooms: deploy. Ownership: the caller's. Threads: one that may wait.
 */
#ifndef HOLDFAST_DEPLOY_SUPERVISOR_CONTROL_H
#define HOLDFAST_DEPLOY_SUPERVISOR_CONTROL_H

#include <jansson.h>
#include <stdint.h>

/* Outcomes; fault_message() says more of each. */
enum control_outcome {
    CONTROL_NONE = 1, /* no supervisor listens */
    CONTROL_REFUSED,  /* it says why */
    CONTROL_TIMEOUT
};

/*
 * Asks the supervisor of the open directory; takes request over. Returns 0 with the status behind
 * it, an outcome above, FAULT_IO or FAULT_MEMORY.
 */
int control_ask(int directory, json_t *request, int64_t timeout_ms, json_t **ret_status);

/* The release of a status with this id, or NULL. Borrowed. */
json_t *control_release(const json_t *status, const char *id);

#endif
