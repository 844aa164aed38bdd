/* A report out of a journal: what each record changes, and what follows from the whole. */
#include "deploy/report.h"

#include "base/fault.h"
#include "deploy/report_parts.h"

#include <stdio.h>

static const char deployment[] = "deployment";

struct making {
    struct arena *a;
    const struct journal *journal;
    struct report *r;
    size_t facts;
    bool turned_back, ended; /* ended: once, and was taken up again since */
    int64_t last_at;         /* of the record before */
};

/* A cleaned copy, empty where there is no text; NULL without memory. */
static struct str text_of(struct making *m, const json_t *value, size_t max)
{
    return report_text(m->a, str_of(json_string_value(value)), max);
}

static struct str member(struct making *m, const json_t *data, const char *name, size_t max)
{
    return text_of(m, json_object_get(data, name), max);
}

/* A text, number or flag as text; p is NULL for anything else. */
static struct str scalar(struct making *m, const json_t *value)
{
    char number[32];

    if (json_is_string(value))
        return text_of(m, value, REPORT_TEXT_MAX);
    if (json_is_boolean(value))
        return json_is_true(value) ? STR("yes") : STR("no");
    if (json_is_integer(value))
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        snprintf(number, sizeof number, "%g", json_real_value(value));
    else
        return (struct str){NULL, 0};
    return report_text(m->a, str_of(number), sizeof number);
}

/* Adds a fact, or puts it in place of one with its label. */
static int add_fact(struct making *m, struct report_fact **facts, size_t *n, const char *label,
                    const json_t *value)
{
    struct report_fact fact = {report_text(m->a, str_of(label), REPORT_NAME_MAX), scalar(m, value)};
    size_t i = 0;

    if (!fact.label.p)
        return FAULT_MEMORY;
    if (!fact.text.p)
        return 0;
    while (i < *n && !str_eq((*facts)[i].label, fact.label))
        i++;
    if (i == *n && m->facts == REPORT_FACTS_MAX)
        return 0;
    if (i == *n) {
        struct report_fact *more = arena_array(m->a, *n + 1, sizeof *more);
        if (!more)
            return FAULT_MEMORY;
        if (*n)
            memcpy(more, *facts, *n * sizeof *more);
        *facts = more;
        (*n)++;
        m->facts++;
    }
    (*facts)[i] = fact;
    return 0;
}

static int add_facts(struct making *m, struct report_fact **facts, size_t *n, json_t *object)
{
    const char *label;
    json_t *value;
    int result = 0;

    json_object_foreach(object, label, value)
    {
        if (result == 0)
            result = add_fact(m, facts, n, label, value);
    }
    return result;
}

static bool is_known(const char *name)
{
    static const char *const known[] = {"environment",     "release", "who",  "version",
                                        "previousRelease", "steps",   "show", "options"};

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i], name) == 0)
            return true;
    return false;
}

static int add_options(struct making *m, json_t *data)
{
    struct report *r = m->r;
    const char *name;
    json_t *value;
    int result = add_facts(m, &r->options, &r->n_options, json_object_get(data, "options"));

    json_object_foreach(data, name, value)
    {
        if (result == 0 && !is_known(name))
            result = add_fact(m, &r->options, &r->n_options, name, value);
    }
    return result;
}

static struct report_step *find_step(struct report *r, struct str name)
{
    for (size_t i = 0; i < r->n_steps; i++)
        if (str_eq(r->steps[i].name, name))
            return &r->steps[i];
    return NULL;
}

/* NULL past REPORT_STEPS_MAX. */
static struct report_step *add_step(struct report *r, struct str name, struct str title,
                                    struct str by_hand)
{
    if (r->n_steps == REPORT_STEPS_MAX)
        return NULL;
    struct report_step *step = &r->steps[r->n_steps++];
    *step = (struct report_step){.name = name, .title = title.n ? title : name, .by_hand = by_hand};
    return step;
}

static int take_table(struct making *m, const json_t *table)
{
    size_t i;
    json_t *row;

    json_array_foreach(table, i, row)
    {
        struct str name = member(m, row, "name", REPORT_NAME_MAX);
        struct str title = member(m, row, "title", REPORT_NAME_MAX);
        struct str by_hand = member(m, row, "byHand", REPORT_TEXT_MAX);
        if (!name.p || !title.p || !by_hand.p)
            return FAULT_MEMORY;
        if (name.n && !find_step(m->r, name))
            add_step(m->r, name, title, by_hand);
    }
    return 0;
}

