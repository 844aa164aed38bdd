/*
 * Starts a server and measures the time from exec to its first answer, and its memory when it has
 * come to rest; then ends it. bench/run calls it.
 */
#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"
#include "bench/answer.h"
#include "bench/memory.h"
#include "bench/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { RETRY_US = 200, PATIENCE_US = 30 * 1000 * 1000, REST_US = 1000 * 1000 };

static const char usage[] =
    "usage: start PORT PATH COMMAND [ARGUMENT ...]\n"
    "Runs the command, asks for http://127.0.0.1:PORT/PATH until the first 200, lets the server\n"
    "rest for a second, and writes one line of JSON: firstAnswerMs, rssBytes, pssBytes,\n"
    "processes. Then it sends SIGTERM and waits. The command's output goes to /dev/null.\n";

static void pause_us(int64_t us)
{
    struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    nanosleep(&t, NULL);
}

static int spawn(char **command, pid_t *ret)
{
    pid_t pid = fork();
    if (pid < 0)
        return fault_errno(FAULT_IO, errno, "fork");
    if (pid > 0) {
        *ret = pid;
        return 0;
    }
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0 && dup2(null, 0) >= 0 && dup2(null, 1) >= 0 && dup2(null, 2) >= 0)
        execvp(command[0], command);
    _exit(127);
}

/* Whether the server answers 200 now. */
static bool answers(uint16_t port, struct str request)
{
    char bytes[16 * 1024];
    size_t n = 0;
    int fd, outcome = ANSWER_MORE;
    struct answer a = {0};
    if (socket_connect(port, 0, &fd))
        return false;
    if (socket_send(fd, request) == 0) {
        for (ssize_t got; outcome == ANSWER_MORE && n < sizeof bytes &&
                          (got = recv(fd, bytes + n, sizeof bytes - n, 0)) > 0;) {
            n += (size_t)got;
            outcome = answer_read((struct str){bytes, n}, &a);
        }
    }
    close(fd);
    return outcome == 0 && a.status == 200;
}

static int await(pid_t pid, uint16_t port, struct str request, int64_t began_us)
{
    while (!answers(port, request)) {
        if (waitpid(pid, NULL, WNOHANG) != 0)
            return fault_set(FAULT_IO, "the server ended before it answered");
        if (clock_mono_us() - began_us > PATIENCE_US)
            return fault_set(FAULT_LIMIT, "no answer within 30 s");
        pause_us(RETRY_US);
    }
    return 0;
}

static int measure(pid_t pid, uint16_t port, const char *path, int64_t began_us)
{
    _cleanup_buf_ struct buf request = buf_init(4096), out = buf_init(4096);
    int r = buf_printf(&request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", path, port);
    if (r == 0)
        r = await(pid, port, buf_str(&request), began_us);
    if (r)
        return r;
    int64_t took = clock_mono_us() - began_us;
    pause_us(REST_US);
    struct memory m;
    r = memory_of(pid, &m);
    if (r)
        return r;
    struct json_writer w = json_writer(&out);
    json_object_begin(&w);
    json_key(&w, "firstAnswerMs");
    json_double(&w, (double)took / 1000);
    json_key(&w, "rssBytes");
    json_int(&w, (int64_t)m.rss);
    json_key(&w, "pssBytes");
    json_int(&w, (int64_t)m.pss);
    json_key(&w, "processes");
    json_int(&w, m.processes);
    json_object_end(&w);
    if (buf_fault(&out) == 0)
        printf("%.*s\n", STR_ARG(buf_str(&out)));
    return buf_fault(&out);
}

int main(int argc, char **argv)
{
    uint64_t port;
    if (argc < 4 || str_to_u64(str_of(argv[1]), UINT16_MAX, &port) || port == 0) {
        fputs(usage, stderr);
        return 2;
    }
    pid_t pid = 0;
    int64_t began_us = clock_mono_us();
    int r = spawn(argv + 3, &pid);
    if (r == 0)
        r = measure(pid, (uint16_t)port, argv[2], began_us);
    if (pid > 0 && kill(pid, SIGTERM) == 0)
        waitpid(pid, NULL, 0);
    if (r)
        fprintf(stderr, "start: %s\n", fault_message());
    return r ? 1 : 0;
}
