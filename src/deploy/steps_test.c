/* Steps over a small world: whatever fails, and wherever the process dies, it ends whole. */
#include "deploy/steps.h"

#include "base/fault.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { STEPS = 5 };

/* The world outlives the processes that change it, as a database does. */
struct world {
    bool there[STEPS]; /* what each step makes */
    int runs[STEPS];
    int fails_at; /* -1: nowhere */
    int outcome;  /* of what fails */
    int undo_fails_at;
    int dies_at; /* so many events from now; 0: never */
    atomic_int cancel;
    int cancels_at;
    int guarded_at; /* the step at which the guard begins to refuse; -1: never */
    char directory[64];
    char told[1024]; /* events, as words */
};

static struct world *w;

static int index_of(const struct steps *s)
{
    return (int)(s->current - s->table);
}

/* Half of what a step makes is made before it notes anything. */
static int run(struct steps *s, void *context)
{
    int i = index_of(s);

    w->runs[i]++;
    if (step_note(s, json_pack("{s:i}", "made", i)))
        return STEP_FAILED;
    w->there[i] = true;
    if (i == w->cancels_at)
        atomic_store(&w->cancel, CANCEL_ROLL_BACK);
    if (i == w->fails_at) {
        fault_keep("it went wrong");
        return w->outcome;
    }
    return 0;
}

static int undo(struct steps *s, void *context)
{
    int i = index_of(s);

    if (i == w->undo_fails_at) {
        fault_keep("cannot go back");
        return STEP_FAILED;
    }
    w->there[i] = false;
    return 0;
}

static bool unwanted(const void *context)
{
    return false;
}

static const struct step table[STEPS] = {
    {.name = "check", .title = "Check", .run = run},
    {.name = "migrate", .title = "Migrate", .by_hand = "Restore.", .run = run, .undo = undo},
    {.name = "scratch",
     .title = "Rehearse",
     .by_hand = "Drop.",
     .run = run,
     .undo = undo,
     .alone = true},
    {.name = "verify",
     .title = "Verify",
     .by_hand = "Roll back.",
     .run = run,
     .undo = undo,
     .proof = true},
    {.name = "finish", .title = "Finish", .run = run},
};

static void hear(void *context, const struct steps_event *e)
{
    size_t n = strlen(w->told);

    snprintf(w->told + n, sizeof w->told - n, "%s %s%s%s, ", e->step->name,
             journal_phase_name(e->phase), *e->text ? ": " : "", e->text);
    if (w->dies_at && --w->dies_at == 0)
        kill(getpid(), SIGKILL);
}

static int guard(void *context)
{
    if (w->guarded_at < 0 || w->runs[w->guarded_at] == 0)
        return 0;
    fault_keep("another is at work");
    return STEP_FAILED;
}

