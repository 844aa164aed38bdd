/* Reports: what a journal says is what they tell, whatever it says. */
#include "deploy/report.h"

#include "base/clock.h"
#include "base/fault.h"
#include "deploy/report_parts.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const char id_text[] = "0193a5b0-1111-7222-8333-444455556666";

struct scene {
    struct arena a;
    char parent[64], directory[128];
    struct journal *j;
    struct report r;
    int64_t shift;
};

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof *s);

    s->a = arena_init(REPORT_ARENA);
    snprintf(s->parent, sizeof s->parent, "/tmp/holdfast-report.XXXXXX");
    assert_non_null(mkdtemp(s->parent));
    snprintf(s->directory, sizeof s->directory, "%s/%s", s->parent, id_text);
    assert_int_equal(journal_create(s->directory, &s->j), 0);
    *state = s;
    return 0;
}

/* Removes what is in the directory. Returns how many files there were. */
static int empty(const char *directory)
{
    DIR *d = opendir(directory);
    char path[512];
    int n = 0;

    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", directory, e->d_name);
        assert_int_equal(unlink(path), 0);
        n++;
    }
    closedir(d);
    return n;
}

static int teardown(void **state)
{
    struct scene *s = *state;

    clock_shift(-s->shift);
    journal_close(s->j);
    empty(s->directory);
    rmdir(s->directory);
    rmdir(s->parent);
    arena_free(&s->a);
    free(s);
    return 0;
}

/* Lets ms pass by the clock. */
static void wait_for(struct scene *s, int64_t ms)
{
    s->shift += ms;
    clock_shift(ms);
}

static void record(struct scene *s, const char *step, enum journal_phase phase, json_t *data)
{
    assert_int_equal(journal_write(s->j, step, phase, data), 0);
}

/* As deploy/steps.c writes it. */
static void end_step(struct scene *s, const char *step, enum journal_phase phase, const char *why,
                     int64_t ms)
{
    wait_for(s, ms);
    record(s, step, phase,
           *why ? json_pack("{s:s, s:I}", "why", why, "ms", (json_int_t)ms)
                : json_pack("{s:I}", "ms", (json_int_t)ms));
}

static void do_step(struct scene *s, const char *step, int64_t ms)
{
    record(s, step, JOURNAL_BEGIN, json_pack("{s:i}", "ms", 0));
    end_step(s, step, JOURNAL_DONE, "", ms);
}

static void fail_step(struct scene *s, const char *step, const char *why, int64_t ms)
{
    record(s, step, JOURNAL_BEGIN, json_pack("{s:i}", "ms", 0));
    end_step(s, step, JOURNAL_FAILED, why, ms);
}

static void undo_step(struct scene *s, const char *step, enum journal_phase phase, const char *why,
                      int64_t ms)
{
    record(s, step, JOURNAL_UNDOING, json_pack("{s:i}", "ms", 0));
    end_step(s, step, phase, why, ms);
}

static void end(struct scene *s, const char *result)
{
    record(s, "deployment", JOURNAL_END, json_pack("{s:s}", "result", result));
}

static const struct step table[] = {
    {.name = "check", .title = "Check"},
    {.name = "backup", .title = "Back the database up", .by_hand = "Delete the backup."},
    {.name = "migrate", .title = "Migrate", .by_hand = "Restore the backup."},
    {.name = "roll_out", .title = "Roll out", .by_hand = "Start the previous release."},
    {.name = "verify", .title = "Verify from outside"},
    {.name = "finish", .title = "Clean up"},
};
enum { STEPS = sizeof table / sizeof *table };

static void open_journal(struct scene *s)
{
    record(s, "deployment", JOURNAL_BEGIN,
           json_pack("{s:s, s:s, s:s, s:s, s:b, s:{s:i}, s:o}", "environment", "prod", "release",
                     "v42", "who", "ann@laptop", "version", "0.1.0", "skipMigrations", 0, "options",
                     "tries", 30, "steps", report_table(table, STEPS)));
}

static struct uuid id(void)
{
    struct uuid u;

    assert_int_equal(uuid_parse(str_of(id_text), &u), 0);
    return u;
}

static void make(struct scene *s, bool alive)
{
    struct uuid u = id();

    assert_int_equal(report_make(&s->a, s->j, &u, alive, clock_now(), &s->r), 0);
}

