#include "deploy/sql_lex.h"

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool begins_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80);
}

static bool goes_on_word(char c)
{
    return begins_word(c) || is_digit(c);
}

/* The byte at this distance, 0 past the end. */
static char at(const struct sql_lexer *l, size_t i)
{
    return (size_t)(l->end - l->p) > i ? l->p[i] : '\0';
}

static void skip_line(struct sql_lexer *l)
{
    while (l->p < l->end && *l->p != '\n' && *l->p != '\r')
        l->p++;
}

/* A comment within a comment is one of its own. Returns whether it ends. */
static bool skip_comment(struct sql_lexer *l)
{
    int depth = 0;

    do {
        if (at(l, 0) == '/' && at(l, 1) == '*') {
            depth++;
            l->p += 2;
        } else if (at(l, 0) == '*' && at(l, 1) == '/') {
            depth--;
            l->p += 2;
        } else {
            l->p++;
        }
    } while (depth > 0 && l->p < l->end);
    return depth == 0;
}

/* To the next token. Returns whether a comment ends that begins there; else l stays at it. */
static bool skip_space(struct sql_lexer *l)
{
    while (l->p < l->end) {
        if (is_space(*l->p)) {
            l->p++;
        } else if (*l->p == '-' && at(l, 1) == '-') {
            skip_line(l);
        } else if (*l->p == '/' && at(l, 1) == '*') {
            struct sql_lexer begin = *l;
            if (!skip_comment(l)) {
                *l = begin;
                return false;
            }
        } else {
            break;
        }
    }
    return true;
}

/* Past the closing quote, which is not one where it stands twice. */
static bool skip_quoted(struct sql_lexer *l, char quote, bool escapes)
{
    while (l->p < l->end) {
        char c = *l->p++;
        if (escapes && c == '\\' && l->p < l->end) {
            l->p++;
        } else if (c == quote) {
            if (at(l, 0) != quote)
                return true;
            l->p++;
        }
    }
    return false;
}

/* A string goes on in the next quotes where nothing but a line break and -- comments stand between:
 * with the escapes of its beginning. */
static bool goes_on(struct sql_lexer *l)
{
    struct sql_lexer ahead = *l;
    bool line = false;

    for (; ahead.p < ahead.end; ahead.p++) {
        if (*ahead.p == '-' && at(&ahead, 1) == '-')
            skip_line(&ahead);
        if (ahead.p == ahead.end || !is_space(*ahead.p))
            break;
        line |= *ahead.p == '\n' || *ahead.p == '\r';
    }
    if (!line || at(&ahead, 0) != '\'')
        return false;
    *l = ahead;
    return true;
}

/* l is behind the opening quote. */
static enum sql_token_kind take_string(struct sql_lexer *l, bool escapes)
{
    do {
        if (!skip_quoted(l, '\'', escapes))
            return SQL_UNENDED;
    } while (goes_on(l) && l->p++);
    return SQL_STRING;
}

static enum sql_token_kind take_name(struct sql_lexer *l)
{
    return skip_quoted(l, '"', false) ? SQL_NAME : SQL_UNENDED;
}

/* What begins with a letter: a word, or the letter of a string or name. */
static enum sql_token_kind take_word(struct sql_lexer *l)
{
    char c = *l->p | 0x20;

    if (at(l, 1) == '\'' && (c == 'e' || c == 'b' || c == 'x' || c == 'n')) {
        l->p += 2;
        return take_string(l, c == 'e');
    }
    if (c == 'u' && at(l, 1) == '&' && (at(l, 2) == '\'' || at(l, 2) == '"')) {
        l->p += 3;
        return l->p[-1] == '"' ? take_name(l) : take_string(l, false);
    }
    while (goes_on_word(at(l, 0)) || at(l, 0) == '$')
        l->p++;
    return SQL_WORD;
}

static enum sql_token_kind take_dollar(struct sql_lexer *l)
{
    const char *begin = l->p++;

    if (is_digit(at(l, 0))) {
        while (is_digit(at(l, 0)))
            l->p++;
        return SQL_PARAMETER;
    }
    const char *tag = l->p;
    while (goes_on_word(at(l, 0)))
        l->p++;
    if (at(l, 0) != '$') {
        l->p = tag;
        return SQL_MARK;
    }
    size_t n = (size_t)(++l->p - begin);
    const char *close = memmem(l->p, (size_t)(l->end - l->p), begin, n);
    l->p = close ? close + n : l->end;
    return close ? SQL_DOLLAR : SQL_UNENDED;
}

