/*
 * Webhooks through the dispatcher and the product's own rows, with SNS played by a server on
 * loopback: its certificates come from an authority of the test's.
 */
#include "api/app.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "mail/ses_event.h"
#include "mail/sns_scene.h"
#include "mail/sns_seen.h"
#include "mail/webhook_signature.h"
#include "net/fixture.h"
#include "sessions/scene.h"

enum { FIELDS_MAX = 4, REFUSALS = 5 };

#define BOUNCE "/v1/email-monitoring/ses/bounce"
#define COMPLAINT "/v1/email-monitoring/ses/complaint"
#define EVENTS "/v1/email-monitoring/ses/events"
#define EVENT                                                                                      \
    "{\"notificationType\":\"Bounce\",\"mail\":{\"messageId\":\"m1\"},\"bounce\":{\"bounceType\":" \
    "\"Permanent\",\"bounceSubType\":\"General\",\"bouncedRecipients\":[{\"emailAddress\":"        \
    "\"a@example.com\"}],\"timestamp\":\"2026-09-21T14:13:19.000Z\",\"feedbackId\":\"f1\"}}"

static const struct str secrets[] = {STR_INIT("a secret of thirty-two characters"),
                                     STR_INIT("a former secret of more than that")};

/* What SNS's servers answer, and what they were asked. */
struct sns {
    struct peer certificates, api, stranger;
    SSL_CTX *tls;
    const char *certificate_answer; /* instead of the certificate */
    const char *api_answer;
    char asked[8192]; /* the last line that the API was asked with */
    char origin[64], api_origin[64];
};

/* A server over a scene, and one request at a time. */
struct stage {
    struct scene *scene;
    struct mail mail;
    struct app app;
    struct sns sns;
    struct config_range loopback;
    struct arena arena;
    struct http_request request;
    struct http_reply reply;
    struct http_header fields[FIELDS_MAX];
    const char *from;
    bool planned, deferred; /* to a worker */
};

static struct authority authority;

static bool read_head(struct peer_conn *c, char *ret, size_t size)
{
    char line[8192];

    if (!peer_read_line(c, ret, size))
        return false;
    while (peer_read_line(c, line, sizeof line) && line[0])
        ;
    return true;
}

static void serve_certificate(struct peer_conn *c, void *context)
{
    const struct sns *sns = context;
    char line[8192], head[128];

    if (!read_head(c, line, sizeof line))
        return;
    if (sns->certificate_answer) {
        peer_say(c, sns->certificate_answer);
        return;
    }
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", sns_scene.pem.n);
    peer_say(c, head);
    peer_write(c, sns_scene.pem.p, sns_scene.pem.n);
}

static void serve_api(struct peer_conn *c, void *context)
{
    struct sns *sns = context;

    if (read_head(c, sns->asked, sizeof sns->asked))
        peer_say(c, sns->api_answer);
}

static void serve_nothing(struct peer_conn *c, void *context)
{
}

static void start_sns(struct sns *sns)
{
    sns->tls = authority_issue(&authority, "IP:127.0.0.1", -60, 600);
    sns->api_answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    sns->certificates = (struct peer){.serve = serve_certificate, .context = sns, .tls = sns->tls};
    sns->api = (struct peer){.serve = serve_api, .context = sns};
    sns->stranger = (struct peer){.serve = serve_nothing};
    peer_start(&sns->certificates);
    peer_start(&sns->api);
    peer_start(&sns->stranger);
    snprintf(sns->origin, sizeof sns->origin, "https://127.0.0.1:%d", sns->certificates.port);
    snprintf(sns->api_origin, sizeof sns->api_origin, "http://127.0.0.1:%d", sns->api.port);
}

static void stop_sns(struct sns *sns)
{
    peer_stop(&sns->certificates);
    peer_stop(&sns->api);
    peer_stop(&sns->stranger);
    SSL_CTX_free(sns->tls);
}

