/*
 * Takes a target from one release to the next, as a deployment does, over a journal: for the tests
 * of targets, which kill it wherever they like.
 *
 *     deploy_target FILE ENVIRONMENT RELEASE DIRECTORY   a deployment; first ends those that died
 *     deploy_target FILE ENVIRONMENT resume DIRECTORY    that alone
 *     deploy_target FILE ENVIRONMENT back DIRECTORY      undoes the last one that went well
 *     deploy_target FILE ENVIRONMENT plan DIRECTORY      prints what would be done
 *     deploy_target supervise DIRECTORY [FD]             holdfast supervise
 *
 * Under DIRECTORY are data/ and deployments/ID/. DIE_AT="step:phase" ends it by SIGKILL once that
 * is in the journal; LIMIT_MS is that of an operation. The last line on standard output is the
 * steps_result.
 */
#include "base/clock.h"
#include "base/fault.h"
#include "base/uuid.h"
#include "deploy/probe.h"
#include "deploy/steps.h"
#include "deploy/supervisor/keeper.h"
#include "deploy/target.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_SIZE = 256, PATH_SIZE = 4096, LIMIT_MS = 20000, ARENA_MAX = 1 << 24, DEPLOYMENTS = 64 };

static atomic_int cancel, never;

static void on_interrupt(int number)
{
    atomic_fetch_add(&cancel, 1);
}

struct deployment {
    struct steps steps;
    const struct conf_environment *environment;
    const struct target_kind *kind;
    struct arena a;
    char id[UUID_TEXT_SIZE], release[NAME_SIZE], logs[PATH_SIZE], data[PATH_SIZE];
    struct progress progress;
};

static int note(void *context, json_t *data)
{
    return step_note(context, data);
}

static int64_t limit_ms(void)
{
    const char *limit = getenv("LIMIT_MS");

    return limit ? strtol(limit, NULL, 10) : LIMIT_MS;
}

static struct target target_of(struct deployment *d, bool undoing)
{
    return (struct target){.environment = d->environment,
                           .id = d->id,
                           .release = d->release,
                           .logs = d->logs,
                           .data = d->data,
                           .deadline = clock_mono() + limit_ms(),
                           .cancel = undoing ? &never : &cancel,
                           .progress = &d->progress,
                           .a = &d->a,
                           .note = note,
                           .context = &d->steps};
}

/* What was noted of the steps so far, the snapshot first. A new reference. */
static json_t *state_of(struct deployment *d)
{
    json_t *state = step_data(&d->steps, "snapshot"), *more = step_data(&d->steps, "roll_out");

    if (state && more)
        json_object_update(state, more);
    json_decref(more);
    more = step_data(&d->steps, "prove");
    if (state && more)
        json_object_update(state, more);
    json_decref(more);
    return state;
}

static int outcome_of(int outcome)
{
    switch (outcome) {
    case TARGET_UNREACHABLE:
        return STEP_UNREACHABLE;
    case TARGET_CANCELLED:
        return STEP_CANCELLED;
    default:
        return outcome > 0 ? STEP_FAILED : outcome;
    }
}

static int check(struct steps *s, void *context)
{
    const struct target t = target_of(context, false);

    return outcome_of(((struct deployment *)context)->kind->check(&t));
}

static int snapshot(struct steps *s, void *context)
{
    struct deployment *d = context;
    const struct target t = target_of(d, false);
    json_t *state;
    int result = d->kind->snapshot(&t, &state);

    if (result)
        return outcome_of(result);
    json_object_set_new(state, "wanted", json_string(d->release));
    return step_note(s, state);
}

typedef int operation(const struct target *t, const json_t *state);

static int operate(struct deployment *d, operation *o, bool undoing)
{
    const struct target t = target_of(d, undoing);
    json_t *state = state_of(d);
    int result = o(&t, state);

    json_decref(state);
    return outcome_of(result);
}

static int roll_out(struct steps *s, void *context)
{
    struct deployment *d = context;

    return operate(d, d->kind->roll_out, false);
}

