#include "deploy/supervisor/keeper.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "deploy/supervisor/files.h"
#include "deploy/supervisor/port.h"
#include "deploy/supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAUSE_MIN_MS = 20, PAUSE_MAX_MS = 5000, WELL_MS = 10000, TEXT_SIZE = 512, FD_SIZE = 16 };

struct keeper {
    struct supervisor_options options;
    int sockets[RELAY_LISTENERS];
    json_t *conf; /* owns the address */
    pid_t supervisor;
    int64_t began, pause;
    bool ending;
};

/* Outcome of lock. */
enum { HELD = 1 };

static int lock(int directory)
{
    int fd = openat(directory, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return fault_errno(FAULT_IO, errno, "cannot open the lock");
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return 0; /* it stays open: in the supervisor too, so that it is held while either lives */
    int reason = errno;
    close(fd);
    fault_keep("another supervisor keeps this directory");
    return reason == EWOULDBLOCK ? HELD : fault_errno(FAULT_IO, reason, "cannot lock");
}

static int take_ports(struct keeper *k)
{
    int result = files_read(k->options.directory, "supervisor.json", &k->conf);

    if (result == FILES_NONE)
        return fault_set(FAULT_IO, "there is no supervisor.json");
    if (result)
        return result;
    const char *address = json_string_value(json_object_get(k->conf, "address"));
    json_int_t port = json_integer_value(json_object_get(k->conf, "port"));
    if (!address || port < 1 || port > 65535)
        return fault_set(FAULT_IO, "supervisor.json names no address and port");
    k->options.address = address;
    k->options.port = (int)port;
    int n = port_bind(address, (int)port, RELAY_LISTENERS, k->sockets);
    if (n < 0)
        return n;
    k->options.sockets = k->sockets;
    k->options.n_sockets = (size_t)n;
    return 0;
}

static void set_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGCHLD);
    sigprocmask(SIG_SETMASK, signals, NULL);
    signal(SIGHUP, SIG_IGN); /* the terminal that a deployment was started from */
}

static int fork_supervisor(struct keeper *k)
{
    pid_t pid = fork();

    if (pid == 0) {
        int result = supervisor_run(&k->options);
        if (result)
            log_fault("the supervisor", result);
        exit(result ? 1 : 0);
    }
    if (pid < 0)
        return fault_errno(FAULT_IO, errno, "cannot start the supervisor");
    k->supervisor = pid;
    k->began = clock_mono();
    if (k->options.ready >= 0)
        close(k->options.ready);
    k->options.ready = -1;
    return 0;
}

/* Waits for whoever ended: releases whose supervisor died are ours. Returns whether the supervisor
 * is among them, with its status. */
static bool reap(struct keeper *k, int *ret_status)
{
    bool found = false;
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == k->supervisor) {
            found = true;
            *ret_status = status;
        }
    return found;
}

static void pause_before_next(struct keeper *k)
{
    bool well = clock_mono() - k->began > WELL_MS;

    k->pause = well || k->pause == 0 ? PAUSE_MIN_MS : k->pause * 2;
    if (k->pause > PAUSE_MAX_MS)
        k->pause = PAUSE_MAX_MS;
    log_error("the supervisor died; the next one starts in %lld ms", (long long)k->pause);
    poll(NULL, 0, (int)k->pause);
}

/* Runs supervisors, one after the other, until one ends in order. Returns the exit code. */
static int keep(struct keeper *k, const sigset_t *signals)
{
    siginfo_t info;
    int status;

    for (;;) {
        int got = sigwaitinfo(signals, &info);
        if (got == SIGTERM || got == SIGINT) {
            k->ending = true;
            kill(k->supervisor, SIGTERM);
        }
        if (!reap(k, &status))
            continue;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
            return 0;
        if (k->ending)
            return 1;
        pause_before_next(k);
        if (fork_supervisor(k)) {
            log_error("%s", fault_message());
            return 1;
        }
    }
}

static void tell(int ready, char what)
{
    char text[TEXT_SIZE];
    int n = snprintf(text, sizeof text, "%c%s", what, what == 'e' ? fault_message() : "");

    if (ready >= 0 && write(ready, text, (size_t)n) != n)
        log_debug("nobody waits for the start");
}

static int set_up(struct keeper *k, const char *directory)
{
    int result = files_directory(directory, &k->options.directory);

    if (result == 0)
        result = lock(k->options.directory);
    if (result == 0 && k->options.ready >= 0) {
        int fd = openat(k->options.directory, "supervisor.log",
                        O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        if (fd >= 0 && dup2(fd, STDERR_FILENO) >= 0 && dup2(fd, STDOUT_FILENO) >= 0)
            close(fd);
    }
    if (result == 0)
        result = take_ports(k);
    return result;
}

int keeper_run(const char *directory, int ready)
{
    struct keeper k = {.options.ready = ready};
    sigset_t signals;
    int result;

    if (ready >= 0)
        fcntl(ready, F_SETFD, FD_CLOEXEC);
    set_signals(&signals);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    result = set_up(&k, directory);
    if (result == 0)
        result = fork_supervisor(&k);
    if (result) {
        tell(ready, result == HELD ? 'h' : 'e');
        log_error("%s", fault_message());
    } else {
        result = keep(&k, &signals);
    }
    json_decref(k.conf);
    return result ? 1 : 0;
}

static _Noreturn void become(const char *directory, int ready)
{
    char fd[FD_SIZE];
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    sigset_t none;

    setsid();
    if (fork())
        _exit(0); /* so that it is nobody's child, and has no terminal for ever */
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    fcntl(ready, F_SETFD, 0);
    if (ready > 3)
        close_range(3, (unsigned)ready - 1, 0);
    close_range((unsigned)ready + 1, ~0U, 0);
    snprintf(fd, sizeof fd, "%d", ready);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execl("/proc/self/exe", "holdfast", "supervise", directory, fd, (char *)NULL);
    _exit(127);
}

/* What the start came to, as keeper_run tells it. */
static int hear(int fd, int64_t timeout_ms)
{
    char text[TEXT_SIZE] = "";
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int64_t until = clock_mono() + timeout_ms, left;
    int n = 0;

    while ((left = until - clock_mono()) > 0 && (n = poll(&p, 1, (int)left)) < 0 && errno == EINTR)
        ;
    ssize_t length = n > 0 ? read(fd, text, sizeof text - 1) : -1;
    if (length > 0 && *text == 'r')
        return 0;
    if (length > 0 && *text == 'h')
        return KEEPER_HELD;
    return fault_set(FAULT_IO, "the supervisor does not start: %s",
                     length > 0    ? text + 1
                     : length == 0 ? "its supervisor.log may tell why"
                                   : "it says nothing");
}

int keeper_start(const char *directory, int64_t timeout_ms)
{
    int ready[2], result;

    if (pipe2(ready, O_CLOEXEC))
        return fault_errno(FAULT_IO, errno, "cannot make a pipe");
    pid_t pid = fork();
    if (pid == 0)
        become(directory, ready[1]);
    int reason = errno;
    close(ready[1]);
    if (pid < 0) {
        close(ready[0]);
        return fault_errno(FAULT_IO, reason, "cannot start the supervisor");
    }
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    result = hear(ready[0], timeout_ms);
    close(ready[0]);
    return result;
}
