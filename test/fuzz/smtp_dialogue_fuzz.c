/*
 * The server's side of SMTP under arbitrary bytes. The oracles: the same bytes in any pieces give
 * the same replies and messages; a message keeps to its limits, has whole lines, and its envelope
 * is text of one line each; what was not taken was left because the dialogue is over.
 *
 * The first byte chooses the size of the pieces; the rest is the input.
 */
#include "fuzz.h"

#include "mail/smtp_dialogue.h"

enum { OUT_MAX = 64 << 20, MESSAGE_MAX = 300 };

static const struct smtp_limits limits = {"mx.test", MESSAGE_MAX, 20};

static void check_path(struct str s)
{
    FUZZ_CHECK(s.n <= SMTP_PATH_MAX && str_is_utf8(s));
    for (size_t i = 0; i < s.n; i++)
        FUZZ_CHECK((unsigned char)s.p[i] >= 0x20 && s.p[i] != 0x7F);
}

/* Whole lines, each by CRLF, of at most the limit. */
static void check_data(struct str s)
{
    size_t line = 0;

    FUZZ_CHECK(s.n <= MESSAGE_MAX);
    for (size_t i = 0; i < s.n; i++) {
        FUZZ_CHECK(s.p[i] != 0);
        FUZZ_CHECK(s.p[i] != '\r' || (i + 1 < s.n && s.p[i + 1] == '\n'));
        FUZZ_CHECK(s.p[i] != '\n' || (i > 0 && s.p[i - 1] == '\r'));
        line = s.p[i] == '\n' ? 0 : line + 1;
        FUZZ_CHECK(line < SMTP_LINE_MAX);
    }
    FUZZ_CHECK(line == 0);
}

static void note(const struct smtp_message *m, struct buf *out)
{
    FUZZ_CHECK(m->n_to >= 1 && m->n_to <= SMTP_RECIPIENTS_MAX);
    FUZZ_CHECK(m->helo.n >= 1 && m->helo.n <= SMTP_NAME_MAX && str_is_utf8(m->helo));
    check_path(m->from);
    check_data(m->data);
    buf_printf(out, "[%.*s<%.*s>%d", STR_ARG(m->helo), STR_ARG(m->from), m->utf8);
    for (size_t i = 0; i < m->n_to; i++) {
        check_path(m->to[i]);
        FUZZ_CHECK(m->to[i].n > 0);
        buf_printf(out, "<%.*s>", STR_ARG(m->to[i]));
    }
    buf_add_str(out, m->data);
    buf_add_str(out, STR("]"));
}

/* Each piece ends where its memory ends, so that a read behind it is seen. */
static void converse(const char *p, size_t n, size_t step, struct buf *out)
{
    struct smtp_dialogue *d;
    enum smtp_state state = SMTP_MORE;
    size_t i = 0;

    FUZZ_CHECK(smtp_dialogue_new(&limits, &d) == 0);
    smtp_dialogue_greet(d, out);
    while (i < n && state != SMTP_CLOSE) {
        size_t used = 0, piece = n - i < step ? n - i : step;
        char *exact = malloc(piece);
        FUZZ_CHECK(exact != NULL);
        memcpy(exact, p + i, piece);
        FUZZ_CHECK(smtp_dialogue_feed(d, exact, piece, out, &used, &state) == 0);
        FUZZ_CHECK(used <= piece && (state != SMTP_MORE || used == piece));
        free(exact);
        i += used;
        if (state == SMTP_MESSAGE) {
            note(smtp_dialogue_message(d), out);
            FUZZ_CHECK(smtp_dialogue_answer(d, (enum smtp_verdict)(i % 3), out) == 0);
        }
    }
    buf_printf(out, "%d %zu", (int)state, n - i);
    FUZZ_CHECK(buf_fault(out) == 0);
    smtp_dialogue_free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct buf whole = buf_init(OUT_MAX), pieces = buf_init(OUT_MAX);
    const char *p = (const char *)data + 1;

    converse(p, size - 1, size, &whole);
    converse(p, size - 1, data[0] % 32 + 1, &pieces);
    FUZZ_CHECK(str_eq(buf_str(&whole), buf_str(&pieces)));
    buf_free(&whole);
    buf_free(&pieces);
    return 0;
}