static int setup(void **state)
{
    w = mmap(NULL, sizeof *w, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(w != MAP_FAILED);
    *w = (struct world){.fails_at = -1,
                        .undo_fails_at = -1,
                        .cancels_at = -1,
                        .guarded_at = -1,
                        .outcome = STEP_FAILED,
                        .directory = "/tmp/holdfast-steps.XXXXXX"};
    assert_non_null(mkdtemp(w->directory));
    return 0;
}

static void clear(void)
{
    char path[128];

    snprintf(path, sizeof path, "%s/journal.jsonl", w->directory);
    unlink(path);
}

static int teardown(void **state)
{
    clear();
    rmdir(w->directory);
    return munmap(w, sizeof *w);
}

static struct steps make(struct journal *j)
{
    return (struct steps){.table = table,
                          .n = STEPS,
                          .journal = j,
                          .hear = hear,
                          .cancel = &w->cancel,
                          .guard = guard};
}

static int deploy(void)
{
    struct journal *j;

    assert_int_equal(journal_create(w->directory, &j), 0);
    struct steps s = make(j);
    int result = steps_run(&s);
    journal_close(j);
    return result;
}

static int resume(int (*how)(struct steps *))
{
    struct journal *j;

    assert_int_equal(journal_open(w->directory, &j), 0);
    struct steps s = make(j);
    int result = how(&s);
    journal_close(j);
    return result;
}

static int count_there(void)
{
    int n = 0;

    for (int i = 0; i < STEPS; i++)
        n += w->there[i] && table[i].undo;
    return n;
}

static void test_good(void **state)
{
    assert_int_equal(deploy(), STEPS_DONE);
    assert_string_equal(w->told, "check begin, check done, migrate begin, migrate done, "
                                 "scratch begin, scratch done, verify begin, verify done, "
                                 "finish begin, finish done, ");
}

static void test_failing(void **state)
{
    w->fails_at = 2;
    assert_int_equal(deploy(), STEPS_ROLLED_BACK);
    assert_int_equal(count_there(), 0);
    assert_string_equal(w->told,
                        "check begin, check done, migrate begin, migrate done, "
                        "scratch begin, scratch failed: it went wrong, "
                        "scratch undoing, scratch undone, migrate undoing, migrate undone, ");
}

static void test_nothing_changed(void **state)
{
    w->fails_at = 0;
    assert_int_equal(deploy(), STEPS_FAILED);
    clear();
    w->outcome = STEP_UNREACHABLE;
    assert_int_equal(deploy(), STEPS_UNREACHABLE);
}

static void test_interrupted(void **state)
{
    w->cancels_at = 1;
    assert_int_equal(deploy(), STEPS_ROLLED_BACK);
    assert_non_null(
        strstr(w->told, "migrate failed: interrupted, migrate undoing, migrate undone"));
    assert_int_equal(w->runs[2], 0);
}

/* What is proven stays, whoever interrupts, and whatever fails behind it. */
static void test_proven(void **state)
{
    w->cancels_at = 3;
    w->fails_at = 4;
    assert_int_equal(deploy(), STEPS_DONE);
    assert_int_equal(w->runs[4], 1);
    assert_int_equal(count_there(), 3);
    assert_non_null(strstr(w->told, "finish failed: it went wrong"));
}

/* Another run tries again what could not be undone. */
static void test_stuck(void **state)
{
    w->fails_at = 3;
    w->undo_fails_at = 3;
    assert_int_equal(deploy(), STEPS_INCOMPLETE);
    assert_non_null(strstr(w->told, "verify undo_failed: cannot go back, "
                                    "scratch undoing, scratch undone, "));
    assert_true(w->there[1]);
    assert_true(w->there[3]);
    w->undo_fails_at = -1;
    assert_int_equal(resume(steps_resume), STEPS_ROLLED_BACK);
    assert_int_equal(count_there(), 0);
}

/* Once it may not go on it does nothing more at all, not even back. */
static void test_guarded(void **state)
{
    w->guarded_at = 1; /* from behind that step on */
    assert_int_equal(deploy(), STEPS_INCOMPLETE);
    assert_int_equal(w->runs[2], 0);
    assert_true(w->there[1]);
    assert_non_null(strstr(w->told, "scratch failed: another is at work"));
    assert_int_equal(resume(steps_resume), STEPS_INCOMPLETE);
    assert_true(w->there[1]);
    w->guarded_at = -1;
    assert_int_equal(resume(steps_resume), STEPS_ROLLED_BACK);
    assert_int_equal(count_there(), 0);
}

static void test_given_up(void **state)
{
    w->fails_at = 3;
    atomic_store(&w->cancel, CANCEL_NOT);
    w->undo_fails_at = 3;
    assert_int_equal(deploy(), STEPS_INCOMPLETE);
    atomic_store(&w->cancel, CANCEL_AT_ONCE);
    w->undo_fails_at = -1;
    assert_int_equal(resume(steps_resume), STEPS_INCOMPLETE);
    assert_true(w->there[1]);
    atomic_store(&w->cancel, CANCEL_NOT);
    assert_int_equal(resume(steps_resume), STEPS_ROLLED_BACK);
}

static void test_undone_later(void **state)
{
    assert_int_equal(deploy(), STEPS_DONE);
    assert_int_equal(count_there(), 3);
    assert_int_equal(resume(steps_undo), STEPS_ROLLED_BACK);
    assert_int_equal(count_there(), 0);
}

static void test_notes(void **state)
{
    struct journal *j;
    char text[4];

    assert_int_equal(journal_create(w->directory, &j), 0);
    struct steps s = make(j);
    s.current = &table[1];
    assert_int_equal(step_note(&s, json_pack("{s:s, s:i}", "a", "one", "b", 1)), 0);
    assert_int_equal(step_note(&s, json_pack("{s:s}", "a", "two")), 0);
    json_t *all = step_data(&s, "migrate");
    assert_int_equal(json_object_size(all), 2);
    json_decref(all);
    assert_int_equal(step_text(&s, "migrate", "a", text, sizeof text), 0);
    assert_string_equal(text, "two");
    assert_int_equal(step_text(&s, "migrate", "none", text, sizeof text), 0);
    assert_string_equal(text, "");
    assert_int_equal(step_text(&s, "migrate", "a", text, 3), FAULT_LIMIT);
    journal_close(j);
}

/* Runs what in a process of its own. Returns its result, or -1 where it was killed. */
static int in_process(int (*what)(void))
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(what());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int go_on(void)
{
    return resume(steps_resume);
}

static int go_back(void)
{
    return resume(steps_undo);
}

/* Dies at each event in turn, and again in each event of going on. */
static void die_everywhere(int (*what)(void), bool prepare, bool good)
{
    for (int first = 1;; first++) {
        for (int second = 0;; second++) {
            clear();
            memset(w->there, 0, sizeof w->there);
            w->dies_at = 0;
            if (prepare)
                assert_int_equal(in_process(deploy), STEPS_DONE);
            w->dies_at = first;
            int result = in_process(what);
            if (result >= 0) {
                assert_int_equal(second, 0);
                assert_true(first > 4);
                return;
            }
            w->dies_at = second;
            result = in_process(go_on);
            if (result < 0) {
                w->dies_at = 0;
                result = in_process(go_on);
            } else if (second) {
                break; /* it went on to the end in fewer events */
            }
            bool proven = result == STEPS_DONE;
            assert_true(proven || result == STEPS_ROLLED_BACK || result == STEPS_FAILED);
            assert_true(good || !proven);
            assert_int_equal(count_there(), proven ? 3 : 0);
            assert_true(!proven || w->there[4]);
        }
    }
}

static void test_death(void **state)
{
    die_everywhere(deploy, false, true);
    w->fails_at = 3;
    die_everywhere(deploy, false, false);
    w->fails_at = -1;
    die_everywhere(go_back, true, false);
}

static void test_unwanted(void **state)
{
    struct step steps[] = {table[0], table[1]};
    struct journal *j;

    steps[1].wanted = unwanted;
    assert_int_equal(journal_create(w->directory, &j), 0);
    struct steps s = make(j);
    s.table = steps;
    s.n = 2;
    assert_int_equal(steps_run(&s), STEPS_DONE);
    journal_close(j);
    assert_string_equal(w->told, "check begin, check done, migrate skipped, ");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_good),     TEST(test_failing),     TEST(test_nothing_changed),
        TEST(test_proven),   TEST(test_interrupted), TEST(test_stuck),
        TEST(test_given_up), TEST(test_guarded),     TEST(test_undone_later),
        TEST(test_notes),    TEST(test_death),       TEST(test_unwanted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
