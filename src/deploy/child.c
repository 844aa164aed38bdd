#include "deploy/child.h"

#include "base/clock.h"
#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ENVIRONMENT_MAX = 4096,
    PIECE = 16 * 1024,
    LOOK_MS = 100,
    GRACE_MS = 5000,
    SILENCE_MS = 500
};

/* A running program, or one about to run. */
struct running {
    const struct child *child;
    const char *environment[ENVIRONMENT_MAX];
    pid_t guard;
    int pidfd;                 /* of the guard */
    int in[2], out[2], err[2]; /* pipes; -1: none, or closed */
    int failed[2];             /* where errno comes from if the program cannot be run */
    size_t written;            /* of its input */
    int64_t began, deadline,
        end;       /* monotonic; 0: no deadline; when SIGKILL follows, 0: not asked */
    int outcome;   /* why it was ended; 0: it was not */
    bool over;     /* the guard is */
    int64_t heard; /* when it was over, or something was read after that */
    int64_t ended; /* when it was over */
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void close_all(struct running *r)
{
    for (int i = 0; i < 2; i++) {
        close_fd(&r->in[i]);
        close_fd(&r->out[i]);
        close_fd(&r->err[i]);
        close_fd(&r->failed[i]);
    }
    close_fd(&r->pidfd);
}

/* Whether one of by, "KEY=VALUE" each, says what the key of entry is to be. */
static bool is_replaced(const char *entry, const char *const *by)
{
    size_t n = str_find(str_of(entry), '=') + 1;

    for (; by && *by; by++)
        if (strncmp(*by, entry, n) == 0)
            return true;
    return false;
}

static int make_environment(struct running *r)
{
    const char *const *own = r->child->environment;
    size_t n = 0, left = ENVIRONMENT_MAX - 1;

    for (char **e = environ; *e && n < left; e++)
        if (!is_replaced(*e, own))
            r->environment[n++] = *e;
    for (; own && *own && n < left; own++)
        r->environment[n++] = *own;
    r->environment[n] = NULL;
    return n < left ? 0 : fault_set(FAULT_LIMIT, "the environment has over %zu entries", left);
}

static int make_pipes(struct running *r)
{
    const struct child *c = r->child;

    if (pipe2(r->failed, O_CLOEXEC) || (c->input.n && pipe2(r->in, O_CLOEXEC)) ||
        (c->out && !c->out_fd && pipe2(r->out, O_CLOEXEC)) || (c->err && pipe2(r->err, O_CLOEXEC)))
        return fault_errno(FAULT_IO, errno, "cannot make a pipe");
    if (c->input.n && fcntl(r->in[1], F_SETFL, O_NONBLOCK))
        return fault_errno(FAULT_IO, errno, "cannot prepare a pipe");
    return 0;
}

/* From here to exec only what a signal handler may call: other threads may hold any lock. */
static void place(int fd, int at)
{
    if (fd < 0)
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(fd, at);
}

static _Noreturn void become(struct running *r)
{
    const struct child *c = r->child;
    int out = c->out_fd ? c->out_fd : r->out[1];
    sigset_t none;

    place(r->in[0], STDIN_FILENO);
    place(out, STDOUT_FILENO);
    place(c->err ? r->err[1] : c->out && !c->out_fd ? r->out[1] : -1, STDERR_FILENO);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (!c->directory || chdir(c->directory) == 0)
        execvpe(c->argv[0], (char *const *)(uintptr_t)c->argv,
                (char *const *)(uintptr_t)r->environment);
    int reason = errno;
    _exit(write(r->failed[1], &reason, sizeof reason) == sizeof reason ? 127 : 126);
}

static void on_parents_death(int number)
{
    kill(0, SIGKILL);
}

/* The guard leads the group, sees to it that it does not outlive us, and ends as the program does.
 */
static _Noreturn void guard(struct running *r, pid_t parent)
{
    struct sigaction death = {.sa_handler = on_parents_death}, nothing = {.sa_handler = SIG_IGN},
                     usual = {.sa_handler = SIG_DFL};
    sigset_t none;
    int status;

    setpgid(0, 0);
    for (int i = 1; i < NSIG; i++)
        sigaction(i, &usual, NULL);
    pid_t program = fork();
    if (program == 0)
        become(r);
    close_range(3, ~0U, 0);
    sigaction(SIGUSR1, &death, NULL);
    sigaction(SIGTERM, &nothing, NULL);
    sigaction(SIGINT, &nothing, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGUSR1);
    if (getppid() != parent)
        kill(0, SIGKILL);
    while (program < 0 || waitpid(program, &status, 0) < 0)
        if (program < 0 || errno != EINTR)
            _exit(126);
    if (WIFSIGNALED(status)) {
        sigaction(WTERMSIG(status), &usual, NULL);
        kill(getpid(), WTERMSIG(status));
    }
    _exit(WEXITSTATUS(status));
}

/* Why the program could not be run: its errno, or 0 once it runs. */
static int reason_of_failure(struct running *r)
{
    int reason = 0;
    ssize_t n;

    close_fd(&r->failed[1]);
    do
        n = read(r->failed[0], &reason, sizeof reason);
    while (n < 0 && errno == EINTR);
    close_fd(&r->failed[0]);
    return n == sizeof reason ? reason : 0;
}

static int start(struct running *r)
{
    sigset_t all, before;
    pid_t parent = getpid();

    /* A signal that comes to the guard before it knows what to do with it waits. */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    r->guard = fork();
    if (r->guard == 0)
        guard(r, parent);
    int reason = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r->guard < 0)
        return fault_errno(FAULT_IO, reason, "cannot start a process");
    setpgid(r->guard, r->guard);
    r->pidfd = (int)syscall(SYS_pidfd_open, r->guard, 0);
    close_fd(&r->in[0]);
    close_fd(&r->out[1]);
    close_fd(&r->err[1]);
    reason = reason_of_failure(r);
    if (reason) {
        fault_keep_errno(reason, "cannot run %s", r->child->argv[0]);
        r->outcome = CHILD_MISSING;
    }
    return r->pidfd < 0 ? fault_errno(FAULT_IO, errno, "cannot watch a process") : 0;
}

