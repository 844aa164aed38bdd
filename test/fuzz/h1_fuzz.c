/*
 * The HTTP/1.1 parser under arbitrary bytes. The oracle: the same bytes in any pieces give the same
 * result, for a head and for the chunked body behind it; and what a head says holds together.
 *
 * The first byte chooses the size of the pieces; the rest is the input.
 */
#include "fuzz.h"

#include "http/h1.h"

enum { HEADERS = 16 };

static const struct h1_limits limits = {128, 512, HEADERS};

struct head_result {
    int r;
    enum h1_error error;
    struct h1_head head;
    struct http_header headers[HEADERS];
};

/* A copy that ends where the bytes end, so that a read behind them is seen. */
static char *copy(const char *p, size_t n)
{
    char *exact = malloc(n ? n : 1);

    FUZZ_CHECK(exact != NULL);
    if (n)
        memcpy(exact, p, n);
    return exact;
}

static void parse_head(const char *p, size_t n, size_t step, struct head_result *ret)
{
    size_t resume = 0, have = step < n ? step : n;

    for (;;) {
        char *exact = copy(p, have);
        memset(ret, 0, sizeof *ret);
        ret->head.headers = ret->headers;
        ret->r = h1_parse_head(exact, have, &limits, &resume, &ret->head, &ret->error);
        free(exact);
        if (ret->r || have == n)
            return;
        have = n - have < step ? n : have + step;
    }
}

static bool inside(struct str s, const char *p, size_t n)
{
    return s.n == 0 || (s.p >= p && s.p + s.n <= p + n);
}

static void check_head(const char *p, const struct h1_head *h)
{
    FUZZ_CHECK(h->method < HTTP_METHODS && h->minor >= 0 && h->minor <= 1);
    FUZZ_CHECK(!(h->chunked && h->content_length) && !(h->chunked && h->minor == 0));
    FUZZ_CHECK(h->content_length <= INT64_MAX && h->header_count <= HEADERS);
    FUZZ_CHECK(h->target.n > 0 && h->path.n > 0);
    FUZZ_CHECK(h->host.n > 0 || h->minor == 0);
    for (size_t i = 0; i < h->header_count; i++) {
        FUZZ_CHECK(inside(h->headers[i].name, p, h->length) && h->headers[i].name.n > 0);
        FUZZ_CHECK(inside(h->headers[i].value, p, h->length));
    }
    FUZZ_CHECK(memcmp(p + h->length - 4, "\r\n\r\n", 4) == 0);
}

/* Returns how many bytes the head takes, or 0 where there is none. */
static size_t fuzz_head(const char *p, size_t n, size_t step)
{
    static struct head_result whole, part;

    parse_head(p, n, n ? n : 1, &whole);
    parse_head(p, n, step, &part);
    FUZZ_CHECK(whole.r == part.r && whole.error == part.error);
    if (whole.r != 1)
        return 0;
    const struct h1_head *a = &whole.head, *b = &part.head;
    FUZZ_CHECK(a->length == b->length && a->length <= n && a->method == b->method);
    FUZZ_CHECK(a->chunked == b->chunked && a->content_length == b->content_length);
    FUZZ_CHECK(a->keep_alive == b->keep_alive && a->expect_continue == b->expect_continue);
    FUZZ_CHECK(a->header_count == b->header_count && a->target.n == b->target.n);

    size_t resume = 0;
    whole.head.headers = whole.headers;
    FUZZ_CHECK(h1_parse_head(p, n, &limits, &resume, &whole.head, &whole.error) == 1);
    check_head(p, &whole.head);
    return whole.head.length;
}

struct chunk_result {
    int r;
    size_t used;
    struct buf body;
};

static void decode(const char *p, size_t n, size_t step, struct chunk_result *ret)
{
    struct h1_chunks c = {.state = 0};

    *ret = (struct chunk_result){.body = buf_init(1 << 20)};
    while (ret->used < n && ret->r == 0) {
        size_t piece = n - ret->used < step ? n - ret->used : step, used;
        char *exact = copy(p + ret->used, piece);
        struct str body;
        ret->r = h1_chunks_next(&c, exact, piece, &used, &body);
        if (ret->r >= 0) {
            FUZZ_CHECK(used <= piece && inside(body, exact, piece));
            FUZZ_CHECK(used > 0);
            buf_add_str(&ret->body, body);
            ret->used += used;
        }
        free(exact);
    }
}

static void fuzz_chunks(const char *p, size_t n, size_t step)
{
    struct chunk_result whole, part;

    decode(p, n, n ? n : 1, &whole);
    decode(p, n, step, &part);
    FUZZ_CHECK(whole.r == part.r);
    if (whole.r >= 0) {
        FUZZ_CHECK(whole.used == part.used);
        FUZZ_CHECK(str_eq(buf_str(&whole.body), buf_str(&part.body)));
    }
    buf_free(&whole.body);
    buf_free(&part.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t step = data[0] % 32 + 1;
    char *input = copy((const char *)data + 1, size - 1);
    size_t head = fuzz_head(input, size - 1, step);

    fuzz_chunks(input + head, size - 1 - head, step);
    free(input);
    return 0;
}
