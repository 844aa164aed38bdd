/* What is said of a deployment, in words and in the forms that routes take. */
#include "base/clock.h"
#include "base/json.h"
#include "deploy/announce_parts.h"

enum { SLACK_MAX = 3000, SUMMARY_MAX = 1000 };

static const struct {
    const char *event, *mark;
    const char *action, *severity; /* of PagerDuty; NULL: it does not hear of it */
} kinds[REPORT_RESULTS] = {
    [REPORT_RUNNING] = {"deployment.started", ":rocket:", NULL, NULL},
    [REPORT_DIED] = {NULL, NULL, NULL, NULL},
    [REPORT_DONE] = {"deployment.done", ":white_check_mark:", "resolve", NULL},
    [REPORT_FAILED] = {"deployment.failed", ":x:", NULL, NULL},
    [REPORT_ROLLED_BACK] = {"deployment.rolled_back", ":rewind:", "trigger", "error"},
    [REPORT_INCOMPLETE] = {"deployment.incomplete", ":rotating_light:", "trigger", "critical"},
};

bool announce_is_news(enum report_result result)
{
    return kinds[result].event != NULL;
}

static void put_what(const struct report *r, struct buf *out)
{
    bool known = r->previous.n > 0;
    struct str previous = known ? r->previous : STR("the previous release");

    switch (r->result) {
    case REPORT_RUNNING:
    case REPORT_DIED:
        buf_printf(out, "deploying %.*s", STR_ARG(r->release));
        if (known)
            buf_printf(out, " over %.*s", STR_ARG(previous));
        break;
    case REPORT_DONE:
        buf_printf(out, "%.*s is deployed", STR_ARG(r->release));
        if (known)
            buf_printf(out, " in place of %.*s", STR_ARG(previous));
        break;
    case REPORT_FAILED:
        buf_printf(out, "deploying %.*s failed before it changed anything", STR_ARG(r->release));
        break;
    case REPORT_ROLLED_BACK:
        buf_printf(out, "%.*s was rolled back; %.*s serves", STR_ARG(r->release),
                   STR_ARG(previous));
        break;
    case REPORT_INCOMPLETE:
        buf_printf(out, "the rollback of %.*s is incomplete; a person is needed",
                   STR_ARG(r->release));
        break;
    }
}

void announce_subject(const struct report *r, struct buf *out)
{
    char took[REPORT_DURATION_SIZE];

    report_duration(r->ms, took);
    buf_printf(out, "%.*s: ", STR_ARG(r->environment));
    put_what(r, out);
    if (r->result != REPORT_RUNNING)
        buf_printf(out, ", after %s", took);
}

static void put_left(const struct report *r, struct buf *out)
{
    for (size_t i = 0; i < r->n_left; i++) {
        const struct report_left *left = &r->left[i];
        buf_printf(out, "%zu. %.*s: %.*s", i + 1, STR_ARG(left->title), STR_ARG(left->why));
        if (left->by_hand.n)
            buf_printf(out, " -> %.*s", STR_ARG(left->by_hand));
        buf_add_char(out, '\n');
    }
}

void announce_details(const struct report *r, struct buf *out)
{
    char id[UUID_TEXT_SIZE];

    uuid_format(&r->id, id);
    if (r->why.n)
        buf_printf(out, "Why: %.*s\n", STR_ARG(r->why));
    if (r->n_left)
        buf_printf(out, "Left to do:\n");
    put_left(r, out);
    if (r->who.n)
        buf_printf(out, "By: %.*s\n", STR_ARG(r->who));
    buf_printf(out, "More: holdfast deployments show %s\n", id);
}

/* As Slack wants text that is none of its commands: three characters as entities. */
static void put_escaped(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '&')
            buf_add_str(out, STR("&amp;"));
        else if (c == '<')
            buf_add_str(out, STR("&lt;"));
        else if (c == '>')
            buf_add_str(out, STR("&gt;"));
        else
            buf_add_char(out, c);
    }
}

static void put_text(struct json_writer *w, const char *key, struct str text)
{
    json_key(w, key);
    if (text.n)
        json_str(w, text);
    else
        json_nil(w);
}

