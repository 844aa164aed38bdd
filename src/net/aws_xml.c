#include "net/aws_xml.h"

enum kind { TAG_OPEN, TAG_CLOSE, TAG_EMPTY };

struct tag {
    enum kind kind;
    struct str name;
    const char *begin, *end; /* of the whole tag */
};

static struct str from(struct str s, const char *p)
{
    return (struct str){p, (size_t)(s.p + s.n - p)};
}

/* Moves *rest behind the mark; false where it does not come. */
static bool skip_past(struct str *rest, struct str mark)
{
    const char *p = memmem(rest->p, rest->n, mark.p, mark.n);

    if (!p)
        return false;
    *rest = from(*rest, p + mark.n);
    return true;
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == ':';
}

/* *rest begins behind "<" and maybe "/". */
static int read_tag(struct str *rest, struct tag *ret)
{
    size_t n = 0;
    char quote = '\0', last = '\0';

    while (n < rest->n && is_name_char(rest->p[n]))
        n++;
    ret->name = (struct str){rest->p, n};
    if (n == 0)
        return AWS_XML_MALFORMED;
    for (; n < rest->n; n++) {
        char c = rest->p[n];
        if (c == '>' && !quote)
            break;
        if (c == '<' && !quote)
            return AWS_XML_MALFORMED;
        if (quote ? c == quote : c == '"' || c == '\'')
            quote = quote ? '\0' : c;
        last = c;
    }
    if (n == rest->n || (last == '/' && ret->kind == TAG_CLOSE))
        return AWS_XML_MALFORMED;
    if (last == '/')
        ret->kind = TAG_EMPTY;
    *rest = from(*rest, rest->p + n + 1);
    ret->end = rest->p;
    return 0;
}

/* The next tag; what is no tag is passed over. */
static int next_tag(struct str *rest, struct tag *ret)
{
    for (;;) {
        size_t at = str_find(*rest, '<');
        if (at == rest->n)
            return AWS_XML_END;
        struct str here = {rest->p + at, rest->n - at};
        bool passed = true;
        if (str_has_prefix(here, STR("<?")))
            passed = skip_past(&here, STR("?>"));
        else if (str_has_prefix(here, STR("<!--")))
            passed = skip_past(&here, STR("-->"));
        else if (str_has_prefix(here, STR("<!")))
            passed = false;
        else {
            bool closes = str_has_prefix(here, STR("</"));
            *ret = (struct tag){.kind = closes ? TAG_CLOSE : TAG_OPEN, .begin = here.p};
            *rest = from(here, here.p + (closes ? 2 : 1));
            return read_tag(rest, ret);
        }
        if (!passed)
            return AWS_XML_MALFORMED;
        *rest = here;
    }
}

/* *rest is behind the tag that opened; what it opened ends at ret_close. */
static int find_close(struct str *rest, struct str name, struct tag *ret_close)
{
    struct str open[AWS_XML_DEPTH_MAX] = {name};
    size_t depth = 1;

    while (depth > 0) {
        int r = next_tag(rest, ret_close);
        if (r)
            return AWS_XML_MALFORMED;
        if (ret_close->kind == TAG_OPEN) {
            if (depth == AWS_XML_DEPTH_MAX)
                return AWS_XML_MALFORMED;
            open[depth++] = ret_close->name;
        } else if (ret_close->kind == TAG_CLOSE && !str_eq(open[--depth], ret_close->name)) {
            return AWS_XML_MALFORMED;
        }
    }
    return 0;
}

int aws_xml_next(struct str *rest, struct str *ret_name, struct str *ret_inner)
{
    struct str at = *rest;
    struct tag open, close;
    int r = next_tag(&at, &open);

    if (r)
        return r;
    if (open.kind == TAG_CLOSE)
        return AWS_XML_MALFORMED;
    close = (struct tag){.begin = open.end};
    if (open.kind == TAG_OPEN && (r = find_close(&at, open.name, &close)))
        return r;
    *ret_name = open.name;
    *ret_inner = (struct str){open.end, (size_t)(close.begin - open.end)};
    *rest = at;
    return 0;
}

int aws_xml_find(struct str xml, const char *path, struct str *ret_inner)
{
    struct str steps = str_of(path), step, name, inner = xml;

    while (str_next(&steps, '/', &step)) {
        struct str rest = inner;
        do {
            if (aws_xml_next(&rest, &name, &inner))
                return AWS_XML_END;
        } while (!str_eq(step, STR("*")) && !str_eq(step, name));
    }
    *ret_inner = inner;
    return 0;
}

static size_t write_utf8(uint32_t c, char *ret)
{
    if (c < 0x80) {
        ret[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        ret[0] = (char)(0xC0 | c >> 6);
        ret[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        ret[0] = (char)(0xE0 | c >> 12);
        ret[1] = (char)(0x80 | (c >> 6 & 0x3F));
        ret[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    ret[0] = (char)(0xF0 | c >> 18);
    ret[1] = (char)(0x80 | (c >> 12 & 0x3F));
    ret[2] = (char)(0x80 | (c >> 6 & 0x3F));
    ret[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

static int digit_of(char c, uint32_t base)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (base == 16 && (c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        return (c | 0x20) - 'a' + 10;
    return -1;
}

/* "#38" or "#x26"; no NUL, no surrogate. */
static bool read_number(struct str name, uint32_t *ret)
{
    uint32_t base = name.n > 1 && name.p[1] == 'x' ? 16 : 10, c = 0;
    size_t i = base == 16 ? 2 : 1;

    if (i >= name.n)
        return false;
    for (; i < name.n; i++) {
        int digit = digit_of(name.p[i], base);
        if (digit < 0 || (c = c * base + (uint32_t)digit) > 0x10FFFF)
            return false;
    }
    *ret = c;
    return c != 0 && (c < 0xD800 || c > 0xDFFF);
}

static bool read_reference(struct str name, uint32_t *ret)
{
    static const struct {
        struct str name;
        char c;
    } known[] = {{STR_INIT("amp"), '&'},
                 {STR_INIT("lt"), '<'},
                 {STR_INIT("gt"), '>'},
                 {STR_INIT("quot"), '"'},
                 {STR_INIT("apos"), '\''}};

    if (name.n > 0 && name.p[0] == '#')
        return read_number(name, ret);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!str_eq(known[i].name, name))
            continue;
        *ret = (unsigned char)known[i].c;
        return true;
    }
    return false;
}

int aws_xml_text(struct str inner, char *ret, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < inner.n;) {
        char piece[4] = {inner.p[i]};
        size_t length = 1, taken = 1;
        uint32_t c;
        if (inner.p[i] == '&') {
            struct str rest = {inner.p + i + 1, inner.n - i - 1};
            size_t end = str_find(rest, ';');
            if (end == rest.n || !read_reference((struct str){rest.p, end}, &c))
                break;
            length = write_utf8(c, piece);
            taken = end + 2;
        }
        if (inner.p[i] == '<' || inner.p[i] == '\0' || n + length >= size)
            break;
        memcpy(ret + n, piece, length);
        n += length;
        i += taken;
        if (i == inner.n) {
            ret[n] = '\0';
            return 0;
        }
    }
    ret[0] = '\0';
    return inner.n > 0;
}

bool aws_xml_text_at(struct str xml, const char *path, char *ret, size_t size)
{
    struct str inner;

    ret[0] = '\0';
    return aws_xml_find(xml, path, &inner) == 0 && aws_xml_text(inner, ret, size) == 0;
}
