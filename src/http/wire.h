/*
 * Replies as bytes (RFC 9112, sections 4 and 6).
 * Rooms: http (the engine's files). Threads: any.
 */
#ifndef HOLDFAST_HTTP_WIRE_H
#define HOLDFAST_HTTP_WIRE_H

#include "http/message.h"

/* The Date header's line (RFC 9110, section 6.6.1), made once a second. */
struct wire_date {
    int64_t second;
    char line[40];
};
void wire_date_set(struct wire_date *d, int64_t now_ms);

enum wire_framing {
    WIRE_LENGTH, /* Content-Length and the body; the length alone for head_only */
    WIRE_CHUNKED,
    WIRE_UNTIL_CLOSE
};

struct wire_form {
    enum wire_framing framing;
    bool head_only; /* the answer to HEAD */
    bool close;
    int minor; /* of the request's version: 1.0 must be told that the connection stays */
};

/* Appends the reply's head, and with WIRE_LENGTH its body. Returns 0 or the buffer's fault. */
int wire_reply(struct buf *out, const struct http_reply *reply, const struct wire_form *form,
               const struct wire_date *date);

/* Whether a reply of this status never has a body (RFC 9112, section 6.3). */
bool wire_is_bodiless(int status);

#endif
