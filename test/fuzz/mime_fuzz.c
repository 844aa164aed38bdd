/*
 * Messages of hostile fields. The oracles: what is written has exactly the fields that it is to
 * have, in their order; subject and body read back as they were given; no line is too long, begins
 * with a dot or is ended otherwise than by CRLF.
 *
 * The input is the subject, the sender's name, a value and the text, each but the last up to a byte
 * 0xFE.
 */
#include "fuzz.h"

#include "crypto/init.h"
#include "mail/mime.h"

enum { FIELDS_MAX = 32 };

static struct str take_field(struct str *rest)
{
    struct str part = {NULL, 0};

    str_next(rest, (char)0xFE, &part);
    return part;
}

static void check_lines(struct str s)
{
    size_t line = 0;

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        FUZZ_CHECK(c < 0x80 && c != 0 && !(line == 0 && c == '.'));
        FUZZ_CHECK(c != '\r' || (i + 1 < s.n && s.p[i + 1] == '\n'));
        FUZZ_CHECK(c != '\n' || (i > 0 && s.p[i - 1] == '\r'));
        line = c == '\n' ? 0 : line + (c != '\r');
        FUZZ_CHECK(line <= MIME_LINE_MAX);
    }
    FUZZ_CHECK(s.n > 0 && line == 0);
}

struct head {
    struct str names[FIELDS_MAX], values[FIELDS_MAX];
    size_t n;
    struct str body;
};

/* Where the field's last line ends. */
static size_t field_end(struct str s, size_t i)
{
    for (; i + 2 < s.n; i++)
        if (s.p[i] == '\r' && s.p[i + 2] != ' ' && s.p[i + 2] != '\t')
            return i;
    return s.n - 2;
}

static void read_head(struct str s, struct head *h)
{
    size_t i = 0;

    h->n = 0;
    while (s.p[i] != '\r') {
        size_t end = field_end(s, i);
        struct str line = {s.p + i, end - i};
        size_t colon = str_find(line, ':');
        FUZZ_CHECK(colon < line.n && line.p[colon + 1] == ' ' && h->n < FIELDS_MAX);
        h->names[h->n] = (struct str){line.p, colon};
        h->values[h->n++] = (struct str){line.p + colon + 2, line.n - colon - 2};
        i = end + 2;
    }
    h->body = (struct str){s.p + i + 2, s.n - i - 2};
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void add_code(struct buf *out, const char *p)
{
    FUZZ_CHECK(digit(p[1]) >= 0 && digit(p[2]) >= 0);
    buf_add_char(out, (char)(digit(p[1]) << 4 | digit(p[2])));
}

static void add_q(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '=') {
            FUZZ_CHECK(i + 2 < s.n);
            add_code(out, s.p + i);
            i += 2;
        } else {
            buf_add_char(out, s.p[i] == '_' ? ' ' : s.p[i]);
        }
    }
}

static void add_b(struct buf *out, struct str s)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    int n = 0;

    FUZZ_CHECK(s.n % 4 == 0);
    for (size_t i = 0; i < s.n && s.p[i] != '='; i++) {
        const char *at = strchr(digits, s.p[i]);
        FUZZ_CHECK(at != NULL && s.p[i] != 0);
        bits = bits << 6 | (uint32_t)(at - digits);
        n += 6;
        if (n >= 8) {
            n -= 8;
            buf_add_char(out, (char)(bits >> n & 0xFF));
        }
    }
}

/* A word "=?UTF-8?X?...?=" of whole characters; returns its length. */
static size_t add_word(struct buf *out, struct str s)
{
    struct str text = {s.p + 10, 0};
    size_t before = out->n;

    FUZZ_CHECK(str_has_prefix(s, STR("=?UTF-8?")) && s.n >= 12 && s.p[9] == '?');
    while (10 + text.n + 1 < s.n && !(s.p[10 + text.n] == '?' && s.p[11 + text.n] == '='))
        text.n++;
    FUZZ_CHECK(text.n + 12 <= 75);
    if (s.p[8] == 'Q')
        add_q(out, text);
    else
        add_b(out, text);
    FUZZ_CHECK(str_is_utf8((struct str){out->p + before, out->n - before}));
    return text.n + 12;
}

