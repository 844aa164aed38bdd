#include "net/smtp.h"

#include "base/clock.h"
#include "base/fault.h"
#include "net/fixture.h"

#include <stdlib.h>

/* A mail server that keeps to its lines. NULL lines: what a willing server says. "-" is an end of
 * the connection instead, "..." silence until the client goes. */
struct scene {
    struct peer peer;
    SSL_CTX *starttls;
    const char *greeting, *ehlo, *auth, *from, *rcpt[4], *data, *end, *quit;
    int recipients;
    char log[8192]; /* the commands, one a line */
    char message[65536], password[100];
    bool in_tls; /* when the message came */
    struct smtp_fate fates[4];
    struct str to[4];
    char user[32];
    const char *host; /* NULL: 127.0.0.1 */
};

static struct authority authority;

static bool say(struct peer_conn *c, const char *line, const char *otherwise)
{
    if (!line)
        return peer_say(c, otherwise);
    if (strcmp(line, "-") == 0)
        return false;
    if (strcmp(line, "...") == 0) {
        peer_await_end(c);
        return false;
    }
    return peer_say(c, line);
}

static bool take_message(struct scene *s, struct peer_conn *c)
{
    char line[2000];
    size_t n = 0;

    s->in_tls = c->ssl != NULL;
    while (peer_read_line(c, line, sizeof line)) {
        if (strcmp(line, ".") == 0)
            return say(c, s->end, "250 2.0.0 taken\r\n");
        n += (size_t)snprintf(s->message + n, sizeof s->message - n, "%s\r\n", line);
        if (n >= sizeof s->message)
            return false;
    }
    return false;
}

static bool take_password(struct scene *s, struct peer_conn *c)
{
    return peer_say(c, "334 \r\n") && peer_read_line(c, s->password, sizeof s->password) &&
           say(c, s->auth, "235 2.7.0 welcome\r\n");
}

static bool answer(struct scene *s, struct peer_conn *c, const char *line)
{
    if (strncmp(line, "EHLO ", 5) == 0)
        return say(c, s->ehlo,
                   s->starttls && !c->ssl
                       ? "250-test\r\n250-STARTTLS\r\n250 SIZE 1000000\r\n"
                       : "250-test\r\n250-AUTH PLAIN LOGIN CRAM-MD5\r\n250 SIZE\r\n");
    if (strcmp(line, "STARTTLS") == 0)
        return peer_say(c, "220 go\r\n") && peer_start_tls(c, s->starttls);
    if (strncmp(line, "AUTH ", 5) == 0)
        return take_password(s, c);
    if (strncmp(line, "MAIL FROM:", 10) == 0)
        return say(c, s->from, "250 2.1.0 ok\r\n");
    if (strncmp(line, "RCPT TO:", 8) == 0)
        return say(c, s->rcpt[s->recipients++ % 4], "250 2.1.5 ok\r\n");
    if (strcmp(line, "DATA") == 0)
        return say(c, s->data, "354 go\r\n") && (s->data || take_message(s, c));
    if (strcmp(line, "QUIT") == 0)
        return say(c, s->quit, "221 bye\r\n") && false;
    return peer_say(c, "502 5.5.2 what\r\n");
}

static void serve(struct peer_conn *c, void *context)
{
    struct scene *s = context;
    char line[2000];
    size_t n = strlen(s->log);

    if (!say(c, s->greeting, "220 test ESMTP\r\n"))
        return;
    while (peer_read_line(c, line, sizeof line)) {
        n += (size_t)snprintf(s->log + n, sizeof s->log - n, "%s\n", line);
        if (n >= sizeof s->log || !answer(s, c, line))
            return;
    }
}

static void start(struct scene *s)
{
    s->peer.serve = serve;
    s->peer.context = s;
    s->to[0] = STR("one@example.com");
    s->to[1] = STR("two@example.com");
    s->to[2] = STR("three@example.com");
    peer_start(&s->peer);
}

