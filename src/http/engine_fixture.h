/*
 * What the engine's tests share: an app whose handlers can be held, and a client over real sockets.
 * Rooms: http's tests only. Threads: the test's.
 */
#ifndef HOLDFAST_HTTP_ENGINE_FIXTURE_H
#define HOLDFAST_HTTP_ENGINE_FIXTURE_H

#include "http/engine.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/*
 * The app's paths:
 *   /event, /worker, /password   "<path>" from that lane
 *   /hop                          event, then worker, then password: "hop 3"
 *   /hold                         a worker that waits for fixture_open
 *   /echo                         the body; at most 1000 bytes
 *   /early                        answered 401 by the plan
 *   /big                          4 MiB from a worker
 *   /empty                        204
 *   /bad                          a reply over reply_max
 *   /read                         reads a streamed body of at most 1 MiB: "<bytes> <fault>"
 *   /write                        streams 4 MiB, then notes the fault
 *   /both                         streams the body back
 *   /abort                        streams some, then aborts
 */
struct fixture {
    struct http_options options;
    struct http_app app;
    struct http_engine *engine;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool open;
    int held, done, fault, hops; /* in /hold now; replies reported; of /write and /read */
    uint64_t body_bytes;         /* of the last reply reported */
};

/* Options with long timeouts; change them before fixture_start. */
void fixture_init(struct fixture *f);
void fixture_start(struct fixture *f);
/* Stops the engine (unless the test did) and checks that nothing was cut off. */
void fixture_stop(struct fixture *f);

void fixture_open(struct fixture *f);
/* Wait, at most 10 s, until n handlers are held, or n replies were reported. */
void fixture_await_held(struct fixture *f, int n);
void fixture_await_done(struct fixture *f, int n);

/* A connected socket that fails the test after 10 s without an answer; sends text if not NULL. */
int client_open(struct fixture *f, const char *text);
void client_send(int fd, const char *p, size_t n);
void client_text(int fd, const char *text);

/* Reads until the peer closes; the bytes, NUL-terminated, until the next call. */
const char *client_rest(int fd);
/* Reads one reply of known length; head and body, NUL-terminated, until the next call. */
const char *client_reply(int fd);
/* Reads up to the close and says whether that was a reset. */
bool client_was_reset(int fd);

#define assert_starts_with(text, start) assert_memory_equal(text, start, sizeof(start) - 1)
#define assert_contains(text, part) assert_non_null(strstr(text, part))
#define assert_lacks(text, part) assert_null(strstr(text, part))

#endif
