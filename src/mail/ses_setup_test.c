#include "mail/ses_setup.h"

#include "base/clock.h"
#include "net/aws_fixture.h"

#define TOPIC "arn:aws:sns:eu-west-1:123456789012:mail"

enum { PAGES = 200 };

struct scene {
    struct aws_peer *peer;
    struct aws_options options;
    struct arena arena;
    struct str accepted;
    struct ses_setup setup;
};

/* Everything in place. */
static void see_all(struct scene *s)
{
    s->setup.seen = (struct ses_setup_seen){
        .account_known = true,
        .account = {.production = true, .sending = true, .enforcement = "HEALTHY", .per_day = 200},
        .verification = STR("Success"),
        .dkim = STR("Success"),
        .dkim_enabled = true,
        .topic_arn = STR(TOPIC),
        .topic_is_there = true,
        .notice_topics = {STR(TOPIC), STR(TOPIC), STR(TOPIC)},
        .notice_headers = {true, true, true},
        .subscription = SES_SUBSCRIBED,
        .subscription_arn = STR(TOPIC ":1")};
}

static int set_up(void **state)
{
    static const struct aws_peer_row nothing[] = {{0}};
    struct scene *s = calloc(1, sizeof *s);

    assert_non_null(s);
    s->peer = aws_peer_start(nothing);
    s->options = aws_peer_options(s->peer);
    s->arena = arena_init(SES_SETUP_ARENA_MAX);
    s->accepted = STR(TOPIC);
    s->setup.arena = &s->arena;
    s->setup.want = (struct ses_setup_want){.identity = STR("example.com"),
                                            .sender = STR("mail@example.com"),
                                            .topic_arn = STR(TOPIC),
                                            .topic_name = STR("mail"),
                                            .endpoint = STR("https://x.example.com/e"),
                                            .accepted = &s->accepted,
                                            .accepted_count = 1};
    assert_int_equal(aws_new(&s->options, &s->setup.aws), 0);
    see_all(s);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;

    aws_free(s->setup.aws);
    aws_peer_stop(s->peer);
    arena_free(&s->arena);
    free(s);
    return 0;
}

static void expect_row(struct scene *s, enum ses_setup_check check, enum ses_setup_state state,
                       const char *found, bool todo)
{
    assert_int_equal(ses_setup_plan(&s->setup), 0);
    const struct ses_setup_row *row = &s->setup.rows[check];
    if (row->state != state || !strstr(row->found, found) || (row->todo != NULL) != todo)
        fail_msg("%s: %s, %s, %s", ses_setup_check_name(check), ses_setup_state_name(row->state),
                 row->found, row->todo);
}

static void test_all_in_place(void **state)
{
    struct scene *s = *state;

    assert_int_equal(ses_setup_plan(&s->setup), 0);
    assert_int_equal(s->setup.action_count, 0);
    assert_true(ses_setup_is_complete(&s->setup));
    assert_int_equal(s->setup.rows[SES_CHECK_SENDER].state, SES_SETUP_ABSENT);
}

static void test_sandbox_is_not_enough_for_production(void **state)
{
    struct scene *s = *state;

    s->setup.seen.account.production = false;
    expect_row(s, SES_CHECK_SENDING, SES_SETUP_NOTE, "sandbox", false);
    assert_true(ses_setup_is_complete(&s->setup));
    s->setup.want.production = true;
    expect_row(s, SES_CHECK_SENDING, SES_SETUP_WAITING, "200 a day", true);
    assert_false(ses_setup_is_complete(&s->setup));
}

/* Nothing is there: as many actions as there can be. */
static void test_nothing_in_place(void **state)
{
    struct scene *s = *state;

    s->setup.seen = (struct ses_setup_seen){.topic_arn = STR(TOPIC)};
    assert_int_equal(ses_setup_plan(&s->setup), 0);
    assert_int_equal(s->setup.action_count, 9);
    s->setup.seen = (struct ses_setup_seen){
        .verification = STR("Failed"), .dkim = STR("Failed"), .topic_arn = STR(TOPIC)};
    assert_int_equal(ses_setup_plan(&s->setup), 0);
    assert_int_equal(s->setup.action_count, 9);
    assert_false(ses_setup_is_complete(&s->setup));
}

