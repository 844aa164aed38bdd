/* Reports as JSON, and back. */
#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"
#include "deploy/report_parts.h"

#include <jansson.h>

/* Empty is null. */
static void put(struct json_writer *w, const char *key, struct str text)
{
    json_key(w, key);
    if (text.n)
        json_str(w, text);
    else
        json_nil(w);
}

static void put_facts(struct json_writer *w, const char *key, const struct report_fact *facts,
                      size_t n)
{
    json_key(w, key);
    json_array_begin(w);
    for (size_t i = 0; i < n; i++) {
        json_object_begin(w);
        put(w, "label", facts[i].label);
        put(w, "text", facts[i].text);
        json_object_end(w);
    }
    json_array_end(w);
}

static void put_run(struct json_writer *w, const struct report_run *run)
{
    json_key(w, "state");
    json_str(w, str_of(report_state_name(run->state)));
    json_key(w, "beganAt");
    json_time(w, run->began_at);
    json_key(w, "durationMs");
    json_int(w, run->ms);
    put(w, "why", run->why);
}

static void put_step(struct json_writer *w, const struct report_step *step)
{
    json_object_begin(w);
    put(w, "name", step->name);
    put(w, "title", step->title);
    put_run(w, &step->run);
    json_key(w, "undo");
    if (step->undo.state == REPORT_STEP_WAITING) {
        json_nil(w);
    } else {
        json_object_begin(w);
        put_run(w, &step->undo);
        json_object_end(w);
    }
    put(w, "byHand", step->by_hand);
    put_facts(w, "facts", step->facts, step->n_facts);
    json_object_end(w);
}

static void put_answers(struct json_writer *w, const struct report *r)
{
    json_key(w, "verification");
    json_array_begin(w);
    for (size_t i = 0; i < r->n_answers; i++) {
        json_object_begin(w);
        put(w, "name", r->answers[i].name);
        put(w, "title", r->answers[i].title);
        json_key(w, "verdict");
        json_str(w, str_of(report_verdict_name(r->answers[i].verdict)));
        put(w, "why", r->answers[i].why);
        json_object_end(w);
    }
    json_array_end(w);
}

static void put_left(struct json_writer *w, const struct report *r)
{
    json_key(w, "left");
    json_array_begin(w);
    for (size_t i = 0; i < r->n_left; i++) {
        json_object_begin(w);
        put(w, "step", r->left[i].step);
        put(w, "title", r->left[i].title);
        put(w, "why", r->left[i].why);
        put(w, "byHand", r->left[i].by_hand);
        json_object_end(w);
    }
    json_array_end(w);
}

static void put_head(struct json_writer *w, const struct report *r)
{
    json_key(w, "id");
    json_uuid(w, &r->id);
    put(w, "environment", r->environment);
    put(w, "release", r->release);
    put(w, "previousRelease", r->previous);
    json_key(w, "result");
    json_str(w, str_of(report_result_name(r->result)));
    put(w, "why", r->why);
    put(w, "who", r->who);
    put(w, "version", r->version);
    json_key(w, "beganAt");
    json_time(w, r->began_at);
    json_key(w, "endedAt");
    json_time(w, r->ended_at);
    json_key(w, "durationMs");
    json_int(w, r->ms);
    json_key(w, "records");
    json_int(w, r->records);
}

int report_write_json(const struct report *r, struct buf *out)
{
    struct json_writer w = json_writer(out);

    json_object_begin(&w);
    put_head(&w, r);
    put_left(&w, r);
    json_key(&w, "steps");
    json_array_begin(&w);
    for (size_t i = 0; i < r->n_steps; i++)
        put_step(&w, &r->steps[i]);
    json_array_end(&w);
    put_answers(&w, r);
    put_facts(&w, "options", r->options, r->n_options);
    json_object_end(&w);
    return buf_fault(out);
}

struct reading {
    struct arena *a;
    bool short_of_memory;
};

static struct str get(struct reading *in, const json_t *object, const char *key, size_t max)
{
    struct str text =
        report_text(in->a, str_of(json_string_value(json_object_get(object, key))), max);

    in->short_of_memory = in->short_of_memory || !text.p;
    return text;
}

