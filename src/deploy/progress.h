/*
 * What long work says while it runs: lines for people and logs, and how far it is.
 * Rooms: deploy, cli. Ownership: texts are valid during the call. Threads: the one that works.
 */
#ifndef HOLDFAST_DEPLOY_PROGRESS_H
#define HOLDFAST_DEPLOY_PROGRESS_H

#include <stdint.h>

struct progress {
    void (*say)(void *context, const char *line);               /* NULL: nobody listens */
    void (*amount)(void *context, int64_t done, int64_t total); /* total 0: unknown; NULL */
    void *context;
};

/* A formatted line (cut at 999 bytes). p may be NULL. */
void progress_say(const struct progress *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void progress_amount(const struct progress *p, int64_t done, int64_t total);

#endif
