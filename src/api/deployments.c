/* Deployments of the product, as whoever made them told. */
#include "api/app.h"
#include "base/fault.h"
#include "deploy/record.h"

enum { ENVIRONMENT_MAX = 100 };

struct list_query_of {
    uint64_t given;
    int64_t limit;
    struct str cursor, environment;
};

static const struct field query_fields[] = {
    LIST_QUERY_FIELDS(struct list_query_of),
    {"environment", FIELD_STR, 0, offsetof(struct list_query_of, environment), 1, ENVIRONMENT_MAX,
     NULL, NULL, "Only of this environment, such as prod."},
};
static const struct shape query_shape =
    SHAPE("DeploymentQuery", struct list_query_of, query_fields);

struct head_view {
    struct uuid id;
    struct str environment, release, previous, result, who;
    int64_t began_at, ended_at, ms;
};

/* The members of a deployment, in a struct that begins with them. */
#define HEAD_FIELD(name, type, flags, member, help)                                                \
    {                                                                                              \
        name, type, FIELD_REQUIRED | (flags), offsetof(struct head_view, member), 0, 0, NULL,      \
            NULL, help                                                                             \
    }
#define HEAD_FIELDS                                                                                \
    HEAD_FIELD("id", FIELD_UUID, 0, id, "The deployment, by which its directory is called."),      \
        HEAD_FIELD("environment", FIELD_STR, 0, environment, "Such as prod."),                     \
        HEAD_FIELD("release", FIELD_STR, 0, release, "What was to be rolled out."),                \
        HEAD_FIELD("previousRelease", FIELD_STR, FIELD_NULLABLE, previous,                         \
                   "What ran before; null where that is not known."),                              \
        HEAD_FIELD("result", FIELD_STR, 0, result,                                                 \
                   "running; done; failed: before it changed anything; rolled_back; incomplete: "  \
                   "something could not be undone; died: the next deployment takes it up."),       \
        HEAD_FIELD("who", FIELD_STR, FIELD_NULLABLE, who, "Who deployed, and where."),             \
        HEAD_FIELD("beganAt", FIELD_TIME, 0, began_at, "When it began."),                          \
        HEAD_FIELD("endedAt", FIELD_TIME, FIELD_NULLABLE, ended_at,                                \
                   "When it ended, or was last heard of; null while it runs."),                    \
        HEAD_FIELD("durationMs", FIELD_INT, 0, ms, "How long it took, or has run so far.")

static const struct field head_fields[] = {HEAD_FIELDS};
static const struct shape head_shape = SHAPE("Deployment", struct head_view, head_fields);

#define FIELD_OF(view, name, type, flags, member, help)                                            \
    {                                                                                              \
        name, type, FIELD_REQUIRED | (flags), offsetof(struct view, member), 0, 0, NULL, NULL,     \
            help                                                                                   \
    }
#define LIST_OF(view, name, member, shape, help)                                                   \
    {                                                                                              \
        name, FIELD_LIST, FIELD_REQUIRED, offsetof(struct view, member), 0, 0, NULL, &(shape),     \
            help                                                                                   \
    }

static const struct field fact_fields[] = {
    FIELD_OF(report_fact, "label", FIELD_STR, 0, label, "What it is."),
    FIELD_OF(report_fact, "text", FIELD_STR, FIELD_NULLABLE, text, "Its value."),
};
static const struct shape fact_shape = SHAPE("DeploymentFact", struct report_fact, fact_fields);

struct run_view {
    struct str state, why;
    int64_t began_at, ms;
};

#define RUN_FIELDS(view)                                                                           \
    FIELD_OF(view, "state", FIELD_STR, 0, run.state,                                               \
             "waiting, running, done, skipped, failed, or interrupted: its process died."),        \
        FIELD_OF(view, "beganAt", FIELD_TIME, FIELD_NULLABLE, run.began_at,                        \
                 "When it began; null: it has not."),                                              \
        FIELD_OF(view, "durationMs", FIELD_INT, 0, run.ms, "How long it took."),                   \
        FIELD_OF(view, "why", FIELD_STR, FIELD_NULLABLE, run.why, "Why it failed.")

struct undo_view {
    struct run_view run;
};
static const struct field undo_fields[] = {RUN_FIELDS(undo_view)};
static const struct shape undo_shape = SHAPE("DeploymentUndo", struct undo_view, undo_fields);

