/*
 * A server on loopback that answers as AWS would, by what the test lays down, and notes what it was
 * asked.
 * Rooms: tests of net and of those below. Threads: the test's; answers are given on the server's.
 */
#ifndef HOLDFAST_NET_AWS_FIXTURE_H
#define HOLDFAST_NET_AWS_FIXTURE_H

#include "net/aws.h"
#include "net/fixture.h"

enum { AWS_PEER_REQUESTS_MAX = 16, AWS_PEER_REQUEST_SIZE = 64 * 1024 };

/* An answer to requests that begin so: "GET /path". */
struct aws_peer_row {
    const char *request;
    int status;          /* 0: the connection is closed instead; -1: nothing until the peer goes */
    const char *headers; /* each ended by CRLF; NULL: none */
    const char *body;    /* NULL: none */
};

struct aws_peer {
    struct peer peer;
    const struct aws_peer_row *rows; /* end with a NULL request; others are answered 404 */
    char origin[64];                 /* "http://127.0.0.1:PORT" */
    /* Head (lines ended by a line feed), an empty line, body. */
    char requests[AWS_PEER_REQUESTS_MAX][AWS_PEER_REQUEST_SIZE];
    size_t n;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool held; /* answers wait */
};

struct aws_peer *aws_peer_start(const struct aws_peer_row *rows);
void aws_peer_stop(struct aws_peer *p);

/* Forgets the requests so far and answers by others from here on. */
void aws_peer_answer(struct aws_peer *p, const struct aws_peer_row *rows);

/* Answers wait until they may go on. */
void aws_peer_hold(struct aws_peer *p, bool held);

/* Waits until so many requests have come since aws_peer_answer. */
void aws_peer_await(struct aws_peer *p, size_t n);

/* How many did; and one of them. */
size_t aws_peer_count(struct aws_peer *p);
const char *aws_peer_request(struct aws_peer *p, size_t i);

/* Options with keys, whose every service is the peer. */
struct aws_options aws_peer_options(const struct aws_peer *p);

#endif
