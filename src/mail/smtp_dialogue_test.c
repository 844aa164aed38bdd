/* The server's side of SMTP: whole dialogues in every pieces, and every limit. */
#include "mail/smtp_dialogue.h"

#include "base/fault.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { MESSAGE_MAX = 2000, TRANSCRIPT_MAX = 1 << 20 };

static const struct smtp_limits limits = {"mx.test", MESSAGE_MAX, 5};

static void note_message(const struct smtp_message *m, struct buf *out)
{
    buf_printf(out, "[%.*s <%.*s>", STR_ARG(m->helo), STR_ARG(m->from));
    for (size_t i = 0; i < m->n_to; i++)
        buf_printf(out, " <%.*s>", STR_ARG(m->to[i]));
    buf_printf(out, "%s\n", m->utf8 ? " utf8" : "");
    buf_add_str(out, m->data);
    buf_add_str(out, STR("]\r\n"));
}

/*
 * All that a dialogue says to the input in pieces of step bytes; messages stand in brackets, and
 * what was not taken because it was closed behind "CLOSED".
 */
static struct buf converse(const struct smtp_limits *l, struct str input, size_t step)
{
    struct buf out = buf_init(TRANSCRIPT_MAX);
    struct smtp_dialogue *d;
    enum smtp_state state = SMTP_MORE;
    size_t i = 0;

    assert_int_equal(smtp_dialogue_new(l, &d), 0);
    assert_int_equal(smtp_dialogue_greet(d, &out), 0);
    while (i < input.n && state != SMTP_CLOSE) {
        size_t used, n = input.n - i < step ? input.n - i : step;
        assert_int_equal(smtp_dialogue_feed(d, input.p + i, n, &out, &used, &state), 0);
        i += used;
        if (state == SMTP_MESSAGE) {
            note_message(smtp_dialogue_message(d), &out);
            assert_int_equal(smtp_dialogue_answer(d, SMTP_KEPT, &out), 0);
        }
    }
    if (state == SMTP_CLOSE)
        buf_printf(&out, "CLOSED %zu\r\n", input.n - i);
    smtp_dialogue_free(d);
    return out;
}

/* In one piece and in pieces of every size. */
static void assert_dialogue_with(const struct smtp_limits *l, struct str input,
                                 const char *expected)
{
    struct buf whole = converse(l, input, input.n);

    assert_string_equal(buf_cstr(&whole), expected);
    for (size_t step = 1; step < input.n && step < 100; step++) {
        struct buf pieces = converse(l, input, step);
        if (!str_eq(buf_str(&whole), buf_str(&pieces)))
            fail_msg("in pieces of %zu:\n%s", step, buf_cstr(&pieces));
        buf_free(&pieces);
    }
    buf_free(&whole);
}

#define assert_dialogue(input, expected) assert_dialogue_with(&limits, STR(input), expected)

#define GREETING "220 mx.test ESMTP\r\n"
#define EHLO "EHLO me.test\r\n"
#define EHLO_REPLY                                                                                 \
    "250-mx.test\r\n250-PIPELINING\r\n250-SIZE 2000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"           \
    "250-ENHANCEDSTATUSCODES\r\n250-AUTH PLAIN LOGIN\r\n250 HELP\r\n"
#define BEGUN GREETING EHLO_REPLY
#define MAIL "MAIL FROM:<a@x.test>\r\n"
#define MAIL_REPLY "250 2.1.0 Sender accepted\r\n"
#define RCPT "RCPT TO:<b@y.test>\r\n"
#define RCPT_REPLY "250 2.1.5 Recipient accepted\r\n"
#define DATA "DATA\r\n"
#define DATA_REPLY "354 End the message with <CRLF>.<CRLF>\r\n"
#define READY EHLO MAIL RCPT DATA
#define READY_REPLY BEGUN MAIL_REPLY RCPT_REPLY DATA_REPLY
#define KEPT "250 2.0.0 Kept\r\n"
#define QUIT "QUIT\r\n"
#define QUIT_REPLY "221 2.0.0 Goodbye\r\nCLOSED 0\r\n"
#define ENVELOPE "[me.test <a@x.test> <b@y.test>\n"
#define BARE "521 5.5.2 A CR or LF stands alone: lines end in CRLF\r\n"

static void test_message(void **state)
{
    assert_dialogue(READY "Subject: x\r\n\r\nHi\r\n.\r\n" QUIT,
                    READY_REPLY ENVELOPE "Subject: x\r\n\r\nHi\r\n]\r\n" KEPT QUIT_REPLY);
}

