/* Bytes come back as they were; a text that is accepted is the only one for its bytes. */
#include "base/encode.h"

#include "fuzz.h"

enum { BYTES_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char text[BASE64URL_LENGTH(BYTES_MAX)];
    static uint8_t bytes[BYTES_MAX];
    size_t n;

    if (size > BYTES_MAX)
        return 0;
    size_t length = base64url_encode(data, size, text);
    FUZZ_CHECK(length == BASE64URL_LENGTH(size));
    FUZZ_CHECK(base64url_decode((struct str){text, length}, size, bytes, &n) == 0);
    FUZZ_CHECK(n == size && (n == 0 || memcmp(bytes, data, n) == 0));

    struct str given = {(const char *)data, size};
    if (base64url_decode(given, sizeof bytes, bytes, &n) == 0) {
        length = base64url_encode(bytes, n, text);
        FUZZ_CHECK(str_eq((struct str){text, length}, given));
    }
    return 0;
}
