#include "mail/strict_json.h"

#include "base/fault.h"

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
