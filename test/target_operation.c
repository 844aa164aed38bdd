/*
 * One operation of a target of deployments, for the tests.
 *
 * usage: target_operation FILE ENVIRONMENT OPERATION <state
 *
 * OPERATION: check, snapshot, roll_out, wait_stable, prove, roll_back, clean_up, clean_up_proven,
 * describe, probe_url. From the environment come RELEASE, DEPLOYMENT (its id), LOGS (its
 * directory), LIMIT_MS (of the operation), DIE_AT_NOTE (end without a word where it would note
 * something), and the settings of AWS. SIGINT cancels.
 *
 * Prints {"outcome", "message", "said", "text", "state"}: the state is what came in, or the
 * snapshot, with what was noted over it.
 */
#include "base/clock.h"
#include "base/fault.h"
#include "crypto/init.h"
#include "deploy/target.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { ARENA_MAX = 64 * 1024 * 1024, TEXT_MAX = 1024 * 1024 };

static atomic_int cancel;
static json_t *state, *said;

static void on_interrupt(int number)
{
    atomic_store(&cancel, 1);
}

static void say(void *context, const char *line)
{
    fprintf(stderr, "%s\n", line);
    json_array_append_new(said, json_string(line));
}

static int note(void *context, json_t *data)
{
    if (getenv("DIE_AT_NOTE"))
        _exit(99);
    json_object_update(state, data);
    json_decref(data);
    return 0;
}

static int take_snapshot(const struct target_kind *kind, const struct target *t)
{
    json_t *taken = NULL;
    int r = kind->snapshot(t, &taken);

    if (r == 0) {
        json_decref(state);
        state = taken;
    }
    return r;
}

static int run(const struct target *t, const char *operation, struct buf *text)
{
    const struct target_kind *kind = target_kind(t->environment);
    const char *url = "";
    int r = 2;

    if (!kind)
        return fault_set(FAULT_INTERNAL, "no such kind of target here");
    if (strcmp(operation, "check") == 0)
        r = kind->check(t);
    else if (strcmp(operation, "snapshot") == 0)
        r = take_snapshot(kind, t);
    else if (strcmp(operation, "roll_out") == 0)
        r = kind->roll_out(t, state);
    else if (strcmp(operation, "wait_stable") == 0)
        r = kind->wait_stable(t, state);
    else if (strcmp(operation, "prove") == 0)
        r = kind->prove(t, state);
    else if (strcmp(operation, "roll_back") == 0)
        r = kind->roll_back(t, state);
    else if (strcmp(operation, "clean_up") == 0)
        r = kind->clean_up(t, state, false);
    else if (strcmp(operation, "clean_up_proven") == 0)
        r = kind->clean_up(t, state, true);
    else if (strcmp(operation, "describe") == 0)
        r = kind->describe(t, text);
    else if (strcmp(operation, "probe_url") == 0 && (r = kind->probe_url(t, state, &url)) == 0)
        buf_add_str(text, str_of(url));
    return r;
}

static void print(int r, struct buf *text)
{
    static const char *const outcomes[] = {"done", "failed", "unreachable", "timeout", "cancelled"};
    bool known = r >= 0 && (size_t)r < sizeof outcomes / sizeof *outcomes;
    json_t *all = json_pack("{s:s, s:s, s:o, s:s%, s:o}", "outcome",
                            r < 0   ? fault_name(r)
                            : known ? outcomes[r]
                                    : "not one",
                            "message", r ? fault_message() : "", "said", said, "text",
                            text->n ? text->p : "", text->n, "state", state);

    json_dumpf(all, stdout, JSON_COMPACT);
    json_decref(all);
}

static const char *given(const char *name, const char *otherwise)
{
    const char *value = getenv(name);

    return value ? value : otherwise;
}

static int with(const struct conf_environment *e, const char *operation, struct arena *a)
{
    struct config config = {
        .aws_region = getenv("AWS_REGION"),
        .aws_endpoint_url = getenv("AWS_ENDPOINT_URL"),
        .aws_access_key_id = getenv("AWS_ACCESS_KEY_ID"),
        .aws_secret_access_key = getenv("AWS_SECRET_ACCESS_KEY"),
        .aws_session_token = getenv("AWS_SESSION_TOKEN"),
        .aws_metadata_off = true,
    };
    struct progress progress = {.say = say};
    struct buf text _cleanup_buf_ = buf_init(TEXT_MAX);
    int64_t limit = strtoll(given("LIMIT_MS", "0"), NULL, 10);
    struct target t = {.environment = e,
                       .config = &config,
                       .id = given("DEPLOYMENT", "0191f8a0-0000-7000-8000-000000000001"),
                       .release = given("RELEASE", e->release),
                       .logs = given("LOGS", "."),
                       .deadline = limit ? clock_mono() + limit : 0,
                       .cancel = &cancel,
                       .progress = &progress,
                       .a = a,
                       .note = note};

    int r = run(&t, operation, &text);
    print(r, &text);
    return r < 0 ? 10 : r;
}

int main(int argc, char **argv)
{
    struct arena a _cleanup_arena_ = arena_init(ARENA_MAX);
    struct buf problems _cleanup_buf_ = buf_init(TEXT_MAX);
    const struct conf_environment *e;
    struct conf conf;

    if (argc != 4 || crypto_init())
        return 20;
    signal(SIGINT, on_interrupt);
    if (conf_load(&a, argv[1], argv[2], environ, &problems, &conf)) {
        fprintf(stderr, "%.*s", STR_ARG(buf_str(&problems)));
        return 20;
    }
    state = json_loadf(stdin, 0, NULL);
    if (!state)
        state = json_object();
    said = json_array();
    e = conf_environment(&conf, argv[2]);
    return e ? with(e, argv[3], &a) : 20;
}