static const struct report_step *step_of(const struct scene *s, const char *name)
{
    for (size_t i = 0; i < s->r.n_steps; i++)
        if (str_eq(s->r.steps[i].name, str_of(name)))
            return &s->r.steps[i];
    fail_msg("no step %s", name);
    return NULL;
}

#define assert_text(text, wanted)                                                                  \
    do {                                                                                           \
        char got[1024];                                                                            \
        snprintf(got, sizeof got, "%.*s", STR_ARG(text));                                          \
        assert_string_equal(got, wanted);                                                          \
    } while (0)

/* A good one, of which the caller may add the end. */
static void deploy_well(struct scene *s)
{
    static const struct verify_report verified = {
        .answers = {{"no-token", "Without a token the answer is 401", VERIFY_PASSED, ""},
                    {"cors", "The origin is allowed", VERIFY_FAILED, "allows any origin"},
                    {"redirect", "http leads to https", VERIFY_NOT_ASKED, ""}},
        .n = 3};

    open_journal(s);
    do_step(s, "check", 300);
    record(s, "backup", JOURNAL_BEGIN, NULL);
    record(s, "backup", JOURNAL_NOTE,
           json_pack("{s:s, s:s, s:{s:s, s:i, s:b}}", "file", "/secret/place", "previousRelease",
                     "v41", "show", "Backup", "shop.dump", "Tables", 12, "Verified", 0));
    record(s, "backup", JOURNAL_NOTE, json_pack("{s:{s:b}}", "show", "Verified", 1));
    end_step(s, "backup", JOURNAL_DONE, "", 60000);
    record(s, "migrate", JOURNAL_SKIPPED, json_pack("{s:i}", "ms", 0));
    do_step(s, "roll_out", 20000);
    record(s, "verify", JOURNAL_BEGIN, NULL);
    record(s, "verify", JOURNAL_NOTE, report_answers(&verified));
    end_step(s, "verify", JOURNAL_DONE, "", 700);
}

static void test_good(void **state)
{
    struct scene *s = *state;

    deploy_well(s);
    do_step(s, "finish", 1000);
    end(s, "done");
    make(s, true);
    assert_int_equal(s->r.result, REPORT_DONE);
    assert_text(s->r.environment, "prod");
    assert_text(s->r.release, "v42");
    assert_text(s->r.previous, "v41");
    assert_text(s->r.who, "ann@laptop");
    assert_text(s->r.version, "0.1.0");
    assert_text(s->r.why, "");
    assert_int_equal(s->r.n_left, 0);
    assert_int_equal(s->r.n_steps, STEPS);
    assert_in_range(s->r.ms, 82000, 82000 + 10000);
    assert_int_equal(s->r.ended_at - s->r.began_at, s->r.ms);
    assert_int_equal(s->r.records, journal_count(s->j));
    const struct report_step *backup = step_of(s, "backup");
    assert_text(backup->title, "Back the database up");
    assert_int_equal(backup->run.state, REPORT_STEP_DONE);
    assert_int_equal(backup->run.ms, 60000);
    assert_in_range(backup->run.began_at - s->r.began_at, 300, 10300);
    assert_int_equal(backup->undo.state, REPORT_STEP_WAITING);
    assert_int_equal(backup->n_facts, 3);
    assert_text(backup->facts[0].label, "Backup");
    assert_text(backup->facts[0].text, "shop.dump");
    assert_text(backup->facts[1].text, "12");
    assert_text(backup->facts[2].text, "yes");
    assert_int_equal(step_of(s, "migrate")->run.state, REPORT_STEP_SKIPPED);
    assert_int_equal(s->r.n_answers, 3);
    assert_int_equal(s->r.answers[1].verdict, VERIFY_FAILED);
    assert_text(s->r.answers[1].why, "allows any origin");
    assert_int_equal(s->r.answers[2].verdict, VERIFY_NOT_ASKED);
    assert_int_equal(s->r.n_options, 2);
    assert_text(s->r.options[0].label, "tries");
    assert_text(s->r.options[1].label, "skipMigrations");
    assert_text(s->r.options[1].text, "no");
}

