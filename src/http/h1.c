#include "http/h1.h"

#include "http/h1_inner.h"

static const struct {
    int status;
    const char *text;
} errors[H1_ERRORS] = {
    [H1_OK] = {200, "the request is well-formed"},
    [H1_BAD_REQUEST_LINE] = {400, "the request line is malformed"},
    [H1_BAD_TARGET] = {400, "the request target is malformed"},
    [H1_BAD_VERSION] = {505, "only HTTP/1.1 and HTTP/1.0 are spoken here"},
    [H1_UNKNOWN_METHOD] = {501, "the method is not implemented"},
    [H1_URI_TOO_LONG] = {414, "the request line is too long"},
    [H1_HEADERS_TOO_LARGE] = {431, "the headers are too large or too many"},
    [H1_BAD_HEADER] = {400, "a header is malformed"},
    [H1_BARE_CR_OR_LF] = {400, "a line does not end with CR LF"},
    [H1_BAD_HOST] = {400, "the Host header is missing, repeated, malformed or contradicted"},
    [H1_BAD_LENGTH] = {400, "the length of the body is malformed or contradictory"},
    [H1_BAD_CODING] = {501, "the only transfer coding known here is chunked"},
    [H1_BAD_CHUNK] = {400, "the chunked body is malformed"},
    [H1_BAD_EXPECT] = {417, "the only expectation met here is 100-continue"},
};

int h1_error_status(enum h1_error error)
{
    return errors[error].status;
}

const char *h1_error_text(enum h1_error error)
{
    return errors[error].text;
}

static int refuse(enum h1_error error, enum h1_error *ret)
{
    *ret = error;
    return -1;
}

/*
 * Finds the request line: 1 with its view and the offset behind it, 0, or -1. Nothing inside the
 * line is judged before it is complete, so that the pieces it comes in make no difference.
 */
static int find_request_line(const char *p, size_t n, size_t max, struct str *ret_line,
                             size_t *ret_end, enum h1_error *ret_error)
{
    size_t start = 0;

    if (n > 0 && p[0] == '\r') {
        if (n < 2)
            return 0;
        if (p[1] != '\n')
            return refuse(H1_BARE_CR_OR_LF, ret_error);
        start = 2;
    }
    if (n == start)
        return 0;
    /* Another protocol on this port is told at its first byte. */
    if (!h1_is_token_char(p[start]))
        return refuse(H1_BAD_REQUEST_LINE, ret_error);

    size_t window = n - start < max + 2 ? n - start : max + 2;
    const char *lf = memchr(p + start, '\n', window);
    if (!lf)
        return window == max + 2 ? refuse(H1_URI_TOO_LONG, ret_error) : 0;
    if (lf == p + start || lf[-1] != '\r')
        return refuse(H1_BARE_CR_OR_LF, ret_error);
    *ret_line = (struct str){p + start, (size_t)(lf - 1 - p) - start};
    *ret_end = (size_t)(lf - p) + 1;
    return 1;
}

/*
 * Finds the empty line behind the headers, which begin at start: 1 with the offset behind it, 0,
 * or -1. Each line's end is judged on the way.
 */
static int find_end(const char *p, size_t n, size_t start, size_t max, size_t *resume,
                    size_t *ret_end, enum h1_error *ret_error)
{
    size_t stop = n - start < max ? n : start + max;
    /* The request line's LF counts as the end of a line: the headers may be empty. */
    size_t i = *resume > start - 1 ? *resume : start - 1;

    while (i < stop) {
        const char *lf = memchr(p + i, '\n', stop - i);
        if (!lf) {
            i = stop;
            break;
        }
        i = (size_t)(lf - p);
        if (p[i - 1] != '\r')
            return refuse(H1_BARE_CR_OR_LF, ret_error);
        if (i + 2 >= stop && !(i + 1 < stop && p[i + 1] != '\r'))
            break;
        if (p[i + 1] == '\r' && p[i + 2] == '\n') {
            *ret_end = i + 3;
            return 1;
        }
        i++;
    }
    if (n - start >= max)
        return refuse(H1_HEADERS_TOO_LARGE, ret_error);
    *resume = i;
    return 0;
}

/* One "name: value" line without its CRLF (RFC 9112, section 5). */
static enum h1_error parse_field(struct str line, struct http_header *ret)
{
    size_t colon = 0;

    while (colon < line.n && h1_is_token_char(line.p[colon]))
        colon++;
    if (colon == 0 || colon == line.n || line.p[colon] != ':')
        return H1_BAD_HEADER;
    for (size_t i = colon + 1; i < line.n; i++) {
        if (!h1_is_value_char(line.p[i]))
            return line.p[i] == '\r' ? H1_BARE_CR_OR_LF : H1_BAD_HEADER;
    }
    ret->name = (struct str){line.p, colon};
    ret->value = str_trim((struct str){line.p + colon + 1, line.n - colon - 1});
    return H1_OK;
}

