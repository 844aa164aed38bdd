#include "net/http_client_request.h"

#include "base/fault.h"

static bool is_alphanumeric(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool consists_of(struct str s, const char *others)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_alphanumeric(s.p[i]) && (s.p[i] == '\0' || !strchr(others, s.p[i])))
            return false;
    return true;
}

bool http_client_is_token(struct str s)
{
    return s.n > 0 && consists_of(s, "!#$%&'*+-.^_`|~");
}

/* RFC 9110, section 5.5, without the space around it that a reader would take off. */
static bool is_value(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (((unsigned char)s.p[i] < ' ' && s.p[i] != '\t') || s.p[i] == 0x7F)
            return false;
    return s.n > 0 && str_trim(s).n == s.n;
}

/* libcurl writes these, or they would change where the request ends or goes. */
static bool is_ours(struct str name)
{
    static const struct str names[] = {
        STR_INIT("Host"),    STR_INIT("Content-Length"), STR_INIT("Transfer-Encoding"),
        STR_INIT("TE"),      STR_INIT("Trailer"),        STR_INIT("Connection"),
        STR_INIT("Upgrade"), STR_INIT("Keep-Alive"),     STR_INIT("Expect"),
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_eq_ci(name, names[i]))
            return true;
    return str_has_prefix_ci(name, STR("Proxy-"));
}

/* X-Amz-Target names an operation, and is signed as any other header is. */
static bool is_of_signature(struct str name)
{
    return str_eq_ci(name, STR("Authorization")) ||
           (str_has_prefix_ci(name, STR("X-Amz-")) && !str_eq_ci(name, STR("X-Amz-Target")));
}

static int check_header(const struct http_client_header *h, bool sign)
{
    if (!http_client_is_token(h->name))
        fault_keep("a header's name is not one");
    else if (h->name.n + h->value.n > HTTP_CLIENT_HEADER_SIZE_MAX)
        fault_keep("the header %.*s is too long", STR_ARG(h->name));
    else if (!is_value(h->value))
        fault_keep("the header %.*s is empty or not one line of text", STR_ARG(h->name));
    else if (is_ours(h->name))
        fault_keep("the header %.*s is not the caller's to set", STR_ARG(h->name));
    else if (sign && is_of_signature(h->name))
        fault_keep("the header %.*s is the signature's", STR_ARG(h->name));
    else
        return 0;
    return 1;
}

int http_client_check(const struct http_client_request *request)
{
    enum { METHOD_MAX = 32 };

    if (!http_client_is_token(request->method) || request->method.n > METHOD_MAX) {
        fault_keep("the method is not one");
        return 1;
    }
    /* Their answers are no answers to a request: a tunnel, and the request itself. */
    if (str_eq_ci(request->method, STR("CONNECT")) || str_eq_ci(request->method, STR("TRACE"))) {
        fault_keep("the method %.*s is not used", STR_ARG(request->method));
        return 1;
    }
    if (request->header_count > HTTP_CLIENT_HEADERS_MAX) {
        fault_keep("more than %d headers", HTTP_CLIENT_HEADERS_MAX);
        return 1;
    }
    for (size_t i = 0; i < request->header_count; i++)
        if (check_header(&request->headers[i], request->aws != NULL))
            return 1;
    return 0;
}

static int compare(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;

    return order ? order : (a.n > b.n) - (a.n < b.n);
}

/* As AWS would put the query before it signs: encoded, each part with "=", by name then value. */
static bool is_canonical(struct str query)
{
    struct str rest = query, part, last_name = {0}, last_value = {0};

    if (query.n > 0 && query.p[query.n - 1] == '&')
        return false;
    while (str_next(&rest, '&', &part)) {
        size_t equals = str_find(part, '=');
        struct str name = {part.p, equals}, value = {part.p + equals + 1, part.n - equals - 1};
        if (equals == 0 || equals == part.n || !consists_of(name, "-._~%") ||
            !consists_of(value, "-._~%"))
            return false;
        int order = compare(last_name, name);
        if (order > 0 || (order == 0 && compare(last_value, value) > 0))
            return false;
        last_name = name;
        last_value = value;
    }
    return true;
}

int http_client_check_aws(const struct http_client_aws *aws, struct str path, struct str query)
{
    enum { KEY_MAX = 256, TOKEN_MAX = 8192 };

    if (aws->region.n == 0 || aws->region.n > HTTP_CLIENT_PLACE_MAX ||
        !consists_of(aws->region, "-") || aws->service.n == 0 ||
        aws->service.n > HTTP_CLIENT_PLACE_MAX || !consists_of(aws->service, "-"))
        fault_keep("the region or the service of a signature is not one");
    else if (aws->key_id.n == 0 || aws->key_id.n > KEY_MAX || !consists_of(aws->key_id, "-_") ||
             aws->secret.n == 0 || aws->secret.n > KEY_MAX || !consists_of(aws->secret, "+/=-_"))
        fault_keep("the access key of a signature is not one");
    else if (aws->session_token.n > TOKEN_MAX || !consists_of(aws->session_token, "+/=-_."))
        fault_keep("the session token of a signature is not one");
    else if (!consists_of(path, "-._~/"))
        fault_keep("the path has characters that cannot be signed");
    else if (!is_canonical(query))
        fault_keep("the query is not in the form in which it is signed");
    else
        return 0;
    return 1;
}
