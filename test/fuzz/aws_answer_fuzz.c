/*
 * Whatever AWS, or somebody in its place, answers: reading it ends, what is found lies inside of
 * it, and what is shown of it is one printable line.
 *
 * The first line of the input is the header X-Amzn-ErrorType, the rest the body.
 */
#include "net/aws_error.h"
#include "net/aws_xml.h"

#include "fuzz.h"

static void check_error(struct str type, struct str body, int status)
{
    struct aws_error e = {.status = status};
    size_t n;

    aws_error_read(type, body, &e);
    n = strlen(e.text);
    FUZZ_CHECK(e.code[0] && strlen(e.code) < sizeof e.code);
    FUZZ_CHECK(str_is_utf8((struct str){e.text, n}));
    for (size_t i = 0; i < n; i++)
        FUZZ_CHECK((unsigned char)e.text[i] >= ' ' && e.text[i] != 0x7F);
    FUZZ_CHECK(aws_error_class(&e) >= AWS_THROTTLED && aws_error_class(&e) <= AWS_CREDENTIALS);
}

static void check_elements(struct str xml, int depth)
{
    struct str rest = xml, name, inner;
    char text[64];

    while (aws_xml_next(&rest, &name, &inner) == 0) {
        FUZZ_CHECK(name.n > 0 && name.p > xml.p);
        FUZZ_CHECK(inner.p >= xml.p && inner.p + inner.n <= rest.p);
        FUZZ_CHECK(rest.p + rest.n == xml.p + xml.n);
        if (aws_xml_text(inner, text, sizeof text) == 0)
            FUZZ_CHECK(strlen(text) <= inner.n);
        if (depth < 4)
            check_elements(inner, depth + 1);
    }
    aws_xml_text_at(xml, "*/*/member", text, sizeof text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size}, type = {"", 0};

    str_next(&rest, '\n', &type);
    check_error(type, rest, 400 + (int)(size % 200));
    if (rest.n > 0)
        check_elements(rest, 0);
    return 0;
}
