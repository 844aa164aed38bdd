/* Messages by their exact bytes, what is refused and where, and every limit. */
#include "mail/mime.h"

#include "base/fault.h"
#include "crypto/init.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct mime_address one = {{NULL, 0}, STR_INIT("ada@example.com")};

static struct mime_message sample(void)
{
    return (struct mime_message){
        .from = {STR("Holdfast"), STR("no-reply@example.org")},
        .to = &one,
        .n_to = 1,
        .subject = STR("Hello"),
        .text = STR("Hi\n"),
        .date = INT64_C(1700000000000),
        .message_id = STR("1@example.org"),
    };
}

static struct buf write(const struct mime_message *m)
{
    struct buf out = buf_init(MIME_MESSAGE_MAX);
    struct mime_problem problem = {""};
    int r = mime_write(m, &out, &problem);

    if (r)
        fail_msg("%d: %s %s", r, problem.field, mime_outcome_text(r));
    return out;
}

static void assert_bytes(const struct mime_message *m, const char *expected)
{
    struct buf out = write(m);

    assert_string_equal(buf_cstr(&out), expected);
    buf_free(&out);
}

static void assert_refused(const struct mime_message *m, int outcome, const char *field)
{
    struct buf out = buf_init(MIME_MESSAGE_MAX);
    struct mime_problem problem = {""};

    buf_add_str(&out, STR("kept"));
    assert_int_equal(mime_write(m, &out, &problem), outcome);
    assert_string_equal(problem.field, field);
    assert_string_equal(buf_cstr(&out), "kept");
    buf_free(&out);
}

/* The line of the message that begins with name, unfolded or not; fails where it is absent. */
static void assert_has(const struct mime_message *m, const char *expected)
{
    struct buf out = write(m);

    if (!strstr(buf_cstr(&out), expected))
        fail_msg("no\n%s\nin\n%s", expected, buf_cstr(&out));
    buf_free(&out);
}

#define HEAD                                                                                       \
    "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"                                                    \
    "From: Holdfast <no-reply@example.org>\r\n"                                                    \
    "To: ada@example.com\r\n"                                                                      \
    "Subject: Hello\r\n"                                                                           \
    "Message-ID: <1@example.org>\r\n"

static void test_text(void **state)
{
    struct mime_message m = sample();

    assert_bytes(&m, HEAD "MIME-Version: 1.0\r\n"
                          "Content-Type: text/plain; charset=utf-8\r\n"
                          "Content-Transfer-Encoding: quoted-printable\r\n\r\nHi\r\n");
}

static void test_html(void **state)
{
    struct mime_message m = sample();

    m.text = STR("");
    m.html = STR("<p>\xC3\xA9</p>");
    assert_bytes(&m, HEAD "MIME-Version: 1.0\r\n"
                          "Content-Type: text/html; charset=utf-8\r\n"
                          "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
                          "<p>=C3=A9</p>\r\n");
}

static void test_alternatives(void **state)
{
    struct mime_message m = sample();
    const struct mime_header headers[] = {{STR("X-Kind"), STR("notice")}};

    m.html = STR("<p>Hi</p>");
    m.automatic = true;
    m.unsubscribe_url = STR("https://example.org/u/abc?x=1");
    m.headers = headers;
    m.n_headers = 1;
    m.reply_to = (struct mime_address){{NULL, 0}, STR("help@example.org")};
    assert_bytes(&m, "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
                     "From: Holdfast <no-reply@example.org>\r\n"
                     "Reply-To: help@example.org\r\n"
                     "To: ada@example.com\r\n"
                     "Subject: Hello\r\n"
                     "Message-ID: <1@example.org>\r\n"
                     "Auto-Submitted: auto-generated\r\n"
                     "List-Unsubscribe: <https://example.org/u/abc?x=1>\r\n"
                     "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
                     "X-Kind: notice\r\n"
                     "MIME-Version: 1.0\r\n"
                     "Content-Type: multipart/alternative;\r\n"
                     " boundary=\"=_ab6f5b02dde3469748ca29bc688479df\"\r\n\r\n"
                     "--=_ab6f5b02dde3469748ca29bc688479df\r\n"
                     "Content-Type: text/plain; charset=utf-8\r\n"
                     "Content-Transfer-Encoding: quoted-printable\r\n\r\nHi\r\n\r\n"
                     "--=_ab6f5b02dde3469748ca29bc688479df\r\n"
                     "Content-Type: text/html; charset=utf-8\r\n"
                     "Content-Transfer-Encoding: quoted-printable\r\n\r\n<p>Hi</p>\r\n\r\n"
                     "--=_ab6f5b02dde3469748ca29bc688479df--\r\n");
}

