#include "deploy/supervisor/spawn.h"

#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PORT_SIZE = 16 };

/* The texts of a list, NULL behind the last, with room for one more. */
static const char **words(const json_t *list)
{
    size_t n = json_array_size(list);
    const char **all = calloc(n + 2, sizeof *all);

    for (size_t i = 0; all && i < n; i++)
        all[i] = json_string_value(json_array_get(list, i));
    return all;
}

/* The environment of a release names no port of its own. */
static const char **environment_of(const struct spawn *s, char port[PORT_SIZE])
{
    const char **all = words(json_object_get(s->definition, "environment"));
    size_t n = 0;

    if (!all)
        return NULL;
    snprintf(port, PORT_SIZE, "PORT=%d", s->port);
    for (size_t i = 0; all[i]; i++)
        if (strncmp(all[i], "PORT=", 5) != 0)
            all[n++] = all[i];
    all[n] = port;
    all[n + 1] = NULL;
    return all;
}

static void place_output(const struct spawn *s)
{
    int in = open("/dev/null", O_RDWR | O_CLOEXEC);
    int out = openat(s->directory, s->log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

    dup2(in, STDIN_FILENO);
    dup2(out < 0 ? in : out, STDOUT_FILENO);
    dup2(out < 0 ? in : out, STDERR_FILENO);
}

static void usual_signals(void)
{
    const struct sigaction usual = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (int i = 1; i < NSIG; i++)
        sigaction(i, &usual, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void become(const struct spawn *s, int gate, const char **argv,
                             const char **environment)
{
    const char *directory = json_string_value(json_object_get(s->definition, "directory"));
    char go;

    setsid();
    if (read(gate, &go, 1) != 1)
        _exit(0);
    place_output(s);
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    usual_signals();
    environ = (char **)(uintptr_t)environment;
    if (chdir(directory))
        fprintf(stderr, "cannot go to %s: %s\n", directory, strerrordesc_np(errno));
    else if (argv[0] && execvp(argv[0], (char *const *)(uintptr_t)argv))
        fprintf(stderr, "cannot run %s: %s\n", argv[0], strerrordesc_np(errno));
    _exit(127);
}

static int fork_it(struct spawn *s, const char **argv, const char **environment)
{
    int gate[2];

    if (pipe2(gate, O_CLOEXEC))
        return fault_errno(FAULT_IO, errno, "cannot make a pipe");
    pid_t pid = fork();
    if (pid == 0) {
        close(gate[1]);
        become(s, gate[0], argv, environment);
    }
    int reason = errno;
    close(gate[0]);
    s->gate = gate[1];
    if (pid < 0) {
        close(s->gate);
        return fault_errno(FAULT_IO, reason, "cannot start a process");
    }
    s->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (s->pidfd >= 0 && mark_of(pid, &s->mark) == 0)
        return 0;
    close(s->gate);
    waitpid(pid, NULL, 0);
    if (s->pidfd >= 0)
        close(s->pidfd);
    return fault_set(FAULT_IO, "cannot watch a process");
}

int spawn_begin(struct spawn *s)
{
    char port[PORT_SIZE];
    const char **argv = words(json_object_get(s->definition, "command"));
    const char **environment = environment_of(s, port);
    int result = argv && environment ? fork_it(s, argv, environment)
                                     : fault_set(FAULT_MEMORY, "no memory to start a process");

    free(argv);
    free(environment);
    return result;
}

void spawn_end(struct spawn *s, bool go)
{
    /* Where it is dead already its end is told as any other. */
    bool told = go && write(s->gate, "", 1) == 1;

    close(s->gate);
    if (!told && !go)
        waitpid(s->mark.pid, NULL, 0);
}
