/* What a release must show from outside, asked of a server that shows it, or does not. */
#include "deploy/verify.h"

#include "base/fault.h"
#include "net/fixture.h"

#include <stdlib.h>

struct product {
    struct peer peer;
    char url[80], http_url[80], login_url[80];
    struct conf_environment e;
    /* How it behaves. */
    int without_token, with_token, redirect, rate_from;
    const char *location;
    bool any_origin, no_origin, lets_in;
    int logins;
};

struct request {
    char line[256], authorization[256], origin[256];
    size_t length;
};

static void take_header(struct request *r, const char *line)
{
    if (strncasecmp(line, "Authorization: ", 15) == 0)
        snprintf(r->authorization, sizeof r->authorization, "%.250s", line + 15);
    if (strncasecmp(line, "Origin: ", 8) == 0)
        snprintf(r->origin, sizeof r->origin, "%.250s", line + 8);
    if (strncasecmp(line, "Content-Length: ", 16) == 0)
        r->length = strtoul(line + 16, NULL, 10);
}

static int status_of(struct product *p, const struct request *r)
{
    if (strstr(r->line, "/old"))
        return p->redirect;
    if (strstr(r->line, "/login"))
        return ++p->logins >= p->rate_from ? 429 : p->lets_in ? 200 : 401;
    if (strstr(r->line, "/me"))
        return strcmp(r->authorization, "Bearer right") == 0 ? p->with_token : p->without_token;
    return 200;
}

static void serve(struct peer_conn *c, void *context)
{
    struct product *p = context;
    struct request r = {.length = 0};
    char line[1000], body[1000], answer[1000];
    bool first = true;

    while (peer_read_line(c, line, sizeof line) && line[0]) {
        if (first)
            snprintf(r.line, sizeof r.line, "%.250s", line);
        else
            take_header(&r, line);
        first = false;
    }
    if (r.length >= sizeof body || !peer_read(c, body, r.length))
        return;
    bool ours = *r.origin && (p->any_origin || strcmp(r.origin, "https://shop.example") == 0);
    int n = snprintf(
        answer, sizeof answer, "HTTP/1.1 %d X\r\nContent-Length: 0\r\nLocation: %s\r\n%s%s%s\r\n",
        status_of(p, &r), p->location, ours && !p->no_origin ? "Access-Control-Allow-Origin: " : "",
        ours && !p->no_origin ? r.origin : "", ours && !p->no_origin ? "\r\n" : "");
    peer_write(c, answer, (size_t)n);
}

static int setup(void **state)
{
    struct product *p = calloc(1, sizeof *p);

    *p = (struct product){.without_token = 401,
                          .with_token = 200,
                          .redirect = 301,
                          .rate_from = 6,
                          .location = "https://shop.example/"};
    p->peer = (struct peer){.serve = serve, .context = p};
    peer_start(&p->peer);
    snprintf(p->url, sizeof p->url, "http://127.0.0.1:%u/me", p->peer.port);
    snprintf(p->http_url, sizeof p->http_url, "http://127.0.0.1:%u/old", p->peer.port);
    snprintf(p->login_url, sizeof p->login_url, "http://127.0.0.1:%u/login", p->peer.port);
    p->e.health.url = p->url;
    p->e.verify.url = p->url;
    p->e.verify.token = "right";
    p->e.verify.http_url = p->http_url;
    p->e.verify.cors_origin = "https://shop.example";
    p->e.verify.login_url = p->login_url;
    p->e.verify.login_email = "a@shop.example";
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct product *p = *state;

    peer_stop(&p->peer);
    free(p);
    return 0;
}

static struct verify_report report;

static int verify(struct product *p)
{
    struct verify_options o = {.environment = &p->e};

    p->logins = 0;
    return verify_run(&o, &report);
}

/* That exactly this one fails, and why. */
static void expect(struct product *p, const char *name, const char *why)
{
    assert_int_equal(verify(p), VERIFY_SOME_FAILED);
    assert_int_equal(report.n, 5);
    for (size_t i = 0; i < report.n; i++) {
        bool this = strcmp(report.answers[i].name, name) == 0;
        assert_int_equal(report.answers[i].verdict, this ? VERIFY_FAILED : VERIFY_PASSED);
        if (this)
            assert_string_equal(report.answers[i].why, why);
    }
}

static void test_good(void **state)
{
    struct product *p = *state;

    assert_int_equal(verify(p), 0);
    assert_int_equal(report.n, 5);
    for (size_t i = 0; i < report.n; i++)
        assert_int_equal(report.answers[i].verdict, VERIFY_PASSED);
    p->redirect = 308;
    assert_int_equal(verify(p), 0);
}

static void test_each(void **state)
{
    struct product *p = *state;
    const struct product good = *p;

    p->without_token = 200;
    expect(p, "no-token", "answered 200 without a token");
    p->without_token = good.without_token;
    p->with_token = 401;
    expect(p, "token", "answered 401 with the token");
    p->with_token = good.with_token;
    p->redirect = 302;
    expect(p, "redirect", "answered 302, no lasting redirect (301, 308)");
    p->redirect = good.redirect;
    p->location = "http://shop.example/";
    expect(p, "redirect", "redirects to http://shop.example/");
    p->location = good.location;
    p->no_origin = true;
    expect(p, "cors", "allows no origin, not https://shop.example");
    p->no_origin = false;
    p->any_origin = true;
    expect(p, "cors", "allows any origin");
    p->any_origin = false;
    p->rate_from = 7;
    expect(p, "rate-limit", "attempt 6 was answered 401");
    p->rate_from = 3;
    assert_int_equal(verify(p), 0);
    p->lets_in = true;
    expect(p, "rate-limit", "attempt 1 was let in with a wrong password (200)");
}

static void test_not_asked(void **state)
{
    struct product *p = *state;
    struct buf text _cleanup_buf_ = buf_init(1000);

    p->e.verify.http_url = NULL;
    p->e.verify.cors_origin = NULL;
    p->e.verify.login_email = NULL;
    assert_int_equal(verify(p), 0);
    assert_int_equal(report.answers[2].verdict, VERIFY_NOT_ASKED);
    assert_int_equal(p->logins, 0);
    assert_int_equal(verify_describe(&p->e, &text), 0);
    assert_string_equal(buf_cstr(&text),
                        "Without a token the answer is 401\nWith a token it is 200\n");
}

static void test_unreachable(void **state)
{
    struct product *p = *state;
    atomic_int cancel = 1;
    struct verify_options o = {.environment = &p->e, .cancel = &cancel};

    snprintf(p->url, sizeof p->url, "http://127.0.0.1:%u/me", peer_dead_port());
    assert_int_equal(verify(p), VERIFY_SOME_FAILED);
    assert_non_null(strstr(fault_message(), "no-token: http://127.0.0.1:"));
    assert_int_equal(verify_run(&o, &report), VERIFY_CANCELLED);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_good), TEST(test_each), TEST(test_not_asked),
                                       TEST(test_unreachable)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
