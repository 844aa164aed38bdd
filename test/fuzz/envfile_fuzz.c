/*
 * Files of settings: what is read can be written so that it is read again as the same, every line
 * is either visited or named as a problem, and no problem repeats a value.
 */
#include "config/envfile.h"

#include "fuzz.h"

enum { LIMIT = 1 << 20 };

struct seen {
    struct buf again; /* the assignments, written anew */
    int last, count;
};

static void write_value(struct buf *out, struct str value)
{
    buf_add_char(out, '"');
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] == '\n') {
            buf_add_str(out, STR("\\n"));
            continue;
        }
        if (value.p[i] == '"' || value.p[i] == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, value.p[i]);
    }
    buf_add_char(out, '"');
}

static int visit(void *context, struct str key, struct str value, int line)
{
    struct seen *seen = context;

    FUZZ_CHECK(key.n > 0 && line > seen->last);
    seen->last = line;
    seen->count++;
    buf_add_str(&seen->again, key);
    buf_add_char(&seen->again, '=');
    write_value(&seen->again, value);
    return buf_add_char(&seen->again, '\n');
}

static int parse(struct str text, struct seen *seen, struct buf *problems)
{
    *seen = (struct seen){.again = buf_init(LIMIT)};
    return envfile_parse(text, "f", visit, seen, problems);
}

static size_t lines_of(struct str text)
{
    struct str line;
    size_t n = 0;

    while (str_next(&text, '\n', &line))
        n++;
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_buf_ struct buf problems = buf_init(LIMIT), none = buf_init(LIMIT);
    struct seen first, second;

    if (size > LIMIT / 16)
        return 0;
    int r = parse((struct str){(const char *)data, size}, &first, &problems);
    FUZZ_CHECK(r == 0 || r == ENVFILE_INVALID);
    FUZZ_CHECK((r == ENVFILE_INVALID) == (problems.n > 0));
    FUZZ_CHECK((size_t)first.count + lines_of(buf_str(&problems)) <=
               lines_of((struct str){(const char *)data, size}));
    FUZZ_CHECK(parse(buf_str(&first.again), &second, &none) == 0);
    FUZZ_CHECK(none.n == 0 && second.count == first.count);
    FUZZ_CHECK(str_eq(buf_str(&first.again), buf_str(&second.again)));
    buf_free(&first.again);
    buf_free(&second.again);
    return 0;
}
