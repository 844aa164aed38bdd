/* The words of reports: names, texts, and what is left for a person. */
#include "base/clock.h"
#include "base/fault.h"
#include "deploy/report_parts.h"

#include <stdio.h>

static const struct {
    const char *name, *words;
} results[REPORT_RESULTS] = {
    [REPORT_RUNNING] = {"running", "running"},
    [REPORT_DIED] = {"died", "died"},
    [REPORT_DONE] = {"done", "done"},
    [REPORT_FAILED] = {"failed", "failed"},
    [REPORT_ROLLED_BACK] = {"rolled_back", "rolled back"},
    [REPORT_INCOMPLETE] = {"incomplete", "rollback incomplete"},
};

static const char *const states[REPORT_STATES] = {
    [REPORT_STEP_WAITING] = "waiting", [REPORT_STEP_RUNNING] = "running",
    [REPORT_STEP_DONE] = "done",       [REPORT_STEP_SKIPPED] = "skipped",
    [REPORT_STEP_FAILED] = "failed",   [REPORT_STEP_INTERRUPTED] = "interrupted",
};

static const char *const verdicts[] = {
    [VERIFY_PASSED] = "passed", [VERIFY_FAILED] = "failed", [VERIFY_NOT_ASKED] = "not_asked"};

const char *report_result_name(enum report_result result)
{
    return results[result].name;
}

const char *report_result_words(enum report_result result)
{
    return results[result].words;
}

int report_result_parse(struct str name, enum report_result *ret)
{
    for (int i = 0; i < REPORT_RESULTS; i++)
        if (str_eq(name, str_of(results[i].name))) {
            *ret = (enum report_result)i;
            return 0;
        }
    return 1;
}

const char *report_state_name(enum report_state state)
{
    return states[state];
}

enum report_state report_state_of(const char *name)
{
    for (int i = 0; name && i < REPORT_STATES; i++)
        if (strcmp(states[i], name) == 0)
            return (enum report_state)i;
    return REPORT_STEP_WAITING;
}

const char *report_verdict_name(enum verify_verdict verdict)
{
    return verdicts[verdict];
}

enum verify_verdict report_verdict_of(const char *name)
{
    for (int i = VERIFY_PASSED; name && i <= VERIFY_NOT_ASKED; i++)
        if (strcmp(verdicts[i], name) == 0)
            return (enum verify_verdict)i;
    return VERIFY_NOT_ASKED;
}

void report_duration(int64_t ms, char ret[REPORT_DURATION_SIZE])
{
    int64_t s = ms / CLOCK_SECOND, min = ms / CLOCK_MINUTE;

    if (ms < 10 * CLOCK_SECOND)
        snprintf(ret, REPORT_DURATION_SIZE, "%lld.%lld s", (long long)s,
                 (long long)(ms % CLOCK_SECOND / 100));
    else if (ms < CLOCK_MINUTE)
        snprintf(ret, REPORT_DURATION_SIZE, "%lld s", (long long)s);
    else if (ms < CLOCK_HOUR)
        snprintf(ret, REPORT_DURATION_SIZE, "%lld min %02lld s", (long long)min,
                 (long long)(s % 60));
    else
        snprintf(ret, REPORT_DURATION_SIZE, "%lld h %02lld min", (long long)(min / 60),
                 (long long)(min % 60));
}

struct str report_text(struct arena *a, struct str text, size_t max)
{
    struct str cut = str_cut(text, max);
    char *copy = arena_alloc(a, cut.n + 1);

    if (!copy)
        return (struct str){NULL, 0};
    str_without_controls(cut, copy);
    return (struct str){copy, cut.n};
}

