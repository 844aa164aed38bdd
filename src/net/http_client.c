#include "net/http_client.h"

#include "base/clock.h"
#include "base/fault.h"
#include "net/http_client_request.h"
#include "net/transfer.h"

struct http_client {
    struct transfer transfer;
    bool allow_http;
};

/* One call. */
struct call {
    struct buf *body;
    struct str keep;
    size_t before, head_bytes;
    bool too_large;
    struct http_client_reply reply;
};

int http_client_new(const struct http_client_options *options, struct http_client **ret)
{
    struct transfer_options o = {
        .guard = options->guard,
        .ca_file = options->ca_file,
        .protocols = options->allow_http ? "http,https" : "https",
        .connect_timeout_ms = options->connect_timeout_ms,
        .total_timeout_ms = options->total_timeout_ms,
    };
    struct http_client *c = calloc(1, sizeof *c);

    if (!c)
        return fault_set(FAULT_MEMORY, "no memory for an HTTP client");
    int r = transfer_init(&c->transfer, &o);
    if (r) {
        free(c);
        return r;
    }
    c->allow_http = options->allow_http;
    *ret = c;
    return 0;
}

void http_client_free(struct http_client *c)
{
    if (!c)
        return;
    transfer_release(&c->transfer);
    free(c);
}

static size_t take_body(char *p, size_t size, size_t count, void *context)
{
    struct call *call = context;
    size_t n = size * count;

    if (n > call->body->max - call->body->n) {
        call->too_large = true;
        return CURL_WRITEFUNC_ERROR;
    }
    return buf_add(call->body, p, n) ? CURL_WRITEFUNC_ERROR : n;
}

static bool header_value(struct str line, struct str name, struct str *ret_value)
{
    if (line.n <= name.n || line.p[name.n] != ':' || !str_has_prefix_ci(line, name))
        return false;
    *ret_value = str_trim((struct str){line.p + name.n + 1, line.n - name.n - 1});
    return true;
}

/* A date (RFC 9110, section 5.6.7) in ms since 1970; -1 where it is none. */
static int64_t read_date(struct str value)
{
    char text[64];

    if (value.n >= sizeof text || memchr(value.p, '\0', value.n))
        return -1;
    memcpy(text, value.p, value.n);
    text[value.n] = '\0';
    time_t at = curl_getdate(text, NULL);
    return at < 0 || at > INT64_MAX / CLOCK_SECOND ? -1 : (int64_t)at * CLOCK_SECOND;
}

/* Seconds or a date (RFC 9110, section 10.2.3); a date that has passed is now. */
static int64_t read_retry_after(struct str value)
{
    uint64_t seconds;

    if (str_to_u64(value, INT32_MAX, &seconds) == 0)
        return (int64_t)seconds * CLOCK_SECOND;
    int64_t at = read_date(value);
    if (at < 0)
        return -1;
    int64_t wait = at - clock_now();
    return wait < 0 ? 0 : wait;
}

/* The text, or "" where it is too long or holds a NUL. */
static void keep_text(struct str value, char *ret, size_t size)
{
    ret[0] = '\0';
    if (value.n >= size || memchr(value.p, '\0', value.n))
        return;
    memcpy(ret, value.p, value.n);
    ret[value.n] = '\0';
}

static void note_header(struct http_client_reply *reply, struct str line, struct str keep)
{
    struct str value;

    if (str_has_prefix(line, STR("HTTP/"))) {
        *reply = (struct http_client_reply){.retry_after_ms = -1}; /* a 1xx went before */
    } else if (header_value(line, STR("Retry-After"), &value)) {
        reply->retry_after_ms = read_retry_after(value);
    } else if (header_value(line, STR("Date"), &value)) {
        int64_t at = read_date(value);
        reply->date = at < 0 ? 0 : at;
    } else if (header_value(line, STR("Content-Type"), &value)) {
        keep_text(value, reply->content_type, sizeof reply->content_type);
    }
    if (keep.n > 0 && header_value(line, keep, &value))
        keep_text(value, reply->kept, sizeof reply->kept);
}