static void test_two_messages(void **state)
{
    assert_dialogue("HELO me.test\r\n" MAIL RCPT DATA "1\r\n.\r\n"
                    "mail from:<>\r\nRcpt To: <\"q @>\"@z.test>\r\nRCPT TO:<Postmaster>\r\n"
                    "data\r\n2\r\n.\r\n" QUIT,
                    GREETING
                    "250 mx.test\r\n" MAIL_REPLY RCPT_REPLY DATA_REPLY ENVELOPE
                    "1\r\n]\r\n" KEPT MAIL_REPLY RCPT_REPLY RCPT_REPLY DATA_REPLY
                    "[me.test <> <\"q @>\"@z.test> <Postmaster>\n2\r\n]\r\n" KEPT QUIT_REPLY);
}

/* RFC 5321, section 4.5.2: one dot of each line that begins with one goes. */
static void test_transparency(void **state)
{
    assert_dialogue(READY "..\r\n...a\r\n.b\r\n \r\n.\r\n",
                    READY_REPLY ENVELOPE ".\r\n..a\r\nb\r\n \r\n]\r\n" KEPT);
    assert_dialogue(READY ".\r\n", READY_REPLY ENVELOPE "]\r\n" KEPT);
}

/* Nothing but <CRLF>.<CRLF> ends a message; what tries to is no command either. */
static void test_smuggling(void **state)
{
    static const struct {
        const char *end;
        size_t left; /* bytes behind the one that ended it */
    } cases[] = {
        {"\n.\n", 2},    {"\n.\r\n", 3},     {"\r\n.\n", 0},     {"\r.\r", 1},
        {"\r\n.\r.", 0}, {"\r\r\n.\r\n", 4}, {"\r\n.\r\r\n", 1}, {"\n\n", 1},
    };
    static const char after[] = "MAIL FROM:<evil@x.test>\r\n";

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char input[500], expected[1000];
        int n = snprintf(input, sizeof input, READY "Hi%s%s", cases[i].end, after);
        snprintf(expected, sizeof expected, READY_REPLY BARE "CLOSED %zu\r\n",
                 cases[i].left + strlen(after));
        assert_dialogue_with(&limits, (struct str){input, (size_t)n}, expected);
    }
}

static void test_bare_in_commands(void **state)
{
    assert_dialogue("EHLO me.test\nMAIL", GREETING BARE "CLOSED 4\r\n");
    assert_dialogue("EHLO\rme.test\r\n", GREETING BARE "CLOSED 8\r\n");
    assert_dialogue(EHLO "NOOP\r\r\n", BEGUN BARE "CLOSED 1\r\n");
}

static void test_order(void **state)
{
    assert_dialogue(MAIL, GREETING "503 5.5.1 Say EHLO first\r\n");
    assert_dialogue(EHLO RCPT DATA,
                    BEGUN "503 5.5.1 Say MAIL first\r\n503 5.5.1 Say MAIL first\r\n");
    assert_dialogue(EHLO MAIL MAIL DATA,
                    BEGUN MAIL_REPLY "503 5.5.1 A message has begun already\r\n"
                                     "554 5.5.1 There is no recipient\r\n");
    assert_dialogue(EHLO MAIL RCPT "RSET\r\n" RCPT, BEGUN MAIL_REPLY RCPT_REPLY
                    "250 2.0.0 Forgotten\r\n503 5.5.1 Say MAIL first\r\n");
    assert_dialogue(EHLO MAIL EHLO MAIL, BEGUN MAIL_REPLY EHLO_REPLY MAIL_REPLY);
}

static void test_other_commands(void **state)
{
    assert_dialogue("NOOP\r\nnoop x\r\nVRFY bob\r\nHELP\r\n", GREETING
                    "250 2.0.0 Nothing done\r\n250 2.0.0 Nothing done\r\n"
                    "252 2.5.0 Send to it, and see\r\n"
                    "214 2.0.0 HELO EHLO AUTH MAIL RCPT DATA RSET NOOP VRFY HELP QUIT\r\n");
    assert_dialogue("STARTTLS\r\n\r\nEXPN x\r\nQUIT now\r\n",
                    GREETING "500 5.5.1 The command is not known\r\n"
                             "500 5.5.1 The command is not known\r\n"
                             "500 5.5.1 The command is not known\r\n"
                             "501 5.5.4 QUIT takes no argument\r\n");
    assert_dialogue("NOOP \xFF\r\nNOOP \0\r\n", GREETING "500 5.5.2 The command is not text\r\n"
                                                         "500 5.5.2 The command is not text\r\n");
    assert_dialogue("QUIT\r\nNOOP\r\n", GREETING "221 2.0.0 Goodbye\r\nCLOSED 6\r\n");
}

