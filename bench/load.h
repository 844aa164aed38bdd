/*
 * What the load generator's modes share.
 * Used by: load.c, drive.c, idle.c. Ownership: views point into the input file, which load.c
 * keeps. Threads: one.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "base/buf.h"

enum load_mode { LOAD_ME, LOAD_REFRESH, LOAD_LOGIN, LOAD_EVENTS, LOAD_EMAILS, LOAD_IDLE };

struct load_options {
    enum load_mode mode;
    const char *mode_name;
    uint16_t port;
    size_t connections;
    unsigned sources; /* addresses of 127.0.0.0/8 to connect from */
    int64_t duration_us, warmup_us;
    struct str path;   /* of LOAD_ME and LOAD_IDLE */
    struct str *lines; /* of the input: bearer tokens, refresh tokens, "email password", a secret */
    size_t line_count;
    const char *output; /* LOAD_REFRESH: where each connection's last token goes, or NULL */
    int pid;            /* LOAD_IDLE: the server's */
    uint64_t first;     /* LOAD_EVENTS and LOAD_EMAILS: number of the first message */
    uint64_t prepared;  /* LOAD_EVENTS: requests that are made before the clock starts */
};

/* A request of LOAD_ME and LOAD_IDLE: GET path, with the bearer token where it is not empty. */
int load_get(struct buf *out, const struct load_options *o, struct str token);

/* POST path with the JSON body; header: a further line with its end, or empty. */
int load_post(struct buf *out, const struct load_options *o, struct str path, struct str header,
              struct str body);

/*
 * POST of the delivery of message number n, as SES tells it, signed now by the secret in the first
 * line of the input.
 */
int load_event(struct buf *out, const struct load_options *o, uint64_t n);

/* POST of message number n, under the service's token in the first line of the input. */
int load_email(struct buf *out, const struct load_options *o, uint64_t n);

/*
 * Each runs a mode and writes its result to out as one line of JSON. Returns 0, 1 where any
 * request failed (the line tells how), or a fault.
 */
int drive_run(const struct load_options *o, struct buf *out);
int idle_run(const struct load_options *o, struct buf *out);

#endif