static size_t take_header(char *p, size_t size, size_t count, void *context)
{
    struct call *call = context;
    struct str line = {p, size * count};

    call->head_bytes += line.n;
    if (call->head_bytes > HTTP_CLIENT_HEAD_MAX) {
        call->too_large = true;
        return CURL_WRITEFUNC_ERROR;
    }
    while (line.n > 0 && (line.p[line.n - 1] == '\r' || line.p[line.n - 1] == '\n'))
        line.n--;
    note_header(&call->reply, line, call->keep);
    return size * count;
}

static int add_header(struct transfer *t, struct str name, struct str value)
{
    _cleanup_buf_ struct buf line = buf_secret(HTTP_CLIENT_HEADER_SIZE_MAX + 64);

    buf_add_str(&line, name);
    buf_add_str(&line, STR(": "));
    buf_add_str(&line, value);
    const char *text = buf_cstr(&line);
    return text ? transfer_list_add(t, text) : buf_fault(&line);
}

static bool has_header(const struct http_client_request *request, struct str name)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (str_eq_ci(request->headers[i].name, name))
            return true;
    return false;
}

static int set_headers(struct transfer *t, const struct http_client_request *request)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < request->header_count; i++)
        r = add_header(t, request->headers[i].name, request->headers[i].value);
    if (r == 0 && request->aws && request->aws->session_token.n > 0)
        r = add_header(t, STR("X-Amz-Security-Token"), request->aws->session_token);
    /* libcurl would state a form, and wait for a 100; its signature counts headers taken out so. */
    if (r == 0 && !request->aws && !has_header(request, STR("Content-Type")))
        r = transfer_list_add(t, "Content-Type:");
    if (r == 0 && !request->aws)
        r = transfer_list_add(t, "Expect:");
    if (r == 0)
        transfer_set_pointer(t, CURLOPT_HTTPHEADER, t->list);
    return r;
}

/* A method with which a body is meant, so that an empty one is stated. */
static bool means_body(struct str method)
{
    return str_eq(method, STR("POST")) || str_eq(method, STR("PUT")) ||
           str_eq(method, STR("PATCH"));
}

static int set_method(struct transfer *t, const struct http_client_request *request)
{
    struct buf method = buf_init(request->method.n);

    buf_add_str(&method, request->method);
    const char *text = buf_cstr(&method);
    if (!text)
        return buf_fault(&method);
    if (request->body.n > 0 || means_body(request->method)) {
        transfer_set(t, CURLOPT_POST, 1);
        transfer_set_size(t, CURLOPT_POSTFIELDSIZE_LARGE, request->body.n);
        transfer_set_text(t, CURLOPT_POSTFIELDS, request->body.n > 0 ? request->body.p : "");
    } else if (str_eq(request->method, STR("HEAD"))) {
        transfer_set(t, CURLOPT_NOBODY, 1);
    }
    transfer_set_text(t, CURLOPT_CUSTOMREQUEST, text);
    buf_free(&method);
    return 0;
}

static struct str url_part(CURLU *url, CURLUPart part, char **ret_owned)
{
    if (curl_url_get(url, part, ret_owned, 0) != CURLUE_OK)
        *ret_owned = NULL;
    return str_of(*ret_owned);
}

static int check_aws(struct transfer *t, const struct http_client_request *request)
{
    char *path, *query;
    struct str p = url_part(t->url, CURLUPART_PATH, &path);
    struct str q = url_part(t->url, CURLUPART_QUERY, &query);
    int r = http_client_check_aws(request->aws, p, q);

    curl_free(path);
    curl_free(query);
    if (r)
        return HTTP_CLIENT_INVALID;
    if (request->body.n > 0 && !has_header(request, STR("Content-Type"))) {
        fault_keep("a signed body needs a content type");
        return HTTP_CLIENT_INVALID;
    }
    return 0;
}

static int set_secret(struct transfer *t, CURLoption option, struct str value)
{
    _cleanup_buf_ struct buf text = buf_secret(value.n + 1);

    buf_add_str(&text, value);
    if (!buf_cstr(&text))
        return buf_fault(&text);
    transfer_set_text(t, option, text.p);
    return 0;
}

