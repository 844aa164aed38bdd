#include "net/aws_error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct row {
    const char *type, *body;
    int status;
    const char *code, *text;
    enum aws_outcome outcome;
};

#define XML_ERROR(code, text)                                                                      \
    "<?xml version=\"1.0\"?>\n<ErrorResponse xmlns=\"http://ses.amazonaws.com/doc/2010-12-01/\">"  \
    "<Error><Type>Sender</Type><Code>" code "</Code><Message>" text "</Message></Error>"           \
    "<RequestId>42d59b56</RequestId></ErrorResponse>"

static const struct row rows[] = {
    {"MessageRejected:http://internal.amazon.com/coral/com.amazonaws.sesv2/",
     "{\"message\":\"Email address is not verified.\"}", 400, "MessageRejected",
     "Email address is not verified.", AWS_PERMANENT},
    {"",
     "{\"__type\":\"com.amazonaws.sesv2#MailFromDomainNotVerifiedException\",\"Message\":\"no\"}",
     400, "MailFromDomainNotVerified", "no", AWS_PERMANENT},
    {"TooManyRequestsException", "{\"message\":\"Maximum sending rate exceeded.\"}", 429,
     "TooManyRequests", "Maximum sending rate exceeded.", AWS_THROTTLED},
    {"LimitExceededException", "{}", 400, "LimitExceeded", "", AWS_THROTTLED},
    {"", XML_ERROR("Throttling", "Rate exceeded"), 400, "Throttling", "Rate exceeded",
     AWS_THROTTLED},
    {"", XML_ERROR("ThrottledException", "slow"), 400, "Throttled", "slow", AWS_THROTTLED},
    {"", XML_ERROR("NotFound", "Topic &lt;x&gt; does not exist"), 404, "NotFound",
     "Topic <x> does not exist", AWS_PERMANENT},
    {"", XML_ERROR("TopicLimitExceeded", ""), 403, "TopicLimitExceeded", "", AWS_PERMANENT},
    {"", XML_ERROR("InvalidClientTokenId", "The security token is invalid."), 403,
     "InvalidClientTokenId", "The security token is invalid.", AWS_CREDENTIALS},
    {"", XML_ERROR("AuthorizationError", "not authorized"), 403, "AuthorizationError",
     "not authorized", AWS_CREDENTIALS},
    {"", "{\"__type\":\"ExpiredTokenException\",\"message\":\"expired\"}", 403, "ExpiredToken",
     "expired", AWS_CREDENTIALS},
    {"", XML_ERROR("InternalFailure", ""), 500, "InternalFailure", "", AWS_TEMPORARY},
    {"", XML_ERROR("InternalError", ""), 400, "InternalError", "", AWS_TEMPORARY},
    {"", "<html><body>Bad gateway</body></html>", 502, "HTTP 502", "", AWS_TEMPORARY},
    {"", "", 408, "HTTP 408", "", AWS_TEMPORARY},
    {"", "", 503, "HTTP 503", "", AWS_TEMPORARY},
    {"", "", 429, "HTTP 429", "", AWS_THROTTLED},
    {"", "Forbidden", 403, "HTTP 403", "", AWS_CREDENTIALS},
    {"", "", 413, "HTTP 413", "", AWS_PERMANENT},
    {"", "", 302, "HTTP 302", "", AWS_PERMANENT},
    {"", "{\"message\":", 400, "HTTP 400", "", AWS_PERMANENT},
    {"", "{\"__type\":7,\"message\":[]}", 400, "HTTP 400", "", AWS_PERMANENT},
    {"bad code!", "{\"code\":\"Good\"}", 400, "Good", "", AWS_PERMANENT},
    {"Exception", "{}", 400, "Exception", "", AWS_PERMANENT},
    {"", "<Response><Errors><Error><Code>OldForm</Code></Error></Errors></Response>", 400,
     "OldForm", "", AWS_PERMANENT},
};

static void test_forms(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        struct aws_error e = {.status = row->status, .retry_after_ms = 7};
        memset(e.text, 'x', sizeof e.text);
        aws_error_read(str_of(row->type), str_of(row->body), &e);
        if (strcmp(e.code, row->code) != 0 || strcmp(e.text, row->text) != 0 ||
            aws_error_class(&e) != row->outcome || e.retry_after_ms != 7)
            fail_msg("row %zu: %s, \"%s\", %d", i, e.code, e.text, (int)aws_error_class(&e));
        assert_int_equal(aws_error_is_expiry(&e), strcmp(row->code, "ExpiredToken") == 0);
    }
}

/* The rest of such a text has the request in it, and that the token that it was signed with. */
static void test_refused_signature_does_not_repeat_the_request(void **state)
{
    struct aws_error e = {.status = 403};

    aws_error_read(
        STR(""),
        STR(XML_ERROR("SignatureDoesNotMatch", "It does not match.\n\nThe Canonical String was\n"
                                               "'POST\n/\n\nx-amz-security-token:SECRET'")),
        &e);
    assert_string_equal(e.text, "It does not match.");
    assert_int_equal(aws_error_class(&e), AWS_CREDENTIALS);
}

static void test_texts_are_printable_and_cut(void **state)
{
    char body[1024], text[AWS_TEXT_SIZE], code[AWS_CODE_SIZE + 1];
    struct aws_error e = {.status = 400};

    aws_error_text(STR("a\tb\x7F\r"), text);
    assert_string_equal(text, "a b  ");
    aws_error_text(STR("\xFF"), text);
    assert_string_equal(text, "(the text is not UTF-8)");
    for (size_t n = 0; n < 400; n += 2)
        memcpy(body + n, "\xC3\xA9", 2);
    aws_error_text((struct str){body, 400}, text);
    assert_int_equal(strlen(text), AWS_TEXT_SIZE - 2); /* no half of a character */
    for (size_t n = AWS_CODE_SIZE - 1; n <= AWS_CODE_SIZE; n++) {
        memset(code, 'c', n);
        code[n] = '\0';
        aws_error_read(str_of(code), STR("{}"), &e);
        assert_string_equal(e.code, n < AWS_CODE_SIZE ? code : "HTTP 400");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_refused_signature_does_not_repeat_the_request),
        cmocka_unit_test(test_texts_are_printable_and_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