static enum sql_token_kind take_number(struct sql_lexer *l)
{
    while (is_digit(at(l, 0)))
        l->p++;
    if (at(l, 0) == '.' && is_digit(at(l, 1)))
        for (l->p++; is_digit(at(l, 0));)
            l->p++;
    return SQL_NUMBER;
}

static enum sql_token_kind take(struct sql_lexer *l)
{
    char c = *l->p;

    if (begins_word(c))
        return take_word(l);
    if (c == '$')
        return take_dollar(l);
    if (is_digit(c))
        return take_number(l);
    l->p++;
    if (c == '\'')
        return take_string(l, false);
    if (c == '"')
        return take_name(l);
    return c == '\\' ? SQL_BACKSLASH : SQL_MARK;
}

struct sql_token sql_next(struct sql_lexer *l)
{
    bool ended = skip_space(l);
    const char *begin = l->p;
    enum sql_token_kind kind = SQL_END;

    if (!ended)
        kind = SQL_UNENDED;
    else if (l->p < l->end)
        kind = take(l);
    if (kind == SQL_UNENDED)
        l->p = l->end;
    return (struct sql_token){kind, {begin, (size_t)(l->p - begin)}};
}

bool sql_is(struct sql_token t, const char *word)
{
    return t.kind == SQL_WORD && str_eq_ci(t.text, str_of(word));
}

bool sql_is_mark(struct sql_token t, char c)
{
    return t.kind == SQL_MARK && *t.text.p == c;
}

struct sql_cursor sql_cursor(struct str sql)
{
    struct sql_cursor c = {.lexer = sql_lexer(sql), .before = sql.p};

    c.t = sql_next(&c.lexer);
    return c;
}

void sql_step(struct sql_cursor *c)
{
    if (sql_is_mark(c->t, '(') || sql_is_mark(c->t, '['))
        c->depth++;
    c->before = c->t.text.p + c->t.text.n;
    c->t = sql_next(&c->lexer);
    if (sql_is_mark(c->t, ')') || sql_is_mark(c->t, ']'))
        c->depth--;
}

bool sql_take(struct sql_cursor *c, const char *words)
{
    struct sql_cursor ahead = *c;
    struct str rest = str_of(words), word;

    while (str_next(&rest, ' ', &word)) {
        if (ahead.t.kind != SQL_WORD || !str_eq_ci(ahead.t.text, word))
            return false;
        sql_step(&ahead);
    }
    *c = ahead;
    return true;
}

struct str sql_take_name(struct sql_cursor *c)
{
    const char *begin = c->t.text.p, *end = begin;

    while (c->t.kind == SQL_WORD || c->t.kind == SQL_NAME) {
        sql_step(c);
        end = c->before;
        if (!sql_is_mark(c->t, '.'))
            break;
        sql_step(c);
    }
    return (struct str){begin, (size_t)(end - begin)};
}

/* Whether a space is to stand between what is there and a token that others are apart from. */
static bool wants_space(const struct buf *out, size_t from, const struct sql_cursor *c)
{
    return out->n > from && c->t.text.p > c->before;
}

int sql_brief(struct str sql, size_t max, bool masked, struct buf *out)
{
    struct sql_cursor c = sql_cursor(sql);
    size_t from = out->n;

    for (; c.t.kind != SQL_END && out->n - from <= max; sql_step(&c)) {
        struct str text = c.t.text;
        if (wants_space(out, from, &c))
            buf_add_char(out, ' ');
        if (masked && (c.t.kind == SQL_STRING || c.t.kind == SQL_DOLLAR || c.t.kind == SQL_NUMBER ||
                       c.t.kind == SQL_UNENDED))
            text = STR("…");
        for (size_t i = 0; i < text.n && out->n - from <= max; i++)
            buf_add_char(out, text.p[i]);
    }
    if (buf_fault(out) == 0 && out->n - from > max) {
        out->n = from + str_cut((struct str){out->p + from, out->n - from}, max).n;
        buf_add_str(out, STR("…"));
    }
    for (size_t i = from; i < out->n; i++)
        for (size_t n = str_control_length(buf_str(out), i); n > 0; n--)
            out->p[i + n - 1] = ' ';
    return buf_fault(out);
}
