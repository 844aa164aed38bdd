/* The steps of a deployment that concern the release: what runs, and who gets the traffic. */
#include "deploy/deployment_steps.h"

#include "base/clock.h"
#include "base/fault.h"
#include "deploy/deployment_data.h"
#include "deploy/probe.h"
#include "deploy/report.h"

#include <stdio.h>

static int note(void *context, json_t *data)
{
    return step_note(context, data);
}

struct target deployment_target(struct deployment *d, int64_t ms)
{
    return (struct target){.environment = d->e,
                           .id = d->id,
                           .release = d->options.release,
                           .logs = d->directory,
                           .deadline = ms ? clock_mono() + ms : 0,
                           .cancel = d->cancel,
                           .progress = d->progress,
                           .a = d->a,
                           .note = note,
                           .context = &d->steps,
                           .config = d->config,
                           .data = d->config ? d->config->data_dir : NULL};
}

int deployment_target_outcome(int outcome)
{
    return outcome == TARGET_UNREACHABLE ? STEP_UNREACHABLE
           : outcome == TARGET_CANCELLED ? STEP_CANCELLED
           : outcome > 0                 ? STEP_FAILED
                                         : outcome;
}

/* What was running, with what the steps on the target noted since over it. */
static json_t *state_of(const struct steps *s)
{
    static const char *const steps[] = {"snapshot", "roll_out", "switch"};
    json_t *all = json_object();

    for (size_t i = 0; all && i < sizeof steps / sizeof *steps; i++) {
        json_t *noted = step_data(s, steps[i]);
        if (!noted || json_object_update(all, noted)) {
            json_decref(all);
            all = NULL;
        }
        json_decref(noted);
    }
    if (!all)
        fault_keep("no memory for the state of the target");
    return all;
}

typedef int operation(const struct target *t, const json_t *state);

/* Runs an operation of the target over the state so far. */
static int operate(struct deployment *d, operation *what, int64_t ms)
{
    struct target t = deployment_target(d, ms);
    json_t *state = state_of(&d->steps);
    int outcome = state ? what(&t, state) : FAULT_MEMORY;

    json_decref(state);
    return deployment_target_outcome(outcome);
}

int step_snapshot(struct steps *s, void *context)
{
    struct deployment *d = context;
    struct target t = deployment_target(d, d->options.health_ms);
    json_t *state;
    int outcome = d->target->snapshot(&t, &state);

    if (outcome)
        return deployment_target_outcome(outcome);
    return step_note(s, state);
}

int step_roll_out(struct steps *s, void *context)
{
    struct deployment *d = context;

    return operate(d, d->target->roll_out, d->options.health_ms);
}

/* The previous release has the traffic again; then what this one made goes. */
int step_roll_back(struct steps *s, void *context)
{
    struct deployment *d = context;
    struct target t = deployment_target(d, 2 * d->options.health_ms);
    json_t *state = state_of(s);
    int outcome;

    if (!state)
        return FAULT_MEMORY;
    t.cancel = d->at_once; /* what made us go back does not end the way back */
    outcome = d->target->roll_back(&t, state);
    if (outcome == 0)
        outcome = d->target->clean_up(&t, state, false);
    json_decref(state);
    return deployment_target_outcome(outcome);
}

static int probe_outcome(int outcome)
{
    return outcome == PROBE_CANCELLED ? STEP_CANCELLED : outcome > 0 ? STEP_FAILED : outcome;
}

int deployment_probe(struct deployment *d, const char *url, int64_t ms, const atomic_int *cancel)
{
    struct probe_http http = {
        .url = url, .timeout_ms = d->e->health.timeout_ms, .ca_file = d->options.ca_file};
    struct probe p = {.ask = probe_ask_http,
                      .context = &http,
                      .interval_ms = d->e->health.interval_ms,
                      .within_ms = ms,
                      .failing_ms = d->e->health.failing_ms,
                      .successes = d->e->health.successes,
                      .retries = d->options.tries,
                      .cancel = cancel,
                      .progress = d->progress};

    return probe_outcome(probe_run(&p, NULL));
}

/* Where the release can be asked before it has the traffic; "" where it cannot. */
static int own_url(struct deployment *d, const char **ret)
{
    struct target t = deployment_target(d, d->options.health_ms);
    json_t *state = state_of(&d->steps);
    int outcome = state ? d->target->probe_url(&t, state, ret) : FAULT_MEMORY;

    json_decref(state);
    return deployment_target_outcome(outcome);
}

int step_stabilise(struct steps *s, void *context)
{
    struct deployment *d = context;
    const char *url = "";
    int outcome = operate(d, d->target->wait_stable, d->options.health_ms);

    if (outcome == 0)
        outcome = own_url(d, &url);
    if (outcome == 0 && *url)
        outcome = deployment_probe(d, url, d->options.health_ms, d->cancel);
    return outcome;
}

int step_switch(struct steps *s, void *context)
{
    struct deployment *d = context;
    int outcome = operate(d, d->target->prove, d->options.health_ms);

    return outcome ? outcome
                   : deployment_probe(d, d->e->health.url, d->options.health_ms, d->cancel);
}

int step_verify(struct steps *s, void *context)
{
    struct deployment *d = context;
    struct verify_options o = {
        .environment = d->e, .ca_file = d->options.ca_file, .cancel = d->cancel};
    struct verify_report verified;
    int outcome = verify_run(&o, &verified);
    json_t *answers = outcome < 0 ? NULL : report_answers(&verified);

    if (answers && step_note(s, answers))
        return STEP_FAILED;
    return outcome == VERIFY_CANCELLED ? STEP_CANCELLED : outcome > 0 ? STEP_FAILED : outcome;
}

int step_finish(struct steps *s, void *context)
{
    struct deployment *d = context;
    struct target t = deployment_target(d, d->options.health_ms);
    json_t *state = state_of(s);
    int outcome;

    if (!state)
        return FAULT_MEMORY;
    t.cancel = d->at_once;
    outcome = deployment_target_outcome(d->target->clean_up(&t, state, true));
    json_decref(state);
    int hooks = deployment_run_hooks(d, "after_rollout", &d->e->hooks.after_rollout);
    int thinned = deployment_thin_out_backups(d);
    return outcome ? outcome : hooks ? hooks : thinned;
}
