/* A time that is accepted is written, and read back as the same. */
#include "base/clock.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[CLOCK_TEXT_SIZE];
    int64_t ms, back;

    if (clock_parse((struct str){(const char *)data, size}, &ms))
        return 0;
    clock_format(ms, text);
    FUZZ_CHECK(clock_parse((struct str){text, CLOCK_TEXT}, &back) == 0);
    FUZZ_CHECK(back == ms);
    return 0;
}
