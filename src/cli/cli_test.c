/*
 * The command line as the operator meets it: help that names every option, errors that say what is
 * wrong, exit codes that scripts rely on. The program under test is HOLDFAST_BINARY.
 */
#include "base/product.h"
#include "cli/cli.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { ARGUMENTS_MAX = 12 };

static char place[] = "/tmp/holdfast-cli.XXXXXX";
static char *environment[] = {NULL, NULL}; /* the second may be set by a test */
static char *binary;
static char out[1 << 16], err[1 << 16];

static int set_up(void **state)
{
    static char data_dir[100];

    assert_non_null(mkdtemp(place));
    assert_int_equal(chdir(place), 0);
    snprintf(data_dir, sizeof data_dir, "DATA_DIR=%s/data", place);
    environment[0] = data_dir;
    return 0;
}

static int tear_down(void **state)
{
    char command[100];

    snprintf(command, sizeof command, "rm -rf '%s'", place);
    return system(command);
}

static void read_back(int fd, char *text, size_t size)
{
    ssize_t n = pread(fd, text, size - 1, 0);

    assert_true(n >= 0);
    text[n] = '\0';
    close(fd);
}

static int temporary(void)
{
    int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);

    assert_true(fd >= 0);
    return fd;
}

/* Runs the program with the arguments up to NULL. Returns its exit code; out and err hold the rest.
 */
static int run(const char *first, ...)
{
    char *argv[ARGUMENTS_MAX + 2] = {binary};
    char *envp[] = {environment[0], environment[1], NULL};
    int files[2] = {temporary(), temporary()}, status, n = 1;
    va_list args;

    va_start(args, first);
    for (const char *a = first; a && n <= ARGUMENTS_MAX; a = va_arg(args, const char *))
        argv[n++] = (char *)(uintptr_t)a;
    va_end(args);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int null = open("/dev/null", O_RDONLY);
        dup2(null, 0);
        dup2(files[0], 1);
        dup2(files[1], 2);
        execve(argv[0], argv, envp);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    read_back(files[0], out, sizeof out);
    read_back(files[1], err, sizeof err);
    return WEXITSTATUS(status);
}

#define assert_has(text, part)                                                                     \
    do {                                                                                           \
        if (!strstr(text, part))                                                                   \
            fail_msg("no \"%s\" in: %s", part, text);                                              \
    } while (0)

static void test_overview(void **state)
{
    static const char *const ways[] = {"--help", "-h", "help"};

    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        assert_int_equal(run(ways[i], NULL), EXIT_DONE);
        assert_string_equal(err, "");
        for (size_t j = 0; j < PRODUCT_PARTS; j++)
            assert_has(out, product_parts[j].name);
        for (size_t j = 0; j < cli_commands_count; j++) {
            assert_has(out, cli_commands[j]->name);
            assert_has(out, cli_commands[j]->summary);
        }
    }
    assert_int_equal(run(NULL), EXIT_USAGE);
    assert_string_equal(out, "");
    assert_has(err, "Usage: holdfast COMMAND");
    assert_int_equal(run("--version", NULL), EXIT_DONE);
    assert_int_equal(strncmp(out, "holdfast ", 9), 0);
}

static int help_of(const struct cli_command *c, const char *how)
{
    return c->verb ? run(c->name, c->verb, how, NULL) : run(c->name, how, NULL);
}

/* Each page names the command's words and every option, with its letter, value and help. */
static void test_help_of_each(void **state)
{
    char text[200];

    for (size_t i = 0; i < cli_commands_count; i++) {
        const struct cli_command *c = cli_commands[i];
        assert_int_equal(help_of(c, "-h"), EXIT_DONE);
        assert_int_equal(help_of(c, "--help"), EXIT_DONE);
        assert_string_equal(err, "");
        snprintf(text, sizeof text, "Usage: holdfast %s%s%s%s%s", c->name, c->verb ? " " : "",
                 c->verb ? c->verb : "", c->words ? " " : "", c->words ? c->words : "");
        assert_has(out, text);
        assert_has(out, c->summary);
        for (const struct cli_option *o = c->options; o->name; o++) {
            snprintf(text, sizeof text, "--%s%s%s ", o->name, o->value ? " " : "",
                     o->value ? o->value : "");
            assert_has(out, text);
            assert_has(out, o->help);
            snprintf(text, sizeof text, "-%c, --%s", o->letter, o->name);
            if (o->letter)
                assert_has(out, text);
        }
    }
}

