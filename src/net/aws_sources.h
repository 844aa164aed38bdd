/*
 * Fetches credentials of AWS from where they come from.
 * Rooms: net alone. Ownership: the caller wipes what it was given. Threads: any; a call blocks.
 */
#ifndef HOLDFAST_NET_AWS_SOURCES_H
#define HOLDFAST_NET_AWS_SOURCES_H

#include "net/aws.h"

enum { AWS_KEY_SIZE = 257, AWS_TOKEN_SIZE = 8193 };

struct aws_keys {
    char key_id[AWS_KEY_SIZE], secret[AWS_KEY_SIZE];
    char token[AWS_TOKEN_SIZE]; /* "": none */
    int64_t expires;            /* ms since 1970; 0: never */
};

/* Outcome: there are none, or none can be had now. */
enum { AWS_SOURCES_NONE = 1 };

/*
 * Fetches. Returns 0, AWS_SOURCES_NONE with *ret_reason saying why, or a fault.
 */
int aws_sources_fetch(const struct aws_options *options, struct aws_keys *ret_keys,
                      char ret_reason[AWS_TEXT_SIZE]);

#endif
