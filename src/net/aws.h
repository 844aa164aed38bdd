/*
 * Calls to services of Amazon Web Services, signed (Signature Version 4) with credentials that are
 * found as AWS's own clients find them.
 *
 * Rooms: those below net. Ownership: aws_new makes and aws_free ends; the options' texts outlive
 * it. Threads: any, several at once; a call blocks.
 *
 * Credentials come from the first of these that is there: settings; a token of web identity; the
 * container's endpoint; the machine's metadata. Temporary ones are renewed before they expire, by
 * one thread while others go on with the old ones, or wait where these are over. Keys and tokens
 * are overwritten after use and stand in no error.
 */
#ifndef HOLDFAST_NET_AWS_H
#define HOLDFAST_NET_AWS_H

#include "base/buf.h"
#include "config/config.h"
#include "net/aws_error.h"

enum aws_service {
    AWS_SES, /* both versions of its API: /v2/email/..., and forms to / */
    AWS_SNS,
    AWS_STS,
    AWS_ECS
};

/* Where credentials come from; what is empty is not asked. */
struct aws_sources {
    struct str key_id, secret, session_token;
    struct str role_arn, identity_file, role_session; /* web identity */
    struct str container_origin, container_relative;  /* "http://169.254.170.2"; a path at it */
    struct str container_full;                        /* a URL */
    struct str container_token, container_token_file; /* for its Authorization header */
    struct str metadata;                              /* an origin: "http://169.254.169.254" */
};

struct aws_options {
    struct str region;   /* "eu-west-1" */
    struct str endpoint; /* the origin of all services, for tests; empty: AWS's own */
    struct aws_sources sources;
    int64_t timeout_ms; /* of a call; 0: 30 s */
};

/* By the settings. */
struct aws_options aws_options_of(const struct config *config);

struct aws;

/* Nothing is asked yet. Returns 0 or a fault. */
int aws_new(const struct aws_options *options, struct aws **ret);
void aws_free(struct aws *a);

struct str aws_region(const struct aws *a);

enum { AWS_ANSWER_MAX = 1024 * 1024 }; /* bytes that are read of an answer */

struct aws_request {
    enum aws_service service;
    struct str path; /* "/v2/email/account"; empty: "/", and the body is a form */
    struct str body; /* JSON where there is a path; empty then: GET, else POST */
    /* "AmazonEC2ContainerServiceV20141113.ListTasks": X-Amz-Target of the services whose operations
     * are all at "/"; the body is JSON then. */
    struct str target;
};

/*
 * Makes the call and appends the body of an answer of 2xx to *answer. Credentials that turn out to
 * have expired are fetched anew once, unless that took 5 s to tell. Returns 0, an enum aws_outcome
 * with *ret_error filled (answer holds what it held), FAULT_LIMIT or FAULT_MEMORY.
 */
int aws_call(struct aws *a, const struct aws_request *request, struct buf *answer,
             struct aws_error *ret_error);

/* The outcome in two or three words for people, such as "out of reach". */
const char *aws_outcome_text(int outcome);

#endif
