#include "http/message.h"

#include "base/fault.h"

struct str http_header_find(const struct http_request *r, struct str name, size_t *ret_count)
{
    struct str value = {NULL, 0};
    size_t count = 0;

    for (size_t i = 0; i < r->header_count; i++) {
        if (!str_eq_ci(r->headers[i].name, name))
            continue;
        if (count++ == 0)
            value = r->headers[i].value;
        if (!ret_count)
            break;
    }
    if (ret_count)
        *ret_count = count;
    return value;
}

int http_reply_header(struct http_reply *reply, const char *name, struct str value)
{
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] == '\r' || value.p[i] == '\n' || value.p[i] == '\0')
            return fault_set(FAULT_INTERNAL, "a line break in the value of header %s", name);
    }
    struct buf *b = &reply->headers;
    struct str n = str_of(name);
    /* Reserved as a whole, so that a header is there completely or not at all. */
    int r = buf_reserve(b, n.n + value.n + 4);
    if (r)
        return r;
    buf_add_str(b, n);
    buf_add(b, ": ", 2);
    buf_add_str(b, value);
    return buf_add(b, "\r\n", 2);
}

const char *http_method_name(enum http_method method)
{
    static const char *const names[HTTP_METHODS] = {
        [HTTP_GET] = "GET",         [HTTP_HEAD] = "HEAD",   [HTTP_POST] = "POST",
        [HTTP_PUT] = "PUT",         [HTTP_PATCH] = "PATCH", [HTTP_DELETE] = "DELETE",
        [HTTP_OPTIONS] = "OPTIONS",
    };

    return method < HTTP_METHODS ? names[method] : "";
}

/* RFC 9110, section 15, and RFC 6585. */
static const struct {
    int status;
    const char *phrase;
} reasons[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

const char *http_reason(int status)
{
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        if (reasons[i].status == status)
            return reasons[i].phrase;
    }
    return "";
}