static void test_failed(void **state)
{
    struct scene *s = *state;

    open_journal(s);
    fail_step(s, "check", "the database is out of reach", 10);
    record(s, "deployment", JOURNAL_UNDOING, NULL);
    end(s, "failed");
    make(s, true);
    assert_int_equal(s->r.result, REPORT_FAILED);
    assert_text(s->r.why, "the database is out of reach");
    assert_int_equal(s->r.n_left, 0);
    assert_int_equal(step_of(s, "backup")->run.state, REPORT_STEP_WAITING);
}

static void fail_to_roll_out(struct scene *s)
{
    open_journal(s);
    do_step(s, "check", 10);
    do_step(s, "backup", 10);
    do_step(s, "migrate", 10);
    fail_step(s, "roll_out", "never well in 30 tries", 500);
    record(s, "deployment", JOURNAL_UNDOING, NULL);
}

static void test_rolled_back(void **state)
{
    struct scene *s = *state;

    fail_to_roll_out(s);
    undo_step(s, "roll_out", JOURNAL_UNDONE, "", 40);
    undo_step(s, "migrate", JOURNAL_UNDONE, "", 30);
    undo_step(s, "backup", JOURNAL_UNDONE, "", 20);
    end(s, "rolled back");
    make(s, false);
    assert_int_equal(s->r.result, REPORT_ROLLED_BACK);
    assert_text(s->r.why, "never well in 30 tries");
    assert_int_equal(s->r.n_left, 0);
    assert_int_equal(step_of(s, "roll_out")->run.state, REPORT_STEP_FAILED);
    assert_int_equal(step_of(s, "roll_out")->undo.state, REPORT_STEP_DONE);
    assert_int_equal(step_of(s, "migrate")->undo.ms, 30);
    assert_int_equal(step_of(s, "migrate")->run.state, REPORT_STEP_DONE);
}

/* What is left stands in the order in which it is to be undone. */
static void test_incomplete(void **state)
{
    struct scene *s = *state;

    fail_to_roll_out(s);
    undo_step(s, "roll_out", JOURNAL_UNDONE, "", 40);
    undo_step(s, "migrate", JOURNAL_UNDO_FAILED, "the disk is full", 30);
    make(s, false);
    assert_int_equal(s->r.result, REPORT_INCOMPLETE);
    assert_text(s->r.why, "never well in 30 tries");
    assert_int_equal(s->r.n_left, 2);
    assert_text(s->r.left[0].step, "migrate");
    assert_text(s->r.left[0].why, "the disk is full");
    assert_text(s->r.left[0].by_hand, "Restore the backup.");
    assert_text(s->r.left[1].step, "backup");
    assert_text(s->r.left[1].why, "It was not tried: what came after it could not be undone.");
    assert_text(s->r.left[1].by_hand, "Delete the backup.");
    assert_true(s->r.ended_at > 0);
    make(s, true); /* it goes on */
    assert_int_equal(s->r.result, REPORT_RUNNING);
    assert_int_equal(s->r.n_left, 0);
}

/* Whether it runs or has died is told by the journal's lock. */
static void test_died(void **state)
{
    struct scene *s = *state;

    open_journal(s);
    do_step(s, "check", 10);
    record(s, "backup", JOURNAL_BEGIN, NULL);
    wait_for(s, 5000);
    assert_int_equal(report_read(&s->a, s->directory, clock_now(), &s->r), 0);
    assert_int_equal(s->r.result, REPORT_RUNNING);
    assert_int_equal(s->r.ended_at, 0);
    assert_int_equal(step_of(s, "backup")->run.state, REPORT_STEP_RUNNING);
    assert_in_range(step_of(s, "backup")->run.ms, 5000, 15000);
    assert_in_range(s->r.ms, 5010, 15010);
    journal_close(s->j);
    s->j = NULL;
    assert_int_equal(report_read(&s->a, s->directory, clock_now(), &s->r), 0);
    assert_int_equal(s->r.result, REPORT_DIED);
    assert_int_equal(step_of(s, "backup")->run.state, REPORT_STEP_INTERRUPTED);
    assert_text(s->r.why, "Its process ended during: Back the database up");
    assert_int_equal(s->r.n_left, 1);
    assert_text(s->r.left[0].step, "");
    assert_non_null(strstr(s->r.left[0].by_hand.p, "holdfast deploy --env prod"));
    assert_true(s->r.ended_at > 0);
}