static const char *get_name(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static int64_t get_time(const json_t *object, const char *key)
{
    int64_t at = 0;

    return clock_parse(str_of(get_name(object, key)), &at) ? 0 : at;
}

/* Room for a list's objects, at most max; *ret_n how many there are. NULL without memory. */
static void *get_list(struct reading *in, const json_t *list, size_t max, size_t size,
                      size_t *ret_n)
{
    size_t n = json_array_size(list) < max ? json_array_size(list) : max;
    void *items = arena_array(in->a, n + 1, size);

    in->short_of_memory = in->short_of_memory || !items;
    *ret_n = items ? n : 0;
    return items;
}

static struct report_fact *get_facts(struct reading *in, const json_t *list, size_t *ret_n)
{
    struct report_fact *facts = get_list(in, list, REPORT_FACTS_MAX, sizeof *facts, ret_n);

    for (size_t i = 0; i < *ret_n; i++) {
        const json_t *row = json_array_get(list, i);
        facts[i] = (struct report_fact){get(in, row, "label", REPORT_NAME_MAX),
                                        get(in, row, "text", REPORT_TEXT_MAX)};
    }
    return facts;
}

static struct report_run get_run(struct reading *in, const json_t *object)
{
    return (struct report_run){.state = report_state_of(get_name(object, "state")),
                               .began_at = get_time(object, "beganAt"),
                               .ms = json_integer_value(json_object_get(object, "durationMs")),
                               .why = get(in, object, "why", REPORT_TEXT_MAX)};
}

static void get_steps(struct reading *in, const json_t *list, struct report *r)
{
    r->steps = get_list(in, list, REPORT_STEPS_MAX, sizeof *r->steps, &r->n_steps);
    for (size_t i = 0; i < r->n_steps; i++) {
        const json_t *row = json_array_get(list, i);
        struct report_step *step = &r->steps[i];
        step->name = get(in, row, "name", REPORT_NAME_MAX);
        step->title = get(in, row, "title", REPORT_NAME_MAX);
        step->by_hand = get(in, row, "byHand", REPORT_TEXT_MAX);
        step->run = get_run(in, row);
        step->undo = get_run(in, json_object_get(row, "undo"));
        step->facts = get_facts(in, json_object_get(row, "facts"), &step->n_facts);
    }
}

static void get_answers(struct reading *in, const json_t *list, struct report *r)
{
    r->answers = get_list(in, list, REPORT_ANSWERS_MAX, sizeof *r->answers, &r->n_answers);
    for (size_t i = 0; i < r->n_answers; i++) {
        const json_t *row = json_array_get(list, i);
        r->answers[i] =
            (struct report_answer){.name = get(in, row, "name", REPORT_NAME_MAX),
                                   .title = get(in, row, "title", REPORT_NAME_MAX),
                                   .why = get(in, row, "why", REPORT_TEXT_MAX),
                                   .verdict = report_verdict_of(get_name(row, "verdict"))};
    }
}

static void get_left(struct reading *in, const json_t *list, struct report *r)
{
    r->left = get_list(in, list, REPORT_STEPS_MAX + 1, sizeof *r->left, &r->n_left);
    for (size_t i = 0; i < r->n_left; i++) {
        const json_t *row = json_array_get(list, i);
        r->left[i] = (struct report_left){
            get(in, row, "step", REPORT_NAME_MAX), get(in, row, "title", REPORT_NAME_MAX),
            get(in, row, "why", REPORT_TEXT_MAX), get(in, row, "byHand", REPORT_TEXT_MAX)};
    }
}

/* Returns 0 or REPORT_INVALID. */
static int get_head(struct reading *in, const json_t *object, struct report *r)
{
    r->environment = get(in, object, "environment", REPORT_LABEL_MAX);
    r->release = get(in, object, "release", REPORT_LABEL_MAX);
    r->previous = get(in, object, "previousRelease", REPORT_LABEL_MAX);
    r->why = get(in, object, "why", REPORT_TEXT_MAX);
    r->who = get(in, object, "who", REPORT_LABEL_MAX);
    r->version = get(in, object, "version", REPORT_NAME_MAX);
    r->began_at = get_time(object, "beganAt");
    r->ended_at = get_time(object, "endedAt");
    r->ms = json_integer_value(json_object_get(object, "durationMs"));
    r->records = json_integer_value(json_object_get(object, "records"));
    if (uuid_parse(str_of(get_name(object, "id")), &r->id) ||
        report_result_parse(str_of(get_name(object, "result")), &r->result) || r->began_at == 0)
        return REPORT_INVALID;
    return 0;
}

int report_parse(struct arena *a, struct str json, struct report *ret)
{
    struct reading in = {.a = a};
    struct report r = {.id = {{0}}};
    json_error_t error;
    json_t *object = json_loadb(json.p, json.n, JSON_REJECT_DUPLICATES, &error);
    int result = json_is_object(object) ? get_head(&in, object, &r) : REPORT_INVALID;

    if (result == 0) {
        get_steps(&in, json_object_get(object, "steps"), &r);
        get_answers(&in, json_object_get(object, "verification"), &r);
        get_left(&in, json_object_get(object, "left"), &r);
        r.options = get_facts(&in, json_object_get(object, "options"), &r.n_options);
    }
    json_decref(object);
    if (result == 0 && in.short_of_memory)
        result = FAULT_MEMORY;
    if (result == 0)
        *ret = r;
    return result;
}