static int take_opening(struct making *m, const struct journal_record *record)
{
    struct report *r = m->r;

    r->environment = member(m, record->data, "environment", REPORT_LABEL_MAX);
    r->release = member(m, record->data, "release", REPORT_LABEL_MAX);
    r->previous = member(m, record->data, "previousRelease", REPORT_LABEL_MAX);
    r->who = member(m, record->data, "who", REPORT_LABEL_MAX);
    r->version = member(m, record->data, "version", REPORT_NAME_MAX);
    r->began_at = record->at;
    m->last_at = record->at;
    if (!r->environment.p || !r->release.p || !r->previous.p || !r->who.p || !r->version.p)
        return FAULT_MEMORY;
    int result = take_table(m, json_object_get(record->data, "steps"));
    return result ? result : add_options(m, record->data);
}

static int take_answers(struct making *m, const json_t *list)
{
    struct report *r = m->r;
    size_t i,
        n = json_array_size(list) < REPORT_ANSWERS_MAX ? json_array_size(list) : REPORT_ANSWERS_MAX;
    json_t *row;

    r->answers = arena_array(m->a, n + 1, sizeof *r->answers);
    r->n_answers = 0;
    if (!r->answers)
        return FAULT_MEMORY;
    json_array_foreach(list, i, row)
    {
        if (i == n)
            break;
        struct report_answer *answer = &r->answers[r->n_answers++];
        *answer = (struct report_answer){.name = member(m, row, "name", REPORT_NAME_MAX),
                                         .title = member(m, row, "title", REPORT_NAME_MAX),
                                         .why = member(m, row, "why", REPORT_TEXT_MAX)};
        answer->verdict = report_verdict_of(json_string_value(json_object_get(row, "verdict")));
        if (!answer->name.p || !answer->title.p || !answer->why.p)
            return FAULT_MEMORY;
    }
    return 0;
}

/* step is NULL for the deployment itself. */
static int take_note(struct making *m, struct report_step *step, const json_t *data)
{
    struct report *r = m->r;
    json_t *show = json_object_get(data, "show"), *verified = json_object_get(data, "verification");
    int result = 0;

    if (json_is_string(json_object_get(data, "previousRelease"))) {
        r->previous = member(m, data, "previousRelease", REPORT_LABEL_MAX);
        if (!r->previous.p)
            return FAULT_MEMORY;
    }
    if (json_is_array(verified))
        result = take_answers(m, verified);
    if (result == 0 && show)
        result = add_facts(m, step ? &step->facts : &r->options,
                           step ? &step->n_facts : &r->n_options, show);
    return result;
}

/* What was under way when its process died; until is the last that is known of it. */
static void interrupt(struct report_run *run, int64_t until)
{
    if (run->state != REPORT_STEP_RUNNING)
        return;
    run->state = REPORT_STEP_INTERRUPTED;
    run->ms = until > run->began_at ? until - run->began_at : 0;
}

static void interrupt_all(struct making *m)
{
    for (size_t i = 0; i < m->r->n_steps; i++) {
        interrupt(&m->r->steps[i].run, m->last_at);
        interrupt(&m->r->steps[i].undo, m->last_at);
    }
}

static void begin(struct making *m, struct report_run *run, int64_t at)
{
    interrupt_all(m);
    *run = (struct report_run){.state = REPORT_STEP_RUNNING, .began_at = at, .why = STR("")};
}

static int finish(struct making *m, struct report_run *run, enum report_state state,
                  const json_t *data)
{
    int64_t ms = json_integer_value(json_object_get(data, "ms"));

    run->state = state;
    run->ms = ms > 0 ? ms : 0;
    run->why = member(m, data, "why", REPORT_TEXT_MAX);
    return run->why.p ? 0 : FAULT_MEMORY;
}

