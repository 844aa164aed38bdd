/* Announcements: what each kind of route gets on the wire, and that nothing of it can hang. */
#include "deploy/announce.h"

#include "base/clock.h"
#include "mail/outbox_scene.h"
#include "mail/suppression.h"
#include "net/fixture.h"

#include <jansson.h>
#include <poll.h>

enum { CALLS_MAX = 16, BODY_MAX = 256 * 1024 };

/* A server that keeps what it was asked, and answers as it is told. */
struct hook {
    struct peer peer;
    char url[100];
    int statuses[CALLS_MAX]; /* by the call; 0: 200 */
    bool mute;               /* takes the request and says nothing */
    char lines[CALLS_MAX][200], types[CALLS_MAX][100];
    json_t *bodies[CALLS_MAX];
    int n;
};

static void serve(struct peer_conn *c, void *context)
{
    struct hook *h = context;
    char line[1000], answer[200], *body;
    size_t length = 0;
    int call = h->n < CALLS_MAX ? h->n : CALLS_MAX - 1;

    peer_read_line(c, h->lines[call], sizeof h->lines[call]);
    while (peer_read_line(c, line, sizeof line) && line[0]) {
        if (strncasecmp(line, "Content-Type: ", 14) == 0)
            snprintf(h->types[call], sizeof h->types[call], "%.90s", line + 14);
        if (strncasecmp(line, "Content-Length: ", 16) == 0)
            length = strtoul(line + 16, NULL, 10);
    }
    body = malloc(length + 1);
    if (length < BODY_MAX && peer_read(c, body, length)) {
        h->n++;
        h->bodies[call] = json_loadb(body, length, JSON_REJECT_DUPLICATES, NULL);
        int n = snprintf(answer, sizeof answer, "HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n",
                         h->statuses[call] ? h->statuses[call] : 200);
        if (h->mute)
            peer_await_end(c);
        else
            peer_write(c, answer, (size_t)n);
    }
    free(body);
}

struct world {
    struct outbox_scene *mail; /* of tests of mail */
    struct hook slack, webhook, pagerduty;
    struct conf_route routes[4];
    const char *names[5];
    struct conf conf;
    struct conf_environment e;
    struct announce_options options;
    struct announce_report told;
    struct report r;
    struct report_left left;
    char lines[2000]; /* of progress */
};

static void say(void *context, const char *line)
{
    struct world *w = context;
    size_t n = strlen(w->lines);

    snprintf(w->lines + n, sizeof w->lines - n, "%s\n", line);
}

static void start(struct hook *h, const char *path)
{
    h->peer = (struct peer){.serve = serve, .context = h};
    peer_start(&h->peer);
    snprintf(h->url, sizeof h->url, "http://127.0.0.1:%u/%s", h->peer.port, path);
}

static const struct progress *progress_of(struct world *w)
{
    static struct progress progress;

    progress = (struct progress){.say = say, .context = w};
    return &progress;
}

static struct world *make(void)
{
    static const char *const operators[] = {"Ann@Example.com", "bob@example.com", "ann@example.com",
                                            NULL};
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    start(&w->slack, "services/T0/B0/secret");
    start(&w->webhook, "hook?token=secret");
    start(&w->pagerduty, "v2/enqueue");
    w->routes[0] = (struct conf_route){.name = "releases", .slack = w->slack.url};
    w->routes[1] = (struct conf_route){.name = "ci", .webhook = w->webhook.url};
    w->routes[2] = (struct conf_route){
        .name = "on-call", .pagerduty = "the-key", .pagerduty_url = w->pagerduty.url};
    w->routes[3] = (struct conf_route){.name = "operators", .email = {operators, 3}};
    w->conf = (struct conf){.routes = w->routes, .n_routes = 4};
    for (int i = 0; i < 4; i++)
        w->names[i] = w->routes[i].name;
    w->e = (struct conf_environment){.name = "prod", .notify = {w->names, 3}};
    w->options = (struct announce_options){
        .conf = &w->conf, .environment = &w->e, .timeout_ms = 5000, .progress = progress_of(w)};
    w->left = (struct report_left){STR("migrate"), STR("Migrate"), STR("the disk is full"),
                                   STR("Restore <x> & y.")};
    w->r = (struct report){.environment = STR("prod"),
                           .release = STR("v<42>&*"),
                           .previous = STR("v41"),
                           .who = STR("ann@laptop"),
                           .why = STR("never \"well\""),
                           .result = REPORT_INCOMPLETE,
                           .began_at = NOW,
                           .ended_at = NOW + 252000,
                           .ms = 252000,
                           .records = 12,
                           .left = &w->left,
                           .n_left = 1};
    assert_int_equal(uuid_parse(STR("0193a5b0-1111-7222-8333-444455556666"), &w->r.id), 0);
    return w;
}