static void test_hosts(void **state)
{
    assert_dialogue("EHLO [127.0.0.1]\r\n", GREETING EHLO_REPLY);
    assert_dialogue("EHLO [IPv6:::1]\r\n", GREETING EHLO_REPLY);
    assert_dialogue("EHLO\r\nHELO a b\r\nEHLO [x]\r\nHELO -a\r\n",
                    GREETING "501 5.5.4 The command needs your host's name\r\n"
                             "501 5.5.4 The command needs your host's name\r\n"
                             "501 5.5.4 The command needs your host's name\r\n"
                             "501 5.5.4 The command needs your host's name\r\n");
}

/* RFC 4954: played through; nothing of it is kept. */
static void test_auth(void **state)
{
    assert_dialogue(EHLO "AUTH PLAIN AGEAYg==\r\nAUTH PLAIN x\r\n",
                    BEGUN "235 2.7.0 Accepted\r\n"
                          "503 5.5.1 AUTH comes once, between EHLO and MAIL\r\n");
    assert_dialogue(EHLO "AUTH PLAIN\r\nAGEAYg==\r\n", BEGUN "334 \r\n235 2.7.0 Accepted\r\n");
    assert_dialogue(EHLO "auth login\r\nYQ==\r\nYg==\r\n" MAIL, BEGUN
                    "334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n235 2.7.0 Accepted\r\n" MAIL_REPLY);
    assert_dialogue(EHLO "AUTH LOGIN YQ==\r\n*\r\nNOOP\r\n",
                    BEGUN "334 UGFzc3dvcmQ6\r\n501 5.7.0 Cancelled\r\n"
                          "250 2.0.0 Nothing done\r\n");
    assert_dialogue(EHLO "AUTH CRAM-MD5\r\nAUTH\r\n",
                    BEGUN "504 5.5.4 AUTH takes PLAIN or LOGIN\r\n"
                          "504 5.5.4 AUTH takes PLAIN or LOGIN\r\n");
}

static void test_parameters(void **state)
{
    assert_dialogue(EHLO "MAIL FROM:<a@x.test> SIZE=2000 BODY=8BITMIME AUTH=<>\r\nRSET\r\n"
                         "MAIL FROM:<a@x.test> size=2001\r\n"
                         "MAIL FROM:<a@x.test> SIZE=x\r\n"
                         "MAIL FROM:<a@x.test> BODY=BINARYMIME\r\n"
                         "MAIL FROM:<a@x.test> RET=FULL\r\n",
                    BEGUN MAIL_REPLY "250 2.0.0 Forgotten\r\n"
                                     "552 5.3.4 The message is too large\r\n"
                                     "501 5.5.4 A parameter is malformed\r\n"
                                     "501 5.5.4 A parameter is malformed\r\n"
                                     "555 5.5.4 A parameter is unknown\r\n");
    assert_dialogue("HELO me.test\r\nMAIL FROM:<a@x.test> SIZE=5\r\n",
                    GREETING "250 mx.test\r\n555 5.5.4 A parameter is unknown\r\n");
    assert_dialogue(EHLO MAIL "RCPT TO:<b@y.test> NOTIFY=NEVER\r\n",
                    BEGUN MAIL_REPLY "555 5.5.4 A parameter is unknown\r\n");
}

/* RFC 6531: beyond ASCII where MAIL announced it, and nowhere else. */
static void test_utf8(void **state)
{
    assert_dialogue(EHLO
                    "MAIL FROM:<\xC3\xA9@x.test> SMTPUTF8\r\nRCPT TO:<\xC3\xA9@y.test>\r\n" DATA
                    "x\r\n.\r\n",
                    BEGUN MAIL_REPLY RCPT_REPLY DATA_REPLY
                    "[me.test <\xC3\xA9@x.test> <\xC3\xA9@y.test> utf8\nx\r\n]\r\n" KEPT);
    assert_dialogue(EHLO "MAIL FROM:<\xC3\xA9@x.test>\r\n" MAIL "RCPT TO:<\xC3\xA9@y.test>\r\n",
                    BEGUN "550 5.6.7 The address needs SMTPUTF8\r\n" MAIL_REPLY
                          "501 5.1.3 Write RCPT TO:<address>\r\n");
}

static const struct smtp_limits patient = {"mx.test", MESSAGE_MAX, 1000};