/* A verifier that knows nothing yet, and calls these origins. */
static void renew(struct stage *s, const char *certificates, const char *api)
{
    static const struct str topics[] = {STR_INIT(SNS_FIXTURE_TOPIC)};
    struct webhook_options options = {
        .store = s->scene->node.store,
        .trail = s->scene->node.trail,
        .intake = s->mail.intake,
        .secrets = secrets,
        .n_secrets = 2,
        .topics = topics,
        .n_topics = 1,
        .trust = sns_scene.trust,
        .caller = {.guard = {.allowed = &s->loopback, .allowed_count = 1},
                   .ca_file = authority.file,
                   .certificates = certificates,
                   .api = api},
    };

    webhook_free(s->mail.webhook);
    assert_done(webhook_new(&options, &s->mail.webhook));
}

static void set_up_stage(struct stage *s)
{
    struct config *config = s->scene->config;

    config->email_monitoring = true;
    config->webhook_refusals_per_minute = REFUSALS;
    config->soft_bounce_limit = 3;
    config->soft_bounce_days = 7;
    assert_int_equal(config_parse_range(STR("127.0.0.1"), &s->loopback), 0);
    start_sns(&s->sns);
    assert_done(intake_new(s->scene->node.store, &s->mail.intake));
    renew(s, s->sns.origin, s->sns.api_origin);
    s->app = (struct app){.store = s->scene->node.store,
                          .trail = s->scene->node.trail,
                          .sessions = s->scene->s,
                          .mail = &s->mail};
    assert_done(dispatch_new(&api_email_webhooks, 1, s->scene->s, &s->app, &s->app.dispatch));
    s->reply.headers = buf_init(1 << 16);
    s->reply.body = buf_init(1 << 16);
    s->from = "192.0.2.1";
}

static int set_up(void **state, int (*scene)(void **state))
{
    struct stage *s = calloc(1, sizeof *s);
    void *over = NULL;

    assert_non_null(s);
    clock_shift(SNS_SCENE_NOW - clock_now());
    assert_int_equal(scene(&over), 0);
    s->scene = over;
    assert_int_equal(sns_scene_set_up(NULL), 0);
    log_configure(LOG_ERROR, LOG_JSON);
    set_up_stage(s);
    *state = s;
    return 0;
}

static int stage_sqlite(void **state)
{
    return set_up(state, scene_sqlite);
}

static int stage_postgres(void **state)
{
    return set_up(state, scene_postgres);
}

static int stage_release(void **state)
{
    struct stage *s = *state;
    void *scene = s->scene;

    stop_sns(&s->sns);
    arena_free(&s->arena); /* a request gives back to the dispatcher */
    dispatch_free(s->app.dispatch);
    webhook_free(s->mail.webhook);
    intake_free(s->mail.intake);
    buf_free(&s->reply.headers);
    buf_free(&s->reply.body);
    free(s);
    sns_scene_tear_down(NULL);
    clock_shift(0);
    return scene_release(&scene);
}

static int open_group(void **state)
{
    authority_init(&authority);
    return sns_scene_open(state);
}

static int close_group(void **state)
{
    authority_release(&authority);
    return sns_scene_close(state);
}

/* A request with at most one header of its own. Returns the status. */
static int post(struct stage *s, const char *path, const char *name, const char *value,
                struct str body)
{
    struct http_app app = dispatch_app(s->app.dispatch);
    struct config_range peer;
    struct http_plan plan;

    arena_free(&s->arena);
    s->arena = arena_init(8 << 20);
    buf_reset(&s->reply.headers);
    buf_reset(&s->reply.body);
    assert_int_equal(config_parse_range(str_of(s->from), &peer), 0);
    s->fields[0] = (struct http_header){STR("Content-Type"), STR("text/plain; charset=UTF-8")};
    s->fields[1] = (struct http_header){str_of(name), str_of(value)};
    s->request = (struct http_request){.method = HTTP_POST,
                                       .target = str_of(path),
                                       .path = str_of(path),
                                       .query = STR(""),
                                       .headers = s->fields,
                                       .header_count = name ? 2 : 1,
                                       .body = body,
                                       .peer = peer.address,
                                       .id = uuid_new(),
                                       .arena = &s->arena,
                                       .started_us = clock_mono_us()};
    s->planned = app.plan(app.context, &s->request, &plan, &s->reply) == 0;
    s->deferred = s->planned && app.run(app.context, &s->request, &s->reply) == LANE_WORKER;
    if (s->deferred)
        assert_int_equal(app.run(app.context, &s->request, &s->reply), LANE_EVENT);
    app.done(app.context, &s->request, &s->reply, s->reply.body.n);
    return s->reply.status;
}