static int setup(void **state)
{
    *state = make();
    return 0;
}

static void stop(struct hook *h)
{
    peer_stop(&h->peer);
    for (int i = 0; i < CALLS_MAX; i++)
        json_decref(h->bodies[i]);
}

static void end(struct world *w)
{
    stop(&w->slack);
    stop(&w->webhook);
    stop(&w->pagerduty);
    free(w);
}

static int teardown(void **state)
{
    end(*state);
    return 0;
}

/* Tells a report of this result. */
static int tell(struct world *w, enum report_result result)
{
    w->r.result = result;
    w->r.ended_at = result == REPORT_RUNNING ? 0 : NOW + 252000;
    w->lines[0] = '\0';
    int outcome = announce(&w->options, &w->r, &w->told);
    peer_settle(&w->slack.peer);
    peer_settle(&w->webhook.peer);
    peer_settle(&w->pagerduty.peer);
    return outcome;
}

/* The text at a path of members, joined by dots. */
static const char *at(const json_t *object, const char *path)
{
    struct str rest = str_of(path), name;
    char key[50];

    while (str_next(&rest, '.', &name)) {
        snprintf(key, sizeof key, "%.*s", STR_ARG(name));
        object = json_object_get(object, key);
    }
    return json_string_value(object) ? json_string_value(object) : "(none)";
}

static void test_slack(void **state)
{
    struct world *w = *state;
    struct hook *h = &w->slack;

    assert_int_equal(tell(w, REPORT_INCOMPLETE), 0);
    assert_string_equal(h->lines[0], "POST /services/T0/B0/secret HTTP/1.1");
    assert_string_equal(h->types[0], "application/json");
    assert_int_equal(json_object_size(h->bodies[0]), 1);
    assert_string_equal(
        at(h->bodies[0], "text"),
        ":rotating_light: *prod: the rollback of v&lt;42&gt;&amp;* is incomplete; a person is "
        "needed, after 4 min 12 s*\nWhy: never \"well\"\nLeft to do:\n1. Migrate: the disk is full "
        "-&gt; Restore &lt;x&gt; &amp; y.\nBy: ann@laptop\n"
        "More: holdfast deployments show 0193a5b0-1111-7222-8333-444455556666\n");
}

static void test_each_result(void **state)
{
    static const struct {
        enum report_result result;
        const char *event, *text, *action;
    } rows[] = {
        {REPORT_RUNNING, "deployment.started", "prod: deploying v43 over v41", NULL},
        {REPORT_DONE, "deployment.done", "prod: v43 is deployed in place of v41, after 4 min 12 s",
         "resolve"},
        {REPORT_FAILED, "deployment.failed",
         "prod: deploying v43 failed before it changed anything, after 4 min 12 s", NULL},
        {REPORT_ROLLED_BACK, "deployment.rolled_back",
         "prod: v43 was rolled back; v41 serves, after 4 min 12 s", "trigger"},
        {REPORT_INCOMPLETE, "deployment.incomplete",
         "prod: the rollback of v43 is incomplete; a person is needed, after 4 min 12 s",
         "trigger"},
    };
    struct world *w = *state;
    int paged = 0;

    w->r.release = STR("v43");
    for (int i = 0; i < (int)(sizeof rows / sizeof *rows); i++) {
        assert_int_equal(tell(w, rows[i].result), 0);
        assert_int_equal(w->slack.n, i + 1);
        assert_non_null(strstr(at(w->slack.bodies[i], "text"), rows[i].text));
        assert_int_equal(w->webhook.n, i + 1);
        assert_string_equal(at(w->webhook.bodies[i], "event"), rows[i].event);
        assert_string_equal(at(w->webhook.bodies[i], "text"), rows[i].text);
        paged += rows[i].action != NULL;
        assert_int_equal(w->pagerduty.n, paged);
        if (rows[i].action)
            assert_string_equal(at(w->pagerduty.bodies[paged - 1], "event_action"), rows[i].action);
        assert_int_equal(w->told.answers[2].verdict,
                         rows[i].action ? ANNOUNCE_TOLD : ANNOUNCE_NOT_MEANT);
    }
    assert_int_equal(tell(w, REPORT_DIED), 0); /* the next one tells what became of it */
    assert_int_equal(w->told.n, 0);
    assert_int_equal(w->slack.n, 5);
    w->r.previous = STR("");
    assert_int_equal(tell(w, REPORT_ROLLED_BACK), 0);
    assert_non_null(strstr(at(w->webhook.bodies[5], "text"), "; the previous release serves,"));
}