static int send_mime(struct scene *s, const char *scheme, struct smtp_options o, struct str mime)
{
    char url[200];
    struct smtp_outgoing m = {
        .from = STR("sender@example.com"), .recipients = s->to, .recipient_count = 3, .mime = mime};

    snprintf(url, sizeof url, "%s://%s%s:%d", scheme, s->user, s->host ? s->host : "127.0.0.1",
             s->peer.port);
    o.url = str_of(url);
    o.guard.any = true;
    o.ca_file = authority.file;
    if (!o.total_timeout_ms)
        o.total_timeout_ms = 20000;
    return smtp_send(&o, &m, s->fates);
}

#define MIME "Subject: test\r\n\r\n.\r\n..two\r\n.three\r\nend\r\n"

/* Sends in the clear and ends the server. */
static void run(struct scene *s)
{
    start(s);
    assert_int_equal(send_mime(s, "smtp", (struct smtp_options){.allow_plain = true}, STR(MIME)),
                     0);
    peer_stop(&s->peer);
}

static void expect(const struct scene *s, size_t i, enum smtp_result result, enum smtp_stage stage,
                   int code, const char *text)
{
    const struct smtp_fate *f = &s->fates[i];

    if (f->result != result || f->stage != stage || f->code != code ||
        (text && strcmp(f->text, text) != 0))
        fail_msg("recipient %zu: result %d, stage %d, %d \"%s\"", i, (int)f->result, (int)f->stage,
                 f->code, f->text);
}

static void expect_all(const struct scene *s, enum smtp_result result, enum smtp_stage stage,
                       int code, const char *text)
{
    for (size_t i = 0; i < 3; i++)
        expect(s, i, result, stage, code, text);
}

static void test_accepted(void **state)
{
    struct scene s = {0};

    run(&s);
    expect_all(&s, SMTP_ACCEPTED, SMTP_STAGE_DATA, 250, "2.0.0 taken");
    assert_non_null(strstr(s.log, "MAIL FROM:<sender@example.com>"));
    assert_non_null(strstr(s.log, "RCPT TO:<one@example.com>\nRCPT TO:<two@example.com>\n"
                                  "RCPT TO:<three@example.com>\nDATA\n"));
    assert_null(strstr(s.log, "AUTH"));
    /* Each dot at the start of a line is doubled (RFC 5321, section 4.5.2), and nothing else is. */
    assert_string_equal(s.message, "Subject: test\r\n\r\n..\r\n...two\r\n..three\r\nend\r\n");
}

static void test_each_recipient(void **state)
{
    struct scene s = {.rcpt = {"550 5.1.1 no such user\r\n", NULL,
                               "451-4.3.0 wait\r\n451 4.3.0 a \x01while\r\n"}};

    run(&s);
    expect(&s, 0, SMTP_PERMANENT, SMTP_STAGE_RCPT, 550, "5.1.1 no such user");
    expect(&s, 1, SMTP_ACCEPTED, SMTP_STAGE_DATA, 250, "2.0.0 taken");
    expect(&s, 2, SMTP_TEMPORARY, SMTP_STAGE_RCPT, 451, "4.3.0 a ?while");
    assert_true(s.message[0] != '\0');
}

static void test_all_refused(void **state)
{
    struct scene s = {.rcpt = {"550 5.1.1 no\r\n", "451 4.3.0 wait\r\n", "553 5.1.3 bad\r\n"}};

    run(&s);
    expect(&s, 0, SMTP_PERMANENT, SMTP_STAGE_RCPT, 550, "5.1.1 no");
    expect(&s, 1, SMTP_TEMPORARY, SMTP_STAGE_RCPT, 451, "4.3.0 wait");
    expect(&s, 2, SMTP_PERMANENT, SMTP_STAGE_RCPT, 553, "5.1.3 bad");
    assert_string_equal(s.message, "");
}

