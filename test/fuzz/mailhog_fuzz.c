/*
 * Whatever a message holds, what is shown of it is well-formed JSON without a name twice, with the
 * whole message's size and, where it is text, its very bytes; and its parts are within it, and no
 * longer without their encoding.
 */
#include "fuzz.h"

#include "mail/mailhog.h"
#include "mail/message_view.h"

#include <jansson.h>

enum { OUT_MAX = 256 << 20 };

static void check_leaf(struct str message, const struct message_leaf *leaf)
{
    struct buf bytes = buf_init(OUT_MAX);

    FUZZ_CHECK(leaf->body.n <= message.n);
    FUZZ_CHECK(leaf->body.n == 0 ||
               (leaf->body.p >= message.p && leaf->body.p + leaf->body.n <= message.p + message.n));
    FUZZ_CHECK(message_view_decode(leaf, &bytes) == 0);
    FUZZ_CHECK(bytes.n <= leaf->body.n);
    buf_free(&bytes);
}

static void check_views(struct str message)
{
    struct message_leaf leaf;

    if (message_view_find(message, STR("text/html"), &leaf) == 0)
        check_leaf(message, &leaf);
    if (message_view_find(message, STR("text/plain"), &leaf) == 0)
        check_leaf(message, &leaf);
    for (size_t i = 0; message_view_part(message, i, &leaf) == 0; i++)
        check_leaf(message, &leaf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sandbox_message m = {.helo = STR("me.test"),
                                .from = STR("a@x.test"),
                                .to = STR("b@y.test\n"),
                                .data = {(const char *)data, size}};
    struct buf out = buf_init(OUT_MAX);

    FUZZ_CHECK(mailhog_write_message(&m, &out) == 0);
    json_t *json = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    FUZZ_CHECK(json != NULL);
    json_t *raw = json_object_get(json_object_get(json, "Raw"), "Data");
    struct str shown = {json_string_value(raw), json_string_length(raw)};
    if (str_is_utf8(m.data))
        FUZZ_CHECK(str_eq(shown, m.data));
    json_t *shown_size = json_object_get(json_object_get(json, "Content"), "Size");
    FUZZ_CHECK((size_t)json_integer_value(shown_size) == size);
    for (int kind = SANDBOX_FROM; kind <= SANDBOX_CONTAINING; kind++)
        FUZZ_CHECK(sandbox_matches(&m, (enum sandbox_kind)kind, STR("")));
    check_views(m.data);
    json_decref(json);
    buf_free(&out);
    return 0;
}
