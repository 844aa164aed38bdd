/*
 * A request to the sandbox while it is answered, and the handlers there are.
 * Rooms: api (sandbox_*.c). Ownership: all lives in the request's arena. Threads: the request's.
 */
#ifndef HOLDFAST_API_SANDBOX_VISIT_H
#define HOLDFAST_API_SANDBOX_VISIT_H

#include "api/sandbox_http.h"
#include "http/problem.h"

struct sandbox_route;

struct sandbox_visit {
    struct sandbox_http *h;
    struct http_request *request;
    struct http_reply *reply;
    const struct sandbox_route *route;
    struct uuid id;           /* of ":id" */
    uint64_t part;            /* of ":part" */
    struct str field, detail; /* of a problem */
};

/* Each fills the reply and returns 0, an enum problem, or a fault. */
int sandbox_get_page(struct sandbox_visit *v); /* the page's own files, by their path */
int sandbox_get_list(struct sandbox_visit *v);
int sandbox_get_search(struct sandbox_visit *v);
int sandbox_get_array(struct sandbox_visit *v);
int sandbox_delete_all(struct sandbox_visit *v);
int sandbox_get_message(struct sandbox_visit *v);
int sandbox_delete_message(struct sandbox_visit *v);
int sandbox_get_source(struct sandbox_visit *v);
int sandbox_get_part(struct sandbox_visit *v);
int sandbox_get_html(struct sandbox_visit *v);
int sandbox_get_text(struct sandbox_visit *v);

#endif
