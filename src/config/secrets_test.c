/* The secrets that development makes for itself, and keeps whatever version of it made them. */
#include "config/secrets.h"

#include "base/log.h"
#include "config/fixture.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STARTERS = 8, SECRETS = 128 + 64 + 64, FILE_MAX = 2000 };

static const char file_name[] = "data/secrets.env";

static mode_t mode_of(const char *path)
{
    struct stat s;

    assert_int_equal(lstat(path, &s), 0);
    return s.st_mode & 07777;
}

static const char *content(const char *path)
{
    static char text[FILE_MAX];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    assert_true(n >= 0);
    close(fd);
    text[n] = '\0';
    return text;
}

/* Writes the file as if another had. */
static void put(const char *text)
{
    int fd;

    mkdir("data", 0700);
    fd = open(file_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void assert_alone(void)
{
    assert_int_equal(system("test \"$(ls data)\" = secrets.env"), 0);
}

static void test_made(void **state)
{
    struct fixture *f = *state;
    char first[SECRETS + 1];

    assert_int_equal(fixture_load(f, NULL, true, NULL), 0);
    snprintf(first, sizeof first, "%s%s%s", f->config->jwt_secret, f->config->encryption_key,
             f->config->ses_webhook_secret);
    assert_int_equal(strlen(first), SECRETS);
    assert_int_equal(strspn(first, "0123456789abcdef"), SECRETS);
    assert_int_equal(mode_of("data"), 0700);
    assert_int_equal(mode_of(file_name), 0600);
    assert_alone();
    assert_int_equal(fixture_load(f, NULL, true, NULL), 0);
    assert_memory_equal(f->config->jwt_secret, first, 128);
    assert_memory_equal(f->config->encryption_key, first + 128, 64);
    assert_memory_equal(f->config->ses_webhook_secret, first + 192, 64);
}

/* What is set goes before what was made, which still fills the others; empty is set, too. */
static void test_what_is_set_is_not_made(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fixture_load(f, NULL, true, JWT_SECRET, "SES_WEBHOOK_SECRET=", NULL), 0);
    assert_string_equal(f->config->jwt_secret, SECRET_128);
    assert_string_equal(f->config->ses_webhook_secret, "");
    assert_int_equal(strlen(f->config->encryption_key), 64);
    assert_null(strstr(content(file_name), "JWT_SECRET="));
    assert_null(strstr(content(file_name), "SES_WEBHOOK_SECRET="));
    assert_int_equal(fixture_load(f, NULL, true, NULL), 0);
    assert_int_equal(strlen(f->config->jwt_secret), 128);
    assert_int_equal(strlen(f->config->ses_webhook_secret), 64);
}

static void test_all_are_set(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(
        fixture_load(f, NULL, true, JWT_SECRET, ENCRYPTION_KEY, "SES_WEBHOOK_SECRET=", NULL), 0);
    assert_int_equal(access("data", F_OK), -1);
}

static void test_none_for_production(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fixture_load(f, NULL, true, PRODUCTION, NULL), CONFIG_INVALID);
    assert_int_equal(access("data", F_OK), -1);
    assert_int_equal(fixture_load(f, NULL, false, "HOLDFAST_ENV=staging", NULL), 0);
    assert_null(f->config->ses_webhook_secret);
}

static void test_damaged(void **state)
{
    struct fixture *f = *state;

    put("JWT_SECRET='hush\n");
    assert_int_equal(fixture_load(f, NULL, true, NULL), CONFIG_INVALID);
    assert_problem(f, "secrets.env line 1: not KEY=VALUE\n");
    assert_int_equal(fixture_problem_count(f), 3);
    assert_null(strstr(fixture_problems(f), "hush"));
    assert_string_equal(content(file_name), "JWT_SECRET='hush\n");
}

/* The file of an earlier version keeps each of its bytes, and what it lacks comes behind them. */
static void test_completed(void **state)
{
    static const char *const old[] = {
        "# mine\nexport " JWT_SECRET "\n\nMORE=x\n" ENCRYPTION_KEY "\n",
        ENCRYPTION_KEY "\n" JWT_SECRET, /* without an end of its line */
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof old / sizeof *old; i++) {
        put(old[i]);
        put(old[i]);
        assert_int_equal(fixture_load(f, NULL, true, NULL), 0);
        assert_string_equal(f->config->jwt_secret, SECRET_128);
        assert_string_equal(f->config->encryption_key, SECRET_64);
        const char *text = content(file_name);
        assert_memory_equal(text, old[i], strlen(old[i]));
        char line[100];
        snprintf(line, sizeof line, "\nSES_WEBHOOK_SECRET=%s\n", f->config->ses_webhook_secret);
        assert_string_equal(strstr(text, "\nSES_WEBHOOK_SECRET="), line);
        assert_int_equal(mode_of(file_name), 0600);
        assert_alone();
    }
}

/* What the file holds is not made anew, although the environment has to give the rest. */
static void test_empty_in_the_file(void **state)
{
    struct fixture *f = *state;
    const char *text = JWT_SECRET "\n" ENCRYPTION_KEY "\nSES_WEBHOOK_SECRET=\n";

    put(text);
    assert_int_equal(fixture_load(f, NULL, true, NULL), 0);
    assert_string_equal(f->config->ses_webhook_secret, "");
    assert_string_equal(content(file_name), text);
}