static int probe(struct deployment *d, const char *url)
{
    const struct conf_environment *e = d->environment;
    struct probe_http http = {.url = url, .timeout_ms = e->health.timeout_ms};
    const struct probe p = {.ask = probe_ask_http,
                            .context = &http,
                            .interval_ms = e->health.interval_ms,
                            .within_ms = e->health.within_ms,
                            .failing_ms = e->health.failing_ms,
                            .successes = e->health.successes,
                            .retries = e->health.retries,
                            .cancel = &cancel};
    int result = probe_run(&p, NULL);

    return result == PROBE_CANCELLED ? STEP_CANCELLED : result > 0 ? STEP_FAILED : result;
}

static int stabilise(struct steps *s, void *context)
{
    struct deployment *d = context;
    const struct target t = target_of(d, false);
    const char *url = "";
    int result = operate(d, d->kind->wait_stable, false);

    if (result)
        return result;
    json_t *state = state_of(d);
    result = outcome_of(d->kind->probe_url(&t, state, &url));
    json_decref(state);
    return result ? result : probe(d, *url ? url : d->environment->health.url);
}

static int prove(struct steps *s, void *context)
{
    struct deployment *d = context;

    return operate(d, d->kind->prove, false);
}

static int verify(struct steps *s, void *context)
{
    struct deployment *d = context;

    return probe(d, d->environment->health.url);
}

static int clean_up(struct deployment *d, bool proven)
{
    const struct target t = target_of(d, true);
    json_t *state = state_of(d);
    int result = d->kind->clean_up(&t, state, proven);

    json_decref(state);
    return outcome_of(result);
}

static int finish(struct steps *s, void *context)
{
    return clean_up(context, true);
}

static int take_back(struct steps *s, void *context)
{
    struct deployment *d = context;

    return operate(d, d->kind->roll_back, true);
}

static int take_out(struct steps *s, void *context)
{
    int result = take_back(s, context);

    return result ? result : clean_up(context, false);
}

static const struct step table[] = {
    {.name = "check", .title = "Check", .run = check},
    {.name = "snapshot", .title = "See what runs", .run = snapshot},
    {.name = "roll_out", .title = "Roll out", .run = roll_out, .undo = take_out},
    {.name = "stabilise", .title = "Wait", .run = stabilise},
    {.name = "prove", .title = "Give it the traffic", .run = prove, .undo = take_back},
    {.name = "verify", .title = "Verify", .run = verify, .proof = true},
    {.name = "finish", .title = "Clean up", .run = finish},
};

static void say(void *context, const char *line)
{
    fprintf(stderr, "  %s\n", line);
}

/* Dies where it is to. */
static void hear(void *context, const struct steps_event *e)
{
    const char *at = getenv("DIE_AT");
    char here[NAME_SIZE];

    snprintf(here, sizeof here, "%s:%s", e->step->name, journal_phase_name(e->phase));
    fprintf(stderr, "%s %s\n", here, e->text);
    if (at && strcmp(at, here) == 0)
        kill(getpid(), SIGKILL);
}

static int open_journal(struct deployment *d, const char *id, bool fresh)
{
    size_t n = strlen(d->logs);

    snprintf(d->id, sizeof d->id, "%.36s", id);
    snprintf(d->logs + n, sizeof d->logs - n, "/%.36s", id);
    d->steps = (struct steps){.table = table,
                              .n = sizeof table / sizeof *table,
                              .context = d,
                              .hear = hear,
                              .cancel = &cancel};
    int result = fresh ? journal_create(d->logs, &d->steps.journal)
                       : journal_open(d->logs, &d->steps.journal);
    if (result)
        fprintf(stderr, "%s: %s\n", d->logs, fault_message());
    return result;
}