/* Letters and names are unique, and neither takes help's. */
static void test_tables(void **state)
{
    for (size_t i = 0; i < cli_commands_count; i++) {
        const struct cli_option *all = cli_commands[i]->options;
        for (int a = 0; all[a].name; a++) {
            assert_true(a < CLI_OPTIONS_MAX - 1);
            assert_string_not_equal(all[a].name, "help");
            assert_int_not_equal(all[a].letter, 'h');
            for (int b = 0; b < a; b++) {
                assert_string_not_equal(all[a].name, all[b].name);
                assert_true(all[a].letter == 0 || all[a].letter != all[b].letter);
            }
        }
        assert_true(cli_commands[i]->words_max <= CLI_WORDS_MAX);
        assert_true(cli_commands[i]->words_min <= cli_commands[i]->words_max);
    }
}

static void test_wrong_usage(void **state)
{
    static const struct {
        const char *args[5];
        const char *says;
    } cases[] = {
        {{"nonsense"}, "there is no command nonsense"},
        {{"users"}, ""},
        {{"users", "fly"}, "users has no verb fly"},
        {{"users", "list", "--nonsense"}, "there is no such option: --nonsense"},
        {{"users", "list", "-Z"}, "there is no such option: -Z"},
        {{"users", "list", "x"}, "one argument too many: x"},
        {{"users", "disable"}, "missing: ID|ADDRESS"},
        {{"users", "set-role", "x"}, "missing: ID|ADDRESS ROLE"},
        {{"users", "add", "--email"}, "a value is missing after --email"},
        {{"users", "add", "--role", "admin"}, "--email and --role are needed"},
        {{"users", "add", "--email", "a@b.example", "--role=king"}, "king"},
        {{"serve", "--port"}, "a value is missing after --port"},
        {{"revoke-sessions"}, "--reason"},
        {{"revoke-sessions", "--dry-run"}, "--"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const *a = cases[i].args;
        if (run(a[0], a[1], a[2], a[3], a[4], NULL) != EXIT_USAGE)
            fail_msg("case %zu is not wrong usage: %s", i, err);
        if (*cases[i].says) {
            assert_has(err, cases[i].says);
            assert_string_equal(out, "");
        }
    }
    assert_int_equal(access("data", F_OK), -1); /* nothing was opened for any of them */
}

static void test_wrong_configuration(void **state)
{
    static char port[] = "PORT=none";

    environment[1] = port;
    assert_int_equal(run("users", "list", NULL), EXIT_USAGE);
    environment[1] = NULL;
    assert_has(err, "PORT: \"none\" is not a whole number");
    assert_int_equal(run("users", "list", "--config", "nowhere", NULL), EXIT_USAGE);
    assert_has(err, "--config: there is no file nowhere");
}

/* A database that cannot be reached is told from one that refuses. */
static void test_unreachable(void **state)
{
    static char url[] = "DATABASE_URL=postgresql://x@127.0.0.1:1/x";

    environment[1] = url;
    assert_int_equal(run("users", "list", NULL), EXIT_UNREACHABLE);
    environment[1] = NULL;
    assert_has(err, "cannot open the database");
}

static void test_work(void **state)
{
    assert_int_equal(run("users", "add", "--email", "Op@Example.com", "-r", "operator", NULL),
                     EXIT_DONE);
    assert_int_equal(strlen(out), 37);
    assert_int_equal(run("users", "add", "--email=op@example.com", "--role=admin", NULL),
                     EXIT_FAILED);
    assert_has(err, "there is an account with this address");
    assert_int_equal(run("users", "list", NULL), EXIT_DONE);
    assert_has(out, "op@example.com");
    assert_int_equal(run("trail", "verify", NULL), EXIT_DONE);
    assert_int_equal(run("revoke-sessions", "-u", "op@example.com", "-n", NULL), EXIT_DONE);
    assert_int_equal(run("users", "disable", "018bcfe5-6800-7000-8000-00000000000a", NULL),
                     EXIT_FAILED);
    assert_has(err, "there is no such user");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_overview),
        cmocka_unit_test(test_help_of_each),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_wrong_usage),
        cmocka_unit_test(test_wrong_configuration),
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_work),
    };
    binary = getenv("HOLDFAST_BINARY");
    if (!binary)
        return 77; /* skipped */
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