struct step_view {
    struct run_view run;
    struct str name, title, by_hand;
    const struct undo_view *undo;
    struct shape_list facts;
};
static const struct field step_fields[] = {
    FIELD_OF(step_view, "name", FIELD_STR, 0, name, "Such as migrate."),
    FIELD_OF(step_view, "title", FIELD_STR, 0, title, "The same for people."),
    RUN_FIELDS(step_view),
    {"undo", FIELD_OBJECT, FIELD_REQUIRED | FIELD_NULLABLE, offsetof(struct step_view, undo), 0, 0,
     NULL, &undo_shape, "How it was undone; null: it was not."},
    FIELD_OF(step_view, "byHand", FIELD_STR, FIELD_NULLABLE, by_hand,
             "What a person does where undoing it fails; null: there is nothing to undo."),
    LIST_OF(step_view, "facts", facts, fact_shape, "What it has to say, such as a backup's name."),
};
static const struct shape step_shape = SHAPE("DeploymentStep", struct step_view, step_fields);

struct answer_view {
    struct str name, title, verdict, why;
};
static const struct field answer_fields[] = {
    FIELD_OF(answer_view, "name", FIELD_STR, 0, name, "Such as rate-limit."),
    FIELD_OF(answer_view, "title", FIELD_STR, 0, title, "The same for people."),
    FIELD_OF(answer_view, "verdict", FIELD_STR, 0, verdict, "passed, failed or not_asked."),
    FIELD_OF(answer_view, "why", FIELD_STR, FIELD_NULLABLE, why, "What was seen instead."),
};
static const struct shape answer_shape =
    SHAPE("DeploymentAnswer", struct answer_view, answer_fields);

static const struct field left_fields[] = {
    FIELD_OF(report_left, "step", FIELD_STR, FIELD_NULLABLE, step,
             "Which step; null: the deployment as a whole."),
    FIELD_OF(report_left, "title", FIELD_STR, 0, title, "The same for people."),
    FIELD_OF(report_left, "why", FIELD_STR, FIELD_NULLABLE, why, "Why it is left."),
    FIELD_OF(report_left, "byHand", FIELD_STR, FIELD_NULLABLE, by_hand, "What is to be done."),
};
static const struct shape left_shape = SHAPE("DeploymentLeft", struct report_left, left_fields);

struct report_view {
    struct head_view head;
    struct str why, version;
    int64_t records;
    struct shape_list left, steps, answers, options;
};
static const struct field report_fields[] = {
    HEAD_FIELDS,
    FIELD_OF(report_view, "why", FIELD_STR, FIELD_NULLABLE, why, "What went wrong first."),
    FIELD_OF(report_view, "version", FIELD_STR, FIELD_NULLABLE, version, "Of Holdfast."),
    FIELD_OF(report_view, "records", FIELD_INT, 0, records, "Of its journal, by then."),
    LIST_OF(report_view, "left", left, left_shape, "What is left for a person, in order."),
    LIST_OF(report_view, "steps", steps, step_shape, "All steps in their order."),
    LIST_OF(report_view, "verification", answers, answer_shape, "What was asked from outside."),
    LIST_OF(report_view, "options", options, fact_shape, "How it was called."),
};
static const struct shape report_shape =
    SHAPE("DeploymentReport", struct report_view, report_fields);

struct listing {
    struct arena *arena;
    struct record_query query;
    struct record *items;
    size_t n;
};

static int list_job(struct store_txn *t, void *arg)
{
    struct listing *l = arg;

    return record_list(t, l->arena, &l->query, &l->items, &l->n);
}

static struct head_view head_of(const struct record *r, int64_t now)
{
    int64_t until = r->ended_at ? r->ended_at : now;

    return (struct head_view){.id = r->id,
                              .environment = r->environment,
                              .release = r->release,
                              .previous = r->previous,
                              .result = str_of(report_result_name(r->result)),
                              .who = r->who,
                              .began_at = r->began_at,
                              .ended_at = r->ended_at,
                              .ms = until > r->began_at ? until - r->began_at : 0};
}

static int reply_list(struct call *call, const struct listing *l)
{
    struct head_view *views = arena_array(call->arena, l->n + 1, sizeof *views);
    char cursor[UUID_TEXT_SIZE] = "";

    if (!views)
        return FAULT_MEMORY;
    for (size_t i = 0; i < l->n; i++)
        views[i] = head_of(&l->items[i], call->now);
    if (l->n == l->query.limit)
        uuid_format(&l->items[l->n - 1].id, cursor);
    return call_reply_list(call, views, l->n, str_of(cursor));
}

