#include "net/domain_check.h"

#include "base/clock.h"
#include "base/fault.h"
#include "net/dns_fixture.h"

/* Of 1024 bits, as long as it is in the record. */
#define KEY40 "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNk"
#define KEY KEY40 KEY40 KEY40 KEY40 KEY40 "QUJDREVGR0hJSktM"

static struct arena arena;
static struct domain_report report;

static int set_up(void **state)
{
    arena = arena_init(1 << 20);
    report = (struct domain_report){0};
    return 0;
}

static int tear_down(void **state)
{
    arena_free(&arena);
    return 0;
}

static const struct str selectors[] = {STR_INIT("s1"), STR_INIT("20230601")};

static void check_with(struct zone_row *zone, struct domain_check what)
{
    struct dns_peer p = {.answer = zone_answer, .context = zone};

    dns_peer_start(&p);
    what.dns = (struct dns_options){.server = str_of(p.server), .timeout_ms = 300};
    if (!what.domain.n)
        what.domain = STR("mail.example.com");
    assert_int_equal(domain_check(&what, &arena, &report), 0);
    dns_peer_stop(&p);
    for (size_t i = 0; i < report.n; i++)
        assert_true(report.findings[i].sentence[0] && report.findings[i].name.n > 0);
}

/* The codes, in their order, with a space between. */
static void expect(const char *codes)
{
    char text[500] = "";
    size_t n = 0;

    for (size_t i = 0; i < report.n; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", i ? " " : "",
                              report.findings[i].code);
    assert_string_equal(text, codes);
}

static void test_good(void **state)
{
    struct zone_row zone[] = {
        {"mail.example.com", DNS_TXT, "some other text"},
        {"mail.example.com", DNS_TXT, "v=spf1 include:amazonses.com -all"},
        {"s1._domainkey.mail.example.com", DNS_CNAME, "s1.dkim.example.net"},
        {"s1.dkim.example.net", DNS_TXT, "p=" KEY},
        {"20230601._domainkey.mail.example.com", DNS_TXT, "v=DKIM1; k=ed25519; p=QUJD"},
        {"_dmarc.mail.example.com", DNS_TXT, "v=DMARC1; p=reject"},
        {"mail.example.com", DNS_MX, "10 mx.example.com"},
        {NULL, DNS_A, NULL},
    };

    check_with(zone, (struct domain_check){
                         .selectors = selectors, .selector_count = 2, .amazon_ses = true});
    expect("spf.ok dkim.ok dkim.ok dmarc.ok mx.ok");
    assert_int_equal(domain_report_state(&report), DOMAIN_GOOD);
    assert_true(str_eq(report.findings[1].name, STR("s1._domainkey.mail.example.com")));
}

static void test_empty(void **state)
{
    struct zone_row zone[] = {{NULL, DNS_A, NULL}};

    check_with(zone, (struct domain_check){.selectors = selectors, .selector_count = 1});
    expect("spf.missing dkim.missing dmarc.missing mx.missing");
    assert_int_equal(domain_report_state(&report), DOMAIN_BAD);
    assert_true(str_eq(report.findings[2].name, STR("_dmarc.mail.example.com")));
    check_with(zone, (struct domain_check){0});
    expect("spf.missing dkim.not_given dmarc.missing mx.missing");
}

static void expect_spf(const char *record, bool amazon_ses, const char *codes)
{
    struct zone_row zone[] = {{"mail.example.com", DNS_TXT, record}, {NULL, DNS_A, NULL}};
    char all[300];

    check_with(zone, (struct domain_check){.amazon_ses = amazon_ses});
    snprintf(all, sizeof all, "%s dkim.not_given dmarc.missing mx.missing", codes);
    expect(all);
}

static void test_spf(void **state)
{
    expect_spf("v=spf1 ip4:192.0.2.1 ~all", false, "spf.ok");
    expect_spf("v=spf1 ip4:192.0.2.1 ~all", true, "spf.no_ses");
    expect_spf("v=spf1 include:amazonses.com", true, "spf.no_all");
    expect_spf("v=spf1 include:amazonses.com ?all", true, "spf.no_all");
    expect_spf("v=spf1 redirect=_spf.example.com", true, "spf.ok");
    expect_spf("v=spf1 +all", true, "spf.no_ses spf.pass_all");
    expect_spf("v=spf1 a a a a a a a a a a -all", false, "spf.ok");
    expect_spf("v=spf1 a a a a a a a a a a a -all", false, "spf.lookups");
    expect_spf("v=spf1 include -all", false, "spf.syntax");
    assert_string_equal(report.findings[0].sentence,
                        "The SPF record cannot be read at \"include\", so it does not count.");
    expect_spf("v=spf1 \x01\"\xFF -all", false, "spf.syntax");
    assert_string_equal(report.findings[0].sentence,
                        "The SPF record cannot be read at \"???\", so it does not count.");
    struct zone_row zone[] = {{"mail.example.com", DNS_TXT, "v=spf1 -all"},
                              {"mail.example.com", DNS_TXT, "v=spf1 ~all"},
                              {NULL, DNS_A, NULL}};
    check_with(zone, (struct domain_check){0});
    expect("spf.multiple dkim.not_given dmarc.missing mx.missing");
}

