#include "bench/answer.h"

static const struct str head_end = STR_INIT("\r\n\r\n");

enum { HEAD_MAX = 16 * 1024, BODY_MAX = 1024 * 1024 };

static int read_status(struct str head, int *ret)
{
    uint64_t status;
    if (!str_has_prefix(head, STR("HTTP/1.1 ")) || head.n < 12 ||
        str_to_u64((struct str){head.p + 9, 3}, 999, &status))
        return ANSWER_MALFORMED;
    *ret = (int)status;
    return 0;
}

static int read_length(struct str head, int status, uint64_t *ret)
{
    struct str line;
    while (str_next(&head, '\n', &line)) {
        struct str name = STR("content-length:");
        if (!str_has_prefix_ci(line, name))
            continue;
        struct str value = {line.p + name.n, line.n - name.n};
        if (value.n > 0 && value.p[value.n - 1] == '\r')
            value.n--;
        return str_to_u64(str_trim(value), BODY_MAX, ret) ? ANSWER_MALFORMED : 0;
    }
    if (status != 204)
        return ANSWER_MALFORMED;
    *ret = 0;
    return 0;
}

int answer_read(struct str bytes, struct answer *ret)
{
    const char *end = bytes.n ? memmem(bytes.p, bytes.n, head_end.p, head_end.n) : NULL;
    if (!end)
        return bytes.n > HEAD_MAX ? ANSWER_MALFORMED : ANSWER_MORE;
    struct str head = {bytes.p, (size_t)(end - bytes.p)};
    int status;
    uint64_t length;
    if (read_status(head, &status) || read_length(head, status, &length))
        return ANSWER_MALFORMED;
    size_t whole = head.n + head_end.n + length;
    if (bytes.n < whole)
        return ANSWER_MORE;
    *ret = (struct answer){status, {end + head_end.n, length}, whole};
    return 0;
}

int answer_member(struct str json, struct str name, struct str *ret_value)
{
    for (const char *p = json.p, *end = json.p + json.n; p < end; p++) {
        p = memmem(p, (size_t)(end - p), name.p, name.n);
        if (!p)
            return 1;
        const char *after = p + name.n;
        struct str between = STR("\":\"");
        if (p == json.p || p[-1] != '"' || (size_t)(end - after) < between.n ||
            memcmp(after, between.p, between.n) != 0)
            continue;
        struct str value = {after + between.n, (size_t)(end - after) - between.n};
        size_t quote = str_find(value, '"');
        if (quote == value.n || str_find((struct str){value.p, quote}, '\\') != quote)
            return 1;
        *ret_value = (struct str){value.p, quote};
        return 0;
    }
    return 1;
}
