/*
 * A supervisor as it is spoken to: what it refuses, what it does twice as well as once, what
 * another one finds after its death. The releases are this program.
 */
#include "deploy/supervisor/supervisor.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "deploy/supervisor/commands.h"
#include "deploy/supervisor/control.h"
#include "deploy/supervisor/files.h"
#include "deploy/supervisor/port.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { LIMIT_MS = 20000, ASK_MS = 10000 };

#define ONE "01a20000-0000-7000-8000-000000000001"
#define TWO "01a20000-0000-7000-8000-000000000002"

static char own_path[4096];

struct world {
    char path[64];
    int directory, port, sockets[RELAY_LISTENERS], n_sockets;
    pid_t supervisor;
};

/* As a release: listens on PORT and answers each connection with RELEASE; "crash" ends at once. */
static int be_release(void)
{
    const char *name = getenv("RELEASE"), *port = getenv("PORT");
    int fd, n = port_bind("127.0.0.1", (int)strtol(port ? port : "0", NULL, 10), 1, &fd);

    if (!name || n != 1 || strcmp(name, "crash") == 0 || listen(fd, 16))
        return 9;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        poll(&p, 1, -1);
        int c = accept(fd, NULL, NULL);
        if (c >= 0 && send(c, name, strlen(name), MSG_NOSIGNAL) >= 0)
            shutdown(c, SHUT_WR);
        if (c >= 0)
            close(c);
    }
}