static void test_who_is_covered(void **state)
{
    static const struct {
        const char *identity, *sender;
        bool covered;
    } rows[] = {
        {"example.com", "a@example.com", true},      {"example.com", "a@Example.COM", true},
        {"example.com", "a@news.example.com", true}, {"example.com", "a@badexample.com", false},
        {"example.com", "a@example.org", false},     {"news.example.com", "a@example.com", false},
        {"a@example.com", "A@example.com", true},    {"a@example.com", "b@example.com", false},
    };
    struct scene *s = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        s->setup.want.identity = str_of(rows[i].identity);
        s->setup.want.sender = str_of(rows[i].sender);
        assert_int_equal(ses_setup_plan(&s->setup), 0);
        if ((s->setup.rows[SES_CHECK_SENDER].state == SES_SETUP_ABSENT) != rows[i].covered)
            fail_msg("%s %s", rows[i].identity, rows[i].sender);
    }
}

static void expect_command(struct scene *s, size_t i, const char *text)
{
    struct buf out = buf_init(4096);

    assert_true(i < s->setup.action_count);
    assert_int_equal(ses_setup_command(&s->setup, &s->setup.actions[i], &out), 0);
    assert_string_equal(buf_cstr(&out), text);
    buf_free(&out);
}

static void test_commands(void **state)
{
    struct scene *s = *state;

    s->setup.seen.subscription = SES_UNSUBSCRIBED;
    s->setup.want.endpoint = STR("http://localhost:3000/it's $HOME");
    assert_int_equal(ses_setup_plan(&s->setup), 0);
    expect_command(s, 0,
                   "aws sns subscribe --region eu-west-1 --topic-arn " TOPIC " --protocol http "
                   "--notification-endpoint 'http://localhost:3000/it'\\''s $HOME'");
    see_all(s);
    s->setup.seen.topic_is_there = s->setup.seen.dkim_enabled = false;
    assert_int_equal(ses_setup_plan(&s->setup), 0);
    expect_command(s, 0,
                   "aws ses set-identity-dkim-enabled --region eu-west-1 --identity "
                   "example.com --dkim-enabled");
    expect_command(s, 1,
                   "aws sns create-topic --region eu-west-1 --name mail --attributes "
                   "SignatureVersion=2");
}

static void test_names(void **state)
{
    static const char *const good[] = {"example.com", "a.b-c.example", "a@example.com",
                                       "a+b@example.com"};
    static const char *const bad[] = {"",          "example",         "Example.com",  "a@",
                                      "@b.com",    "a@b@example.com", "example.com.", "a b.com",
                                      "127.0.0.1", "A@example.com"};
    char name[SES_SETUP_TOPIC_NAME_MAX + 1];

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!ses_setup_identity_is_good(str_of(good[i])))
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (ses_setup_identity_is_good(str_of(bad[i])))
            fail_msg("taken: %s", bad[i]);
    memset(name, 'n', sizeof name);
    assert_true(ses_setup_topic_name_is_good((struct str){name, SES_SETUP_TOPIC_NAME_MAX}));
    assert_false(ses_setup_topic_name_is_good((struct str){name, SES_SETUP_TOPIC_NAME_MAX + 1}));
    assert_true(ses_setup_topic_name_is_good(STR("aZ_0-9")));
    assert_false(ses_setup_topic_name_is_good(STR("a.fifo")));
    assert_false(ses_setup_topic_name_is_good(STR("")));
}

static void test_zones_of_keys(void **state)
{
    char zone[SES_SETUP_ZONE_SIZE];

    ses_setup_dkim_zone(STR("eu-west-1"), zone);
    assert_string_equal(zone, "dkim.amazonses.com");
    ses_setup_dkim_zone(STR("eu-south-1"), zone);
    assert_string_equal(zone, "dkim.eu-south-1.amazonses.com");
}

/* Looks at a peer whose every answer is this one. */
static int look(struct scene *s, const char *body)
{
    static struct aws_peer_row rows[3];

    rows[0] = (struct aws_peer_row){"GET /v2/email/account ", 200, NULL, "{\"x\":1}"};
    rows[1] = (struct aws_peer_row){"POST / ", 200, NULL, body};
    rows[2] = (struct aws_peer_row){0};
    aws_peer_answer(s->peer, rows);
    return ses_setup_look(&s->setup);
}

