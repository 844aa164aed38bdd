/* The DNS is asked now and then, not by each request, and nobody waits longer than a while. */
#include "mail/sender_domain.h"

#include "base/clock.h"
#include "base/fault.h"
#include "net/dns_fixture.h"

#include <unistd.h>

#define NOW ((int64_t)1700000000 * 1000)
#define KEY40 "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNk"
#define KEY KEY40 KEY40 KEY40 KEY40 KEY40 "QUJDREVGR0hJSktM"

static struct zone_row zone_good[] = {{"example.com", DNS_TXT, "v=spf1 include:amazonses.com -all"},
                                      {"example.com", DNS_MX, "10 mx.example.com"},
                                      {"a._domainkey.example.com", DNS_TXT, "v=DKIM1; p=" KEY},
                                      {"_dmarc.example.com", DNS_TXT, "v=DMARC1; p=reject"},
                                      {NULL, DNS_A, NULL}};

static char from[64], selectors_text[] = "a";
static struct config config = {.email_from = from, .dkim_selectors = selectors_text};

struct scene {
    struct sender_domain *d;
    struct dns_peer peer;
    struct arena arena;
};

static int set_up(void **state)
{
    struct scene *s = calloc(1, sizeof *s);

    assert_non_null(s);
    s->arena = arena_init(1 << 20);
    s->peer = (struct dns_peer){.answer = zone_answer, .context = zone_good};
    dns_peer_start(&s->peer);
    assert_int_equal(sender_domain_new(&s->d), 0);
    snprintf(from, sizeof from, "Example <mail@example.com>");
    config.dns_server = s->peer.server;
    config.email_transport = EMAIL_SES;
    config.selectors[0] = STR("a");
    config.selector_count = 1;
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;

    sender_domain_free(s->d);
    dns_peer_stop(&s->peer);
    arena_free(&s->arena);
    free(s);
    return 0;
}

static struct sender_report report(struct scene *s, int64_t now)
{
    struct sender_report r = {.n = 99};

    assert_int_equal(sender_domain_report(s->d, &config, now, &s->arena, &r), 0);
    return r;
}

static void test_kept(void **state)
{
    struct scene *s = *state;
    struct sender_report r = report(s, NOW);

    assert_true(str_eq(r.domain, STR("example.com")));
    assert_int_equal(r.state, DOMAIN_GOOD);
    assert_int_equal(r.n, 4);
    assert_int_equal(r.checked_at, NOW);
    int asked = s->peer.questions;
    assert_int_equal(asked, 4);
    r = report(s, NOW + SENDER_KEEP_MS - 1);
    assert_int_equal(r.checked_at, NOW);
    assert_int_equal(r.n, 4);
    assert_int_equal(s->peer.questions, asked);
    r = report(s, NOW + SENDER_KEEP_MS);
    assert_int_equal(r.checked_at, NOW + SENDER_KEEP_MS);
    assert_int_equal(s->peer.questions, 2 * asked);
    /* A clock that is put back does not make an old answer last. */
    r = report(s, NOW);
    assert_int_equal(r.checked_at, NOW);
    assert_int_equal(s->peer.questions, 3 * asked);
}

static void test_settings(void **state)
{
    struct scene *s = *state;
    struct sender_report r = report(s, NOW);

    assert_int_equal(r.checked_at, NOW);
    snprintf(from, sizeof from, "mail@other.example.com");
    r = report(s, NOW + 1);
    assert_true(str_eq(r.domain, STR("other.example.com")));
    assert_int_equal(r.checked_at, NOW + 1);
    assert_int_equal(r.state, DOMAIN_BAD);
    assert_int_equal(s->peer.questions, 4 + 5); /* and of the parent's DMARC */
    snprintf(from, sizeof from, "mail@localhost");
    r = report(s, NOW + 2);
    assert_int_equal(r.domain.n, 0);
    assert_int_equal(r.n, 0);
    assert_int_equal(s->peer.questions, 9);
    snprintf(from, sizeof from, "mail@example.com");
    config.selectors[0] = STR("no selector");
    r = report(s, NOW + 3);
    assert_int_equal(r.state, DOMAIN_BAD);
    assert_string_equal(r.findings[0].code, "domain.invalid");
}

/* A silent DNS is asked again soon, and says nothing for or against the domain. */
static void test_silent(void **state)
{
    struct scene *s = *state;
    struct zone_row silent[] = {{"example.com", DNS_TXT, "!"},
                                {"example.com", DNS_MX, "!"},
                                {"a._domainkey.example.com", DNS_TXT, "!"},
                                {"_dmarc.example.com", DNS_TXT, "!"},
                                {NULL, DNS_A, NULL}};

    s->peer.context = silent;
    int64_t begun = clock_mono();
    struct sender_report r = report(s, NOW);
    int64_t took = clock_mono() - begun;
    assert_int_equal(r.state, DOMAIN_UNKNOWN);
    assert_int_equal(r.checked_at, NOW);
    if (took > SENDER_BUDGET_MS + 1000)
        fail_msg("the report took %lld ms", (long long)took);
    s->peer.context = zone_good;
    assert_int_equal(report(s, NOW + SENDER_RETRY_MS - 1).state, DOMAIN_UNKNOWN);
    assert_int_equal(report(s, NOW + SENDER_RETRY_MS).state, DOMAIN_GOOD);
}

static void *ask_first(void *arg)
{
    report(arg, NOW);
    return NULL;
}

/* Who comes while the first one asks is not kept waiting. */
static void test_beside(void **state)
{
    struct scene *s = *state, beside = {.d = s->d};
    struct zone_row silent[] = {{"example.com", DNS_TXT, "!"}, {NULL, DNS_A, NULL}};
    pthread_t thread;

    s->peer.context = silent;
    beside.arena = arena_init(1 << 20);
    assert_int_equal(pthread_create(&thread, NULL, ask_first, &beside), 0);
    while (s->peer.questions == 0)
        usleep(1000);
    int64_t begun = clock_mono();
    struct sender_report r = report(s, NOW);
    assert_true(clock_mono() - begun < 500);
    assert_int_equal(r.state, DOMAIN_UNKNOWN);
    assert_int_equal(r.checked_at, 0);
    assert_int_equal(r.n, 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    arena_free(&beside.arena);
    assert_int_equal(report(s, NOW).checked_at, NOW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_settings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_silent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_beside, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