static void start_supervisor(struct world *w)
{
    int ready[2];
    char byte;

    assert_int_equal(pipe(ready), 0);
    w->supervisor = fork();
    assert_true(w->supervisor >= 0);
    if (w->supervisor == 0) {
        const struct supervisor_options o = {.directory = w->directory,
                                             .address = "127.0.0.1",
                                             .port = w->port,
                                             .sockets = w->sockets,
                                             .n_sockets = (size_t)w->n_sockets,
                                             .ready = ready[1]};
        log_configure(LOG_ERROR, LOG_AUTO);
        _exit(supervisor_run(&o) ? 1 : 0);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    snprintf(w->path, sizeof w->path, "/tmp/holdfast-supervisor.XXXXXX");
    assert_non_null(mkdtemp(w->path));
    assert_int_equal(files_directory(w->path, &w->directory), 0);
    w->port = port_choose(0);
    w->n_sockets = port_bind("127.0.0.1", w->port, RELAY_LISTENERS, w->sockets);
    assert_int_equal(w->n_sockets, 1);
    start_supervisor(w);
    *state = w;
    return 0;
}

/* Asked to end, it ends all it keeps running. */
static int teardown(void **state)
{
    struct world *w = *state;
    char command[128];
    int status;

    kill(w->supervisor, SIGTERM);
    assert_int_equal(waitpid(w->supervisor, &status, 0), w->supervisor);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(w->sockets[0]);
    close(w->directory);
    snprintf(command, sizeof command, "rm -rf '%s'", w->path);
    free(w);
    return system(command);
}

static json_t *definition(const char *release)
{
    return json_pack("{s:s, s:[s, s], s:s, s:[o, s], s:i}", "release", release, "command", own_path,
                     "release", "directory", "/", "environment",
                     json_sprintf("RELEASE=%s", release), "PORT=1", "stop_ms", 500);
}

static int ask(struct world *w, json_t *request, json_t **ret)
{
    assert_non_null(request);
    return control_ask(w->directory, request, ASK_MS, ret);
}

static void assert_does(struct world *w, json_t *request)
{
    json_t *status;

    if (ask(w, request, &status))
        fail_msg("%s", fault_message());
    json_decref(status);
}

static void assert_refuses(struct world *w, json_t *request, const char *why)
{
    char message[200];
    json_t *status;

    snprintf(message, sizeof message, "the supervisor refuses: %s", why);
    assert_int_equal(ask(w, request, &status), CONTROL_REFUSED);
    assert_string_equal(fault_message(), message);
}

static json_t *request(const char *what, const char *id)
{
    return json_pack("{s:s, s:s?}", "do", what, "id", id);
}

static json_t *start_request(const char *id, const char *release)
{
    return json_pack("{s:s, s:s, s:o}", "do", "start", "id", id, "definition", definition(release));
}

/* Waits until the release is in the state. Returns its process. */
static pid_t await_state(struct world *w, const char *id, enum release_state state)
{
    int64_t until = clock_mono() + LIMIT_MS;

    while (clock_mono() < until) {
        json_t *status;
        assert_int_equal(ask(w, request("status", NULL), &status), 0);
        const json_t *r = control_release(status, id);
        const char *is = json_string_value(json_object_get(r, "state"));
        pid_t pid = (pid_t)json_integer_value(json_object_get(r, "pid"));
        bool there = is && strcmp(is, release_state_name(state)) == 0;
        json_decref(status);
        if (there)
            return pid;
        poll(NULL, 0, 10);
    }
    fail_msg("%s is never %s", id, release_state_name(state));
    return 0;
}

/* Which release answers at the port. */
static void assert_serves(struct world *w, const char *release)
{
    const struct relay_place place = {.port = w->port, .family = AF_INET};
    int fd = relay_connect(&place);
    char got[32] = "";
    size_t n = 0;
    struct pollfd p = {.fd = fd, .events = POLLIN};

    assert_true(fd >= 0);
    while (n < sizeof got - 1 && poll(&p, 1, LIMIT_MS) == 1) {
        ssize_t came = recv(fd, got + n, sizeof got - 1 - n, 0);
        if (came <= 0)
            break;
        n += (size_t)came;
    }
    close(fd);
    assert_string_equal(got, release);
}

/* Kills a process, and waits until it is gone. */
static void slay(pid_t pid)
{
    struct mark m;

    assert_int_equal(mark_of(pid, &m), 0);
    struct pollfd p = {.fd = mark_open(&m), .events = POLLIN};
    assert_true(p.fd >= 0);
    kill(pid, SIGKILL);
    assert_int_equal(poll(&p, 1, LIMIT_MS), 1);
    close(p.fd);
}

static void test_life_of_two(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < 2; i++)
        assert_does(w, start_request(ONE, "one"));
    pid_t pid = await_state(w, ONE, RELEASE_RUNNING);
    assert_does(w, start_request(ONE, "one"));
    assert_int_equal(await_state(w, ONE, RELEASE_RUNNING), pid);
    for (int i = 0; i < 2; i++)
        assert_does(w, request("switch", ONE));
    assert_serves(w, "one");
    assert_does(w, start_request(TWO, "two"));
    await_state(w, TWO, RELEASE_RUNNING);
    assert_serves(w, "one");
    assert_does(w, request("switch", TWO));
    assert_serves(w, "two");
    for (int i = 0; i < 2; i++)
        assert_does(w, request("stop", ONE));
    await_state(w, ONE, RELEASE_STOPPED);
    assert_int_equal(kill(pid, 0), -1);
    assert_does(w, request("start", ONE));
    await_state(w, ONE, RELEASE_RUNNING);
    assert_does(w, request("switch", ONE));
    assert_serves(w, "one");
}

static void test_refusals(void **state)
{
    struct world *w = *state;
    json_t *half = definition("x");

    json_object_del(half, "command");
    assert_refuses(w, json_object(), "nothing is asked for");
    assert_refuses(w, request("dance", ONE), "there is no such request");
    assert_refuses(w, request("start", NULL), "the id is missing");
    assert_refuses(w, request("stop", "../../etc"), "the id is missing");
    assert_refuses(w, request("start", ONE), "there is no such release any more");
    assert_refuses(w, request("switch", ONE), "there is no such release");
    assert_refuses(w, json_pack("{s:s, s:s, s:o}", "do", "start", "id", ONE, "definition", half),
                   "the command is missing");
    assert_does(w, request("stop", ONE));
    assert_does(w, request("forget", ONE));
    assert_does(w, start_request(ONE, "one"));
    await_state(w, ONE, RELEASE_RUNNING);
    assert_refuses(w, request("forget", ONE), "it is not stopped");
    assert_refuses(w, request("end", NULL), "a release runs");
    assert_does(w, request("switch", ONE));
    assert_refuses(w, request("stop", ONE), "it has the traffic");
}