static void test_answers_that_are_none(void **state)
{
    static const char no_status[] =
        "<GetIdentityVerificationAttributesResponse><GetIdentityVerificationAttributesResult>"
        "<VerificationAttributes><entry><key>example.com</key><value/></entry>"
        "</VerificationAttributes></GetIdentityVerificationAttributesResult>"
        "</GetIdentityVerificationAttributesResponse>";
    static const char *const bodies[] = {
        "", "{}", "<a>", "<GetIdentityVerificationAttributesResponse/>", no_status,
    };
    struct scene *s = *state;

    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        assert_int_equal(look(s, bodies[i]), AWS_TEMPORARY);
        assert_string_equal(s->setup.doing, "SES's GetIdentityVerificationAttributes");
        assert_string_equal(s->setup.error.code, "Malformed");
    }
    assert_false(s->setup.seen.account_known);
    assert_string_equal(s->setup.seen.account_error.code, "Malformed");
    s->setup.want.topic_arn = STR("");
    assert_int_equal(look(s, "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>x</Arn>"
                             "</GetCallerIdentityResult></GetCallerIdentityResponse>"),
                     AWS_TEMPORARY);
    assert_string_equal(s->setup.doing, "STS's GetCallerIdentity");
}

/* What every question finds its own result in; pages never end. */
#define RESULT(name, inner) "<" name "Result>" inner "</" name "Result>"

static void serve_endless(struct peer_conn *c, void *context)
{
    static const char list[] = "<ListSubscriptionsByTopicResponse>" RESULT(
        "ListSubscriptionsByTopic",
        "<Subscriptions><member><Endpoint>https://other.example.com/</Endpoint>"
        "<SubscriptionArn>arn:aws:x</SubscriptionArn></member></Subscriptions>"
        "<NextToken>more</NextToken>") "</ListSubscriptionsByTopicResponse>";
    static const char *const names[] = {"GetIdentityVerificationAttributes",
                                        "GetIdentityDkimAttributes",
                                        "GetIdentityNotificationAttributes", "GetTopicAttributes"};
    int *pages = context;
    char line[4096], form[4096], answer[1024] = "";
    size_t length = 0;

    while (peer_read_line(c, line, sizeof line) && line[0])
        if (strncmp(line, "Content-Length: ", 16) == 0)
            length = strtoul(line + 16, NULL, 10);
    if (length >= sizeof form || !peer_read(c, form, length))
        return;
    form[length] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strstr(form, names[i]))
            snprintf(answer, sizeof answer, "<%sResponse><%sResult></%sResult></%sResponse>",
                     names[i], names[i], names[i], names[i]);
    if (strstr(form, "ListSubscriptionsByTopic")) {
        snprintf(answer, sizeof answer, "%s", list);
        ++*pages;
    }
    snprintf(line, sizeof line, "HTTP/1.1 %d x\r\nContent-Length: %zu\r\n\r\n%s",
             *answer ? 200 : 400, strlen(answer), answer);
    peer_say(c, line);
}

static void test_pages_have_an_end(void **state)
{
    struct scene *s = *state;
    int pages = 0;
    struct peer peer = {.serve = serve_endless, .context = &pages};
    char origin[64];

    peer_start(&peer);
    snprintf(origin, sizeof origin, "http://127.0.0.1:%d", peer.port);
    s->options.endpoint = str_of(origin);
    aws_free(s->setup.aws);
    assert_int_equal(aws_new(&s->options, &s->setup.aws), 0);
    assert_int_equal(ses_setup_look(&s->setup), 0);
    peer_settle(&peer);
    assert_int_equal(pages, PAGES);
    assert_int_equal(s->setup.seen.subscription, SES_UNSUBSCRIBED);
    assert_int_equal(s->setup.seen.verification.n, 0);
    assert_true(s->setup.seen.topic_is_there);
    peer_stop(&peer);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_all_in_place),      TEST(test_sandbox_is_not_enough_for_production),
        TEST(test_nothing_in_place),  TEST(test_who_is_covered),
        TEST(test_commands),          TEST(test_names),
        TEST(test_zones_of_keys),     TEST(test_answers_that_are_none),
        TEST(test_pages_have_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
