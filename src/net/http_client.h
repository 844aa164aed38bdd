/*
 * Calls to HTTP servers of others: one request, one answer, while the calling thread waits.
 * Rooms: those below net. Ownership: the caller owns the client and every buffer. Threads: workers
 * alone, for a call blocks; a client serves one thread at a time.
 *
 * A call goes to the address that its URL names and to no other: no redirect is followed, no proxy
 * of the environment used, no cookie kept, no .netrc read. Each call has a connection of its own,
 * so no request is ever sent twice; what a client keeps from call to call is the list of
 * certificate authorities. The body of an answer is given as it came, never decompressed.
 */
#ifndef HOLDFAST_HTTP_CLIENT_H
#define HOLDFAST_HTTP_CLIENT_H

#include "base/buf.h"
#include "net/guard.h"

enum {
    HTTP_CLIENT_HEADERS_MAX = 64,            /* of a request */
    HTTP_CLIENT_HEADER_SIZE_MAX = 16 * 1024, /* of one header of a request */
    HTTP_CLIENT_HEAD_MAX = 64 * 1024 /* bytes of the heads of an answer, 1xx ones included */
};

struct http_client_options {
    struct guard guard;         /* zeroed: the public Internet alone */
    bool allow_http;            /* http:// too; else https:// alone */
    const char *ca_file;        /* PEM of the only authorities to trust; NULL: the system's */
    int64_t connect_timeout_ms; /* until TLS is up; 0: 10 s */
    int64_t total_timeout_ms;   /* of a whole call; 0: 30 s; either at most 10 min */
};

struct http_client;

/* The options' strings and lists must outlive the client. Returns 0, FAULT_MEMORY or, for a timeout
 * out of range, FAULT_INTERNAL. */
int http_client_new(const struct http_client_options *options, struct http_client **ret);
void http_client_free(struct http_client *c);

struct http_client_header {
    struct str name, value;
};

/*
 * What signs a request for AWS (Signature Version 4). Its copies are overwritten after the call.
 * What libcurl cannot sign as AWS reads it is HTTP_CLIENT_INVALID: a path of other characters than
 * letters, digits and -._~/ and a query whose parts are not name=value, percent-encoded and in
 * ascending order.
 */
struct http_client_aws {
    struct str region, service; /* "eu-west-1", "ses" */
    struct str key_id, secret;
    struct str session_token; /* empty: none */
};

struct http_client_request {
    struct str method; /* "GET", "POST", "PROPFIND", ... */
    struct str url;
    const struct http_client_header
        *headers; /* but Host, Content-Length and those of a connection */
    size_t header_count;
    struct str body;
    const struct http_client_aws *aws; /* NULL: not signed */
    struct str keep;                   /* a header of the answer to keep; empty: none */
};

enum { HTTP_CLIENT_TYPE_SIZE = 128, HTTP_CLIENT_KEPT_SIZE = 128 };

struct http_client_reply {
    int status;
    int64_t retry_after_ms; /* from now (RFC 9110, section 10.2.3); -1: none */
    int64_t date;           /* by the server's clock (section 6.6.1), ms since 1970; 0: none */
    char content_type[HTTP_CLIENT_TYPE_SIZE]; /* "" where there is none, or a longer one */
    char kept[HTTP_CLIENT_KEPT_SIZE];         /* likewise, of the header to keep */
};

/* Outcomes of http_client_call; fault_message() says more, in words that may be shown. */
enum http_client_outcome {
    HTTP_CLIENT_INVALID = 1, /* the request is not one to be made; nothing was sent */
    HTTP_CLIENT_REFUSED,     /* the guard refused each address; nothing was sent */
    HTTP_CLIENT_UNREACHABLE, /* no name, no connection, or none in time; nothing was sent */
    HTTP_CLIENT_TLS,         /* TLS or its certificate was not as wanted; nothing was sent */
    HTTP_CLIENT_TIMEOUT,     /* sent at least in part, and not answered to the end in time */
    HTTP_CLIENT_BROKEN,   /* sent at least in part; then the connection failed, or no HTTP came */
    HTTP_CLIENT_TOO_LARGE /* answered with a head over HEAD_MAX or a body over the buffer's room */
};

/*
 * Makes the call; the answer's body is appended to body, up to its maximum. Any status is an
 * answer, 3xx and 5xx too. Returns 0, an outcome above, FAULT_MEMORY or FAULT_INTERNAL (ca_file
 * cannot be read); unless 0 is returned, body holds what it held.
 */
int http_client_call(struct http_client *c, const struct http_client_request *request,
                     struct buf *body, struct http_client_reply *ret);

/* Whether a call that ended so had no effect at the other end, so that repeating it is safe. */
bool http_client_was_unsent(int outcome);

#endif
