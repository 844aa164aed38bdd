#include "bench/load.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"
#include "bench/answer.h"
#include "bench/memory.h"
#include "bench/socket.h"

#include <errno.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_TIMEOUT_S = 10 };

/* One request on a blocking connection. Returns 0, 1 where it was not answered 2xx, or a fault. */
static int ask(int fd, struct str request)
{
    char bytes[16 * 1024];
    size_t n = 0;
    struct answer a;
    int r = socket_send(fd, request);
    if (r)
        return r;
    do {
        ssize_t got = n < sizeof bytes ? recv(fd, bytes + n, sizeof bytes - n, 0) : 0;
        if (got <= 0)
            return 1;
        n += (size_t)got;
        r = answer_read((struct str){bytes, n}, &a);
    } while (r == ANSWER_MORE);
    return r || a.status < 200 || a.status > 299;
}

static int open_all(const struct load_options *o, struct str request, int *fds, size_t *ret_failed)
{
    const struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};
    size_t failed = 0;
    for (size_t i = 0; i < o->connections; i++) {
        int r = socket_connect(o->port, (unsigned)(i % o->sources), &fds[i]);
        if (r)
            return r;
        if (setsockopt(fds[i], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) < 0)
            return fault_errno(FAULT_IO, errno, "setsockopt");
        r = ask(fds[i], request);
        if (r < 0)
            return r;
        failed += r > 0;
    }
    *ret_failed = failed;
    return 0;
}

static void hold(int64_t us)
{
    struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    while (nanosleep(&t, &t) < 0 && errno == EINTR)
        ;
}

static void report(const struct load_options *o, const struct memory *before,
                   const struct memory *after, size_t held, struct buf *out)
{
    struct json_writer w = json_writer(out);
    json_object_begin(&w);
    json_key(&w, "mode");
    json_str(&w, STR("idle"));
    json_key(&w, "connections");
    json_int(&w, (int64_t)o->connections);
    json_key(&w, "held");
    json_int(&w, (int64_t)held);
    json_key(&w, "processes");
    json_int(&w, after->processes);
    json_key(&w, "bytesBefore");
    json_int(&w, (int64_t)before->pss);
    json_key(&w, "bytesAfter");
    json_int(&w, (int64_t)after->pss);
    json_key(&w, "bytesPerConnection");
    json_double(&w, ((double)after->pss - (double)before->pss) / (double)o->connections);
    json_object_end(&w);
}

/* Opens the connections, holds them, and proves by a second request that each was held. */
static int run(const struct load_options *o, struct str request, int *fds, struct buf *out)
{
    struct memory before, after;
    size_t failed, held = 0;
    int r = memory_of(o->pid, &before);
    if (r == 0)
        r = open_all(o, request, fds, &failed);
    if (r)
        return r;
    hold(o->duration_us);
    r = memory_of(o->pid, &after);
    if (r)
        return r;
    for (size_t i = 0; i < o->connections; i++)
        held += ask(fds[i], request) == 0;
    report(o, &before, &after, held, out);
    return failed > 0 || held < o->connections;
}

int idle_run(const struct load_options *o, struct buf *out)
{
    _cleanup_buf_ struct buf request = buf_init(16 * 1024);
    int r = load_get(&request, o, o->line_count ? o->lines[0] : STR(""));
    int *fds = r ? NULL : malloc(o->connections * sizeof *fds);
    if (!fds)
        return r ? r : fault_set(FAULT_MEMORY, "%zu descriptors", o->connections);
    for (size_t i = 0; i < o->connections; i++)
        fds[i] = -1;
    r = run(o, buf_str(&request), fds, out);
    for (size_t i = 0; i < o->connections; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(fds);
    return r;
}