static void test_stages(void **state)
{
    struct scene from = {.from = "550 5.7.1 not you\r\n"}, from_later = {.from = "450 later\r\n"},
                 account = {.from = "530 5.7.0 authenticate\r\n"}, data = {.data = "554 no\r\n"},
                 end = {.end = "554 5.7.1 spam\r\n"}, end_later = {.end = "452 4.2.2 full\r\n"},
                 greeting = {.greeting = "554 not here\r\n"},
                 ehlo = {.ehlo = "421 4.3.2 closing\r\n"};

    run(&from);
    expect_all(&from, SMTP_PERMANENT, SMTP_STAGE_FROM, 550, "5.7.1 not you");
    run(&from_later);
    expect_all(&from_later, SMTP_TEMPORARY, SMTP_STAGE_FROM, 450, "later");
    run(&account);
    expect_all(&account, SMTP_TEMPORARY, SMTP_STAGE_FROM, 530, "5.7.0 authenticate");
    run(&data);
    expect_all(&data, SMTP_PERMANENT, SMTP_STAGE_DATA, 554, "no");
    run(&end);
    expect_all(&end, SMTP_PERMANENT, SMTP_STAGE_DATA, 554, "5.7.1 spam");
    run(&end_later);
    expect_all(&end_later, SMTP_TEMPORARY, SMTP_STAGE_DATA, 452, "4.2.2 full");
    run(&greeting);
    expect_all(&greeting, SMTP_TEMPORARY, SMTP_STAGE_CONNECT, 554, "not here");
    run(&ehlo);
    assert_int_equal(ehlo.fates[0].result, SMTP_TEMPORARY);
    assert_int_equal(ehlo.fates[0].stage, SMTP_STAGE_SESSION);
}

/* A refused recipient keeps its fate, whatever becomes of the message for the others. */
static void test_refused_and_broken(void **state)
{
    struct scene s = {.rcpt = {NULL, "550 5.1.1 no\r\n"}, .end = "-"};

    run(&s);
    expect(&s, 0, SMTP_UNCERTAIN, SMTP_STAGE_DATA, 0, NULL);
    expect(&s, 1, SMTP_PERMANENT, SMTP_STAGE_RCPT, 550, "5.1.1 no");
    expect(&s, 2, SMTP_UNCERTAIN, SMTP_STAGE_DATA, 0, NULL);
    assert_true(s.fates[0].text[0] != '\0');
}

static void test_broken(void **state)
{
    struct scene greeting = {.greeting = "-"}, from = {.from = "-"}, rcpt = {.rcpt = {NULL, "-"}},
                 data = {.data = "-"}, no_smtp = {.greeting = "HTTP/1.1 400 Bad Request\r\n\r\n"};

    run(&greeting);
    expect_all(&greeting, SMTP_TEMPORARY, SMTP_STAGE_CONNECT, 0, NULL);
    run(&from);
    expect_all(&from, SMTP_TEMPORARY, SMTP_STAGE_FROM, 0, NULL);
    run(&rcpt);
    expect_all(&rcpt, SMTP_TEMPORARY, SMTP_STAGE_RCPT, 0, NULL);
    run(&data);
    expect_all(&data, SMTP_TEMPORARY, SMTP_STAGE_DATA, 0, NULL);
    start(&no_smtp);
    assert_int_equal(send_mime(&no_smtp, "smtp",
                               (struct smtp_options){.allow_plain = true, .total_timeout_ms = 300},
                               STR(MIME)),
                     0);
    peer_stop(&no_smtp.peer);
    expect_all(&no_smtp, SMTP_TEMPORARY, SMTP_STAGE_CONNECT, 0, NULL);
}

/* What became of the message counts, not what became of the farewell. */
static void test_timeouts(void **state)
{
    struct scene silent = {.greeting = "..."}, end = {.end = "..."}, quit = {.quit = "..."},
                 refused = {.from = "550 no\r\n", .quit = "421 closing\r\n"};
    struct smtp_options o = {.allow_plain = true, .total_timeout_ms = 300};
    int64_t begin = clock_mono();

    start(&silent);
    assert_int_equal(send_mime(&silent, "smtp", o, STR(MIME)), 0);
    peer_stop(&silent.peer);
    expect_all(&silent, SMTP_TEMPORARY, SMTP_STAGE_CONNECT, 0, NULL);
    start(&end);
    assert_int_equal(send_mime(&end, "smtp", o, STR(MIME)), 0);
    peer_stop(&end.peer);
    expect_all(&end, SMTP_UNCERTAIN, SMTP_STAGE_DATA, 0, NULL);
    run(&quit);
    expect_all(&quit, SMTP_ACCEPTED, SMTP_STAGE_DATA, 250, NULL);
    assert_true(clock_mono() - begin < 9000);
    run(&refused);
    expect_all(&refused, SMTP_PERMANENT, SMTP_STAGE_FROM, 550, "no");
}

