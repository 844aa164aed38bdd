#include "net/aws_sources.h"

#include "base/clock.h"
#include "base/fault.h"
#include "crypto/init.h"
#include "crypto/wiped_json.h"
#include "net/aws_form.h"
#include "net/aws_place.h"
#include "net/aws_xml.h"
#include "net/http_client.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <unistd.h>

enum {
    ANSWER_MAX = 64 * 1024,
    FILE_MAX = 16 * 1024,
    URL_MAX = 2048,
    NEAR_CONNECT_MS = 1000, /* these hosts are one hop away */
    /* All that a fetch asks takes 6 s at most: the metadata three questions. */
    NEAR_TOTAL_MS = 2 * 1000,
    FAR_TOTAL_MS = 6 * 1000,
    /* Of credentials that do not say how long they are good for. */
    UNSAID_MS = 15 * CLOCK_MINUTE
};

struct fetching {
    const struct aws_options *options;
    struct aws_keys *keys;
    char *reason;
};

/* Keeps why there are none. */
static int none(const struct fetching *f, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int none(const struct fetching *f, const char *format, ...)
{
    char text[2 * AWS_TEXT_SIZE];
    va_list args;

    va_start(args, format);
    /* clang-tidy 14 does not see the va_start: NOLINTNEXTLINE(clang-analyzer-valist.*) */
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    aws_error_text(str_of(text), f->reason);
    return AWS_SOURCES_NONE;
}

/* Asks; any answer but 200 is none. what names the place for people. */
static int ask(const struct fetching *f, const char *what,
               const struct http_client_request *request, int64_t total_ms, struct buf *answer)
{
    struct http_client_options o = {.guard.any = true,
                                    .allow_http = true,
                                    .connect_timeout_ms =
                                        total_ms == FAR_TOTAL_MS ? 0 : NEAR_CONNECT_MS,
                                    .total_timeout_ms = total_ms};
    struct http_client_reply reply;
    struct http_client *client;
    int r = http_client_new(&o, &client);

    if (r)
        return r;
    r = http_client_call(client, request, answer, &reply);
    http_client_free(client);
    if (r < 0)
        return r;
    if (r)
        return none(f, "%s gives no credentials: %s", what, fault_message());
    if (reply.status == 200)
        return 0;
    struct aws_error error = {.status = reply.status};
    aws_error_read(STR(""), buf_str(answer), &error);
    return none(f, "%s gives no credentials: it answers %d (%s)", what, reply.status, error.code);
}

static bool keep(struct str value, char *ret, size_t size)
{
    if (value.n >= size || (value.n > 0 && memchr(value.p, '\0', value.n)))
        return false;
    if (value.n > 0)
        memcpy(ret, value.p, value.n);
    ret[value.n] = '\0';
    return true;
}

static int keep_keys(const struct fetching *f, const char *what, struct str id, struct str secret,
                     struct str token, struct str expires)
{
    struct aws_keys *k = f->keys;

    if (id.n == 0 || secret.n == 0)
        return none(f, "%s gives no credentials: its answer holds no key", what);
    if (!keep(id, k->key_id, sizeof k->key_id) || !keep(secret, k->secret, sizeof k->secret) ||
        !keep(token, k->token, sizeof k->token))
        return none(f, "%s gives no credentials: they are longer than is taken", what);
    k->expires = clock_now() + UNSAID_MS;
    if (expires.n > 0 && clock_parse(expires, &k->expires))
        return none(f, "%s gives no credentials: they expire at no time that can be read", what);
    return 0;
}

static struct str member(const json_t *tree, const char *name)
{
    const json_t *value = json_object_get(tree, name);

    return json_is_string(value) ? (struct str){json_string_value(value), json_string_length(value)}
                                 : STR("");
}

/* What the container's endpoint and the machine's metadata answer. */
static int read_document(const struct fetching *f, const char *what, struct str document)
{
    wiped_json();
    json_t *tree = json_loadb(document.p, document.n, JSON_REJECT_DUPLICATES, NULL);
    struct str code = member(tree, "Code");
    int r;

    if (!tree)
        r = none(f, "%s gives no credentials: its answer is not JSON", what);
    else if (code.n > 0 && !str_eq(code, STR("Success")))
        r = none(f, "%s gives no credentials: it says %.*s", what, STR_ARG(str_cut(code, 60)));
    else
        r = keep_keys(f, what, member(tree, "AccessKeyId"), member(tree, "SecretAccessKey"),
                      member(tree, "Token"), member(tree, "Expiration"));
    json_decref(tree);
    return r;
}

/* A token in a file, which is replaced there from time to time. */
static int read_token(const struct fetching *f, struct str path, struct buf *ret)
{
    struct buf name = buf_init(4096);
    ssize_t n = -1;
    int fd = -1;

    buf_add_str(&name, path);
    if (buf_cstr(&name))
        fd = open(name.p, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && buf_reserve(ret, FILE_MAX) == 0)
        n = read(fd, ret->p, FILE_MAX);
    int error = errno;
    if (fd >= 0)
        close(fd);
    buf_free(&name);
    if (n < 0)
        return none(f, "the token in %.*s cannot be read: %s", STR_ARG(str_cut(path, 100)),
                    strerrordesc_np(error));
    ret->n = (size_t)n;
    while (ret->n > 0 && (ret->p[ret->n - 1] == '\n' || ret->p[ret->n - 1] == '\r'))
        ret->n--;
    if (ret->n == 0 || n == FILE_MAX)
        return none(f, "the token in %.*s is empty or too long", STR_ARG(str_cut(path, 100)));
    return 0;
}

static int from_settings(const struct fetching *f)
{
    const struct aws_sources *s = &f->options->sources;
    int r = keep_keys(f, "AWS_ACCESS_KEY_ID", s->key_id, s->secret, s->session_token, STR(""));

    if (r == 0)
        f->keys->expires = 0;
    return r;
}

static const char container[] = "the container's endpoint";

static int ask_container(const struct fetching *f, struct str url, struct str token,
                         struct buf *answer)
{
    struct http_client_header header = {STR("Authorization"), token};
    struct http_client_request request = {
        .method = STR("GET"), .url = url, .headers = &header, .header_count = token.n > 0};

    if (!aws_container_url_is_near(url))
        return none(f, "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor of a host that "
                       "containers find credentials at");
    return ask(f, container, &request, NEAR_TOTAL_MS, answer);
}

static int from_container(const struct fetching *f)
{
    const struct aws_sources *s = &f->options->sources;
    _cleanup_buf_ struct buf url = buf_init(URL_MAX), token = buf_secret(FILE_MAX + 1),
                             answer = buf_secret(ANSWER_MAX);
    int r = 0;

    if (s->container_relative.n > 0)
        buf_add_str(&url, s->container_origin);
    buf_add_str(&url, s->container_relative.n > 0 ? s->container_relative : s->container_full);
    if (buf_fault(&url))
        return none(f, "the URL of %s is too long", container);
    if (s->container_token_file.n > 0)
        r = read_token(f, s->container_token_file, &token);
    else
        r = buf_add_str(&token, s->container_token);
    if (r == 0)
        r = ask_container(f, buf_str(&url), buf_str(&token), &answer);
    return r ? r : read_document(f, container, buf_str(&answer));
}

static const char metadata[] = "the machine's metadata";

/* One step with the metadata; path_end is appended to path. */
static int ask_metadata(const struct fetching *f, struct str method, const char *path,
                        struct str path_end, const struct http_client_header *header,
                        struct buf *answer)
{
    _cleanup_buf_ struct buf url = buf_init(URL_MAX);
    struct http_client_request request = {.method = method, .headers = header, .header_count = 1};

    buf_add_str(&url, f->options->sources.metadata);
    buf_add_str(&url, str_of(path));
    buf_add_str(&url, path_end);
    if (buf_fault(&url))
        return none(f, "the URL of %s is too long", metadata);
    request.url = buf_str(&url);
    return ask(f, metadata, &request, NEAR_TOTAL_MS, answer);
}

/* The name of the machine's role, which becomes a part of a path. */
static bool is_role(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= 'A' && s.p[i] <= 'Z') ||
              (s.p[i] >= '0' && s.p[i] <= '9') || memchr("+=,.@_-", s.p[i], 7)))
            return false;
    return s.n > 0 && s.n <= 64;
}

