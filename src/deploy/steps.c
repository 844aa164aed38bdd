#include "deploy/steps.h"

#include "base/clock.h"
#include "base/fault.h"

#include <stdio.h>

/* What records are about that are about no step. */
static const char deployment[] = "deployment";

/* How far a step came, by its last record but notes. */
static int last_phase(const struct steps *s, const char *name)
{
    for (size_t i = journal_count(s->journal); i > 0; i--) {
        const struct journal_record *r = journal_at(s->journal, i - 1);
        if (r->phase != JOURNAL_NOTE && strcmp(r->step, name) == 0)
            return (int)r->phase;
    }
    return -1;
}

bool step_is_done(const struct steps *s, const char *name)
{
    return last_phase(s, name) == JOURNAL_DONE;
}

json_t *step_data(const struct steps *s, const char *name)
{
    json_t *all = json_object();

    for (size_t i = 0; all && i < journal_count(s->journal); i++) {
        const struct journal_record *r = journal_at(s->journal, i);
        if (r->phase == JOURNAL_NOTE && strcmp(r->step, name) == 0 &&
            json_object_update(all, r->data)) {
            json_decref(all);
            all = NULL;
        }
    }
    if (!all)
        fault_keep("no memory for what a step noted");
    return all;
}

int step_text(const struct steps *s, const char *name, const char *member, char *ret, size_t size)
{
    json_t *all = step_data(s, name);
    const char *text = json_string_value(json_object_get(all, member));
    size_t n = text ? strlen(text) : 0;
    int result = 0;

    if (n >= size)
        result = fault_set(FAULT_LIMIT, "%s of the step %s is too long", member, name);
    else
        snprintf(ret, size, "%s", text ? text : "");
    json_decref(all);
    return result;
}

int step_note(struct steps *s, json_t *data)
{
    if (!data)
        return fault_set(FAULT_MEMORY, "no memory for what a step notes, or it is no UTF-8");
    return journal_write(s->journal, s->current->name, JOURNAL_NOTE, data);
}

static int record(struct steps *s, enum journal_phase phase, const char *text, int64_t ms)
{
    struct steps_event event = {.step = s->current, .phase = phase, .text = text, .ms = ms};
    json_t *data = *text ? json_pack("{s:s%, s:I}", "why", text, strlen(text), "ms", (json_int_t)ms)
                         : json_pack("{s:I}", "ms", (json_int_t)ms);
    int result = journal_write(s->journal, s->current->name, phase, data);

    if (result == 0 && s->hear)
        s->hear(s->context, &event);
    return result;
}

static int cancelled(const struct steps *s)
{
    return s->cancel ? atomic_load(s->cancel) : CANCEL_NOT;
}

/* The last fault's words, kept before the journal's own work replaces them. */
struct words {
    char text[400];
};

static struct words said(int outcome)
{
    struct words w;

    if (outcome == STEP_CANCELLED)
        snprintf(w.text, sizeof w.text, "interrupted");
    else
        snprintf(w.text, sizeof w.text, "%s", *fault_message() ? fault_message() : "unknown");
    return w;
}

static bool is_proven(const struct steps *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->table[i].proof && step_is_done(s, s->table[i].name))
            return true;
    return false;
}

static int ask_guard(const struct steps *s)
{
    return s->guard ? s->guard(s->context) : 0;
}

/* Does one step. *ret_outcome is what its run returned. Returns 0, or a fault of the journal. What
 * is proven is not interrupted any more: there is nothing to go back for. */
static int do_step(struct steps *s, const struct step *step, int *ret_outcome)
{
    bool may_end = !is_proven(s);
    int64_t began = clock_mono();
    int outcome = 0, result;

    s->current = step;
    *ret_outcome = 0;
    if (step->wanted && !step->wanted(s->context))
        return record(s, JOURNAL_SKIPPED, "", 0);
    result = record(s, JOURNAL_BEGIN, "", 0);
    if (result)
        return result;
    outcome = may_end && cancelled(s) ? STEP_CANCELLED : ask_guard(s);
    if (outcome == 0)
        outcome = step->run(s, s->context);
    if (outcome == 0 && may_end && cancelled(s) && !step->proof)
        outcome = STEP_CANCELLED;
    *ret_outcome = outcome;
    if (outcome == 0)
        return record(s, JOURNAL_DONE, "", clock_mono() - began);
    struct words why = said(outcome);
    return record(s, JOURNAL_FAILED, why.text, clock_mono() - began);
}