/* Amazon SES sends from a domain of the envelope that need not be the domain of the header. */
static void test_mail_from(void **state)
{
    struct zone_row zone[] = {{"bounce.example.com", DNS_TXT, "v=spf1 include:amazonses.com -all"},
                              {"bounce.example.com", DNS_MX, "10 feedback.example.net"},
                              {"_dmarc.mail.example.com", DNS_TXT, "v=DMARC1; p=quarantine"},
                              {NULL, DNS_A, NULL}};

    check_with(zone,
               (struct domain_check){.mail_from = STR("bounce.example.com"), .amazon_ses = true});
    expect("spf.ok dkim.not_given dmarc.ok mx.ok");
}

static void expect_dkim(const char *record, const char *code)
{
    struct zone_row zone[] = {{"s1._domainkey.mail.example.com", DNS_TXT, record},
                              {NULL, DNS_A, NULL}};
    char all[300];

    check_with(zone, (struct domain_check){.selectors = selectors, .selector_count = 1});
    snprintf(all, sizeof all, "spf.missing %s dmarc.missing mx.missing", code);
    expect(all);
}

static void test_dkim(void **state)
{
    expect_dkim("v=DKIM1; p=" KEY, "dkim.ok");
    expect_dkim("v=DKIM1; t=y; p=" KEY, "dkim.testing");
    expect_dkim("v=DKIM1; p=", "dkim.revoked");
    expect_dkim("v=DKIM1; p=" KEY40, "dkim.weak");
    expect_dkim("v=DKIM1", "dkim.syntax");
    struct zone_row zone[] = {{"s1._domainkey.mail.example.com", DNS_TXT, "p=" KEY},
                              {"s1._domainkey.mail.example.com", DNS_TXT, "p=" KEY},
                              {NULL, DNS_A, NULL}};
    check_with(zone, (struct domain_check){.selectors = selectors, .selector_count = 1});
    expect("spf.missing dkim.multiple dmarc.missing mx.missing");
}

static void expect_dmarc(const char *name, const char *record, const char *code)
{
    struct zone_row zone[] = {{name, DNS_TXT, record}, {NULL, DNS_A, NULL}};
    char all[300];

    check_with(zone, (struct domain_check){0});
    snprintf(all, sizeof all, "spf.missing dkim.not_given %s mx.missing", code);
    expect(all);
}

static void test_dmarc(void **state)
{
    expect_dmarc("_dmarc.mail.example.com", "v=DMARC1; p=none; sp=reject", "dmarc.monitor");
    expect_dmarc("_dmarc.mail.example.com", "v=DMARC1; p=reject; pct=99", "dmarc.partial");
    expect_dmarc("_dmarc.mail.example.com", "v=DMARC1; p=reject; pct=x", "dmarc.syntax");
    expect_dmarc("_dmarc.mail.example.com", "something else", "dmarc.missing");
    /* A parent's counts, by what it says of those below; a top-level domain's is nobody's. */
    expect_dmarc("_dmarc.example.com", "v=DMARC1; p=none; sp=reject", "dmarc.ok");
    expect_dmarc("_dmarc.example.com", "v=DMARC1; p=reject; sp=none", "dmarc.monitor");
    expect_dmarc("_dmarc.com", "v=DMARC1; p=reject", "dmarc.missing");
    struct zone_row zone[] = {{"_dmarc.mail.example.com", DNS_TXT, "v=DMARC1; p=none"},
                              {"_dmarc.mail.example.com", DNS_TXT, "v=DMARC1; p=reject"},
                              {NULL, DNS_A, NULL}};
    check_with(zone, (struct domain_check){0});
    expect("spf.missing dkim.not_given dmarc.multiple mx.missing");
}

static void test_mx(void **state)
{
    struct zone_row zone[] = {{"mail.example.com", DNS_MX, "0 "}, {NULL, DNS_A, NULL}};

    check_with(zone, (struct domain_check){0});
    expect("spf.missing dkim.not_given dmarc.missing mx.null");
}