static int post_plain(struct stage *s, const char *path, struct str secret, const char *body)
{
    struct buf header _cleanup_buf_ = buf_init(1024);
    struct mac_key key;

    assert_int_equal(mac_key_init(secret, &key), 0);
    assert_int_equal(webhook_signature_write(&key, 1, str_of(body), clock_now(), &header), 0);
    return post(s, path, "X-Webhook-Signature", buf_cstr(&header), str_of(body));
}

/* An envelope, signed as what signed_one says. */
static int post_signed(struct stage *s, const struct sns_fixture_envelope *sent,
                       const struct sns_fixture_envelope *signed_one)
{
    struct buf signature _cleanup_buf_ = buf_init(4096);
    struct buf json _cleanup_buf_ = buf_init(SNS_BODY_MAX);

    sns_fixture_sign(signed_one, sns_scene.key, 0, &signature);
    sns_fixture_json(sent, buf_str(&signature), &json);
    return post(s, BOUNCE, "x-amz-sns-message-type", sent->type, buf_str(&json));
}

static int post_envelope(struct stage *s, const struct sns_fixture_envelope *e)
{
    return post_signed(s, e, e);
}

static struct sns_fixture_envelope notification(const char *message_id)
{
    struct sns_fixture_envelope e = sns_scene_notification();

    e.message = EVENT;
    e.message_id = message_id;
    return e;
}

static bool says(struct stage *s, const char *part)
{
    return strstr(buf_cstr(&s->reply.body), part) != NULL;
}

static bool has_header(struct stage *s, const char *line)
{
    return strstr(buf_cstr(&s->reply.headers), line) != NULL;
}

#define assert_problem(s, want, code_text)                                                         \
    do {                                                                                           \
        assert_int_equal((s)->reply.status, want);                                                 \
        if (!says(s, "\"code\":\"" code_text "\""))                                                \
            fail_msg("not %s: %s", code_text, buf_cstr(&(s)->reply.body));                         \
    } while (0)

#define assert_taken(s, text)                                                                      \
    do {                                                                                           \
        if ((s)->reply.status != 202 || strcmp(buf_cstr(&(s)->reply.body), text) != 0)             \
            fail_msg("%d %s", (s)->reply.status, buf_cstr(&(s)->reply.body));                      \
    } while (0)

#define TAKEN(a, d, u) "{\"accepted\":" #a ",\"duplicates\":" #d ",\"unmatched\":" #u "}"

static int64_t refused(struct stage *s, enum webhook_refusal refusal)
{
    return (int64_t)webhook_refused(s->mail.webhook, refusal);
}

static void test_notification(void **state)
{
    struct stage *s = *state;
    struct sns_fixture_envelope e = notification("m-1"), again = notification("m-2");

    post_envelope(s, &e);
    assert_taken(s, TAKEN(1, 0, 1));
    post_envelope(s, &e); /* SNS's retry */
    assert_taken(s, TAKEN(0, 1, 0));
    again.version = "2"; /* SES's retry, or a second subscription */
    post_envelope(s, &again);
    assert_taken(s, TAKEN(0, 1, 0));
    assert_int_equal(s->sns.certificates.connections, 1);
    assert_int_equal(scene_number(s->scene, "SELECT count(*) FROM suppressions"), 1);
    again = notification("m-3");
    again.message = "Successfully validated SNS topic for Amazon SES event publishing.";
    post_envelope(s, &again);
    assert_taken(s, TAKEN(0, 0, 0));
    assert_int_equal(webhook_taken(s->mail.webhook), 4);
    assert_int_equal(s->sns.stranger.connections + s->sns.api.connections, 0);
}

/* The body tells that it is a message of SNS, whatever the headers say. */
static void test_without_header(void **state)
{
    struct stage *s = *state;
    struct buf signature _cleanup_buf_ = buf_init(4096), json _cleanup_buf_ = buf_init(1 << 16);
    struct sns_fixture_envelope e = notification("m-1");

    sns_fixture_sign(&e, sns_scene.key, 0, &signature);
    sns_fixture_json(&e, buf_str(&signature), &json);
    post(s, EVENTS, NULL, NULL, buf_str(&json));
    assert_taken(s, TAKEN(1, 0, 1));
}

