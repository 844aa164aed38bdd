/* Files that others may read or own: refused in production, mended elsewhere. */
#include "config/modes.h"

#include "base/log.h"
#include "config/fixture.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SOMEBODY = 12345 };

/* A database of this mode, and the setting that names it. */
static char *database(struct fixture *f, const char *part, mode_t mode)
{
    static char setting[200];

    snprintf(f->file, sizeof f->file, "%s/some.db%s", f->place, part);
    fixture_write(f, "");
    assert_int_equal(chmod(f->file, mode), 0);
    snprintf(setting, sizeof setting, "DATABASE_URL=sqlite:%s/some.db", f->place);
    return setting;
}

static mode_t mode_of(const char *path)
{
    struct stat s;

    assert_int_equal(stat(path, &s), 0);
    return s.st_mode & 07777;
}

static int load(struct fixture *f, const char *environment, const char *url)
{
    return fixture_load(f, NULL, true, environment, JWT_SECRET, ENCRYPTION_KEY, url, NULL);
}

static void test_a_database_that_others_may_read(void **state)
{
    static const char *const parts[] = {"", "-wal", "-shm", "-journal"};
    static const mode_t modes[] = {0640, 0604, 0620, 0666, 0610};
    struct fixture *f = *state;
    char named[200];

    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < 5; j++) {
            const char *url = database(f, parts[i], modes[j]);
            assert_int_equal(load(f, PRODUCTION, url), CONFIG_INVALID);
            assert_int_equal(fixture_problem_count(f), 1);
            snprintf(named, sizeof named, "DATABASE_URL: others have access to %s (mode %04o); ",
                     f->file, (unsigned)modes[j]);
            assert_problem(f, named);
            assert_int_equal(mode_of(f->file), modes[j]);
            assert_int_equal(load(f, "HOLDFAST_ENV=staging", url), 0);
            assert_int_equal(mode_of(f->file), 0600);
            assert_int_equal(load(f, PRODUCTION, url), 0);
        }
    }
}

static void test_a_database_of_somebody_else(void **state)
{
    struct fixture *f = *state;

    if (getuid() != 0)
        skip();
    const char *url = database(f, "", 0600);
    assert_int_equal(chown(f->file, SOMEBODY, SOMEBODY), 0);
    assert_int_equal(load(f, PRODUCTION, url), CONFIG_INVALID);
    assert_problem(f, "belongs to user 12345, but user 0 is to use it");
    assert_int_equal(load(f, "HOLDFAST_ENV=development", url), 0);
}

static void test_whom_root_becomes(void **state)
{
    struct fixture *f = *state;
    const struct passwd *nobody = getpwnam("nobody");
    struct stat s;

    if (getuid() != 0 || !nobody) {
        skip();
        return; /* which skip does, but the analyzer cannot know */
    }
    const char *url = database(f, "", 0600);
    assert_int_equal(fixture_load(f, NULL, true, PRODUCTION, JWT_SECRET, ENCRYPTION_KEY, url,
                                  "RUN_AS_USER=nobody", NULL),
                     CONFIG_INVALID);
    assert_problem(f, "belongs to user 0, but user 65534 is to use it");
    assert_int_equal(chown(f->file, nobody->pw_uid, nobody->pw_gid), 0);
    assert_int_equal(fixture_load(f, NULL, true, PRODUCTION, JWT_SECRET, ENCRYPTION_KEY, url,
                                  "RUN_AS_USER=nobody", NULL),
                     0);
    /* What is made for development is theirs, with the directory that the database comes into. */
    assert_int_equal(fixture_load(f, NULL, true, "RUN_AS_USER=nobody", NULL), 0);
    assert_int_equal(stat("data", &s), 0);
    assert_true(s.st_uid == nobody->pw_uid && (s.st_mode & 07777) == 0700);
    assert_int_equal(stat("data/secrets.env", &s), 0);
    assert_true(s.st_uid == nobody->pw_uid && (s.st_mode & 07777) == 0600);
}