/* As a reader does: folds go, encoded words are decoded and the space between them goes. */
static void decode(struct str s, struct buf *out)
{
    bool word = false;

    for (size_t i = 0; i < s.n;) {
        if (str_has_prefix((struct str){s.p + i, s.n - i}, STR("=?"))) {
            i += add_word(out, (struct str){s.p + i, s.n - i});
            word = true;
        } else if (s.p[i] == '\r') {
            i += word ? 3 : 2;
        } else {
            FUZZ_CHECK(!word);
            buf_add_char(out, s.p[i++]);
        }
    }
}

static void check_text(struct str written, struct str given)
{
    struct buf out = buf_init(4096);
    size_t skip = str_has_prefix(written, STR("\r\n ")) ? 3 : 0;

    decode((struct str){written.p + skip, written.n - skip}, &out);
    FUZZ_CHECK(str_eq(buf_str(&out), given));
    buf_free(&out);
}

/* Quoted-printable read back, against the text with its line ends as CRLF. */
static void check_body(struct str body, struct str text)
{
    struct buf read = buf_init(1 << 24), wanted = buf_init(1 << 24);

    for (size_t i = 0; i < body.n; i++) {
        if (body.p[i] != '=') {
            buf_add_char(&read, body.p[i]);
        } else {
            if (body.p[i + 1] != '\r')
                add_code(&read, body.p + i);
            i += 2;
        }
    }
    for (size_t i = 0; i < text.n; i++) {
        bool end = text.p[i] == '\r' || text.p[i] == '\n';
        if (!end)
            buf_add_char(&wanted, text.p[i]);
        if (end || i + 1 == text.n)
            buf_add_str(&wanted, STR("\r\n"));
        if (text.p[i] == '\r' && i + 1 < text.n && text.p[i + 1] == '\n')
            i++;
    }
    FUZZ_CHECK(str_eq(buf_str(&read), buf_str(&wanted)));
    buf_free(&read);
    buf_free(&wanted);
}

static void check_message(const struct mime_message *m, struct str s)
{
    static const char *const names[] = {
        "Date",         "From",         "To",
        "Subject",      "Message-ID",   "X-Value",
        "MIME-Version", "Content-Type", "Content-Transfer-Encoding"};
    static struct head h;

    check_lines(s);
    read_head(s, &h);
    FUZZ_CHECK(h.n == sizeof names / sizeof *names);
    for (size_t i = 0; i < h.n; i++)
        FUZZ_CHECK(str_eq(h.names[i], str_of(names[i])));
    FUZZ_CHECK(str_has_suffix(h.values[1], STR("a@example.com>")) ||
               str_eq(h.values[1], STR("a@example.com")));
    check_text(h.values[3], m->subject);
    check_text(h.values[5], m->headers[0].value);
    check_body(h.body, m->text);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    FUZZ_CHECK(crypto_init() == 0);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct mime_address to = {STR_INIT("To"), STR_INIT("b@example.com")};
    struct str rest = {(const char *)data, size};
    struct str subject = take_field(&rest), name = take_field(&rest), value = take_field(&rest);
    struct mime_header header = {STR("X-Value"), value};
    struct mime_message m = {
        .from = {name, STR("a@example.com")},
        .to = &to,
        .n_to = 1,
        .subject = subject,
        .text = rest,
        .date = 0,
        .message_id = STR("1@example.com"),
        .headers = &header,
        .n_headers = 1,
    };
    struct buf out = buf_init(MIME_MESSAGE_MAX);
    struct mime_problem problem = {""};
    int r = mime_write(&m, &out, &problem);

    FUZZ_CHECK(r >= 0);
    if (r > 0)
        FUZZ_CHECK(out.n == 0 && problem.field[0] != 0);
    else
        check_message(&m, buf_str(&out));
    buf_free(&out);
    return 0;
}
