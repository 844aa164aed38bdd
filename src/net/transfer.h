/*
 * What an HTTP call and the handing over of a mail have in common: libcurl set up so that it does
 * nothing of its own accord. No proxy, no .netrc, no redirect, no cookie, no connection used twice
 * (a request on a reused connection may be repeated behind our back), TLS 1.2 or later with the
 * peer verified, and every address judged by the guard before it is connected to.
 * Rooms: net alone. Ownership: a transfer owns its handle. Threads: one at a time.
 */
#ifndef HOLDFAST_TRANSFER_H
#define HOLDFAST_TRANSFER_H

#include "base/buf.h"
#include "net/guard.h"

#include <curl/curl.h>

enum {
    TRANSFER_CONNECT_MS = 10 * 1000, /* where the caller gives none */
    TRANSFER_TOTAL_MS = 30 * 1000,
    TRANSFER_TIME_MAX = 10 * 60 * 1000, /* milliseconds: the longest that may be asked for */
    TRANSFER_URL_MAX = 8192
};

struct transfer_options {
    struct guard guard;
    const char *ca_file;        /* PEM; NULL: the system's */
    const char *protocols;      /* libcurl's list, such as "https" */
    int64_t connect_timeout_ms; /* until TLS is up; 0: TRANSFER_CONNECT_MS */
    int64_t total_timeout_ms;   /* of it all; 0: TRANSFER_TOTAL_MS */
};

struct transfer {
    struct transfer_options options;
    CURL *easy;
    CURLU *url;
    struct curl_slist *list; /* headers or recipients; freed by transfer_end */
    int64_t deadline;        /* of the run, by clock_mono */
    CURLcode setting;        /* the first setting that was refused */
    bool refused, permitted; /* the guard's words so far */
    char error[CURL_ERROR_SIZE];
};

/* Returns 0, FAULT_MEMORY or FAULT_INTERNAL. */
int transfer_init(struct transfer *t, const struct transfer_options *options);
void transfer_release(struct transfer *t);

/*
 * Reads the URL: one of the schemes, which must be written out, a host, no fragment, no control
 * characters; userinfo where allowed. Returns 0, 1 with the reason as fault_message() (which holds
 * nothing of the URL: it may hold a password), or FAULT_MEMORY.
 */
int transfer_url(struct transfer *t, struct str url, const char *const *schemes, bool userinfo);

/* Puts the handle into its first state. The URL is to be read before. */
void transfer_begin(struct transfer *t);

/* Settings; a refused one makes transfer_run fail. */
void transfer_set(struct transfer *t, CURLoption option, long value);
void transfer_set_size(struct transfer *t, CURLoption option, size_t value);
void transfer_set_text(struct transfer *t, CURLoption option, const char *value);
void transfer_set_pointer(struct transfer *t, CURLoption option, void *value);
void transfer_set_call(struct transfer *t, CURLoption option, void (*call)(void));

/* Adds a line to the list. Returns 0 or FAULT_MEMORY. */
int transfer_list_add(struct transfer *t, const char *line);

/*
 * Runs it. Returns 0 with libcurl's verdict, FAULT_MEMORY or FAULT_INTERNAL (a setting that it does
 * not take, a CA file that cannot be read).
 */
int transfer_run(struct transfer *t, CURLcode *ret_code);

/* The run is to end within ms from now, whatever its timeout. */
void transfer_hurry(struct transfer *t, int64_t ms);

/* Frees what one run needed; secrets are overwritten. */
void transfer_end(struct transfer *t);

/* libcurl's own words for what went wrong; never empty. */
const char *transfer_error(const struct transfer *t, CURLcode code);

/* Whether the time was over. */
bool transfer_timed_out(CURLcode code);

/* Whether TLS could not be established as we want it. */
bool transfer_tls_failed(CURLcode code);

#endif