/* What a process left that died while it wrote is in nobody's way. */
static void test_left_behind(void **state)
{
    struct fixture *f = *state;

    put(JWT_SECRET "\n" ENCRYPTION_KEY "\n");
    assert_int_equal(system("echo half >data/secrets.env.new"), 0);
    assert_int_equal(fixture_load(f, NULL, true, NULL), 0);
    assert_int_equal(strlen(f->config->ses_webhook_secret), 64);
    assert_null(strstr(content(file_name), "half"));
    assert_alone();
}

/* A link is somebody's arrangement: it stays, and a server starts without the last secret. */
static void test_no_file_of_its_own(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, JWT_SECRET "\n" ENCRYPTION_KEY "\n");
    assert_int_equal(mkdir("data", 0700), 0);
    assert_int_equal(symlink(f->file, file_name), 0);
    assert_int_equal(fixture_load(f, NULL, true, NULL), 0);
    assert_string_equal(f->config->jwt_secret, SECRET_128);
    assert_null(f->config->ses_webhook_secret);
    assert_string_equal(content(f->file), JWT_SECRET "\n" ENCRYPTION_KEY "\n");
    assert_int_equal(mode_of(file_name), 0777);
    fixture_write(f, JWT_SECRET "\n");
    assert_true(fixture_load(f, NULL, true, NULL) < 0);
    assert_null(strstr(content(f->file), "ENCRYPTION_KEY"));
}

/* Root, on an errand in somebody's directory, does not lock them out of their secrets. */
static void test_somebody_elses(void **state)
{
    struct fixture *f = *state;
    const struct passwd *nobody = getpwnam("nobody");
    struct stat s;

    if (getuid() != 0 || !nobody) {
        skip();
        return; /* which skip does, but the analyzer cannot know */
    }
    put(JWT_SECRET "\n" ENCRYPTION_KEY "\n");
    assert_int_equal(chown(file_name, nobody->pw_uid, nobody->pw_gid), 0);
    assert_int_equal(fixture_load(f, NULL, false, NULL), 0);
    assert_int_equal(strlen(f->config->ses_webhook_secret), 64);
    assert_int_equal(stat(file_name, &s), 0);
    assert_int_equal(s.st_uid, nobody->pw_uid);
    assert_int_equal(s.st_gid, nobody->pw_gid);
    assert_int_equal(s.st_mode & 07777, 0600);
}

/* Waits for the start, loads, and writes its secrets into the pipe. */
static void start_one(struct fixture *f, int start, int result)
{
    char go, all[SECRETS + 1];

    if (read(start, &go, 1) != 0 || fixture_load(f, NULL, true, NULL) != 0)
        _exit(1);
    snprintf(all, sizeof all, "%s%s%s", f->config->jwt_secret, f->config->encryption_key,
             f->config->ses_webhook_secret);
    _exit(write(result, all, SECRETS) == SECRETS ? 0 : 1);
}

/* Processes that start at once end up with the same secrets, and leave nothing behind. */
static void start_at_once(struct fixture *f)
{
    int start[2], results[STARTERS][2];
    char secrets[STARTERS][SECRETS];

    assert_int_equal(pipe(start), 0);
    for (int i = 0; i < STARTERS; i++) {
        assert_int_equal(pipe(results[i]), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            close(start[1]);
            start_one(f, start[0], results[i][1]);
        }
        close(results[i][1]);
    }
    close(start[0]);
    close(start[1]); /* all of them read the end at once */
    for (int i = 0; i < STARTERS; i++) {
        size_t n = 0;
        ssize_t got;
        while (n < SECRETS && (got = read(results[i][0], secrets[i] + n, SECRETS - n)) > 0)
            n += (size_t)got;
        assert_int_equal(n, SECRETS);
        assert_memory_equal(secrets[i], secrets[0], SECRETS);
        close(results[i][0]);
    }
    for (int i = 0, status; i < STARTERS; i++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    assert_alone();
}

static void test_made_at_once(void **state)
{
    start_at_once(*state);
}

static void test_completed_at_once(void **state)
{
    put(JWT_SECRET "\n" ENCRYPTION_KEY "\n");
    start_at_once(*state);
    assert_non_null(strstr(content(file_name), JWT_SECRET "\n" ENCRYPTION_KEY "\nSES_WEBHOOK_"));
}

#define WITH_PLACE(f) cmocka_unit_test_setup_teardown(f, fixture_init, fixture_release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PLACE(test_made),
        WITH_PLACE(test_what_is_set_is_not_made),
        WITH_PLACE(test_all_are_set),
        WITH_PLACE(test_none_for_production),
        WITH_PLACE(test_damaged),
        WITH_PLACE(test_completed),
        WITH_PLACE(test_empty_in_the_file),
        WITH_PLACE(test_left_behind),
        WITH_PLACE(test_no_file_of_its_own),
        WITH_PLACE(test_somebody_elses),
        WITH_PLACE(test_made_at_once),
        WITH_PLACE(test_completed_at_once),
    };

    log_configure(LOG_ERROR, LOG_JSON);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
