#include "net/aws_error.h"

#include "crypto/wiped_json.h"
#include "net/aws_xml.h"

#include <jansson.h>
#include <stdio.h>

/*
 * One line alone: what follows the first of a refused signature repeats the request, with the
 * session token that it was signed with.
 */
void aws_error_text(struct str text, char ret[AWS_TEXT_SIZE])
{
    struct str line = {text.p, str_find(text, '\n')};
    size_t n = 0;

    if (!str_is_utf8(line))
        line = STR("(the text is not UTF-8)");
    line = str_cut(line, AWS_TEXT_SIZE - 1);
    for (size_t i = 0; i < line.n; i++)
        ret[n++] = (unsigned char)line.p[i] < ' ' || line.p[i] == 0x7F ? ' ' : line.p[i];
    ret[n] = '\0';
}

static bool is_code_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

/* From "com.amazonaws.ses#MessageRejected" or "MessageRejected:http://..." the name. */
static void keep_code(struct str text, char ret[AWS_CODE_SIZE])
{
    size_t hash = str_find(text, '#');

    if (hash < text.n)
        text = (struct str){text.p + hash + 1, text.n - hash - 1};
    text.n = str_find(text, ':');
    text = str_trim(text);
    if (text.n > strlen("Exception") && str_has_suffix(text, STR("Exception")))
        text.n -= strlen("Exception");
    ret[0] = '\0';
    if (text.n == 0 || text.n >= AWS_CODE_SIZE)
        return;
    for (size_t i = 0; i < text.n; i++)
        if (!is_code_char(text.p[i]))
            return;
    memcpy(ret, text.p, text.n);
    ret[text.n] = '\0';
}

static struct str member(const json_t *object, const char *const *names)
{
    for (; *names; names++) {
        const json_t *value = json_object_get(object, *names);
        if (json_is_string(value))
            return (struct str){json_string_value(value), json_string_length(value)};
    }
    return (struct str){"", 0};
}

static void read_json(struct str body, struct aws_error *ret)
{
    static const char *const codes[] = {"__type", "code", "Code", NULL};
    static const char *const texts[] = {"message", "Message", NULL};
    json_t *tree;

    wiped_json();
    tree = json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES, NULL);
    if (!ret->code[0])
        keep_code(member(tree, codes), ret->code);
    aws_error_text(member(tree, texts), ret->text);
    json_decref(tree);
}

static void read_xml(struct str body, struct aws_error *ret)
{
    static const char *const places[] = {"ErrorResponse/Error", "Response/Errors/Error", "Error"};
    char code[AWS_CODE_SIZE], text[4096];
    struct str error;

    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (aws_xml_find(body, places[i], &error))
            continue;
        if (!ret->code[0] && aws_xml_text_at(error, "Code", code, sizeof code))
            keep_code(str_of(code), ret->code);
        aws_xml_text_at(error, "Message", text, sizeof text);
        aws_error_text(str_of(text), ret->text);
        return;
    }
}

void aws_error_read(struct str type, struct str body, struct aws_error *ret)
{
    struct str start = body;

    while (start.n > 0 && (unsigned char)*start.p <= ' ')
        start = (struct str){start.p + 1, start.n - 1};
    ret->text[0] = '\0';
    keep_code(type, ret->code);
    if (start.n > 0 && *start.p == '{')
        read_json(start, ret);
    else if (start.n > 0 && *start.p == '<')
        read_xml(start, ret);
    if (!ret->code[0])
        snprintf(ret->code, sizeof ret->code, "HTTP %d", ret->status);
}

static bool is_one_of(const char *code, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(code, *names) == 0)
            return true;
    return false;
}

static const char *const expired[] = {"ExpiredToken", "RequestExpired", "TokenRefreshRequired",
                                      "InvalidToken", NULL};

enum aws_outcome aws_error_class(const struct aws_error *error)
{
    static const char *const throttled[] = {"BandwidthLimitExceeded",
                                            "LimitExceeded",
                                            "PriorRequestNotComplete",
                                            "RequestLimitExceeded",
                                            "RequestThrottled",
                                            "SlowDown",
                                            "Throttled",
                                            "Throttling",
                                            "TooManyRequests",
                                            NULL};
    static const char *const temporary[] = {"InternalError",       "InternalFailure",
                                            "InternalServerError", "RequestTimeout",
                                            "ServiceUnavailable",  NULL};
    static const char *const credentials[] = {"AccessDenied",         "AuthFailure",
                                              "AuthorizationError",   "IncompleteSignature",
                                              "InvalidAccessKeyId",   "InvalidClientTokenId",
                                              "InvalidIdentityToken", "InvalidSecurity",
                                              "InvalidSignature",     "MissingAuthenticationToken",
                                              "NotAuthorized",        "OptInRequired",
                                              "RequestTimeTooSkewed", "SignatureDoesNotMatch",
                                              "UnrecognizedClient",   NULL};

    if (error->status == 429 || error->status == 509 || is_one_of(error->code, throttled))
        return AWS_THROTTLED;
    if (is_one_of(error->code, credentials) || aws_error_is_expiry(error))
        return AWS_CREDENTIALS;
    if (error->status >= 500 || error->status == 408 || is_one_of(error->code, temporary))
        return AWS_TEMPORARY;
    /* 403 is what a limit on the number of topics is answered with too. */
    bool unnamed = str_has_prefix(str_of(error->code), STR("HTTP "));
    return unnamed && (error->status == 401 || error->status == 403) ? AWS_CREDENTIALS
                                                                     : AWS_PERMANENT;
}

bool aws_error_is_expiry(const struct aws_error *error)
{
    return is_one_of(error->code, expired);
}