/* Where nobody answers, nothing is claimed. */
static void test_unknown(void **state)
{
    struct zone_row zone[] = {{"mail.example.com", DNS_TXT, "!"},
                              {"s1._domainkey.mail.example.com", DNS_TXT, "!"},
                              {"_dmarc.mail.example.com", DNS_TXT, "!"},
                              {NULL, DNS_A, NULL}};

    check_with(zone, (struct domain_check){.selectors = selectors, .selector_count = 1});
    expect("spf.unknown dkim.unknown dmarc.unknown mx.unknown");
    assert_int_equal(domain_report_state(&report), DOMAIN_UNKNOWN);
}

static void test_invalid(void **state)
{
    struct str many[DOMAIN_SELECTORS_MAX + 1];
    const struct str bad[] = {STR(""), STR("a b"), STR("a."), STR("a..b"), STR("\r\n")};

    for (size_t i = 0; i < sizeof many / sizeof *many; i++)
        many[i] = STR("s1");
    struct domain_check what = {.dns.server = STR("127.0.0.1:1"),
                                .selectors = many,
                                .selector_count = DOMAIN_SELECTORS_MAX + 1,
                                .domain = STR("example.com")};
    assert_int_equal(domain_check(&what, &arena, &report), DOMAIN_INVALID);
    what.selector_count = 1;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        what.selectors = &bad[i];
        assert_int_equal(domain_check(&what, &arena, &report), DOMAIN_INVALID);
    }
    what.selector_count = 0;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        what.domain = bad[i];
        assert_int_equal(domain_check(&what, &arena, &report), DOMAIN_INVALID);
    }
    what.domain = STR("_dmarc.example.com");
    assert_int_equal(domain_check(&what, &arena, &report), DOMAIN_INVALID);
}

/* A domain of ever so many labels asks for no more than so many parents; and all fits a report. */
static void test_many(void **state)
{
    struct zone_row zone[] = {
        {"a.b.c.d.e.f.g.h.i.j.example.com", DNS_TXT, "v=spf1 +all a a a a a a a a a a a"},
        {"_dmarc.example.com", DNS_TXT, "v=DMARC1; p=reject"},
        {NULL, DNS_A, NULL}};
    struct str many[DOMAIN_SELECTORS_MAX];

    for (size_t i = 0; i < DOMAIN_SELECTORS_MAX; i++)
        many[i] = STR("s1");
    check_with(zone, (struct domain_check){.domain = STR("a.b.c.d.e.f.g.h.i.j.example.com"),
                                           .selectors = many,
                                           .selector_count = DOMAIN_SELECTORS_MAX,
                                           .amazon_ses = true});
    expect(
        "spf.lookups spf.no_ses spf.pass_all dkim.missing dkim.missing dkim.missing dkim.missing "
        "dkim.missing dkim.missing dkim.missing dkim.missing dmarc.missing mx.missing");
}

/* What is asked when the time is over is not asked at all, and not known. */
static void test_budget(void **state)
{
    struct zone_row zone[] = {{"mail.example.com", DNS_TXT, "!"},
                              {"_dmarc.mail.example.com", DNS_TXT, "v=DMARC1; p=reject"},
                              {NULL, DNS_A, NULL}};
    struct dns_peer p = {.answer = zone_answer, .context = zone};

    dns_peer_start(&p);
    int64_t begun = clock_mono();
    struct domain_check what = {.dns = {.server = str_of(p.server)},
                                .domain = STR("mail.example.com"),
                                .selectors = selectors,
                                .selector_count = 2,
                                .budget_ms = 300};
    assert_int_equal(domain_check(&what, &arena, &report), 0);
    /* Only the first question is waited for, and not for its usual five seconds. */
    assert_true(clock_mono() - begun < DNS_TIMEOUT_MS);
    int asked = p.questions;
    expect("spf.unknown dkim.unknown dkim.unknown dmarc.unknown mx.unknown");
    assert_int_equal(domain_report_state(&report), DOMAIN_UNKNOWN);
    assert_true(asked <= 2);
    dns_peer_stop(&p);
}

static void test_codes(void **state)
{
    size_t n = 0;

    while (domain_finding_codes[n])
        n++;
    assert_int_equal(n, 29);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(domain_finding_codes[i], domain_finding_codes[j]);
}

#define unit(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(test_good), unit(test_empty),   unit(test_spf),    unit(test_mail_from),
        unit(test_dkim), unit(test_dmarc),   unit(test_mx),     unit(test_unknown),
        unit(test_many), unit(test_invalid), unit(test_budget), unit(test_codes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