/* Moves what came to the sink. Returns 0, or what the sink did. */
static int take(struct running *r, int *fd, child_sink *sink)
{
    char piece[PIECE];
    ssize_t n = read(*fd, piece, sizeof piece);

    if (n > 0)
        return sink(r->child->context, piece, (size_t)n);
    if (n == 0 || errno != EINTR)
        close_fd(fd);
    return 0;
}

/* As write, without the signal where nobody reads: whether that kills us is not ours to say. */
static ssize_t write_quietly(int fd, struct str s)
{
    const struct timespec at_once = {0};
    sigset_t pipe_signal, before;

    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    ssize_t n = write(fd, s.p, s.n);
    int reason = errno;
    if (n < 0 && reason == EPIPE)
        sigtimedwait(&pipe_signal, NULL, &at_once);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = reason;
    return n;
}

static void give(struct running *r)
{
    struct str input = r->child->input;
    struct str rest = {input.p + r->written, input.n - r->written};
    ssize_t n = write_quietly(r->in[1], rest);

    if (n > 0)
        r->written += (size_t)n;
    if ((n < 0 && errno != EINTR && errno != EAGAIN) || r->written == input.n)
        close_fd(&r->in[1]); /* it need not read to the end */
}

static void end_group(struct running *r, int outcome)
{
    int64_t grace = r->child->grace_ms ? r->child->grace_ms : GRACE_MS;

    if (r->outcome == 0)
        r->outcome = outcome;
    if (r->end == 0) {
        kill(-r->guard, SIGTERM);
        r->end = clock_mono() + grace;
    } else if (clock_mono() >= r->end) {
        kill(-r->guard, SIGKILL);
    }
}

static void look_whether_to_end(struct running *r)
{
    const struct child *c = r->child;

    if (r->end || r->outcome)
        end_group(r, r->outcome);
    else if (c->cancel && atomic_load(c->cancel))
        end_group(r, CHILD_CANCELLED);
    else if (r->deadline && clock_mono() >= r->deadline)
        end_group(r, CHILD_TIMEOUT);
}

/* A program that has ended may have left its output to another that goes on: that is heard until
 * it is silent for a while, or we are told to stop. */
