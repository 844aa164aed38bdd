/*
 * A connection: bytes in, one request at a time, bytes out.
 *
 * An idle one holds this struct and nothing else. Every entry below is called by its loop and ends
 * in conn_settle, which sends, goes on with what is buffered and sets the deadline.
 * Rooms: http (the engine's files). Ownership: the loop's. Threads: the loop's.
 */
#ifndef HOLDFAST_HTTP_CONN_H
#define HOLDFAST_HTTP_CONN_H

#include "http/loop.h"

enum conn_state {
    CONN_HEAD,    /* awaiting or reading a head */
    CONN_BODY,    /* collecting the body of x */
    CONN_WORK,    /* x is on a lane; its body may be streaming in, its reply out */
    CONN_DROP,    /* dropping the rest of a body whose request is answered */
    CONN_CLOSING, /* the last reply is being sent */
    CONN_LINGER,  /* sent; dropping what comes, so that the client reads the reply and no reset */
    CONN_DEAD
};

struct conn {
    struct timer timer; /* first: a timer is turned back into its connection */
    struct loop *loop;
    struct exchange *x; /* the request in work */
    struct buf in, out; /* received but not used; not yet sent */
    size_t sent;        /* of out */
    size_t resume;      /* of h1_parse_head */
    uint64_t left;      /* to drop in CONN_DROP and CONN_LINGER */
    size_t progress;    /* sent since the write deadline was set */
    struct conn *next_dead, *next_again;
    struct in6_addr peer;
    int fd;
    enum conn_state state;
    bool readable; /* the socket may have bytes: set by events, cleared by a short read */
    bool half;     /* the peer has shut its side: read up to the end */
    bool eof;
    bool starved; /* in holds an incomplete head */
    bool renew;   /* a new request: its deadline starts afresh */
    bool linger;  /* the peer may be sending still */
    bool queued_again, counted_peer;
};

/* Takes over an accepted socket. Without memory it is closed. */
void conn_open(struct loop *loop, int fd, const struct in6_addr *peer, bool counted_peer);

/* Closes at once. The struct stays until the loop's batch is over. */
void conn_close(struct conn *c);
void conn_free(struct conn *c);

void conn_event(struct conn *c, uint32_t events);
void conn_expire(struct conn *c);
void conn_settle(struct conn *c);

/* Where replies are written to. */
struct buf *conn_output(struct conn *c);

/* Sends what is written. Returns 0, also where the socket is full, or -1 where it is broken. */
int conn_flush(struct conn *c);

/* --- conn_input.c: from bytes to requests --- */

/* Whether more bytes could be used now. */
bool conn_wants(struct conn *c);
/* Uses buffered bytes, then receives, for one turn. */
void conn_read(struct conn *c);
/* The peer has sent its last byte, and all before it are used. */
void conn_end_input(struct conn *c);

/* --- conn_reply.c: from requests to replies --- */

/* Runs x, whose body is complete or streams, on its planned lane. */
void conn_run(struct conn *c);
/* Sends the reply of x. */
void conn_answer(struct conn *c);
/* Answers in the engine's own name and closes; error is an enum h1_error or 0. */
void conn_refuse(struct conn *c, int status, int error);
/* What a lane posted. */
void conn_post(struct exchange *x, unsigned bits);
/* Runs x on a lane's thread. */
void conn_work(struct exchange *x);

/* --- stream.c --- */

/* How many bytes of body the handler's window has room for; asks to be told where none. */
size_t stream_room(struct exchange *x);
/* Gives received body bytes to the handler. */
void stream_push(struct exchange *x, struct str bytes);
/* Ends the body: fault is 0 or what further reads return. */
void stream_end(struct exchange *x, int fault);
/* Tells a handler that the client is gone. */
void stream_break(struct exchange *x);
bool stream_begun(struct exchange *x);
/* Moves what the handler wrote to out. Returns how much, or a fault. */
ssize_t stream_move(struct exchange *x, struct buf *out);

#endif