/* The way back to the one that has the traffic needs no disk. */
static void test_a_full_disk(void **state)
{
    struct world *w = *state;

    assert_does(w, start_request(ONE, "one"));
    assert_does(w, start_request(TWO, "two"));
    await_state(w, ONE, RELEASE_RUNNING);
    await_state(w, TWO, RELEASE_RUNNING);
    assert_does(w, request("switch", ONE));
    assert_int_equal(mkdirat(w->directory, "live.json.new", 0700), 0);
    assert_refuses(w, request("switch", TWO), "cannot write live.json: Is a directory");
    assert_does(w, request("start", ONE));
    assert_does(w, request("switch", ONE));
    assert_does(w, request("stop", TWO));
    assert_serves(w, "one");
}

static void test_a_bad_one_is_not_given_the_traffic(void **state)
{
    struct world *w = *state;

    assert_does(w, start_request(ONE, "crash"));
    await_state(w, ONE, RELEASE_ENDED);
    assert_refuses(w, request("switch", ONE), "it does not accept connections");
    assert_does(w, start_request(ONE, "crash"));
    await_state(w, ONE, RELEASE_ENDED); /* it is not tried again */
    assert_does(w, request("stop", ONE));
    await_state(w, ONE, RELEASE_STOPPED);
    assert_does(w, request("forget", ONE));
    assert_int_equal(faccessat(w->directory, "releases/" ONE, F_OK, 0), -1);
}

static int raw(struct world *w)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(a.sun_path, sizeof a.sun_path, "%s/control", w->path);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static void test_what_is_no_request(void **state)
{
    struct world *w = *state;
    static char much[1 << 16];
    char got[4096];
    size_t sent = 0;
    int fd = raw(w);

    assert_int_equal(send(fd, "so what\n", 8, MSG_NOSIGNAL), 8);
    ssize_t n = recv(fd, got, sizeof got - 1, MSG_WAITALL);
    assert_true(n > 0);
    got[n] = '\0';
    assert_non_null(strstr(got, "that is no JSON object"));
    close(fd);
    fd = raw(w);
    memset(much, 'x', sizeof much);
    while (sent <= (size_t)COMMANDS_LINE_MAX + sizeof much) {
        n = send(fd, much, sizeof much, MSG_NOSIGNAL);
        if (n < 0)
            break;
        sent += (size_t)n;
    }
    assert_true(n < 0 || recv(fd, got, sizeof got, 0) <= 0);
    close(fd);
    assert_does(w, request("status", NULL));
}

/* The others are told nothing, and who comes when they have gone is heard. */
static void test_too_many_callers(void **state)
{
    struct world *w = *state;
    int fds[COMMANDS_MAX + 1];
    char byte;

    for (int i = 0; i <= COMMANDS_MAX; i++)
        fds[i] = raw(w);
    assert_int_equal(recv(fds[COMMANDS_MAX], &byte, 1, 0), 0);
    for (int i = 0; i <= COMMANDS_MAX; i++)
        close(fds[i]);
    for (int64_t until = clock_mono() + LIMIT_MS; clock_mono() < until;) {
        json_t *status;
        if (ask(w, request("status", NULL), &status))
            continue;
        json_decref(status);
        return;
    }
    fail_msg("nobody is heard any more");
}

static void die(struct world *w)
{
    kill(w->supervisor, SIGKILL);
    assert_int_equal(waitpid(w->supervisor, NULL, 0), w->supervisor);
}

