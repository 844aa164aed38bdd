/* What the files of the dispatcher share. Rooms: http. */
#ifndef HOLDFAST_HTTP_DISPATCH_INTERNAL_H
#define HOLDFAST_HTTP_DISPATCH_INTERNAL_H

#include "config/config.h"
#include "http/dispatch.h"
#include "http/refusals.h"
#include "sessions/access.h"

#include <stdatomic.h>

enum { DISPATCH_STATUSES = 24 };

/* One row more than there are routes: what matched none. */
struct dispatch_metrics {
    struct metric_counter by_status[DISPATCH_STATUSES + 1];
    struct metric_histogram time;
};

struct dispatch {
    struct router *router;
    struct sessions *sessions;
    void *app;
    struct limiter *limiter;
    struct refusals *refusals;
    struct dispatch_metrics *metrics;
    size_t routes;
    atomic_int seated;  /* administrative calls on the password lane */
    atomic_size_t room; /* bytes that long bodies of anybody may take now */
};

/* The client's address behind trusted proxies, and whether it came by TLS. */
void dispatch_client(const struct config *config, const struct http_request *r,
                     struct in6_addr *ret_address, bool *ret_secure);

/* An address as text in the arena: IPv4 in dotted form. */
struct str dispatch_address_text(struct arena *a, const struct in6_addr *address);

/*
 * Authenticates and authorises by the row. Returns 0, an enum problem, a fault, or CALL_DEFER
 * where an event thread lacks the account in memory.
 */
int dispatch_guard(struct dispatch *d, struct call *call, bool may_block);

/* Authenticates the OAuth client, after the body was bound. */
int dispatch_guard_client(struct call *call);

/*
 * Adds security headers, CORS, X-Request-Id and the like to a complete reply. r is NULL where no
 * request was understood.
 */
void dispatch_headers(const struct config *config, const struct http_request *r,
                      const struct uuid *request_id, struct http_reply *reply, bool secure);

/* Answers a preflight or a plain OPTIONS; methods as router_find gives them. */
void dispatch_options(const struct config *config, const struct http_request *r,
                      struct http_reply *reply, unsigned methods);

/* Replaces the reply by a problem. */
void dispatch_problem(struct http_reply *reply, int problem, struct str detail, struct str field,
                      const struct uuid *request_id);

/* Counts and logs a reply. */
void dispatch_done(struct dispatch *d, const struct http_request *r, const struct http_reply *reply,
                   uint64_t body_bytes);

#endif