static void test_paths(void **state)
{
    static const char *const good[] = {
        "<a@b>",           "<a.b+c@d-e.test>",      "<@r.test,@s.test:a@b.test>",
        "<a@[192.0.2.1]>", "<\"a b\\\"c\"@d.test>", "  <a@b.test>  "};
    static const char *const bad[] = {
        "a@b.test",    "<a@b.test",     "<a>",          "<@b.test>",    "<a@>",   "<.a@b.test>",
        "<a.@b.test>", "<a..b@c.test>", "<a b@c.test>", "<a@b..test>",  "<a@.b>", "<a@b.test>x",
        "<a@-b.test>", "<a@b-.test>",   "<a@[x]>",      "<\"a@b.test>", "<>",     "",
        "<a@b c>",     "<<a@b.test>>"};
    char input[200], expected[600];

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int n = snprintf(input, sizeof input, EHLO MAIL "RCPT TO:%s\r\n", good[i]);
        assert_dialogue_with(&patient, (struct str){input, (size_t)n}, BEGUN MAIL_REPLY RCPT_REPLY);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int n = snprintf(input, sizeof input, EHLO MAIL "RCPT TO:%s\r\n", bad[i]);
        snprintf(expected, sizeof expected, "%s",
                 BEGUN MAIL_REPLY "501 5.1.3 Write RCPT TO:<address>\r\n");
        assert_dialogue_with(&patient, (struct str){input, (size_t)n}, expected);
    }
}

/* A command line of as many bytes, its CRLF included. */
static void assert_line(size_t n, const char *reply)
{
    char input[SMTP_LINE_MAX + 100], expected[400];

    memset(input, 'x', sizeof input);
    memcpy(input, "NOOP ", 5);
    memcpy(input + n - 2, "\r\nHELP", 6);
    memcpy(input + n + 4, "\r\n", 2);
    snprintf(expected, sizeof expected,
             GREETING "%s\r\n214 2.0.0 HELO EHLO AUTH MAIL RCPT DATA RSET NOOP VRFY HELP QUIT\r\n",
             reply);
    assert_dialogue_with(&limits, (struct str){input, n + 6}, expected);
}

static void test_line_limits(void **state)
{
    char input[3 * SMTP_LINE_MAX];
    size_t n;

    assert_line(SMTP_LINE_MAX, "250 2.0.0 Nothing done");
    assert_line(SMTP_LINE_MAX + 1, "500 5.5.6 The line is too long");
    assert_line(SMTP_LINE_MAX + 80, "500 5.5.6 The line is too long");

    n = (size_t)snprintf(input, sizeof input, READY);
    memset(input + n, 'x', SMTP_LINE_MAX - 1);
    memcpy(input + n + SMTP_LINE_MAX - 1, "\r\n.\r\nNOOP\r\n", 12);
    assert_dialogue_with(&limits, (struct str){input, n + SMTP_LINE_MAX - 1 + 11},
                         READY_REPLY "554 5.6.0 A line of the message is too long\r\n"
                                     "250 2.0.0 Nothing done\r\n");
    assert_dialogue(READY "a\0b\r\n.\r\nNOOP\r\n",
                    READY_REPLY "554 5.6.0 The message holds a NUL\r\n250 2.0.0 Nothing done\r\n");
}

/* Of the longest line that is allowed, and of the largest message, not a byte is missing. */
static void test_largest(void **state)
{
    char input[MESSAGE_MAX + 200], line[SMTP_LINE_MAX];
    struct buf expected = buf_init(TRANSCRIPT_MAX);
    size_t n = (size_t)snprintf(input, sizeof input, READY);

    memset(line, 'x', sizeof line);
    memcpy(line + SMTP_LINE_MAX - 2, "\r\n", 2);
    memcpy(input + n, line, SMTP_LINE_MAX);
    memcpy(input + n + SMTP_LINE_MAX, line, SMTP_LINE_MAX);
    memcpy(input + n + 2 * SMTP_LINE_MAX, ".\r\n", 4);
    buf_add_str(&expected, STR(READY_REPLY ENVELOPE));
    buf_add(&expected, input + n, MESSAGE_MAX);
    buf_add_str(&expected, STR("]\r\n" KEPT));
    assert_dialogue_with(&limits, (struct str){input, n + MESSAGE_MAX + 3}, buf_cstr(&expected));

    memcpy(input + n + MESSAGE_MAX, "x\r\n.\r\nNOOP\r\n", 13);
    assert_dialogue_with(&limits, (struct str){input, n + MESSAGE_MAX + 12},
                         READY_REPLY "552 5.3.4 The message is too large\r\n"
                                     "250 2.0.0 Nothing done\r\n");
    buf_free(&expected);
}