/* What the next run undoes after a death. */
static void test_taken_up(void **state)
{
    struct scene *s = *state;

    open_journal(s);
    do_step(s, "check", 10);
    record(s, "backup", JOURNAL_BEGIN, NULL);
    wait_for(s, 100);
    record(s, "backup", JOURNAL_NOTE, NULL);
    wait_for(s, CLOCK_HOUR);
    record(s, "deployment", JOURNAL_UNDOING, NULL);
    undo_step(s, "backup", JOURNAL_UNDONE, "", 20);
    end(s, "rolled back");
    make(s, true);
    assert_int_equal(s->r.result, REPORT_ROLLED_BACK);
    assert_int_equal(step_of(s, "backup")->run.state, REPORT_STEP_INTERRUPTED);
    assert_in_range(step_of(s, "backup")->run.ms, 100, 10100);
    assert_int_equal(step_of(s, "backup")->undo.state, REPORT_STEP_DONE);
}

static void test_back_on_request(void **state)
{
    struct scene *s = *state;

    deploy_well(s);
    fail_step(s, "finish", "the old image could not be removed", 10);
    end(s, "done");
    make(s, false);
    assert_int_equal(s->r.result, REPORT_DONE);
    assert_text(s->r.why, "");
    assert_int_equal(s->r.n_left, 1);
    assert_text(s->r.left[0].why, "the old image could not be removed");
    assert_text(s->r.left[0].by_hand, "");
    record(s, "deployment", JOURNAL_UNDOING, NULL);
    undo_step(s, "roll_out", JOURNAL_UNDONE, "", 20);
    make(s, true);
    assert_int_equal(s->r.result, REPORT_RUNNING);
    undo_step(s, "backup", JOURNAL_UNDONE, "", 20);
    end(s, "rolled back");
    make(s, false);
    assert_int_equal(s->r.result, REPORT_ROLLED_BACK);
    assert_text(s->r.why, "It was asked for.");
}

static void test_foreign(void **state)
{
    struct scene *s = *state;
    struct uuid u = id();

    assert_int_equal(report_make(&s->a, s->j, &u, false, 0, &s->r), REPORT_NONE);
    do_step(s, "check", 1);
    assert_int_equal(report_make(&s->a, s->j, &u, false, 0, &s->r), REPORT_NONE);
    assert_int_equal(report_read(&s->a, s->parent, 0, &s->r), REPORT_NONE);
    assert_int_equal(report_read(&s->a, "/nowhere/0193a5b0-1111-7222-8333-444455556666", 0, &s->r),
                     REPORT_NONE);
    char path[256];
    snprintf(path, sizeof path, "%s/journal.jsonl", s->directory);
    int fd = open(path, O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, "no record\n", 10), 10);
    close(fd);
    assert_int_equal(report_read(&s->a, s->directory, 0, &s->r), REPORT_DAMAGED);
}

/* A journal without the table of steps: those that have begun stand for it. */
static void test_without_table(void **state)
{
    struct scene *s = *state;

    record(s, "deployment", JOURNAL_BEGIN, json_pack("{s:s}", "environment", "dev"));
    do_step(s, "check", 10);
    record(s, "strange", JOURNAL_UNDOING, NULL);
    record(s, "deployment", JOURNAL_UNDOING, NULL);
    record(s, "strange", JOURNAL_UNDO_FAILED, json_pack("{s:s}", "why", "no"));
    make(s, false);
    assert_int_equal(s->r.n_steps, 2);
    assert_text(s->r.steps[1].title, "strange");
    assert_int_equal(s->r.result, REPORT_INCOMPLETE);
    assert_text(s->r.release, "");
}