static bool is_left_to_another(struct running *r, bool silent)
{
    const struct child *c = r->child;
    int64_t now = clock_mono();

    if (!r->over)
        return false;
    if (r->ended == 0)
        r->ended = r->heard = now;
    if (!silent)
        r->heard = now;
    return now - r->heard >= SILENCE_MS ||
           (c->cancel && atomic_load(c->cancel) && now - r->ended >= SILENCE_MS);
}

/* One wait for anything to happen. Returns 0, or what a sink did. */
static int attend(struct running *r)
{
    struct pollfd fds[] = {{r->out[0], POLLIN, 0},
                           {r->err[0], POLLIN, 0},
                           {r->in[1], POLLOUT, 0},
                           {r->over ? -1 : r->pidfd, POLLIN, 0}};
    const struct child *c = r->child;
    int result = 0;

    int n = poll(fds, 4, LOOK_MS);
    if (is_left_to_another(r, n == 0)) {
        close_fd(&r->out[0]);
        close_fd(&r->err[0]);
        return 0;
    }
    if (n <= 0)
        return 0;
    if (fds[0].revents)
        result = take(r, &r->out[0], c->out);
    if (result == 0 && fds[1].revents)
        result = take(r, &r->err[0], c->err);
    if (fds[2].revents)
        give(r);
    if (fds[3].revents) {
        r->over = true;
        kill(-r->guard, SIGKILL); /* what it left behind; the guard itself is gone already */
    }
    return result;
}

static int serve(struct running *r)
{
    int result = 0;

    while (!r->over || r->out[0] >= 0 || r->err[0] >= 0) {
        if (!r->over)
            look_whether_to_end(r);
        if (r->child->tick)
            r->child->tick(r->child->context);
        result = attend(r);
        if (result)
            break;
    }
    if (!r->over)
        kill(-r->guard, SIGKILL);
    return result;
}

/* What became of the guard is what became of the program. */
static void reap(struct running *r, struct child_end *ret)
{
    int status = 0;

    while (waitpid(r->guard, &status, 0) < 0 && errno == EINTR)
        ;
    ret->ms = clock_mono() - r->began;
    ret->code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    ret->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (r->outcome == CHILD_MISSING)
        ret->code = -1;
}

static int outcome_of(const struct running *r, const struct child_end *end)
{
    const char *name = r->child->argv[0];

    if (r->outcome == CHILD_TIMEOUT)
        fault_keep("%s took longer than %lld s", name, (long long)r->child->timeout_ms / 1000);
    else if (r->outcome == CHILD_CANCELLED)
        fault_keep("%s was interrupted", name);
    else if (r->outcome == 0 && end->signal)
        fault_keep("%s was ended by signal %d (%s)", name, end->signal,
                   sigdescr_np(end->signal) ? sigdescr_np(end->signal) : "unknown");
    else if (r->outcome == 0 && end->code)
        fault_keep("%s ended with code %d", name, end->code);
    if (r->outcome)
        return r->outcome;
    return end->code == 0 ? 0 : CHILD_FAILED;
}

int child_run(const struct child *child, struct child_end *ret_end)
{
    struct running *r = calloc(1, sizeof *r);
    struct child_end end = {.code = -1};
    int result;

    if (!r)
        return fault_set(FAULT_MEMORY, "no memory to run %s", child->argv[0]);
    *r = (struct running){.child = child,
                          .pidfd = -1,
                          .in = {-1, -1},
                          .out = {-1, -1},
                          .err = {-1, -1},
                          .failed = {-1, -1},
                          .began = clock_mono()};
    if (child->timeout_ms)
        r->deadline = r->began + child->timeout_ms;
    result = make_environment(r);
    if (result == 0)
        result = make_pipes(r);
    if (result == 0)
        result = start(r);
    if (result == 0)
        result = serve(r);
    if (r->guard > 0) {
        if (result)
            kill(-r->guard, SIGKILL);
        reap(r, &end);
    }
    close_all(r);
    if (result == 0)
        result = outcome_of(r, &end);
    if (ret_end)
        *ret_end = end;
    free(r);
    return result;
}

int child_into_buf(void *context, const char *p, size_t n)
{
    struct buf *b = context;
    size_t left = b->max > b->n ? b->max - b->n : 0;

    return buf_add(b, p, n < left ? n : left) == FAULT_MEMORY ? FAULT_MEMORY : 0;
}