json_t *report_table(const struct step *table, size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; list && i < n; i++) {
        json_t *row = json_pack("{s:s, s:s, s:s?}", "name", table[i].name, "title", table[i].title,
                                "byHand", table[i].by_hand);
        if (json_array_append_new(list, row)) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

json_t *report_answers(const struct verify_report *verified)
{
    json_t *list = json_array();

    for (size_t i = 0; list && i < verified->n; i++) {
        const struct verify_answer *answer = &verified->answers[i];
        json_t *row =
            json_pack("{s:s, s:s, s:s, s:s}", "name", answer->name, "title", answer->title,
                      "verdict", verdicts[answer->verdict], "why", answer->why);
        if (json_array_append_new(list, row)) {
            json_decref(list);
            list = NULL;
        }
    }
    return list ? json_pack("{s:o}", "verification", list) : NULL;
}

/* Whether a step was begun, has a way back, and is not known to be back. */
static bool is_left(const struct report_step *step)
{
    bool has_way = step->by_hand.n || step->undo.state != REPORT_STEP_WAITING;

    return has_way && step->run.state != REPORT_STEP_WAITING &&
           step->run.state != REPORT_STEP_SKIPPED && step->undo.state != REPORT_STEP_DONE;
}

static void leave(struct report *r, const struct report_step *step, struct str why,
                  struct str by_hand)
{
    r->left[r->n_left++] = (struct report_left){step->name, step->title, why, by_hand};
}

/* In the order in which they are undone. */
static void leave_undone(struct report *r)
{
    static const struct str reasons[REPORT_STATES] = {
        [REPORT_STEP_WAITING] =
            STR_INIT("It was not tried: what came after it could not be undone."),
        [REPORT_STEP_INTERRUPTED] = STR_INIT("Undoing it was interrupted."),
    };

    for (size_t i = r->n_steps; i > 0; i--) {
        const struct report_step *step = &r->steps[i - 1];
        if (is_left(step))
            leave(r, step, step->undo.why.n ? step->undo.why : reasons[step->undo.state],
                  step->by_hand);
    }
}

/* What failed behind the proof is no reason to go back, and still to be seen to. */
static void leave_failed(struct report *r)
{
    for (size_t i = 0; i < r->n_steps; i++)
        if (r->steps[i].run.state == REPORT_STEP_FAILED)
            leave(r, &r->steps[i], r->steps[i].run.why, STR(""));
}

static const struct report_step *interrupted(const struct report *r)
{
    for (size_t i = 0; i < r->n_steps; i++)
        if (r->steps[i].undo.state == REPORT_STEP_INTERRUPTED ||
            r->steps[i].run.state == REPORT_STEP_INTERRUPTED)
            return &r->steps[i];
    return NULL;
}

static int leave_dead(struct arena *a, struct report *r)
{
    const struct report_step *step = interrupted(r);
    const char *why = step ? arena_printf(a, "Its process ended during: %.*s", STR_ARG(step->title))
                           : "Its process ended between two steps";
    const char *by_hand =
        arena_printf(a,
                     "Run: holdfast deploy --env %.*s. It finishes this one, or undoes it, "
                     "before it begins anew.",
                     STR_ARG(r->environment));

    if (!why || !by_hand)
        return FAULT_MEMORY;
    r->left[r->n_left++] =
        (struct report_left){STR(""), STR("The deployment"), str_of(why), str_of(by_hand)};
    if (r->why.n == 0)
        r->why = str_of(why);
    return 0;
}

static void find_why(struct report *r)
{
    for (size_t i = 0; r->why.n == 0 && i < r->n_steps; i++)
        if (r->steps[i].run.state == REPORT_STEP_FAILED)
            r->why = r->steps[i].run.why;
}

int report_leave(struct arena *a, struct report *r)
{
    r->left = arena_array(a, REPORT_STEPS_MAX + 1, sizeof *r->left);
    r->n_left = 0;
    if (!r->left)
        return FAULT_MEMORY;
    switch (r->result) {
    case REPORT_DONE:
        r->why = STR("");
        leave_failed(r);
        break;
    case REPORT_INCOMPLETE:
        find_why(r);
        leave_undone(r);
        break;
    case REPORT_DIED:
        return leave_dead(a, r);
    case REPORT_RUNNING:
    case REPORT_FAILED:
    case REPORT_ROLLED_BACK:
        find_why(r);
        break;
    }
    return 0;
}