/* The signature first: without it the key would be sent as a password. */
static int set_aws(struct transfer *t, const struct http_client_aws *aws)
{
    char place[HTTP_CLIENT_PLACE_MAX * 2 + sizeof "aws:amz::"];
    int r;

    snprintf(place, sizeof place, "aws:amz:%.*s:%.*s", STR_ARG(aws->region), STR_ARG(aws->service));
    transfer_set_text(t, CURLOPT_AWS_SIGV4, place);
    if ((r = set_secret(t, CURLOPT_USERNAME, aws->key_id)))
        return r;
    return set_secret(t, CURLOPT_PASSWORD, aws->secret);
}

static int prepare(struct http_client *c, const struct http_client_request *request,
                   struct call *call)
{
    static const char *const https[] = {"https", NULL}, *const both[] = {"https", "http", NULL};
    struct transfer *t = &c->transfer;
    int r;

    if (http_client_check(request))
        return HTTP_CLIENT_INVALID;
    if ((r = transfer_url(t, request->url, c->allow_http ? both : https, false)))
        return r < 0 ? r : HTTP_CLIENT_INVALID;
    if (request->aws && (r = check_aws(t, request)))
        return r;
    transfer_begin(t);
    transfer_set(t, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    transfer_set_text(t, CURLOPT_USERAGENT, "holdfast");
    transfer_set_call(t, CURLOPT_WRITEFUNCTION, (void (*)(void))take_body);
    transfer_set_pointer(t, CURLOPT_WRITEDATA, call);
    transfer_set_call(t, CURLOPT_HEADERFUNCTION, (void (*)(void))take_header);
    transfer_set_pointer(t, CURLOPT_HEADERDATA, call);
    if ((r = set_headers(t, request)) || (r = set_method(t, request)))
        return r;
    return request->aws ? set_aws(t, request->aws) : 0;
}

/* What an unsuccessful code comes to. How much was sent tells whether it may have had an effect. */
static int outcome_of(const struct transfer *t, CURLcode code)
{
    long sent = 0;

    curl_easy_getinfo(t->easy, CURLINFO_REQUEST_SIZE, &sent);
    if (sent > 0)
        return transfer_timed_out(code) ? HTTP_CLIENT_TIMEOUT : HTTP_CLIENT_BROKEN;
    if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL)
        return HTTP_CLIENT_INVALID;
    if (t->refused && !t->permitted)
        return HTTP_CLIENT_REFUSED;
    return transfer_tls_failed(code) ? HTTP_CLIENT_TLS : HTTP_CLIENT_UNREACHABLE;
}

static int conclude(const struct transfer *t, CURLcode code, struct call *call)
{
    long status = 0;

    if (buf_fault(call->body))
        return buf_fault(call->body);
    if (call->too_large) {
        fault_keep("the answer is larger than is taken");
        return HTTP_CLIENT_TOO_LARGE;
    }
    if (code != CURLE_OK) {
        int outcome = outcome_of(t, code);
        if (outcome == HTTP_CLIENT_REFUSED)
            fault_keep("the host's address is not one that may be called");
        else
            fault_keep("%s", transfer_error(t, code));
        return outcome;
    }
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    call->reply.status = (int)status;
    return 0;
}

int http_client_call(struct http_client *c, const struct http_client_request *request,
                     struct buf *body, struct http_client_reply *ret)
{
    struct call call = {
        .body = body, .keep = request->keep, .before = body->n, .reply.retry_after_ms = -1};
    CURLcode code = CURLE_OK;

    if (buf_fault(body))
        return buf_fault(body);
    int r = prepare(c, request, &call);
    if (r == 0)
        r = transfer_run(&c->transfer, &code);
    if (r == 0)
        r = conclude(&c->transfer, code, &call);
    transfer_end(&c->transfer);
    if (r) {
        body->n = call.before;
        body->fault = 0;
        return r;
    }
    *ret = call.reply;
    return 0;
}

bool http_client_was_unsent(int outcome)
{
    return outcome == HTTP_CLIENT_INVALID || outcome == HTTP_CLIENT_REFUSED ||
           outcome == HTTP_CLIENT_UNREACHABLE || outcome == HTTP_CLIENT_TLS;
}
