#include "mail/strict_json.h"

#include "base/encode.h"
#include "base/fault.h"

enum { ESCAPE = 6 }; /* "\uXXXX" */

/* Whether the brackets outside strings nest too deep: told before parsing, which recurses. */
static bool too_deep(struct str text)
{
    size_t depth = 0;
    bool inside = false;

    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '"')
            inside = !inside;
        else if (inside)
            i += c == '\\';
        else if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && depth > 0)
            depth--;
        if (depth > STRICT_JSON_DEPTH_MAX)
            return true;
    }
    return false;
}

int strict_json_load(struct str text, json_t **ret_tree)
{
    json_error_t error;
    json_t *tree;

    if (text.n == 0 || !str_is_utf8(text) || too_deep(text))
        return STRICT_JSON_MALFORMED;
    tree = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &error);
    if (!tree && json_error_code(&error) == json_error_out_of_memory)
        return fault_set(FAULT_MEMORY, "no memory to parse JSON");
    if (!json_is_object(tree)) {
        json_decref(tree);
        return STRICT_JSON_MALFORMED;
    }
    *ret_tree = tree;
    return 0;
}

/* The value of the escape "\uXXXX" at i; -1 where none stands there. */
static int32_t escape_at(struct str text, size_t i)
{
    uint8_t bytes[2];

    if (i > text.n || text.n - i < ESCAPE || text.p[i] != '\\' || text.p[i + 1] != 'u' ||
        hex_decode((struct str){text.p + i + 2, 4}, sizeof bytes, bytes))
        return -1;
    return bytes[0] << 8 | bytes[1];
}

static bool is_half(int32_t value, int32_t first)
{
    return value >= first && value < first + 0x400;
}

/* How long what the backslash at i begins is; *ret_bad: it is to be replaced. */
static size_t escape_length(struct str text, size_t i, bool *ret_bad)
{
    int32_t value = escape_at(text, i);
    bool pair = is_half(value, 0xD800) && is_half(escape_at(text, i + ESCAPE), 0xDC00);

    *ret_bad = value == 0 || (!pair && (is_half(value, 0xD800) || is_half(value, 0xDC00)));
    return value < 0 ? 2 : pair ? (size_t)2 * ESCAPE : ESCAPE;
}

int strict_json_mend(struct str text, struct arena *arena, struct str *ret_text)
{
    char *copy = NULL;
    size_t n = 1;

    for (size_t i = 0; i < text.n; i += n) {
        bool bad = false;
        n = text.p[i] == '\\' ? escape_length(text, i, &bad) : 1;
        if (!bad)
            continue;
        if (!copy) {
            copy = arena_alloc(arena, text.n);
            if (!copy)
                return FAULT_MEMORY;
            memcpy(copy, text.p, text.n);
        }
        memcpy(copy + i, "\\ufffd", ESCAPE);
    }
    *ret_text = copy ? (struct str){copy, text.n} : text;
    return 0;
}

int strict_json_text(const json_t *object, const char *key, size_t max, struct str *ret_text)
{
    const json_t *value = json_object_get(object, key);

    if (!value || json_is_null(value)) {
        *ret_text = (struct str){NULL, 0};
        return 0;
    }
    if (!json_is_string(value) || json_string_length(value) > max)
        return STRICT_JSON_MALFORMED;
    *ret_text = (struct str){json_string_value(value), json_string_length(value)};
    return 0;
}
