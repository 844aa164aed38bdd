/* What is read with jansson, in a file of its own: it shares names with base/json.h. */
#include "trail/internal.h"
#include "trail/line.h"

#include <jansson.h>

bool trail_detail_valid(struct str text)
{
    json_error_t error;
    json_t *parsed;
    bool valid;

    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] < 0x20)
            return false;
    parsed =
        json_loadb(text.p ? text.p : "", text.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    valid = json_is_object(parsed);
    json_decref(parsed);
    return valid;
}

static int member(const json_t *object, const char *key, char ret_text[CHECKPOINT_TEXT_MAX])
{
    const json_t *value = json_object_get(object, key);
    size_t n = json_string_length(value);

    if (!json_is_string(value) || n >= CHECKPOINT_TEXT_MAX)
        return 1;
    memcpy(ret_text, json_string_value(value), n);
    ret_text[n] = 0;
    return 0;
}

int checkpoint_texts_parse(struct str json, struct checkpoint_texts *ret_texts)
{
    struct checkpoint_texts t;
    json_error_t error;
    json_t *parsed = json_loadb(json.p, json.n, JSON_REJECT_DUPLICATES, &error);
    const json_t *seq = json_object_get(parsed, "seq");
    int e = !json_is_integer(seq) || json_object_size(parsed) != 6 ||
            member(parsed, "chain", t.chain) || member(parsed, "mac", t.mac) ||
            member(parsed, "at", t.at) || member(parsed, "key", t.key) ||
            member(parsed, "signature", t.signature);

    if (!e) {
        t.seq = json_integer_value(seq);
        *ret_texts = t;
    }
    json_decref(parsed);
    return e;
}