/* A directory that was there is somebody's choice; a second name of a file is a trap. */
static void test_what_is_not_given_away(void **state)
{
    struct fixture *f = *state;
    struct modes_owner owner = {SOMEBODY, SOMEBODY, true}, own = {SOMEBODY, SOMEBODY, false};
    struct stat s;

    if (getuid() != 0)
        skip();
    assert_int_equal(mkdir("data", 0755), 0);
    assert_int_equal(fixture_load(f, NULL, true, "RUN_AS_USER=nobody", NULL), 0);
    assert_int_equal(stat("data", &s), 0);
    assert_int_equal(s.st_uid, 0);
    database(f, "", 0600);
    assert_int_equal(modes_give(&own, f->file), 0);
    assert_int_equal(link(f->file, "second"), 0);
    assert_int_equal(modes_give(&owner, "second"), 0);
    assert_int_equal(symlink(f->file, "third"), 0);
    assert_true(modes_give(&owner, "third") < 0);
    assert_int_equal(stat(f->file, &s), 0);
    assert_int_equal(s.st_uid, 0);
    assert_int_equal(unlink("second"), 0);
    assert_int_equal(modes_give(&owner, f->file), 0);
    assert_int_equal(stat(f->file, &s), 0);
    assert_int_equal(s.st_uid, SOMEBODY);
}

/* Who is to use a directory may put another's file into it, by a link; root leaves it alone. */
static void test_what_access_is_not_taken_from(void **state)
{
    struct fixture *f = *state;
    const struct passwd *nobody = getpwnam("nobody");

    if (getuid() != 0 || !nobody) {
        skip();
        return; /* which skip does, but the analyzer cannot know */
    }
    database(f, "", 0644);
    assert_int_equal(mkdir("data", 0700), 0);
    assert_int_equal(chown("data", nobody->pw_uid, nobody->pw_gid), 0);
    assert_int_equal(symlink(f->file, "data/secrets.env"), 0);
    assert_int_equal(
        fixture_load(f, NULL, true, "RUN_AS_USER=nobody", JWT_SECRET, ENCRYPTION_KEY, NULL), 0);
    assert_int_equal(mode_of(f->file), 0644);
    assert_int_equal(chown(f->file, nobody->pw_uid, nobody->pw_gid), 0);
    assert_int_equal(
        fixture_load(f, NULL, true, "RUN_AS_USER=nobody", JWT_SECRET, ENCRYPTION_KEY, NULL), 0);
    assert_int_equal(mode_of(f->file), 0600);
}

static void test_secrets_that_others_may_read(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fixture_load(f, NULL, true, NULL), 0);
    assert_int_equal(chmod("data/secrets.env", 0644), 0);
    assert_int_equal(fixture_load(f, NULL, true, NULL), 0);
    assert_int_equal(mode_of("data/secrets.env"), 0600);
}

static void test_settings_that_everyone_may_read(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, PRODUCTION "\nDATABASE_URL=sqlite:none.db\n" JWT_SECRET "\n" ENCRYPTION_KEY);
    assert_int_equal(chmod(f->file, 0644), 0);
    assert_int_equal(fixture_load(f, f->file, true, NULL), CONFIG_INVALID);
    assert_int_equal(fixture_problem_count(f), 1);
    assert_problem(f, "which holds secrets; chmod 640 it");
    assert_int_equal(chmod(f->file, 0640), 0);
    assert_int_equal(fixture_load(f, f->file, true, NULL), 0);
    fixture_write(f, PRODUCTION "\nPORT=1\n");
    assert_int_equal(chmod(f->file, 0644), 0);
    assert_int_equal(fixture_load(f, f->file, true, JWT_SECRET, ENCRYPTION_KEY, NULL), 0);
}

#define WITH_PLACE(f) cmocka_unit_test_setup_teardown(f, fixture_init, fixture_release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PLACE(test_a_database_that_others_may_read),
        WITH_PLACE(test_a_database_of_somebody_else),
        WITH_PLACE(test_whom_root_becomes),
        WITH_PLACE(test_what_is_not_given_away),
        WITH_PLACE(test_what_access_is_not_taken_from),
        WITH_PLACE(test_secrets_that_others_may_read),
        WITH_PLACE(test_settings_that_everyone_may_read),
    };

    log_configure(LOG_ERROR, LOG_JSON);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