static void test_unreachable(void **state)
{
    struct scene s = {.peer.port = peer_dead_port()};
    struct smtp_outgoing m = {
        .from = STR("a@example.com"), .recipients = s.to, .recipient_count = 1, .mime = STR(MIME)};

    s.to[0] = STR("one@example.com");
    assert_int_equal(send_mime(&s, "smtp", (struct smtp_options){.allow_plain = true}, STR(MIME)),
                     SMTP_INVALID); /* the other two recipients have no address */
    s.to[1] = s.to[2] = s.to[0];
    assert_int_equal(send_mime(&s, "smtp", (struct smtp_options){.allow_plain = true}, STR(MIME)),
                     0);
    expect_all(&s, SMTP_TEMPORARY, SMTP_STAGE_CONNECT, 0, NULL);
    struct smtp_options guarded = {.url = STR("smtp://127.0.0.1:25")};
    assert_int_equal(smtp_send(&guarded, &m, s.fates), 0);
    expect(&s, 0, SMTP_TEMPORARY, SMTP_STAGE_CONNECT, 0,
           "the host's address is not one that may be called");
}

static void test_starttls(void **state)
{
    struct scene s = {.starttls = authority_issue(&authority, "IP:127.0.0.1", -60, 60),
                      .user = "us%40er:pass%20word@"};

    start(&s);
    assert_int_equal(
        send_mime(&s, "smtp", (struct smtp_options){.helo = STR("mail.example.com")}, STR(MIME)),
        0);
    peer_stop(&s.peer);
    expect_all(&s, SMTP_ACCEPTED, SMTP_STAGE_DATA, 250, NULL);
    assert_true(s.in_tls);
    assert_memory_equal(s.log, "EHLO mail.example.com\nSTARTTLS\nEHLO mail.example.com\n", 53);
    /* base64 of NUL "us@er" NUL "pass word"; PLAIN, though CRAM-MD5 is offered too. */
    assert_non_null(strstr(s.log, "\nAUTH PLAIN\n"));
    assert_string_equal(s.password, "AHVzQGVyAHBhc3Mgd29yZA==");
    SSL_CTX_free(s.starttls);
}

static void test_smtps(void **state)
{
    struct scene s = {.peer.tls = authority_issue(&authority, "IP:127.0.0.1", -60, 60)};

    start(&s);
    assert_int_equal(send_mime(&s, "smtps", (struct smtp_options){0}, STR(MIME)), 0);
    peer_stop(&s.peer);
    expect_all(&s, SMTP_ACCEPTED, SMTP_STAGE_DATA, 250, NULL);
    assert_true(s.in_tls);
    SSL_CTX_free(s.peer.tls);
}

/* Where TLS is required, neither envelope nor password goes out without it. */
static void test_tls_required(void **state)
{
    struct scene plain = {.user = "user:secret@"},
                 wrong = {.starttls = authority_issue(&authority, "IP:127.0.0.9", -60, 60),
                          .user = "user:secret@"};

    start(&plain);
    assert_int_equal(send_mime(&plain, "smtp", (struct smtp_options){0}, STR(MIME)), 0);
    peer_stop(&plain.peer);
    expect_all(&plain, SMTP_TEMPORARY, SMTP_STAGE_SESSION, 0, NULL);
    assert_null(strstr(plain.log, "AUTH"));
    assert_null(strstr(plain.log, "MAIL"));
    start(&wrong);
    assert_int_equal(
        send_mime(&wrong, "smtp", (struct smtp_options){.allow_plain = true}, STR(MIME)), 0);
    peer_stop(&wrong.peer);
    expect_all(&wrong, SMTP_TEMPORARY, SMTP_STAGE_SESSION, 0, NULL);
    assert_null(strstr(wrong.log, "AUTH"));
    assert_null(strstr(wrong.log, "MAIL"));
    SSL_CTX_free(wrong.starttls);
}