/* Whatever a forger writes, nobody is called but SNS itself. */
static void test_forged_certificates(void **state)
{
    struct stage *s = *state;
    char there[100], loopback[100];
    const char *const urls[] = {
        there,
        loopback,
        "https://sns.us-east-1.amazonaws.com.evil.example/SimpleNotificationService-"
        "0123456789abcdef0123456789abcdef.pem",
        "https://sns.s3-us-west-2.amazonaws.com/SimpleNotificationService-"
        "0123456789abcdef0123456789abcdef.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-"
        "0123456789abcdef0123456789abcdef.pem",
        "http://sns.us-east-1.amazonaws.com/SimpleNotificationService-"
        "0123456789abcdef0123456789abcdef.pem",
        "https://sns.us-east-1.amazonaws.com:444/SimpleNotificationService-"
        "0123456789abcdef0123456789abcdef.pem",
        "https://sns.us-east-1.amazonaws.com@127.0.0.1/SimpleNotificationService-"
        "0123456789abcdef0123456789abcdef.pem",
        "https://169.254.169.254/latest/meta-data/",
    };

    s->scene->config->webhook_refusals_per_minute = 1000;
    snprintf(there, sizeof there,
             "https://127.0.0.1:%d/SimpleNotificationService-"
             "0123456789abcdef0123456789abcdef.pem",
             s->sns.stranger.port);
    snprintf(loopback, sizeof loopback,
             "https://127.0.0.1:%d/SimpleNotificationService-"
             "0123456789abcdef0123456789abcdef.pem",
             s->sns.certificates.port);
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct sns_fixture_envelope e = notification("m-1");
        e.url = urls[i];
        post_envelope(s, &e);
        assert_problem(s, 401, "signature_invalid");
    }
    assert_int_equal(s->sns.certificates.connections + s->sns.stranger.connections, 0);
    assert_int_equal(refused(s, WEBHOOK_REFUSED_SNS_CERTIFICATE), sizeof urls / sizeof *urls);
    struct sns_fixture_envelope good = notification("m-1");
    post_envelope(s, &good); /* the listener hears what is not forged */
    assert_taken(s, TAKEN(1, 0, 1));
    assert_int_equal(s->sns.certificates.connections, 1);
}

static void test_forged_messages(void **state)
{
    struct stage *s = *state;
    struct sns_fixture_envelope good = notification("m-1"), e = good;

    s->scene->config->webhook_refusals_per_minute = 1000;
    e.message = "{}";
    post_signed(s, &e, &good);
    assert_problem(s, 401, "signature_invalid");
    assert_true(has_header(s, "WWW-Authenticate: X-Webhook-Signature"));
    e = good;
    e.topic_arn = "arn:aws:sns:us-east-1:999999999999:theirs";
    post_envelope(s, &e);
    assert_problem(s, 403, "topic_not_allowed");
    e = good;
    e.timestamp = "2026-09-21T13:08:19.000Z";
    post_envelope(s, &e);
    assert_problem(s, 401, "signature_invalid");
    e = good;
    e.timestamp = "today";
    post_envelope(s, &e);
    assert_problem(s, 400, "bad_request");
    e = good;
    e.message = "{\"eventType\":1}";
    post_envelope(s, &e); /* authentic, but no event */
    assert_problem(s, 400, "bad_request");
    assert_true(says(s, "a member of the event"));
    assert_int_equal(scene_number(s->scene, "SELECT count(*) FROM email_events"), 0);
    assert_int_equal(sns_seen_find(s->scene->node.store, STR("m-1")), 0);
    assert_int_equal(refused(s, WEBHOOK_REFUSED_BAD_SIGNATURE), 1);
    assert_int_equal(refused(s, WEBHOOK_REFUSED_SNS_TOPIC), 1);
    assert_int_equal(refused(s, WEBHOOK_REFUSED_STALE), 1);
    assert_int_equal(refused(s, WEBHOOK_REFUSED_SNS_MALFORMED), 1);
    assert_int_equal(refused(s, WEBHOOK_REFUSED_BAD_EVENT), 1);
}

