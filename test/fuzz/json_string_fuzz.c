/* Whatever the bytes, what is written is JSON; and UTF-8 comes back from a strict reader as it was.
 */
#include "base/json.h"

#include "fuzz.h"

#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_buf_ struct buf b = buf_init(6 * size + 2);
    struct json_writer w = json_writer(&b);
    struct str given = {(const char *)data, size};

    json_str(&w, given);
    FUZZ_CHECK(buf_fault(&b) == 0);
    json_t *value = json_loadb(b.p, b.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    FUZZ_CHECK(value);
    struct str read = {json_string_value(value), json_string_length(value)};
    FUZZ_CHECK(!str_is_utf8(given) || str_eq(read, given));
    json_decref(value);
    return 0;
}
