#include "deploy/supervisor/control.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "deploy/supervisor/commands.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PIECE = 1 << 16 };

static int reach(int directory, int *ret_fd)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return fault_errno(FAULT_IO, errno, "cannot make a socket");
    snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d/control", directory);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0) {
        *ret_fd = fd;
        return 0;
    }
    int reason = errno;
    close(fd);
    fault_keep_errno(reason, "the supervisor cannot be reached");
    return reason == ENOENT || reason == ECONNREFUSED ? CONTROL_NONE : FAULT_IO;
}

/* Waits until the descriptor is ready for it. */
static int await(int fd, short what, int64_t until)
{
    struct pollfd p = {.fd = fd, .events = what};

    for (;;) {
        int64_t left = until - clock_mono();
        int n = left > 0 ? poll(&p, 1, (int)left) : 0;
        if (n > 0)
            return 0;
        if (n == 0) {
            fault_keep("the supervisor does not answer");
            return CONTROL_TIMEOUT;
        }
        if (errno != EINTR)
            return fault_errno(FAULT_IO, errno, "cannot wait for the supervisor");
    }
}

static int say(int fd, struct str text, int64_t until)
{
    while (text.n) {
        int result = await(fd, POLLOUT, until);
        if (result)
            return result;
        ssize_t n = send(fd, text.p, text.n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            fault_keep_errno(errno, "the supervisor went away");
            return CONTROL_NONE;
        }
        if (n > 0)
            text = (struct str){text.p + n, text.n - (size_t)n};
    }
    return 0;
}

static int hear(int fd, int64_t until, struct buf *text)
{
    for (;;) {
        int result = await(fd, POLLIN, until);
        if (result == 0)
            result = buf_reserve(text, PIECE);
        if (result)
            return result;
        ssize_t n = recv(fd, text->p + text->n, PIECE, MSG_DONTWAIT);
        if (n == 0)
            return 0;
        if (n > 0)
            text->n += (size_t)n;
        else if (errno != EAGAIN && errno != EINTR) {
            fault_keep_errno(errno, "the supervisor went away");
            return CONTROL_NONE;
        }
    }
}

static int understand(struct str text, json_t **ret)
{
    json_t *status = json_loadb(text.n ? text.p : "", text.n, 0, NULL);
    const char *wrong = json_string_value(json_object_get(status, "error"));

    if (!json_is_object(status)) {
        json_decref(status);
        fault_keep("the supervisor went away");
        return CONTROL_NONE;
    }
    if (wrong) {
        fault_keep("the supervisor refuses: %s", wrong);
        json_decref(status);
        return CONTROL_REFUSED;
    }
    *ret = status;
    return 0;
}

int control_ask(int directory, json_t *request, int64_t timeout_ms, json_t **ret_status)
{
    struct buf text _cleanup_buf_ = buf_init(COMMANDS_LINE_MAX);
    int64_t until = clock_mono() + timeout_ms;
    char *line = request ? json_dumps(request, JSON_COMPACT) : NULL;
    int fd, result;

    json_decref(request);
    if (!line)
        return fault_set(FAULT_MEMORY, "no memory to ask the supervisor");
    result = reach(directory, &fd);
    if (result == 0) {
        result = say(fd, str_of(line), until);
        if (result == 0)
            result = say(fd, STR("\n"), until);
        if (result == 0)
            result = hear(fd, until, &text);
        close(fd);
    }
    explicit_bzero(line, strlen(line)); /* the environment of a release */
    free(line);
    return result ? result : understand(buf_str(&text), ret_status);
}

json_t *control_release(const json_t *status, const char *id)
{
    json_t *releases = json_object_get(status, "releases"), *r;
    size_t i;

    json_array_foreach(releases, i, r) if (id && strcmp(json_string_value(json_object_get(r, "id")),
                                                        id) == 0) return r;
    return NULL;
}