/* Whoever takes STARTTLS out of the offer of a server elsewhere gets no password by that. */
static void test_password_in_the_clear(void **state)
{
    /* The first reaches this machine too, but does not say so. */
    static const struct {
        const char *host, *user;
        bool sent;
    } cases[] = {{"0.0.0.0", "user:secret@", false},
                 {"0.0.0.0", "user@", false},
                 {"0.0.0.0", "", true},
                 {"127.0.0.1", "user:secret@", true},
                 {"localhost", "user:secret@", true},
                 {"LOCALHOST", "user:secret@", true},
                 {"[::ffff:127.0.0.1]", "user:secret@", true}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scene s = {.host = cases[i].host};
        snprintf(s.user, sizeof s.user, "%s", cases[i].user);
        run(&s);
        if (cases[i].sent)
            expect_all(&s, SMTP_ACCEPTED, SMTP_STAGE_DATA, 250, NULL);
        else
            expect_all(
                &s, SMTP_TEMPORARY, SMTP_STAGE_SESSION, 0,
                "the server offers no TLS, and without it gets neither message nor password");
        assert_true(cases[i].sent || (!strstr(s.log, "AUTH") && !strstr(s.log, "MAIL")));
        assert_int_equal(s.password[0] != 0, cases[i].sent && *cases[i].user);
    }
}

static void test_password_refused(void **state)
{
    struct scene s = {.user = "user:secret@", .auth = "535 5.7.8 no\r\n"};

    run(&s);
    expect_all(&s, SMTP_TEMPORARY, SMTP_STAGE_SESSION, 535, "5.7.8 no");
    assert_null(strstr(s.log, "MAIL"));
}