/* Plain http cannot be posted to with one click. */
static void test_unsubscribe_by_http(void **state)
{
    struct mime_message m = sample();
    struct buf out;

    m.unsubscribe_url = STR("http://localhost/u");
    out = write(&m);
    assert_non_null(strstr(buf_cstr(&out), "List-Unsubscribe: <http://localhost/u>\r\n"));
    assert_null(strstr(buf_cstr(&out), "List-Unsubscribe-Post"));
    buf_free(&out);
}

static void test_subjects(void **state)
{
    static const struct {
        const char *subject, *line;
    } cases[] = {
        {"caf\xC3\xA9 au lait", "Subject: =?UTF-8?Q?caf=C3=A9_au_lait?=\r\n"},
        {"\xE4\xBD\xA0\xE5\xA5\xBD", "Subject: =?UTF-8?B?5L2g5aW9?=\r\n"},
        {"=?x?=", "Subject: =?UTF-8?B?PT94Pz0=?=\r\n"},
        {" padded ", "Subject: =?UTF-8?Q?_padded_?=\r\n"},
        {"a  b", "Subject: a  b\r\n"},
        {"one two three four five six seven eight nine ten eleven twelve thirteen fourteen",
         "Subject: one two three four five six seven eight nine ten eleven twelve\r\n"
         " thirteen fourteen\r\n"},
        {"\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4"
         "\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4"
         "\xC3\xA4\xC3\xA4",
         "Subject: =?UTF-8?B?w6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6Q=?=\r\n"
         " =?UTF-8?B?w6TDpMOk?=\r\n"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mime_message m = sample();
        m.subject = str_of(cases[i].subject);
        assert_has(&m, cases[i].line);
    }
}

static void test_names(void **state)
{
    static const struct {
        const char *name, *written;
    } cases[] = {
        {"Ada Lovelace", "From: Ada Lovelace <a@example.com>\r\n"},
        {"Ada  Lovelace", "From: \"Ada  Lovelace\" <a@example.com>\r\n"},
        {"Lovelace, \"Ada\" \\o/", "From: \"Lovelace, \\\"Ada\\\" \\\\o/\" <a@example.com>\r\n"},
        {"A <b@evil.test>", "From: \"A <b@evil.test>\" <a@example.com>\r\n"},
        {"Zo\xC3\xAB", "From: =?UTF-8?Q?Zo=C3=AB?=\r\n <a@example.com>\r\n"},
        {"=?UTF-8?Q?x?=", "From: =?UTF-8?B?PT9VVEYtOD9RP3g/PQ==?=\r\n <a@example.com>\r\n"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mime_message m = sample();
        m.from = (struct mime_address){str_of(cases[i].name), STR("a@example.com")};
        assert_has(&m, cases[i].written);
    }
}

static void test_recipients(void **state)
{
    struct mime_message m = sample();
    const struct mime_address two[] = {{STR("Ada"), STR("ada@example.com")},
                                       {STR(""), STR("bob@example.com")}};

    m.to = two;
    m.n_to = 2;
    assert_has(&m, "To: Ada <ada@example.com>,\r\n bob@example.com\r\n");
}

static void test_bodies(void **state)
{
    static const struct {
        const char *text, *written;
    } cases[] = {
        {"a\r\nb\rc\nd", "\r\n\r\na\r\nb\r\nc\r\nd\r\n"},
        {"end \n\t\n", "\r\n\r\nend=20\r\n=09\r\n"},
        {"a=b\x01", "\r\n\r\na=3Db=01\r\n"},
        {".\n..\n a.", "\r\n\r\n=2E\r\n=2E.\r\n a.\r\n"},
        {"From here\nFrom\n>From x", "\r\n\r\n=46rom here\r\nFrom\r\n>From x\r\n"},
        {"\n\n", "\r\n\r\n\r\n\r\n"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mime_message m = sample();
        m.text = str_of(cases[i].text);
        assert_has(&m, cases[i].written);
    }
}

/* A line of n characters c, and what is written of it. */
static void assert_line(char c, size_t n, const char *expected)
{
    struct mime_message m = sample();
    char line[200];

    memset(line, c, n);
    m.text = (struct str){line, n};
    assert_has(&m, expected);
}

#define TEN "xxxxxxxxxx"
#define SEVENTY TEN TEN TEN TEN TEN TEN TEN

static void test_soft_breaks(void **state)
{
    assert_line('x', 76, "\r\n\r\n" SEVENTY "xxxxxx\r\n");
    assert_line('x', 77, "\r\n\r\n" SEVENTY "xxxxx=\r\nxx\r\n");
    /* A dot that begins a line of the output because of a soft break is encoded as well. */
    char text[78];
    struct mime_message m = sample();
    memset(text, 'x', 75);
    memcpy(text + 75, "..", 3);
    m.text = str_of(text);
    assert_has(&m, "\r\n\r\n" SEVENTY "xxxxx=\r\n=2E.\r\n");
}

/* No line but of the limits, none with a dot first, no bare CR or LF, nothing but ASCII. */
static void assert_well_formed(struct str s)
{
    size_t line = 0;

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        assert_true(c < 0x80 && c != 0);
        assert_false(line == 0 && c == '.');
        if (c == '\r')
            assert_true(i + 1 < s.n && s.p[i + 1] == '\n');
        if (c == '\n')
            assert_true(i > 0 && s.p[i - 1] == '\r');
        line = c == '\n' ? 0 : line + (c != '\r');
        assert_true(line <= MIME_LINE_MAX);
    }
    assert_true(s.n > 0 && s.p[s.n - 1] == '\n');
}

/* The longest of everything, of characters that cost most. */
static void test_largest(void **state)
{
    static char subject[MIME_SUBJECT_MAX], name[MIME_NAME_MAX], value[MIME_HEADER_VALUE_MAX];
    struct mime_address to[MIME_RECIPIENTS_MAX];
    struct mime_header headers[MIME_HEADERS_MAX];
    char *text = malloc(MIME_BODY_MAX), field[MIME_HEADER_NAME_MAX];
    struct mime_message m = sample();

    assert_non_null(text);
    memset(text, '=', MIME_BODY_MAX);
    memset(value, 'v', sizeof value);
    memset(field, 'X', sizeof field);
    field[1] = '-';
    for (size_t i = 0; i < sizeof subject; i += 2)
        memcpy(subject + i, "\xC2\xA9", 2);
    memcpy(name, subject, sizeof name);
    for (size_t i = 0; i < MIME_RECIPIENTS_MAX; i++)
        to[i] = (struct mime_address){{name, sizeof name}, STR("a@example.com")};
    for (size_t i = 0; i < MIME_HEADERS_MAX; i++)
        headers[i] = (struct mime_header){{field, sizeof field}, {value, sizeof value}};
    m.subject = (struct str){subject, sizeof subject};
    m.to = to;
    m.n_to = MIME_RECIPIENTS_MAX;
    m.headers = headers;
    m.n_headers = MIME_HEADERS_MAX;
    m.text = m.html = (struct str){text, MIME_BODY_MAX};
    struct buf out = write(&m);
    assert_well_formed(buf_str(&out));
    buf_free(&out);

    m.n_to++;
    assert_refused(&m, MIME_LONG, "to");
    m.n_to--;
    m.n_headers++;
    assert_refused(&m, MIME_LONG, "headers");
    m.n_headers--;
    free(text);
}

/* Every way of ending a line, in every field that takes text. */
static void test_injection(void **state)
{
    static const struct str evils[] = {
        STR_INIT("a\r\nBcc: b@evil.test"),
        STR_INIT("a\nb"),
        STR_INIT("a\rb"),
        STR_INIT("a\0b"),
        STR_INIT("a\r\n\r\nb"),
        STR_INIT("a\tb"),
        STR_INIT("a\vb"),
        STR_INIT("a\x7F"),
        STR_INIT("a\xC2\x85"
                 "b"),
        STR_INIT("a\xE2\x80\xA8"
                 "b"),
        STR_INIT("a\xE2\x80\xA9"
                 "b"),
    };

    for (size_t i = 0; i < sizeof evils / sizeof *evils; i++) {
        struct mime_message m = sample();
        struct mime_address to[] = {one, one};
        struct mime_header header = {STR("X-A"), evils[i]};

        m.subject = evils[i];
        assert_refused(&m, MIME_CONTROL, "subject");
        m = sample();
        m.from.name = evils[i];
        assert_refused(&m, MIME_CONTROL, "from.name");
        m = sample();
        m.from.address = evils[i];
        assert_refused(&m, MIME_CONTROL, "from.address");
        m = sample();
        m.to = to;
        m.n_to = 2;
        to[1].name = evils[i];
        assert_refused(&m, MIME_CONTROL, "to[1].name");
        m = sample();
        m.message_id = evils[i];
        assert_refused(&m, MIME_CONTROL, "messageId");
        m = sample();
        m.unsubscribe_url = evils[i];
        assert_refused(&m, MIME_CONTROL, "unsubscribeUrl");
        m = sample();
        m.headers = &header;
        m.n_headers = 1;
        assert_refused(&m, MIME_CONTROL, "headers[0].value");
        header = (struct mime_header){evils[i], STR("v")};
        assert_refused(&m, MIME_CONTROL, "headers[0].name");
    }
}

static void test_malformed(void **state)
{
    static const char *const urls[] = {
        "mailto:a@b.test",    "javascript:x", "https://a.test/>,<mailto",
        "https://a.test/a b", "//a.test",     "https://a.test/\xC3\xA9"};
    static const char *const ids[] = {"a", "@b", "a@", "a b@c", "a@b@c", "<a@b>", "a..b@c", "a@b."};
    static const char *const names[] = {"Subject", "X", "X-", "X-A:", "X-A B", "Bcc", "x_a"};
    struct mime_message m = sample();

    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        m.unsubscribe_url = str_of(urls[i]);
        assert_refused(&m, MIME_MALFORMED, "unsubscribeUrl");
    }
    m = sample();
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        m.message_id = str_of(ids[i]);
        assert_refused(&m, MIME_MALFORMED, "messageId");
    }
    m = sample();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct mime_header header = {str_of(names[i]), STR("v")};
        m.headers = &header;
        m.n_headers = 1;
        assert_refused(&m, MIME_MALFORMED, "headers[0].name");
    }
    m = sample();
    m.from.address = STR("nobody");
    assert_refused(&m, MIME_MALFORMED, "from.address");
    m = sample();
    m.date = -1;
    assert_refused(&m, MIME_MALFORMED, "date");
    m.date = INT64_C(253402300800000);
    assert_refused(&m, MIME_MALFORMED, "date");
    m.date--;
    assert_has(&m, "Date: Fri, 31 Dec 9999 23:59:59 +0000\r\n");
}