static void test_recipients(void **state)
{
    struct buf input = buf_init(TRANSCRIPT_MAX), expected = buf_init(TRANSCRIPT_MAX);

    buf_add_str(&input, STR(EHLO MAIL));
    buf_add_str(&expected, STR(BEGUN MAIL_REPLY));
    for (int i = 0; i < SMTP_RECIPIENTS_MAX; i++) {
        buf_add_str(&input, STR(RCPT));
        buf_add_str(&expected, STR(RCPT_REPLY));
    }
    buf_add_str(&input, STR(RCPT DATA ".\r\n"));
    buf_add_str(&expected,
                STR("452 4.5.3 Too many recipients\r\n" DATA_REPLY "[me.test <a@x.test>"));
    for (int i = 0; i < SMTP_RECIPIENTS_MAX; i++)
        buf_add_str(&expected, STR(" <b@y.test>"));
    buf_add_str(&expected, STR("\n]\r\n" KEPT));
    assert_dialogue_with(&limits, buf_str(&input), buf_cstr(&expected));
    buf_free(&input);
    buf_free(&expected);
}

static void test_errors(void **state)
{
    assert_dialogue("a\r\nb\r\nc\r\nd\r\ne\r\nf\r\n",
                    GREETING "500 5.5.1 The command is not known\r\n"
                             "500 5.5.1 The command is not known\r\n"
                             "500 5.5.1 The command is not known\r\n"
                             "500 5.5.1 The command is not known\r\n"
                             "500 5.5.1 The command is not known\r\n"
                             "421 4.7.0 Too many errors\r\nCLOSED 3\r\n");
}

/* Beyond its first line nothing that a browser sends is looked at. */
static void test_http(void **state)
{
    assert_dialogue("POST / HTTP/1.1\r\nEHLO x\r\n",
                    GREETING "521 5.7.0 This is no web server\r\nCLOSED 8\r\n");
    assert_dialogue("GET /x HTTP/1.0\r\n\r\n",
                    GREETING "521 5.7.0 This is no web server\r\nCLOSED 2\r\n");
}

static void test_verdicts(void **state)
{
    static const char *const replies[] = {
        [SMTP_KEPT] = "250 2.0.0 Kept\r\n",
        [SMTP_TRY_AGAIN] = "451 4.3.0 It cannot be kept just now\r\n",
        [SMTP_REFUSED] = "554 5.6.0 The message is refused\r\n",
    };

    for (int v = SMTP_KEPT; v <= SMTP_REFUSED; v++) {
        struct buf out = buf_init(TRANSCRIPT_MAX);
        struct str input = STR(READY "x\r\n.\r\n" MAIL);
        struct smtp_dialogue *d;
        enum smtp_state state_now;
        size_t used;
        assert_int_equal(smtp_dialogue_new(&limits, &d), 0);
        assert_int_equal(smtp_dialogue_feed(d, input.p, input.n, &out, &used, &state_now), 0);
        assert_int_equal(state_now, SMTP_MESSAGE);
        assert_int_equal(input.n - used, strlen(MAIL));
        assert_true(smtp_dialogue_busy(d));
        buf_reset(&out);
        assert_int_equal(smtp_dialogue_answer(d, (enum smtp_verdict)v, &out), 0);
        assert_string_equal(buf_cstr(&out), replies[v]);
        assert_false(smtp_dialogue_busy(d));
        buf_reset(&out);
        assert_int_equal(smtp_dialogue_dismiss(d, "The server stops", &out), 0);
        assert_string_equal(buf_cstr(&out), "421 4.3.2 The server stops\r\n");
        assert_int_equal(smtp_dialogue_feed(d, MAIL, 5, &out, &used, &state_now), 0);
        assert_int_equal(state_now, SMTP_CLOSE);
        assert_int_equal(used, 0);
        smtp_dialogue_free(d);
        buf_free(&out);
    }
}

static void test_full_buffer(void **state)
{
    struct buf out = buf_init(20);
    struct smtp_dialogue *d;
    enum smtp_state state_now;
    size_t used;

    assert_int_equal(smtp_dialogue_new(&limits, &d), 0);
    assert_int_equal(smtp_dialogue_feed(d, EHLO, strlen(EHLO), &out, &used, &state_now),
                     FAULT_LIMIT);
    smtp_dialogue_free(d);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message),
        cmocka_unit_test(test_two_messages),
        cmocka_unit_test(test_transparency),
        cmocka_unit_test(test_smuggling),
        cmocka_unit_test(test_bare_in_commands),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_other_commands),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_auth),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_line_limits),
        cmocka_unit_test(test_largest),
        cmocka_unit_test(test_recipients),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_http),
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_full_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