int announce_slack(const struct conf_route *route, const struct report *r, struct buf *out)
{
    struct buf subject _cleanup_buf_ = buf_init(ANNOUNCE_TEXT_MAX),
                       details _cleanup_buf_ = buf_init(ANNOUNCE_TEXT_MAX),
                       text _cleanup_buf_ = buf_init(ANNOUNCE_TEXT_MAX);
    struct json_writer w = json_writer(out);

    announce_subject(r, &subject);
    announce_details(r, &details);
    buf_printf(&text, "%s *", kinds[r->result].mark);
    put_escaped(&text, buf_str(&subject));
    buf_add_str(&text, STR("*\n"));
    put_escaped(&text, str_cut(buf_str(&details), SLACK_MAX));
    json_object_begin(&w);
    json_key(&w, "text");
    json_str(&w, buf_str(&text));
    json_object_end(&w);
    return buf_fault(&text) ? buf_fault(&text) : buf_fault(out);
}

int announce_webhook(const struct conf_route *route, const struct report *r, struct buf *out)
{
    struct buf subject _cleanup_buf_ = buf_init(ANNOUNCE_TEXT_MAX),
                       report _cleanup_buf_ = buf_init(REPORT_JSON_MAX);
    struct json_writer w = json_writer(out);
    int result = report_write_json(r, &report);

    if (result)
        return result;
    announce_subject(r, &subject);
    json_object_begin(&w);
    json_key(&w, "event");
    json_str(&w, str_of(kinds[r->result].event));
    json_key(&w, "text");
    json_str(&w, buf_str(&subject));
    json_key(&w, "deployment");
    json_raw(&w, buf_str(&report));
    json_object_end(&w);
    return buf_fault(&subject) ? buf_fault(&subject) : buf_fault(out);
}

static void put_custom(struct json_writer *w, const struct report *r, struct str left)
{
    char id[UUID_TEXT_SIZE];

    uuid_format(&r->id, id);
    json_key(w, "custom_details");
    json_object_begin(w);
    put_text(w, "deployment", str_of(id));
    put_text(w, "release", r->release);
    put_text(w, "previous_release", r->previous);
    put_text(w, "who", r->who);
    put_text(w, "why", r->why);
    put_text(w, "left_to_do", left);
    json_object_end(w);
}

static void put_payload(struct json_writer *w, const struct report *r, struct str summary,
                        struct str left)
{
    json_key(w, "payload");
    json_object_begin(w);
    json_key(w, "summary");
    json_str(w, str_cut(summary, SUMMARY_MAX));
    json_key(w, "source");
    json_str(w, r->environment);
    json_key(w, "severity");
    json_str(w, str_of(kinds[r->result].severity));
    json_key(w, "timestamp");
    json_time(w, r->ended_at);
    json_key(w, "class");
    json_str(w, STR("deployment"));
    json_key(w, "group");
    json_str(w, r->environment);
    put_custom(w, r, left);
    json_object_end(w);
}

/* The key is the environment's: the next success, of whatever release, ends the incident. */
static void put_key(struct json_writer *w, const struct report *r)
{
    struct buf key _cleanup_buf_ = buf_init(REPORT_LABEL_MAX + 50);

    buf_printf(&key, "holdfast-deployment-%.*s", STR_ARG(r->environment));
    json_key(w, "dedup_key");
    json_str(w, str_cut(buf_str(&key), 255));
}

int announce_pagerduty(const struct conf_route *route, const struct report *r, struct buf *out)
{
    struct buf subject _cleanup_buf_ = buf_init(ANNOUNCE_TEXT_MAX),
                       left _cleanup_buf_ = buf_init(ANNOUNCE_TEXT_MAX);
    struct json_writer w = json_writer(out);

    if (!kinds[r->result].action)
        return 1;
    announce_subject(r, &subject);
    put_left(r, &left);
    json_object_begin(&w);
    json_key(&w, "routing_key");
    json_str(&w, str_of(route->pagerduty));
    json_key(&w, "event_action");
    json_str(&w, str_of(kinds[r->result].action));
    put_key(&w, r);
    json_key(&w, "client");
    json_str(&w, STR("Holdfast"));
    if (kinds[r->result].severity)
        put_payload(&w, r, buf_str(&subject), buf_str(&left));
    json_object_end(&w);
    return buf_fault(&subject) ? buf_fault(&subject)
           : buf_fault(&left)  ? buf_fault(&left)
                               : buf_fault(out);
}
