/*
 * Requests and replies as the router and the handlers see them; no socket in sight.
 * Rooms: http and below. Ownership: a request and all its views live in its arena until the reply
 * has been sent. Threads: one at a time: the event thread up to the lane, then the lane's thread.
 */
#ifndef HOLDFAST_HTTP_MESSAGE_H
#define HOLDFAST_HTTP_MESSAGE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/uuid.h"

#include <netinet/in.h>

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_METHODS /* how many; a method outside this list is answered 501 by the engine */
};

struct http_header {
    struct str name, value; /* as received; names compare case-insensitively; value trimmed */
};

struct http_request {
    enum http_method method;
    struct str target;      /* as received, of origin form ("*" only for OPTIONS) */
    struct str path, query; /* the target's raw parts, undecoded; query without '?' */
    struct str host;        /* the Host header or the absolute form's authority */
    const struct http_header *headers;
    size_t header_count;
    struct str body;      /* complete, unless the plan asked for a stream */
    struct in6_addr peer; /* IPv4 as mapped addresses */
    bool tls;
    struct uuid id; /* X-Request-Id */
    int64_t started_us;
    struct arena *arena;
    struct http_body *stream; /* see http_body_read */
    bool can_wait;            /* it is an engine's: see http_later */
    void *app;                /* what the app's plan function keeps for its run function */
    size_t route;             /* likewise, for the metrics and the log */
};

/* The first header of this name, or the empty view; ret_count (may be NULL) gets how many. */
struct str http_header_find(const struct http_request *r, struct str name, size_t *ret_count);

struct http_reply {
    int status;
    struct buf headers; /* whole lines with CRLF, without Content-Length, Connection and Date */
    struct buf body;
    struct http_stream *stream; /* set by the engine; see http_stream_begin */
    bool close;                 /* end the connection behind this reply */
};

/* Adds a header line. A value with CR, LF or NUL is refused with FAULT_INTERNAL. */
int http_reply_header(struct http_reply *reply, const char *name, struct str value);

/* The reason phrase of a status ("Not Found"); "" for one unknown. */
const char *http_reason(int status);
const char *http_method_name(enum http_method method);

#endif