static void test_json(void **state)
{
    struct scene *s = *state;
    struct buf first _cleanup_buf_ = buf_init(REPORT_JSON_MAX),
                     second _cleanup_buf_ = buf_init(REPORT_JSON_MAX);
    struct report back;

    deploy_well(s);
    record(s, "deployment", JOURNAL_UNDOING, NULL);
    undo_step(s, "roll_out", JOURNAL_UNDO_FAILED, "it said \"no\"", 20);
    make(s, false);
    assert_int_equal(report_write_json(&s->r, &first), 0);
    assert_int_equal(report_parse(&s->a, buf_str(&first), &back), 0);
    assert_int_equal(report_write_json(&back, &second), 0);
    assert_string_equal(buf_cstr(&first), buf_cstr(&second));
    assert_non_null(strstr(first.p, "\"id\":\"0193a5b0-1111-7222-8333-444455556666\""));
    assert_non_null(strstr(first.p, "\"result\":\"incomplete\""));
    assert_non_null(strstr(first.p, "\"undo\":{\"state\":\"failed\""));
    assert_non_null(strstr(first.p, "\"undo\":null"));
    assert_null(strstr(first.p, "/secret/place"));
    static const char odd[] = "{\"id\":\"0193a5b0-1111-7222-8333-444455556666\",\"result\":\"odd\","
                              "\"beganAt\":\"2026-01-01T00:00:00Z\"}";
    const char *const bad[] = {"", "[]", "{}", "{\"id\":\"x\"}", "{\"id\":1", odd};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(report_parse(&s->a, str_of(bad[i]), &back), REPORT_INVALID);
}

/* Whatever a release or a server calls itself, the page is the same page. */
static void test_html(void **state)
{
    struct scene *s = *state;
    struct buf page _cleanup_buf_ = buf_init(REPORT_HTML_MAX);
    static const char evil[] = "\"><script src=http://x.example/>'&amp;\n\x1b[31m";

    record(s, "deployment", JOURNAL_BEGIN,
           json_pack("{s:s, s:s, s:s, s:s, s:s}", "environment", evil, "release", evil, "who", evil,
                     "previousRelease", evil, evil, evil));
    record(s, evil, JOURNAL_BEGIN, NULL);
    record(s, evil, JOURNAL_NOTE, json_pack("{s:{s:s}}", "show", evil, evil));
    record(s, evil, JOURNAL_NOTE,
           json_pack("{s:[{s:s, s:s, s:s, s:s}]}", "verification", "name", evil, "title", evil,
                     "verdict", evil, "why", evil));
    record(s, evil, JOURNAL_FAILED, json_pack("{s:s}", "why", evil));
    record(s, "deployment", JOURNAL_UNDOING, NULL);
    record(s, evil, JOURNAL_UNDO_FAILED, json_pack("{s:s}", "why", evil));
    make(s, false);
    assert_int_equal(report_write_html(&s->r, &page), 0);
    const char *text = buf_cstr(&page);
    assert_null(strstr(text, "<script"));
    assert_null(strchr(text, '\x1b'));
    assert_null(strstr(text, "href="));
    assert_null(strstr(text, "url("));
    assert_non_null(strstr(text, "&quot;&gt;&lt;script"));
    assert_non_null(strstr(text, "default-src 'none'"));
}

static void fill(char *text, size_t size)
{
    memset(text, '"', size - 1); /* two bytes each in JSON, six in HTML */
    text[size - 1] = '\0';
}

/* What may be journaled without end makes a report that has one. */
static void test_bounds(void **state)
{
    struct scene *s = *state;
    struct buf out _cleanup_buf_ = buf_init(REPORT_JSON_MAX),
                   page _cleanup_buf_ = buf_init(REPORT_HTML_MAX);
    static char text[600], name[600];

    fill(text, sizeof text);
    record(s, "deployment", JOURNAL_BEGIN,
           json_pack("{s:s, s:s, s:s, s:s, s:s}", "environment", text, "release", text, "who", text,
                     "version", text, "previousRelease", text));
    for (int i = 0; i < 2 * REPORT_STEPS_MAX; i++) {
        fill(name, sizeof name);
        snprintf(name, 4, "%03d", i);
        name[3] = '"';
        json_t *show = json_object(), *answers = json_array();
        for (int k = 0; k < 20; k++) {
            char label[600];
            fill(label, sizeof label);
            snprintf(label, 4, "%03d", k);
            label[3] = '"';
            json_object_set_new(show, label, json_string(text));
            json_array_append_new(
                answers, json_pack("{s:s, s:s, s:s}", "name", text, "title", text, "why", text));
        }
        record(s, name, JOURNAL_BEGIN, NULL);
        record(s, name, JOURNAL_NOTE,
               json_pack("{s:o, s:o}", "show", show, "verification", answers));
        record(s, name, JOURNAL_FAILED, json_pack("{s:s}", "why", text));
        record(s, name, JOURNAL_UNDO_FAILED, json_pack("{s:s}", "why", text));
    }
    record(s, "deployment", JOURNAL_UNDOING, NULL);
    make(s, false);
    assert_int_equal(s->r.n_steps, REPORT_STEPS_MAX);
    assert_int_equal(s->r.n_left, REPORT_STEPS_MAX);
    assert_int_equal(s->r.n_answers, REPORT_ANSWERS_MAX);
    assert_int_equal(s->r.why.n, REPORT_TEXT_MAX);
    assert_int_equal(s->r.release.n, REPORT_LABEL_MAX);
    size_t facts = s->r.n_options;
    for (size_t i = 0; i < s->r.n_steps; i++)
        facts += s->r.steps[i].n_facts;
    assert_int_equal(facts, REPORT_FACTS_MAX);
    assert_int_equal(report_write_json(&s->r, &out), 0);
    assert_int_equal(report_write_html(&s->r, &page), 0);
    struct report back;
    assert_int_equal(report_parse(&s->a, buf_str(&out), &back), 0);
    assert_int_equal(back.n_left, REPORT_STEPS_MAX);
}