static const struct {
    const char *answer;
    int status;
} certificate_answers[] = {
    {"HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n", 503},
    {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 401},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 401},
    {"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\ncut off", 503},
    {"gibberish\r\n\r\n", 503},
};

/* What SNS may send again is a fault of ours or of the way; a redirect leads nowhere. */
static void test_certificates_not_to_be_had(void **state)
{
    struct stage *s = *state;
    struct sns_fixture_envelope e = notification("m-1");
    static char long_answer[CERTIFICATE_PEM_MAX + 100];
    char answer[200], nowhere[64];

    s->scene->config->webhook_refusals_per_minute = 1000;
    for (size_t i = 0; i < sizeof certificate_answers / sizeof *certificate_answers; i++) {
        renew(s, s->sns.origin, NULL);
        s->sns.certificate_answer = certificate_answers[i].answer;
        assert_int_equal(post_envelope(s, &e), certificate_answers[i].status);
    }
    renew(s, s->sns.origin, NULL);
    snprintf(long_answer, sizeof long_answer, "HTTP/1.1 200 OK\r\n\r\n%*s", CERTIFICATE_PEM_MAX + 1,
             "");
    s->sns.certificate_answer = long_answer;
    assert_int_equal(post_envelope(s, &e), 401);
    renew(s, s->sns.origin, NULL);
    snprintf(answer, sizeof answer,
             "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/x\r\nContent-Length: 0\r\n\r\n",
             s->sns.stranger.port);
    s->sns.certificate_answer = answer;
    assert_int_equal(post_envelope(s, &e), 401);
    assert_int_equal(s->sns.stranger.connections, 0);
    snprintf(nowhere, sizeof nowhere, "https://127.0.0.1:%d", peer_dead_port());
    renew(s, nowhere, NULL);
    post_envelope(s, &e);
    assert_problem(s, 503, "unavailable");
    assert_true(has_header(s, "Retry-After: 5\r\n"));
    assert_int_equal(refused(s, WEBHOOK_REFUSED_SNS_UNREACHABLE), 1);
}

/* Who invents certificates leaves the allowance of fetches to others. */
static void test_errands(void **state)
{
    struct stage *s = *state;
    struct sns_fixture_envelope good = notification("m-1"), forged = good;
    char url[200];
    int fetched;

    s->scene->config->webhook_refusals_per_minute = 1000;
    s->sns.certificate_answer = certificate_answers[1].answer;
    for (int i = 0; i < SNS_FETCHES_PER_MINUTE; i++) {
        snprintf(url, sizeof url, "%.*s%032x.pem", (int)(strlen(good.url) - 36), good.url, i);
        forged.url = url;
        assert_int_equal(post_envelope(s, &forged), i < WEBHOOK_ERRANDS_PER_MINUTE ? 401 : 503);
    }
    fetched = s->sns.certificates.connections;
    assert_int_equal(fetched, WEBHOOK_ERRANDS_PER_MINUTE);
    s->sns.certificate_answer = NULL;
    s->from = "192.0.2.2";
    post_envelope(s, &good);
    assert_taken(s, TAKEN(1, 0, 1));
    /* What is known is verified for whoever sends it. */
    s->from = "192.0.2.1";
    post_envelope(s, &good);
    assert_taken(s, TAKEN(0, 1, 0));
    assert_int_equal(s->sns.certificates.connections, fetched + 1);
}

/* The guard: a name that leads into one's own network is not followed there. */
static void test_guarded(void **state)
{
    struct stage *s = *state;
    struct sns_fixture_envelope e = notification("m-1");

    assert_int_equal(config_parse_range(STR("192.0.2.9"), &s->loopback), 0);
    renew(s, s->sns.origin, NULL);
    assert_int_equal(post_envelope(s, &e), 503);
    assert_int_equal(s->sns.certificates.connections, 0);
}