static void test_empty(void **state)
{
    struct mime_message m = sample();

    m.n_to = 0;
    assert_refused(&m, MIME_EMPTY, "to");
    m = sample();
    m.subject = STR("");
    assert_refused(&m, MIME_EMPTY, "subject");
    m = sample();
    m.text = STR("");
    assert_refused(&m, MIME_EMPTY, "text");
    m = sample();
    m.message_id = STR("");
    assert_refused(&m, MIME_EMPTY, "messageId");
    m = sample();
    m.from.address = STR("");
    assert_refused(&m, MIME_EMPTY, "from.address");
}

static void test_too_long(void **state)
{
    static char filler[MIME_BODY_MAX + 1];
    struct mime_message m = sample();
    struct mime_header header = {STR("X-A"), {filler, MIME_HEADER_VALUE_MAX + 1}};

    memset(filler, 'a', sizeof filler);
    m.subject = (struct str){filler, MIME_SUBJECT_MAX + 1};
    assert_refused(&m, MIME_LONG, "subject");
    m = sample();
    m.from.name = (struct str){filler, MIME_NAME_MAX + 1};
    assert_refused(&m, MIME_LONG, "from.name");
    m = sample();
    m.message_id = (struct str){filler, MIME_ID_MAX + 1};
    assert_refused(&m, MIME_LONG, "messageId");
    m = sample();
    m.unsubscribe_url = (struct str){filler, MIME_URL_MAX + 1};
    assert_refused(&m, MIME_LONG, "unsubscribeUrl");
    m = sample();
    m.text = (struct str){filler, MIME_BODY_MAX + 1};
    assert_refused(&m, MIME_LONG, "text");
    m = sample();
    m.html = (struct str){filler, MIME_BODY_MAX + 1};
    assert_refused(&m, MIME_LONG, "html");
    m = sample();
    m.headers = &header;
    m.n_headers = 1;
    assert_refused(&m, MIME_LONG, "headers[0].value");
    header = (struct mime_header){{filler, MIME_HEADER_NAME_MAX + 1}, STR("v")};
    assert_refused(&m, MIME_LONG, "headers[0].name");
}