static void test_the_next_takes_up_what_runs(void **state)
{
    struct world *w = *state;

    assert_does(w, start_request(ONE, "one"));
    assert_does(w, start_request(TWO, "two"));
    pid_t one = await_state(w, ONE, RELEASE_RUNNING), two = await_state(w, TWO, RELEASE_RUNNING);
    assert_does(w, request("switch", ONE));
    die(w);
    start_supervisor(w);
    assert_serves(w, "one");
    assert_int_equal(await_state(w, ONE, RELEASE_RUNNING), one);
    assert_int_equal(await_state(w, TWO, RELEASE_RUNNING), two);
    assert_does(w, request("stop", TWO));
    await_state(w, TWO, RELEASE_STOPPED);
    slay(one);
    assert_serves(w, "one");
    assert_true(await_state(w, ONE, RELEASE_RUNNING) != one);
}

/* What had the traffic is started again; what never had is not. */
static void test_the_next_starts_what_is_gone(void **state)
{
    struct world *w = *state;

    assert_does(w, start_request(ONE, "one"));
    assert_does(w, start_request(TWO, "two"));
    pid_t one = await_state(w, ONE, RELEASE_RUNNING), two = await_state(w, TWO, RELEASE_RUNNING);
    assert_does(w, request("switch", ONE));
    die(w);
    slay(one);
    slay(two);
    start_supervisor(w);
    assert_serves(w, "one");
    await_state(w, TWO, RELEASE_ENDED);
}

/* A file that a broken disk has left keeps no other release from running. */
static void test_a_damaged_release_is_left_out(void **state)
{
    struct world *w = *state;
    json_t *nothing = json_object();
    int fd;

    assert_does(w, start_request(ONE, "one"));
    await_state(w, ONE, RELEASE_RUNNING);
    assert_does(w, request("switch", ONE));
    die(w);
    assert_int_equal(mkdirat(w->directory, "releases/" TWO, 0700), 0);
    fd = openat(w->directory, "releases/" TWO, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(files_write(fd, "release.json", nothing), 0);
    close(fd);
    json_decref(nothing);
    start_supervisor(w);
    assert_serves(w, "one");
    assert_refuses(w, request("switch", TWO), "there is no such release");
}

/* Ways back are kept, a bounded number of them, the newest. */
static void test_old_ones_are_forgotten(void **state)
{
    struct world *w = *state;
    char id[UUID_TEXT_SIZE];

    for (int i = 10; i < 10 + SUPERVISOR_KEPT + 3; i++) {
        snprintf(id, sizeof id, "01a20000-0000-7000-8000-0000000000%d", i);
        assert_does(w, start_request(id, "crash"));
        await_state(w, id, RELEASE_ENDED);
        assert_does(w, request("stop", id));
    }
    assert_int_equal(
        faccessat(w->directory, "releases/01a20000-0000-7000-8000-000000000010", F_OK, 0), -1);
    assert_int_equal(
        faccessat(w->directory, "releases/01a20000-0000-7000-8000-000000000013", F_OK, 0), 0);
}

static void test_definitions(void **state)
{
    static const char *const members[] = {"release", "command", "directory", "environment",
                                          "stop_ms"};

    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        json_t *d = definition("x");
        assert_null(release_check(d));
        json_object_del(d, members[i]);
        assert_non_null(release_check(d));
        assert_non_null(strstr(release_check(d), members[i]));
        json_decref(d);
    }
    json_t *d = definition("x");
    json_object_set_new(d, "command", json_pack("[s, i]", "sh", 1));
    assert_non_null(release_check(d));
    json_decref(d);
}

int main(int argc, char **argv)
{
#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_life_of_two),
        WORLD_TEST(test_refusals),
        WORLD_TEST(test_a_full_disk),
        WORLD_TEST(test_a_bad_one_is_not_given_the_traffic),
        WORLD_TEST(test_what_is_no_request),
        WORLD_TEST(test_too_many_callers),
        WORLD_TEST(test_the_next_takes_up_what_runs),
        WORLD_TEST(test_the_next_starts_what_is_gone),
        WORLD_TEST(test_a_damaged_release_is_left_out),
        WORLD_TEST(test_old_ones_are_forgotten),
        cmocka_unit_test(test_definitions),
    };

    if (argc > 1)
        return be_release();
    return readlink("/proc/self/exe", own_path, sizeof own_path - 1) > 0
               ? cmocka_run_group_tests(tests, NULL, NULL)
               : 1;
}