/* Version 2 of the service: with a token, that only this machine can get. */
static int from_metadata(const struct fetching *f)
{
    static const char roles[] = "/latest/meta-data/iam/security-credentials/";
    struct http_client_header life = {STR("X-aws-ec2-metadata-token-ttl-seconds"), STR("60")};
    struct http_client_header bearer = {.name = STR("X-aws-ec2-metadata-token")};
    _cleanup_buf_ struct buf token = buf_secret(FILE_MAX), role = buf_init(FILE_MAX),
                             answer = buf_secret(ANSWER_MAX);
    struct str rest, first = STR("");
    int r = ask_metadata(f, STR("PUT"), "/latest/api/token", STR(""), &life, &token);

    if (r)
        return r;
    bearer.value = buf_str(&token);
    if ((r = ask_metadata(f, STR("GET"), roles, STR(""), &bearer, &role)))
        return r;
    rest = buf_str(&role);
    str_next(&rest, '\n', &first);
    if (!is_role(first))
        return none(f, "%s gives no credentials: the machine has no role", metadata);
    if ((r = ask_metadata(f, STR("GET"), roles, first, &bearer, &answer)))
        return r;
    return read_document(f, metadata, buf_str(&answer));
}

static const char sts[] = "AWS STS";

static int read_assumed(const struct fetching *f, struct str xml)
{
    struct aws_keys *k = f->keys;
    char expires[64];
    struct str c;

    if (aws_xml_find(
            xml, "AssumeRoleWithWebIdentityResponse/AssumeRoleWithWebIdentityResult/Credentials",
            &c) ||
        !aws_xml_text_at(c, "AccessKeyId", k->key_id, sizeof k->key_id) ||
        !aws_xml_text_at(c, "SecretAccessKey", k->secret, sizeof k->secret) ||
        !aws_xml_text_at(c, "SessionToken", k->token, sizeof k->token) ||
        !aws_xml_text_at(c, "Expiration", expires, sizeof expires) ||
        clock_parse(str_of(expires), &k->expires))
        return none(f, "%s gives no credentials: its answer holds none", sts);
    return 0;
}