static void read_file(const char *directory, const char *name, struct buf *out)
{
    char path[256];
    struct stat info;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(buf_reserve(out, (size_t)info.st_size), 0);
    assert_int_equal(read(fd, out->p, (size_t)info.st_size), info.st_size);
    out->n = (size_t)info.st_size;
    close(fd);
}

static void test_keep(void **state)
{
    struct scene *s = *state;
    struct buf json _cleanup_buf_ = buf_init(REPORT_JSON_MAX),
                    html _cleanup_buf_ = buf_init(REPORT_HTML_MAX);
    struct report back;

    open_journal(s);
    make(s, true);
    assert_int_equal(report_keep(&s->r, s->directory), 0);
    do_step(s, "check", 10);
    end(s, "done");
    make(s, true);
    assert_int_equal(report_keep(&s->r, s->directory), 0); /* in place of the other */
    read_file(s->directory, "report.json", &json);
    read_file(s->directory, "report.html", &html);
    assert_int_equal(report_parse(&s->a, buf_str(&json), &back), 0);
    assert_int_equal(back.result, REPORT_DONE);
    assert_true(str_has_prefix(buf_str(&html), STR("<!DOCTYPE html>")));
    assert_int_equal(empty(s->directory), 3); /* with the journal: nothing temporary is left */
    assert_int_equal(report_keep(&s->r, "/nowhere"), FAULT_IO);
}

static void test_duration(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {{0, "0.0 s"},
                {340, "0.3 s"},
                {9999, "9.9 s"},
                {12345, "12 s"},
                {60000, "1 min 00 s"},
                {252000, "4 min 12 s"},
                {3720000, "1 h 02 min"},
                {90000000, "25 h 00 min"}};
    char text[REPORT_DURATION_SIZE];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        report_duration(rows[i].ms, text);
        assert_string_equal(text, rows[i].text);
    }
}

/* Each name is read as what it was written for. */
static void test_names(void **state)
{
    enum report_result result;

    for (int i = 0; i < REPORT_RESULTS; i++) {
        assert_int_equal(
            report_result_parse(str_of(report_result_name((enum report_result)i)), &result), 0);
        assert_int_equal(result, i);
    }
    assert_int_equal(report_result_parse(STR("rolled back"), &result), 1);
    for (int i = 0; i < REPORT_STATES; i++)
        assert_int_equal(report_state_of(report_state_name((enum report_state)i)), i);
    for (int i = VERIFY_PASSED; i <= VERIFY_NOT_ASKED; i++)
        assert_int_equal(report_verdict_of(report_verdict_name((enum verify_verdict)i)), i);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_good),
                                       TEST(test_failed),
                                       TEST(test_rolled_back),
                                       TEST(test_incomplete),
                                       TEST(test_died),
                                       TEST(test_taken_up),
                                       TEST(test_back_on_request),
                                       TEST(test_foreign),
                                       TEST(test_without_table),
                                       TEST(test_json),
                                       TEST(test_html),
                                       TEST(test_bounds),
                                       TEST(test_keep),
                                       TEST(test_duration),
                                       TEST(test_names)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