/* The release that a deployment was of. */
static void recall(struct deployment *d)
{
    if (step_text(&d->steps, "snapshot", "wanted", d->release, sizeof d->release))
        fprintf(stderr, "%s\n", fault_message());
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static size_t list(const char *directory, char ret[DEPLOYMENTS][UUID_TEXT_SIZE])
{
    DIR *all = opendir(directory);
    struct uuid id;
    size_t n = 0;

    for (struct dirent *e; all && n < DEPLOYMENTS && (e = readdir(all));)
        if (uuid_parse(str_of(e->d_name), &id) == 0)
            snprintf(ret[n++], UUID_TEXT_SIZE, "%s", e->d_name);
    if (all)
        closedir(all);
    qsort(ret, n, UUID_TEXT_SIZE, by_name);
    return n;
}

/* Ends what died, or with back undoes the last one that has ended well. Returns the last result. */
static int go_through(const struct deployment *base, bool back)
{
    static char ids[DEPLOYMENTS][UUID_TEXT_SIZE];
    size_t n = list(base->logs, ids);
    int result = 0;

    for (size_t i = n; i > 0; i--) {
        struct deployment d = *base;
        if (open_journal(&d, ids[i - 1], false))
            continue;
        recall(&d);
        bool done = journal_ended(d.steps.journal) && step_is_done(&d.steps, "verify");
        if (!back && !journal_ended(d.steps.journal))
            result = steps_resume(&d.steps);
        else if (back && done)
            result = steps_undo(&d.steps);
        journal_close(d.steps.journal);
        arena_free(&d.a);
        if (back && done)
            break;
    }
    return result;
}

static int deploy(struct deployment *d)
{
    struct uuid id = uuid_new();
    char text[UUID_TEXT_SIZE];
    int result;

    uuid_format(&id, text);
    if (open_journal(d, text, true))
        return FAULT_IO;
    result = steps_run(&d->steps);
    journal_close(d->steps.journal);
    return result;
}

static int print_plan(struct deployment *d)
{
    struct buf text _cleanup_buf_ = buf_init(1 << 16);
    const struct target t = target_of(d, false);
    int result = d->kind->describe(&t, &text);

    printf("%.*s", STR_ARG(buf_str(&text)));
    return result;
}

static int run(struct deployment *d, const char *what)
{
    int result;

    if (strcmp(what, "plan") == 0)
        return print_plan(d);
    if (strcmp(what, "back") == 0)
        return go_through(d, true);
    result = go_through(d, false);
    if (strcmp(what, "resume") == 0)
        return result;
    snprintf(d->release, sizeof d->release, "%s", what);
    return deploy(d);
}

int main(int argc, char **argv)
{
    struct arena a = arena_init(ARENA_MAX);
    struct buf problems = buf_init(1 << 16);
    struct deployment d = {.a = arena_init(ARENA_MAX), .progress = {.say = say}};
    struct conf conf;
    int result;

    if (argc >= 3 && strcmp(argv[1], "supervise") == 0)
        return keeper_run(argv[2], argc > 3 ? (int)strtol(argv[3], NULL, 10) : -1);
    if (argc != 5)
        return 2;
    signal(SIGINT, on_interrupt);
    signal(SIGPIPE, SIG_IGN);
    if (conf_load(&a, argv[1], argv[2], environ, &problems, &conf)) {
        fprintf(stderr, "%.*s\n", STR_ARG(buf_str(&problems)));
        return 2;
    }
    d.environment = conf_environment(&conf, argv[2]);
    d.kind = d.environment ? target_kind(d.environment) : NULL;
    if (!d.kind)
        return 2;
    snprintf(d.logs, sizeof d.logs, "%s/deployments", argv[4]);
    snprintf(d.data, sizeof d.data, "%s/data", argv[4]);
    if (mkdir(d.logs, 0700) && errno != EEXIST)
        return 2;
    result = run(&d, argv[3]);
    if (result < 0)
        fprintf(stderr, "%s\n", fault_message());
    printf("%d\n", result);
    arena_free(&d.a);
    arena_free(&a);
    buf_free(&problems);
    return 0;
}
