/*
 * Credentials that are kept until shortly before they expire.
 * Rooms: net alone. Ownership: aws_credentials_free wipes. Threads: any, several at once.
 */
#ifndef HOLDFAST_NET_AWS_CREDENTIALS_H
#define HOLDFAST_NET_AWS_CREDENTIALS_H

#include "net/aws_sources.h"

#include "base/clock.h"

enum {
    AWS_RENEW_MS = 5 * CLOCK_MINUTE,  /* before they expire: who comes then fetches others */
    AWS_WAIT_MS = CLOCK_MINUTE,       /* before they expire: who comes then waits for others */
    AWS_AGAIN_MS = 30 * CLOCK_SECOND, /* between two fetches while there still are some */
    AWS_FAILED_MS = CLOCK_SECOND      /* how long a failed fetch answers for others as well */
};

struct aws_credentials;

/* The options outlive it. Returns 0 or FAULT_MEMORY. */
int aws_credentials_new(const struct aws_options *options, struct aws_credentials **ret);
void aws_credentials_free(struct aws_credentials *c);

/*
 * Copies credentials that are good at this time, to be wiped by the caller; *ret_turn tells which
 * they are. Returns 0, AWS_SOURCES_NONE with *ret_reason, or a fault.
 */
int aws_credentials_get(struct aws_credentials *c, struct aws_keys *ret_keys, unsigned *ret_turn,
                        char ret_reason[AWS_TEXT_SIZE]);

/*
 * Those of this turn were refused as expired: they are given to nobody any more. Returns whether
 * others may be had.
 */
bool aws_credentials_drop(struct aws_credentials *c, unsigned turn);

#endif