static void test_confirmation(void **state)
{
    struct stage *s = *state;
    struct sns_fixture_envelope e = sns_scene_confirmation("SubscriptionConfirmation");
    char subscribe[64];

    snprintf(subscribe, sizeof subscribe, "http://127.0.0.1:%d/", s->sns.stranger.port);
    e.subscribe_url = subscribe;
    s->sns.api_answer = "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n";
    post_envelope(s, &e);
    assert_problem(s, 503, "unavailable");
    s->sns.api_answer = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    post_envelope(s, &e);
    assert_problem(s, 400, "bad_request");
    assert_int_equal(scene_records(s->scene, "mail.topic_confirm"), 0);
    s->sns.api_answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    for (int i = 0; i < 2; i++) {
        post_envelope(s, &e);
        assert_taken(s, TAKEN(0, 0, 0));
    }
    peer_settle(&s->sns.api);
    assert_string_equal(s->sns.asked,
                        "GET /?Action=ConfirmSubscription&TopicArn=arn%3Aaws%3Asns%3Aus-east-1%3A"
                        "123456789012%3Ases-events&Token=2336412f37fb687f5d51e6e2425c464de257ebd8"
                        "%26x%3Dy HTTP/1.1");
    assert_int_equal(s->sns.api.connections, 3);
    assert_int_equal(s->sns.stranger.connections, 0);
    assert_int_equal(scene_records(s->scene, "mail.topic_confirm"), 1);
    assert_int_equal(scene_number(s->scene, "SELECT count(*) FROM trail WHERE actor = 'sns' AND "
                                            "subject = '" SNS_FIXTURE_TOPIC
                                            "' AND ip = '192.0.2.1' AND detail NOT LIKE '%Token%'"),
                     1);
}

/* A GET of its SubscribeURL would subscribe again. */
static void test_end_of_subscription(void **state)
{
    struct stage *s = *state;
    struct sns_fixture_envelope e = sns_scene_confirmation("UnsubscribeConfirmation");
    char subscribe[64];

    snprintf(subscribe, sizeof subscribe, "http://127.0.0.1:%d/", s->sns.stranger.port);
    e.subscribe_url = subscribe;
    for (int i = 0; i < 2; i++) {
        post_envelope(s, &e);
        assert_taken(s, TAKEN(0, 0, 0));
    }
    assert_int_equal(s->sns.api.connections + s->sns.stranger.connections, 0);
    assert_int_equal(scene_records(s->scene, "mail.topic_end"), 1);
}

static void test_plain(void **state)
{
    struct stage *s = *state;
    static const char complaint[] =
        "{\"complaint\":{\"complainedRecipients\":[{\"emailAddress\":\"a@example.com\"},"
        "{\"emailAddress\":\"nobody\"}],\"timestamp\":\"2026-09-21T14:13:19Z\","
        "\"feedbackId\":\"f2\"}}";

    s->scene->config->webhook_refusals_per_minute = 1000;
    post_plain(s, BOUNCE, secrets[0], EVENT);
    assert_taken(s, TAKEN(1, 0, 1));
    post_plain(s, EVENTS, secrets[1], EVENT); /* the former secret */
    assert_taken(s, TAKEN(0, 1, 0));
    post_plain(s, COMPLAINT, secrets[0], complaint);
    assert_taken(s, TAKEN(1, 0, 1));
    assert_int_equal(webhook_unreadable(s->mail.webhook), 1);
    post_plain(s, COMPLAINT, secrets[0], EVENT);
    assert_problem(s, 400, "bad_request");
    post_plain(s, BOUNCE, STR("some other secret than those two"), EVENT);
    assert_problem(s, 401, "signature_invalid");
    post(s, BOUNCE, "X-Webhook-Signature", "t=1,v1=00", STR(EVENT));
    assert_problem(s, 401, "signature_invalid");
    post(s, BOUNCE, NULL, NULL, STR(EVENT));
    assert_problem(s, 401, "signature_invalid");
    post_plain(s, BOUNCE, secrets[0],
               "{\"bounce\":{\"bouncedRecipients\":[{\"emailAddress\":\"nobody\"}]}}");
    assert_problem(s, 400, "bad_request");
    post_plain(s, BOUNCE, secrets[0],
               "{\"bounce\":{\"bouncedRecipients\":[{\"emailAddress\":\"a@example.com\"}],"
               "\"timestamp\":\"2027-09-21T14:13:19Z\"}}");
    assert_problem(s, 400, "bad_request");
    assert_int_equal(refused(s, WEBHOOK_REFUSED_OTHER_KIND), 1);
    assert_int_equal(refused(s, WEBHOOK_REFUSED_BAD_SIGNATURE), 1);
    assert_int_equal(refused(s, WEBHOOK_REFUSED_BAD_HEADER), 1);
    assert_int_equal(refused(s, WEBHOOK_REFUSED_UNSIGNED), 1);
    assert_int_equal(refused(s, WEBHOOK_REFUSED_NO_ADDRESS), 1);
    assert_int_equal(refused(s, WEBHOOK_REFUSED_AHEAD), 1);
}