/* A role for who shows a token of the cluster's; the request needs no signature. */
static int from_identity(const struct fetching *f)
{
    const struct aws_sources *s = &f->options->sources;
    struct http_client_header type = {STR("Content-Type"),
                                      STR("application/x-www-form-urlencoded")};
    struct http_client_request request = {
        .method = STR("POST"), .headers = &type, .header_count = 1};
    _cleanup_buf_ struct buf token = buf_secret(FILE_MAX + 1), form = buf_secret(ANSWER_MAX),
                             answer = buf_secret(ANSWER_MAX);
    char url[AWS_ORIGIN_SIZE + 1];
    int r = aws_origin(f->options, AWS_STS, url);

    if (r || (r = read_token(f, s->identity_file, &token)))
        return r;
    snprintf(url + strlen(url), 2, "/");
    aws_form_begin(&form, "AssumeRoleWithWebIdentity", "2011-06-15");
    aws_form_add(&form, "RoleArn", s->role_arn);
    aws_form_add(&form, "RoleSessionName",
                 s->role_session.n > 0 ? s->role_session : STR("holdfast"));
    aws_form_add(&form, "WebIdentityToken", buf_str(&token));
    if (buf_fault(&form))
        return buf_fault(&form);
    request.url = str_of(url);
    request.body = buf_str(&form);
    r = ask(f, sts, &request, FAR_TOTAL_MS, &answer);
    return r ? r : read_assumed(f, buf_str(&answer));
}

static int fetch(const struct fetching *f)
{
    const struct aws_sources *s = &f->options->sources;

    if (s->key_id.n > 0)
        return from_settings(f);
    if (s->role_arn.n > 0 && s->identity_file.n > 0)
        return from_identity(f);
    if (s->container_relative.n > 0 || s->container_full.n > 0)
        return from_container(f);
    if (s->metadata.n > 0)
        return from_metadata(f);
    return none(f, "AWS_ACCESS_KEY_ID is not set, and nothing else gives credentials here");
}

int aws_sources_fetch(const struct aws_options *options, struct aws_keys *ret_keys,
                      char ret_reason[AWS_TEXT_SIZE])
{
    struct aws_keys keys = {0};
    struct fetching f = {options, &keys, ret_reason};
    int r = fetch(&f);

    if (r == 0)
        *ret_keys = keys;
    crypto_wipe(&keys, sizeof keys);
    return r;
}