static void test_webhook(void **state)
{
    struct world *w = *state;
    const json_t *body;

    assert_int_equal(tell(w, REPORT_ROLLED_BACK), 0);
    body = w->webhook.bodies[0];
    assert_string_equal(w->webhook.lines[0], "POST /hook?token=secret HTTP/1.1");
    assert_string_equal(w->webhook.types[0], "application/json");
    assert_int_equal(json_object_size(body), 3);
    assert_string_equal(at(body, "deployment.id"), "0193a5b0-1111-7222-8333-444455556666");
    assert_string_equal(at(body, "deployment.result"), "rolled_back");
    assert_string_equal(at(body, "deployment.release"), "v<42>&*");
    assert_string_equal(at(body, "deployment.why"), "never \"well\"");
}

/* As the Events API v2 says. */
static void test_pagerduty(void **state)
{
    struct world *w = *state;
    const json_t *body;

    assert_int_equal(tell(w, REPORT_ROLLED_BACK), 0);
    body = w->pagerduty.bodies[0];
    assert_string_equal(w->pagerduty.lines[0], "POST /v2/enqueue HTTP/1.1");
    assert_string_equal(at(body, "routing_key"), "the-key");
    assert_string_equal(at(body, "event_action"), "trigger");
    assert_string_equal(at(body, "dedup_key"), "holdfast-deployment-prod");
    assert_string_equal(at(body, "payload.summary"),
                        "prod: v<42>&* was rolled back; v41 serves, after 4 min 12 s");
    assert_string_equal(at(body, "payload.source"), "prod");
    assert_string_equal(at(body, "payload.severity"), "error");
    assert_string_equal(at(body, "payload.timestamp"), "2023-11-14T22:17:32.000Z");
    assert_string_equal(at(body, "payload.custom_details.why"), "never \"well\"");
    assert_string_equal(at(body, "payload.custom_details.left_to_do"),
                        "1. Migrate: the disk is full -> Restore <x> & y.\n");
    assert_int_equal(tell(w, REPORT_INCOMPLETE), 0);
    assert_string_equal(at(w->pagerduty.bodies[1], "payload.severity"), "critical");
    assert_int_equal(tell(w, REPORT_DONE), 0);
    body = w->pagerduty.bodies[2];
    assert_string_equal(at(body, "event_action"), "resolve");
    assert_string_equal(at(body, "dedup_key"), "holdfast-deployment-prod");
    assert_null(json_object_get(body, "payload"));
}

/* One that is too busy is asked again, any other answer is the last. */
static void test_again(void **state)
{
    struct world *w = *state;

    w->slack.statuses[0] = 503;
    w->slack.statuses[1] = 429;
    w->webhook.statuses[0] = 500;
    w->pagerduty.statuses[0] = 202;
    assert_int_equal(tell(w, REPORT_ROLLED_BACK), ANNOUNCE_SOME_UNTOLD);
    assert_int_equal(w->slack.n, 3);
    assert_int_equal(w->webhook.n, 1);
    assert_int_equal(w->pagerduty.n, 1);
    assert_string_equal(w->lines, "told releases (slack)\nci (webhook) was not told: answered 500\n"
                                  "told on-call (pagerduty)\n");
}

/* No secret of theirs stands in what is said, and none waits for another. */
static void test_unreachable(void **state)
{
    struct world *w = *state;
    char dead[100];
    int64_t began = clock_mono();

    snprintf(dead, sizeof dead, "http://127.0.0.1:%u/services/secret", peer_dead_port());
    w->routes[0].slack = dead;
    w->webhook.mute = w->pagerduty.mute = true;
    w->options.timeout_ms = 1000;
    assert_int_equal(tell(w, REPORT_ROLLED_BACK), ANNOUNCE_SOME_UNTOLD);
    assert_in_range(clock_mono() - began, 900, 2500);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(w->told.answers[i].verdict, ANNOUNCE_UNTOLD);
        assert_true(*w->told.answers[i].why != '\0');
    }
    assert_int_equal(w->webhook.n, 1); /* it may have arrived */
    assert_null(strstr(w->lines, "secret"));
    assert_null(strstr(w->lines, "the-key"));
    w->routes[0].slack = "nonsense://secret";
    assert_int_equal(tell(w, REPORT_ROLLED_BACK), ANNOUNCE_SOME_UNTOLD);
    assert_null(strstr(w->lines, "secret"));
}

static void test_nobody(void **state)
{
    struct world *w = *state;

    w->e.notify.n = 0;
    assert_int_equal(tell(w, REPORT_DONE), 0);
    assert_int_equal(w->told.n, 0);
    w->e.notify = (struct conf_words){&w->names[3], 1};
    assert_int_equal(tell(w, REPORT_DONE), ANNOUNCE_SOME_UNTOLD);
    assert_string_equal(w->lines, "operators (email) was not told: mail needs the database, which "
                                  "is not in reach\n");
}