static void test_addresses(void **state)
{
    static const char *const good[] = {"a@b", "first.last+tag@example.com", "!#$%&'*+-/=?^_`{|}~@b",
                                       "a@xn--e1afmkfd.example"};
    static const struct str bad[] = {
        STR_INIT(""),
        STR_INIT("a"),
        STR_INIT("@b"),
        STR_INIT("a@"),
        STR_INIT("a@b@c"),
        STR_INIT("a b@c"),
        STR_INIT("a@b\r\nRCPT TO:<c@d>"),
        STR_INIT("a\r@b"),
        STR_INIT("a\n@b"),
        STR_INIT("a\0@b"),
        STR_INIT("a>@b"),
        STR_INIT("<a@b>"),
        STR_INIT("a@b>"),
        STR_INIT("a@b SIZE=1"),
        STR_INIT("\"a\"@b"),
        STR_INIT(".a@b"),
        STR_INIT("a.@b"),
        STR_INIT("a..b@c"),
        STR_INIT("a@[1.2.3.4]"),
        STR_INIT("a@1.2.3.4"),
        STR_INIT("a@-b.c"),
        STR_INIT("a@b."),
        STR_INIT("\xC3\xA9@b"),
        STR_INIT("a@\xC3\xA9"),
        STR_INIT("a@b\0"),
        STR_INIT("a@b_c"),
    };
    char local[80];

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(smtp_address_is_good(str_of(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(smtp_address_is_good(bad[i]));
    memset(local, 'a', 65);
    snprintf(local + 64, 3, "@b");
    assert_true(smtp_address_is_good(str_of(local)));
    snprintf(local + 64, 4, "a@b");
    assert_false(smtp_address_is_good(str_of(local)));
}

static void test_mime(void **state)
{
    static const struct str good[] = {STR_INIT("\r\n"), STR_INIT("a\r\n\r\nb\r\n"),
                                      STR_INIT("\t\x7F\r\n")};
    static const struct str bad[] = {
        STR_INIT(""),
        STR_INIT("a"),
        STR_INIT("a\n"),
        STR_INIT("a\r"),
        STR_INIT("a\nb\r\n"),
        STR_INIT("a\rb\r\n"),
        STR_INIT("a\r\r\n"),
        STR_INIT("a\0b\r\n"),
        STR_INIT("\xC3\xA9\r\n"),
        STR_INIT("a\n.\r\n"),
        STR_INIT("a\r\n.\n\r\n"),
    };
    char line[SMTP_SEND_LINE_MAX + 4];

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(smtp_mime_is_good(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(smtp_mime_is_good(bad[i]));
    memset(line, 'a', sizeof line);
    snprintf(line + SMTP_SEND_LINE_MAX, 3, "\r\n");
    assert_true(smtp_mime_is_good(str_of(line)));
    snprintf(line + SMTP_SEND_LINE_MAX, 4, "a\r\n");
    assert_false(smtp_mime_is_good(str_of(line)));
}

static void test_size(void **state)
{
    size_t n = SMTP_SEND_MESSAGE_MAX;
    char *mime = malloc(n + 2);

    assert_non_null(mime);
    for (size_t i = 0; i < n + 2; i++)
        mime[i] = i % 2 ? '\n' : '\r';
    assert_true(smtp_mime_is_good((struct str){mime, n}));
    assert_false(smtp_mime_is_good((struct str){mime, n + 2}));
    free(mime);
}

static void test_invalid(void **state)
{
    static const char *const urls[] = {
        "",
        "smtp://",
        "127.0.0.1:25",
        "http://127.0.0.1/",
        "imap://127.0.0.1/",
        "smtp://127.0.0.1/path",
        "smtp://127.0.0.1/?query",
        "smtp://127.0.0.1/#part",
        "smtp://user;AUTH=NTLM:secret@127.0.0.1/",
        "smtp://127.0.0.1\r\n/",
    };
    struct str to[SMTP_SEND_RECIPIENTS_MAX + 1];
    struct smtp_fate fates[SMTP_SEND_RECIPIENTS_MAX];
    struct smtp_options o = {.guard.any = true, .allow_plain = true};
    struct smtp_outgoing m = {
        .from = STR("a@b"), .recipients = to, .recipient_count = 1, .mime = STR(MIME)};

    for (size_t i = 0; i < sizeof to / sizeof *to; i++)
        to[i] = STR("a@example.com");
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        o.url = str_of(urls[i]);
        if (smtp_send(&o, &m, fates) != SMTP_INVALID)
            fail_msg("sent to %s", urls[i]);
        assert_null(strstr(fault_message(), "secret"));
    }
    char url[64];
    snprintf(url, sizeof url, "smtp://127.0.0.1:%d", peer_dead_port());
    o.url = str_of(url);
    m.recipient_count = SMTP_SEND_RECIPIENTS_MAX;
    assert_int_equal(smtp_send(&o, &m, fates), 0);
    m.recipient_count = SMTP_SEND_RECIPIENTS_MAX + 1;
    assert_int_equal(smtp_send(&o, &m, fates), SMTP_INVALID);
    m.recipient_count = 0;
    assert_int_equal(smtp_send(&o, &m, fates), SMTP_INVALID);
    m.recipient_count = 1;
    m.from = STR("a@b>\r\nDATA");
    assert_int_equal(smtp_send(&o, &m, fates), SMTP_INVALID);
    m.from = STR("a@b");
    m.mime = STR("a\nb");
    assert_int_equal(smtp_send(&o, &m, fates), SMTP_INVALID);
    m.mime = STR(MIME);
    o.helo = STR("a b");
    assert_int_equal(smtp_send(&o, &m, fates), SMTP_INVALID);
    o.helo = STR("");
    o.total_timeout_ms = 600001;
    assert_int_equal(smtp_send(&o, &m, fates), FAULT_INTERNAL);
}

static int set_up(void **state)
{
    authority_init(&authority);
    return 0;
}

static int tear_down(void **state)
{
    authority_release(&authority);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_each_recipient),
        cmocka_unit_test(test_all_refused),
        cmocka_unit_test(test_stages),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_refused_and_broken),
        cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_starttls),
        cmocka_unit_test(test_smtps),
        cmocka_unit_test(test_tls_required),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_password_in_the_clear),
        cmocka_unit_test(test_password_refused),
        cmocka_unit_test(test_mime),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_invalid),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