static int get_deployments(struct call *call)
{
    const struct list_query_of *q = call->query;
    struct listing l = {.arena = call->arena,
                        .query = {.environment = q->environment, .limit = list_limit(q->limit)}};
    struct uuid scratch;
    const struct uuid *before;
    int r = api_cursor_id(call, q->cursor, &scratch, &before);

    if (r == 0 && before)
        l.query.before = *before;
    if (r == 0)
        r = store_read(app_of(call)->store, list_job, &l);
    return r ? r : reply_list(call, &l);
}

struct finding {
    struct arena *arena;
    struct uuid id;
    struct record record;
};

static int find_job(struct store_txn *t, void *arg)
{
    struct finding *f = arg;

    return record_find(t, f->arena, &f->id, &f->record);
}

static struct run_view run_of(const struct report_run *run)
{
    return (struct run_view){.state = str_of(report_state_name(run->state)),
                             .why = run->why,
                             .began_at = run->began_at,
                             .ms = run->ms};
}

static int view_steps(struct arena *a, const struct report *r, struct shape_list *ret)
{
    struct step_view *views = arena_array(a, r->n_steps + 1, sizeof *views);
    struct undo_view *undos = arena_array(a, r->n_steps + 1, sizeof *undos);

    if (!views || !undos)
        return FAULT_MEMORY;
    for (size_t i = 0; i < r->n_steps; i++) {
        const struct report_step *step = &r->steps[i];
        undos[i].run = run_of(&step->undo);
        views[i] =
            (struct step_view){.run = run_of(&step->run),
                               .name = step->name,
                               .title = step->title,
                               .by_hand = step->by_hand,
                               .undo = step->undo.state == REPORT_STEP_WAITING ? NULL : &undos[i],
                               .facts = {step->facts, step->n_facts}};
    }
    *ret = (struct shape_list){views, r->n_steps};
    return 0;
}

static int view_answers(struct arena *a, const struct report *r, struct shape_list *ret)
{
    struct answer_view *views = arena_array(a, r->n_answers + 1, sizeof *views);

    if (!views)
        return FAULT_MEMORY;
    for (size_t i = 0; i < r->n_answers; i++)
        views[i] =
            (struct answer_view){.name = r->answers[i].name,
                                 .title = r->answers[i].title,
                                 .verdict = str_of(report_verdict_name(r->answers[i].verdict)),
                                 .why = r->answers[i].why};
    *ret = (struct shape_list){views, r->n_answers};
    return 0;
}

static int reply_report(struct call *call, const struct record *record)
{
    struct report_view view = {.head = head_of(record, call->now)};
    struct report r;
    int result = report_parse(call->arena, record->report, &r);

    if (result == REPORT_INVALID)
        result = fault_set(FAULT_STORE, "the report of a deployment is none");
    if (result == 0)
        result = view_steps(call->arena, &r, &view.steps);
    if (result == 0)
        result = view_answers(call->arena, &r, &view.answers);
    if (result)
        return result;
    view.why = r.why;
    view.version = r.version;
    view.records = r.records;
    view.left = (struct shape_list){r.left, r.n_left};
    view.options = (struct shape_list){r.options, r.n_options};
    return call_reply(call, &view);
}

static int get_deployment(struct call *call)
{
    struct finding f = {.arena = call->arena};
    int r = call_param_id(call, 0, &f.id);

    if (r == 0)
        r = store_read(app_of(call)->store, find_job, &f);
    if (r)
        return r == RECORD_UNKNOWN ? PROBLEM_NOT_FOUND : r;
    return reply_report(call, &f.record);
}

/* clang-format off */
static const struct route routes[] = {
    {HTTP_GET, "/v1/deployments", PERMIT_OPERATOR, LANE_WORKER, ROUTE_LIST, 200,
     &query_shape, NULL, &head_shape, "Deployments of the product, newest first", get_deployments},
    {HTTP_GET, "/v1/deployments/:id", PERMIT_OPERATOR, LANE_WORKER, 0, 200, NULL, NULL,
     &report_shape, "What a deployment did, and what is left of it", get_deployment},
};
/* clang-format on */

const struct route_table api_deployments = ROUTE_TABLE("Deployments", routes);