static void test_many(void **state)
{
    struct world *w = *state;
    const char *names[ANNOUNCE_ROUTES_MAX + 2];

    for (int i = 0; i < ANNOUNCE_ROUTES_MAX + 1; i++)
        names[i] = w->names[2];
    w->e.notify = (struct conf_words){names, ANNOUNCE_ROUTES_MAX + 1};
    assert_int_equal(tell(w, REPORT_FAILED), ANNOUNCE_SOME_UNTOLD);
    assert_int_equal(w->told.n, ANNOUNCE_ROUTES_MAX);
    assert_string_equal(w->lines, "only the first 32 routes were told\n");
}

static int mail_setup(void **state, int (*scene)(void **state))
{
    struct world *w = make();
    void *outbox = NULL;

    assert_int_equal(scene(&outbox), 0);
    w->mail = outbox;
    w->options.mail = w->mail->m;
    w->e.notify = (struct conf_words){&w->names[3], 1};
    *state = w;
    return 0;
}

static int mail_sqlite(void **state)
{
    return mail_setup(state, outbox_scene_sqlite);
}

static int mail_postgres(void **state)
{
    return mail_setup(state, outbox_scene_postgres);
}

static int mail_release(void **state)
{
    struct world *w = *state;
    void *outbox = w->mail;

    end(w);
    return outbox_scene_release(&outbox);
}

static int64_t count(struct world *w, const char *sql)
{
    return fixture_number(w->mail->f->node.store, sql);
}

static void make_operator(struct world *w)
{
    scene_user(w->mail->f, &w->mail->f->tenant, "root", ROLE_OPERATOR, "no hash");
}

static void test_mail(void **state)
{
    struct world *w = *state;

    make_operator(w);
    assert_int_equal(tell(w, REPORT_ROLLED_BACK), 0);
    assert_string_equal(w->lines, "told operators (email)\n");
    assert_int_equal(count(w, "SELECT count(*) FROM email_logs WHERE state = 'queued' AND template "
                              "= 'deployment' AND subject = 'prod: v<42>&* was rolled back; v41 "
                              "serves, after 4 min 12 s' AND tenant_id = (SELECT tenant_id FROM "
                              "users WHERE role = 'operator' ORDER BY id LIMIT 1)"),
                     2); /* an address that stands there twice is one */
    assert_int_equal(tell(w, REPORT_ROLLED_BACK), 0); /* again: it is known already */
    assert_int_equal(count(w, "SELECT count(*) FROM email_logs"), 2);
    w->r.records++;
    assert_int_equal(tell(w, REPORT_DONE), 0);
    assert_int_equal(count(w, "SELECT count(*) FROM email_logs"), 4);
}

static void test_mail_untold(void **state)
{
    static const char *const bad[] = {"nobody", NULL};
    struct world *w = *state;

    assert_int_equal(tell(w, REPORT_DONE), ANNOUNCE_SOME_UNTOLD);
    assert_non_null(strstr(w->lines, "there is no operator"));
    make_operator(w);
    w->mail->f->config->email_transport = EMAIL_NONE;
    assert_int_equal(tell(w, REPORT_DONE), ANNOUNCE_SOME_UNTOLD);
    assert_non_null(strstr(w->lines, "EMAIL_TRANSPORT is none"));
    w->mail->f->config->email_transport = EMAIL_SMTP;
    w->routes[3].email = (struct conf_words){bad, 1};
    assert_int_equal(tell(w, REPORT_DONE), ANNOUNCE_SOME_UNTOLD);
    assert_non_null(strstr(w->lines, "\"nobody\" is not a mail address"));
    assert_int_equal(count(w, "SELECT count(*) FROM email_logs"), 0);
}

static void test_mail_suppressed(void **state)
{
    static const char *const one[] = {"gone@example.com", NULL};
    struct world *w = *state;

    make_operator(w);
    outbox_scene_suppress(w->mail, "gone@example.com", SUPPRESSION_BOUNCE);
    w->routes[3].email = (struct conf_words){one, 1};
    assert_int_equal(tell(w, REPORT_DONE), ANNOUNCE_SOME_UNTOLD);
    assert_non_null(strstr(w->lines, "none of the addresses may be written to"));
    assert_int_equal(count(w, "SELECT count(*) FROM email_logs WHERE state = 'suppressed'"), 1);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_slack),
        TEST(test_each_result),
        TEST(test_webhook),
        TEST(test_pagerduty),
        TEST(test_again),
        TEST(test_unreachable),
        TEST(test_nobody),
        TEST(test_many),
        FIXTURE_EACH(test_mail, mail),
        FIXTURE_EACH(test_mail_untold, mail),
        FIXTURE_EACH(test_mail_suppressed, mail),
    };

    return FIXTURE_RUN(tests);
}