/* Undoes one step. *ret_undone is whether that succeeded. */
static int undo_step(struct steps *s, const struct step *step, bool *ret_undone)
{
    int64_t began = clock_mono();
    int outcome, result;

    s->current = step;
    result = record(s, JOURNAL_UNDOING, "", 0);
    if (result)
        return result;
    outcome = cancelled(s) == CANCEL_AT_ONCE ? STEP_CANCELLED : ask_guard(s);
    if (outcome == 0)
        outcome = step->undo(s, s->context);
    *ret_undone = outcome == 0;
    if (outcome == 0)
        return record(s, JOURNAL_UNDONE, "", clock_mono() - began);
    struct words why = said(outcome);
    return record(s, JOURNAL_UNDO_FAILED, why.text, clock_mono() - began);
}

/* A step that has begun, or may have, and is not known to be undone. */
static bool is_to_undo(const struct steps *s, const struct step *step)
{
    int phase = last_phase(s, step->name);

    return step->undo && phase >= 0 && phase != JOURNAL_SKIPPED && phase != JOURNAL_UNDONE;
}

static int end(struct steps *s, const char *how, int result)
{
    int fault =
        journal_write(s->journal, deployment, JOURNAL_END, json_pack("{s:s}", "result", how));

    return fault ? fault : result;
}

/* Says that it goes back from here on: whoever comes after a death goes on going back. */
static int turn_back(struct steps *s)
{
    if (last_phase(s, deployment) == JOURNAL_UNDOING)
        return 0;
    return journal_write(s->journal, deployment, JOURNAL_UNDOING, NULL);
}

/* Undoes all there is to undo. Where one cannot be, those before it stay, but for those alone. */
static int undo_all(struct steps *s, int otherwise)
{
    bool any = false, stuck = false;
    int result = turn_back(s);

    if (result)
        return result;

    for (size_t i = s->n; i > 0; i--) {
        const struct step *step = &s->table[i - 1];
        bool undone;
        if (!is_to_undo(s, step))
            continue;
        any = true;
        if (stuck && !step->alone)
            continue;
        int fault = undo_step(s, step, &undone);
        if (fault)
            return fault;
        stuck = stuck || !undone;
    }
    if (stuck)
        return STEPS_INCOMPLETE; /* its journal has not ended: another run tries again */
    if (any)
        return end(s, "rolled back", STEPS_ROLLED_BACK);
    return end(s, "failed", otherwise);
}

/* Does the steps from the i-th on. What fails behind the proof is journaled, and no reason to go
 * back. */
static int do_from(struct steps *s, size_t i)
{
    for (; i < s->n; i++) {
        int outcome, fault = do_step(s, &s->table[i], &outcome);
        if (fault)
            return fault;
        if (outcome == 0 || is_proven(s))
            continue;
        return undo_all(s, outcome == STEP_UNREACHABLE ? STEPS_UNREACHABLE : STEPS_FAILED);
    }
    return end(s, "done", STEPS_DONE);
}

int steps_run(struct steps *s)
{
    return do_from(s, 0);
}

int steps_resume(struct steps *s)
{
    if (last_phase(s, deployment) == JOURNAL_UNDOING || !is_proven(s))
        return undo_all(s, STEPS_FAILED);
    for (size_t i = 0; i < s->n; i++)
        if (!step_is_done(s, s->table[i].name) &&
            last_phase(s, s->table[i].name) != JOURNAL_SKIPPED)
            return do_from(s, i);
    return end(s, "done", STEPS_DONE);
}

int steps_undo(struct steps *s)
{
    return undo_all(s, STEPS_FAILED);
}