static int take_step(struct making *m, struct report_step *step,
                     const struct journal_record *record)
{
    switch (record->phase) {
    case JOURNAL_BEGIN:
        begin(m, &step->run, record->at);
        step->undo = (struct report_run){.why = STR("")};
        return 0;
    case JOURNAL_UNDOING:
        begin(m, &step->undo, record->at);
        return 0;
    case JOURNAL_NOTE:
        return take_note(m, step, record->data);
    case JOURNAL_DONE:
        return finish(m, &step->run, REPORT_STEP_DONE, record->data);
    case JOURNAL_SKIPPED:
        return finish(m, &step->run, REPORT_STEP_SKIPPED, record->data);
    case JOURNAL_FAILED:
        return finish(m, &step->run, REPORT_STEP_FAILED, record->data);
    case JOURNAL_UNDONE:
        return finish(m, &step->undo, REPORT_STEP_DONE, record->data);
    case JOURNAL_UNDO_FAILED:
        return finish(m, &step->undo, REPORT_STEP_FAILED, record->data);
    case JOURNAL_END:
        break;
    }
    return 0;
}

/* Why it goes back: the step that failed last; of one that had ended, because somebody wants it. */
static void turn_back(struct making *m)
{
    m->turned_back = true;
    interrupt_all(m);
    m->r->why = m->ended ? STR("It was asked for.") : STR("");
    for (size_t i = 0; !m->ended && i < m->r->n_steps; i++)
        if (m->r->steps[i].run.state == REPORT_STEP_FAILED)
            m->r->why = m->r->steps[i].run.why;
}

static int take_record(struct making *m, const struct journal_record *record)
{
    if (strcmp(record->step, deployment) == 0) {
        m->ended = m->ended || record->phase == JOURNAL_END;
        if (record->phase == JOURNAL_UNDOING)
            turn_back(m);
        return record->phase == JOURNAL_NOTE ? take_note(m, NULL, record->data) : 0;
    }
    struct str name = str_cut(str_of(record->step), REPORT_NAME_MAX);
    struct report_step *step = find_step(m->r, name);
    if (!step) {
        name = report_text(m->a, name, REPORT_NAME_MAX);
        if (!name.p)
            return FAULT_MEMORY;
        step = add_step(m->r, name, STR(""), STR(""));
    }
    return step ? take_step(m, step, record) : 0;
}

static enum report_result result_of(const struct making *m, bool alive)
{
    const struct journal_record *last = journal_at(m->journal, journal_count(m->journal) - 1);
    const char *end = json_string_value(json_object_get(last->data, "result"));

    if (last->phase == JOURNAL_END)
        return end && strcmp(end, "done") == 0          ? REPORT_DONE
               : end && strcmp(end, "rolled back") == 0 ? REPORT_ROLLED_BACK
                                                        : REPORT_FAILED;
    if (alive)
        return REPORT_RUNNING;
    for (size_t i = 0; m->turned_back && i < m->r->n_steps; i++)
        if (m->r->steps[i].undo.state == REPORT_STEP_FAILED)
            return REPORT_INCOMPLETE;
    return REPORT_DIED;
}

static void measure(struct report_run *run, int64_t now)
{
    if (run->state == REPORT_STEP_RUNNING)
        run->ms = now > run->began_at ? now - run->began_at : 0;
}

static void conclude(struct making *m, bool alive, int64_t now)
{
    struct report *r = m->r;
    int64_t until = alive ? now : m->last_at;

    r->result = result_of(m, alive);
    if (r->result != REPORT_RUNNING) {
        interrupt_all(m);
        until = r->ended_at = m->last_at;
    }
    r->ms = until > r->began_at ? until - r->began_at : 0;
    for (size_t i = 0; i < r->n_steps; i++) {
        measure(&r->steps[i].run, now);
        measure(&r->steps[i].undo, now);
    }
}

int report_make(struct arena *a, const struct journal *j, const struct uuid *id, bool alive,
                int64_t now, struct report *ret)
{
    struct report r = {.id = *id, .why = STR(""), .records = (int64_t)journal_count(j)};
    struct making m = {.a = a, .journal = j, .r = &r};
    int result;

    if (r.records == 0 || strcmp(journal_at(j, 0)->step, deployment) != 0 ||
        journal_at(j, 0)->phase != JOURNAL_BEGIN)
        return REPORT_NONE;
    r.steps = arena_array(a, REPORT_STEPS_MAX, sizeof *r.steps);
    if (!r.steps)
        return FAULT_MEMORY;
    result = take_opening(&m, journal_at(j, 0));
    for (size_t i = 1; result == 0 && i < journal_count(j); i++) {
        result = take_record(&m, journal_at(j, i));
        m.last_at = journal_at(j, i)->at;
    }
    if (result)
        return result;
    conclude(&m, alive, now);
    result = report_leave(a, &r);
    if (result == 0)
        *ret = r;
    return result;
}