static void test_not_utf8(void **state)
{
    struct mime_message m = sample();

    m.subject = STR("\xC3");
    assert_refused(&m, MIME_NOT_UTF8, "subject");
    m = sample();
    m.text = STR("\xED\xA0\x80");
    assert_refused(&m, MIME_NOT_UTF8, "text");
    m.text = STR("a\0b");
    assert_refused(&m, MIME_CONTROL, "text");
}

/* A buffer that is too small holds what it held before. */
static void test_full_buffer(void **state)
{
    struct mime_message m = sample();
    struct mime_problem problem;

    for (size_t max = 4; max < 200; max += 37) {
        struct buf out = buf_init(max);
        buf_add_str(&out, STR("kept"));
        int r = mime_write(&m, &out, &problem);
        assert_int_equal(r, FAULT_LIMIT);
        assert_int_equal(out.n, 4);
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),         cmocka_unit_test(test_html),
        cmocka_unit_test(test_alternatives), cmocka_unit_test(test_unsubscribe_by_http),
        cmocka_unit_test(test_subjects),     cmocka_unit_test(test_names),
        cmocka_unit_test(test_recipients),   cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_soft_breaks),  cmocka_unit_test(test_largest),
        cmocka_unit_test(test_injection),    cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_empty),        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_not_utf8),     cmocka_unit_test(test_full_buffer),
    };

    return crypto_init() ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