/* The headers that decide how the request is framed; more than one of each is counted. */
struct framing {
    struct str host, length, coding, expect;
    int hosts, lengths, codings, expects;
    bool close, keep_alive;
};

static void note_connection(struct framing *f, struct str value)
{
    struct str part;

    while (str_next(&value, ',', &part)) {
        part = str_trim(part);
        f->close |= str_eq_ci(part, STR("close"));
        f->keep_alive |= str_eq_ci(part, STR("keep-alive"));
    }
}

static void note_field(struct framing *f, const struct http_header *h)
{
    struct str *value = NULL;
    int *count = NULL;

    if (h->name.n == 4 && str_eq_ci(h->name, STR("host")))
        value = &f->host, count = &f->hosts;
    else if (h->name.n == 14 && str_eq_ci(h->name, STR("content-length")))
        value = &f->length, count = &f->lengths;
    else if (h->name.n == 17 && str_eq_ci(h->name, STR("transfer-encoding")))
        value = &f->coding, count = &f->codings;
    else if (h->name.n == 6 && str_eq_ci(h->name, STR("expect")))
        value = &f->expect, count = &f->expects;
    else if (h->name.n == 10 && str_eq_ci(h->name, STR("connection")))
        note_connection(f, h->value);
    if (value) {
        *value = h->value;
        ++*count;
    }
}

/* Reads the lines of p[start..end), whose last is empty. */
static enum h1_error parse_fields(const char *p, size_t start, size_t end, size_t max,
                                  struct h1_head *head, struct framing *f)
{
    while (start + 2 < end) {
        const char *lf = memchr(p + start, '\n', end - start);
        size_t next = (size_t)(lf - p) + 1;
        struct http_header h;

        if (head->header_count == max)
            return H1_HEADERS_TOO_LARGE;
        enum h1_error error = parse_field((struct str){p + start, next - 2 - start}, &h);
        if (error)
            return error;
        note_field(f, &h);
        head->headers[head->header_count++] = h;
        start = next;
    }
    return H1_OK;
}

static enum h1_error judge_host(const struct framing *f, struct h1_head *head)
{
    bool absolute = head->host.n > 0;

    if (f->hosts > 1 || (f->hosts == 0 && head->minor == 1))
        return H1_BAD_HOST;
    if (f->hosts == 0)
        return H1_OK;
    if (!h1_is_host(f->host) || (absolute && !str_eq_ci(head->host, f->host)))
        return H1_BAD_HOST;
    head->host = f->host;
    return H1_OK;
}

/* The body's framing (RFC 9112, section 6); whatever leaves a choice is refused. */
static enum h1_error judge_length(const struct framing *f, struct h1_head *head)
{
    if (f->codings > 0) {
        if (f->lengths > 0 || head->minor == 0)
            return H1_BAD_LENGTH;
        if (f->codings > 1 || !str_eq_ci(f->coding, STR("chunked")))
            return H1_BAD_CODING;
        head->chunked = true;
        return H1_OK;
    }
    if (f->lengths == 0)
        return H1_OK;
    /* A leading zero is allowed by the grammar, but "010" is 8 to a reader that knows octal. */
    if (f->lengths > 1 || (f->length.n > 1 && f->length.p[0] == '0') ||
        str_to_u64(f->length, INT64_MAX, &head->content_length))
        return H1_BAD_LENGTH;
    return H1_OK;
}

static enum h1_error judge_expect(const struct framing *f, struct h1_head *head)
{
    if (f->expects == 0)
        return H1_OK;
    if (f->expects > 1 || !str_eq_ci(f->expect, STR("100-continue")))
        return H1_BAD_EXPECT;
    head->expect_continue = head->minor == 1;
    return H1_OK;
}

int h1_parse_head(const char *p, size_t n, const struct h1_limits *limits, size_t *resume,
                  struct h1_head *ret, enum h1_error *ret_error)
{
    struct h1_head head = {.headers = ret->headers};
    struct framing f = {.hosts = 0};
    struct str line;
    size_t start, end;

    int r = find_request_line(p, n, limits->request_line_max, &line, &start, ret_error);
    if (r <= 0)
        return r;
    enum h1_error error = h1_parse_request_line(line, &head);
    if (error)
        return refuse(error, ret_error);
    r = find_end(p, n, start, limits->header_bytes_max, resume, &end, ret_error);
    if (r <= 0)
        return r;
    error = parse_fields(p, start, end, limits->headers_max, &head, &f);
    if (!error)
        error = judge_length(&f, &head);
    if (!error)
        error = judge_host(&f, &head);
    if (!error)
        error = judge_expect(&f, &head);
    if (error)
        return refuse(error, ret_error);
    head.keep_alive = !f.close && (head.minor == 1 || f.keep_alive);
    head.length = end;
    *ret = head;
    return 1;
}