/* Past so many refusals an address is not listened to for a while, and others are. */
static void test_limit(void **state)
{
    struct stage *s = *state;

    for (int i = 0; i < REFUSALS; i++) {
        assert_int_equal(post(s, BOUNCE, NULL, NULL, STR(EVENT)), 401);
        assert_true(s->planned);
    }
    post_plain(s, EVENTS, secrets[0], EVENT);
    assert_problem(s, 429, "rate_limited");
    assert_false(s->planned); /* before its body was received */
    assert_true(has_header(s, "Retry-After: "));
    assert_true(has_header(s, "RateLimit-Limit: 5\r\n"));
    assert_int_equal(refused(s, WEBHOOK_REFUSED_LIMITED), 1);
    s->from = "192.0.2.2";
    post_plain(s, EVENTS, secrets[0], EVENT);
    assert_taken(s, TAKEN(1, 0, 1));
    for (int i = 0; i < 2 * REFUSALS; i++) /* what is authentic does not count */
        assert_int_equal(post_plain(s, EVENTS, secrets[0], "{}"), 400);
    assert_int_equal(post_plain(s, EVENTS, secrets[0], EVENT), 202);
}

static void test_off(void **state)
{
    struct stage *s = *state;

    s->scene->config->email_monitoring = false;
    post_plain(s, EVENTS, secrets[0], EVENT);
    assert_problem(s, 403, "email_monitoring_disabled");
    assert_false(s->planned);
    assert_int_equal(scene_number(s->scene, "SELECT count(*) FROM email_events"), 0);
}

/* One record and one line a minute, however many were forged. */
static void test_record(void **state)
{
    struct stage *s = *state;

    for (int i = 0; i < REFUSALS + 2; i++)
        post(s, BOUNCE, NULL, NULL, STR(EVENT));
    assert_done(dispatch_flush(s->app.dispatch, false));
    assert_done(dispatch_flush(s->app.dispatch, false));
    assert_int_equal(scene_records(s->scene, "webhook.refused"), 2);
    assert_int_equal(scene_number(s->scene,
                                  "SELECT count(*) FROM trail WHERE subject = '" BOUNCE
                                  "' AND ip = '192.0.2.1' AND actor = 'anonymous' AND detail = "
                                  "'{\"method\":\"POST\",\"path\":\"" BOUNCE
                                  "\",\"status\":401,\"code\":\"signature_invalid\",\"count\":5}'"),
                     1);
}

static void test_a_store_that_fails(void **state)
{
    struct stage *s = *state;
    struct sns_fixture_envelope e = notification("m-1");

    scene_run(s->scene, "ALTER TABLE email_events RENAME TO email_events_away", NO_PARAMS);
    log_configure(LOG_ERROR + 1, LOG_JSON);
    post_envelope(s, &e);
    assert_problem(s, 500, "internal");
    assert_false(says(s, "email_events"));
    scene_run(s->scene, "ALTER TABLE email_events_away RENAME TO email_events", NO_PARAMS);
    post_envelope(s, &e);
    assert_taken(s, TAKEN(1, 0, 1));
}

#define STAGED(f) FIXTURE_EACH(f, stage)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(test_notification),
        STAGED(test_without_header),
        STAGED(test_forged_certificates),
        STAGED(test_forged_messages),
        STAGED(test_certificates_not_to_be_had),
        STAGED(test_errands),
        STAGED(test_guarded),
        STAGED(test_confirmation),
        STAGED(test_end_of_subscription),
        STAGED(test_plain),
        STAGED(test_limit),
        STAGED(test_off),
        STAGED(test_record),
        STAGED(test_a_store_that_fails),
    };

    if (!fixture_has_postgres())
        cmocka_set_skip_filter("*on postgresql");
    return cmocka_run_group_tests(tests, open_group, close_group);
}
