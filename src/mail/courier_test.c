/* Events of the sandbox's simulator on their way to the webhook. */
#include "mail/courier.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "mail/webhook_signature.h"
#include "net/fixture.h"

#include <jansson.h>
#include <stdlib.h>

enum { CALLS_MAX = 16, PATIENCE_MS = 10 * CLOCK_SECOND };

static const char secret[] = "0123456789abcdef0123456789abcdef";

struct call {
    char path[100], type[100], signature[WEBHOOK_HEADER_MAX], body[8192];
};

/* A webhook that notes what comes; answers[i] is the status of call i, the last of all further. */
struct scene {
    struct peer peer;
    struct config_range loopback;
    struct mac_key key;
    struct courier *courier;
    char url[100];
    const char *answers[4];
    int n;
    struct call calls[CALLS_MAX];
};

static void note(const char *line, const char *name, char *out, size_t size)
{
    if (strncmp(line, name, strlen(name)) == 0)
        snprintf(out, size, "%.*s", (int)size - 1, line + strlen(name));
}

static void serve(struct peer_conn *c, void *context)
{
    struct scene *s = context;
    struct call *call = &s->calls[s->n % CALLS_MAX];
    char line[2000], length[20] = "0", answer[100];

    *call = (struct call){0};
    while (peer_read_line(c, line, sizeof line) && line[0]) {
        note(line, "POST ", call->path, sizeof call->path);
        note(line, "Content-Type: ", call->type, sizeof call->type);
        note(line, "X-Webhook-Signature: ", call->signature, sizeof call->signature);
        note(line, "Content-Length: ", length, sizeof length);
    }
    size_t n = strtoul(length, NULL, 10);
    if (n >= sizeof call->body || !peer_read(c, call->body, n))
        return;
    int i = s->n++;
    while (i > 0 && (i > 3 || !s->answers[i]))
        i--;
    snprintf(answer, sizeof answer, "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", s->answers[i]);
    peer_say(c, answer);
}

static void begin(struct scene *s, struct courier_options o)
{
    *s = (struct scene){.answers = {"202 Accepted"}};
    s->peer = (struct peer){.serve = serve, .context = s};
    peer_start(&s->peer);
    assert_int_equal(config_parse_range(STR("127.0.0.1"), &s->loopback), 0);
    assert_int_equal(mac_key_init(STR(secret), &s->key), 0);
    snprintf(s->url, sizeof s->url, "http://127.0.0.1:%d/hook", s->peer.port);
    o.url = o.url ? o.url : s->url;
    o.guard = (struct guard){.allowed = &s->loopback, .allowed_count = 1};
    o.key = s->key;
    if (courier_start(&o, &s->courier))
        fail_msg("%s", fault_message());
}

static void end(struct scene *s)
{
    courier_stop(s->courier, PATIENCE_MS);
    peer_stop(&s->peer);
}

static struct sandbox_message message(const char *to)
{
    return (struct sandbox_message){.id = uuid_new(),
                                    .at = clock_now(),
                                    .from = STR("a@x.test"),
                                    .to = str_of(to),
                                    .data = STR("Subject: Hi\r\n there\r\n\r\nx\r\n")};
}

static struct sandbox_message take(struct scene *s, const char *to)
{
    struct sandbox_message m = message(to);

    courier_take(s->courier, &m);
    return m;
}

/* Waits until so many events have been posted or dropped. */
static struct courier_stats await(struct scene *s, uint64_t n)
{
    int64_t until = clock_mono() + PATIENCE_MS;
    struct courier_stats stats;

    for (;;) {
        struct timespec t = {0, 1000000};
        courier_stats(s->courier, &stats);
        if (stats.posted + stats.dropped >= n)
            return stats;
        if (clock_mono() > until)
            fail_msg("%d of %d", (int)(stats.posted + stats.dropped), (int)n);
        nanosleep(&t, NULL);
    }
}

/* A call's body, after a look at how it came. */
static json_t *body_of(const struct scene *s, int i)
{
    const struct call *call = &s->calls[i];
    json_t *json = json_loads(call->body, JSON_REJECT_DUPLICATES, NULL);

    assert_string_equal(call->path, "/hook HTTP/1.1");
    assert_string_equal(call->type, "application/json");
    assert_int_equal(webhook_signature_verify(&s->key, 1, str_of(call->signature),
                                              str_of(call->body), clock_now()),
                     0);
    assert_non_null(json);
    return json;
}

static const char *text(const json_t *json, const char *object, const char *name)
{
    const json_t *at = object[0] ? json_object_get(json, object) : json;

    return json_string_value(json_object_get(at, name));
}

static void test_bounce(void **state)
{
    char id[UUID_TEXT_SIZE];
    struct scene s;

    begin(&s, (struct courier_options){0});
    struct sandbox_message m = take(&s, "bounce@simulator.amazonses.com\n");
    assert_int_equal(await(&s, 1).posted, 1);
    end(&s);
    json_t *json = body_of(&s, 0);
    uuid_format(&m.id, id);
    assert_string_equal(text(json, "", "notificationType"), "Bounce");
    assert_string_equal(text(json, "mail", "messageId"), id);
    assert_string_equal(text(json, "bounce", "bounceType"), "Permanent");
    assert_non_null(strstr(s.calls[0].body, "bounce@simulator.amazonses.com"));
    assert_non_null(strstr(s.calls[0].body, "\"Hi   there\""));
    json_decref(json);
}

/* Each recipient has its own fate, in its own order; who is none of the simulator's has none. */
static void test_recipients(void **state)
{
    static const char *const types[] = {"Delivery", "Complaint", "Delivery"};
    struct scene s;

    begin(&s, (struct courier_options){0});
    take(&s, "ada@example.com\ncomplaint+1@simulator.amazonses.com\nbounce@example.com\n"
             "Success@simulator.amazonses.com\nnobody@simulator.amazonses.com\n");
    assert_int_equal(await(&s, 3).posted, 3);
    end(&s);
    assert_int_equal(s.n, 3);
    for (int i = 0; i < 3; i++) {
        json_t *json = body_of(&s, i);
        assert_string_equal(text(json, "", "notificationType"), types[i]);
        json_decref(json);
    }
}

/* A webhook that cannot just now gets the same event again: the same bytes, signed anew. */
static void test_again(void **state)
{
    struct scene s;

    begin(&s, (struct courier_options){0});
    s.answers[0] = "503 Service Unavailable";
    s.answers[1] = "429 Too Many Requests";
    s.answers[2] = "202 Accepted";
    take(&s, "success@simulator.amazonses.com\n");
    struct courier_stats stats = await(&s, 1);
    end(&s);
    assert_int_equal(stats.posted, 1);
    assert_int_equal(stats.dropped, 0);
    assert_int_equal(s.n, 3);
    assert_string_equal(s.calls[1].body, s.calls[0].body);
    assert_string_equal(s.calls[2].body, s.calls[0].body);
    for (int i = 0; i < 3; i++)
        json_decref(body_of(&s, i));
}

/* What is refused is not tried again, and what would follow from it is not told. */
static void test_refused(void **state)
{
    static const char *const refusals[] = {"401 Unauthorized", "404 Not Found", "307 Elsewhere"};

    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct scene s;
        begin(&s, (struct courier_options){0});
        s.answers[0] = refusals[i];
        take(&s, "complaint@simulator.amazonses.com\n");
        struct courier_stats stats = await(&s, 2);
        end(&s);
        assert_int_equal(stats.dropped, 2);
        assert_int_equal(stats.posted, 0);
        assert_int_equal(s.n, 1);
    }
}

static void test_patience(void **state)
{
    char url[100];
    struct scene s;

    snprintf(url, sizeof url, "http://127.0.0.1:%d/hook", peer_dead_port());
    begin(&s, (struct courier_options){.url = url, .patience_ms = 300});
    take(&s, "bounce@simulator.amazonses.com\n");
    assert_int_equal(await(&s, 1).dropped, 1);
    end(&s);
    assert_int_equal(s.n, 0);
}

/* Only where it was told to, whatever the URL says. */
static void test_guard(void **state)
{
    struct scene s;

    begin(&s, (struct courier_options){.url = "http://127.0.0.2:9/hook", .patience_ms = 300});
    take(&s, "bounce@simulator.amazonses.com\n");
    assert_int_equal(await(&s, 1).dropped, 1);
    end(&s);
}

/* With nobody to post to, one is in work and so many wait; the others are dropped. */
static void test_full(void **state)
{
    char url[100];
    struct scene s;

    snprintf(url, sizeof url, "http://127.0.0.1:%d/hook", peer_dead_port());
    begin(&s, (struct courier_options){.url = url, .queue_max = 2});
    for (int i = 0; i < 5; i++)
        take(&s, "complaint@simulator.amazonses.com\n");
    struct courier_stats stats = await(&s, 4);
    assert_true(stats.dropped == 4 || stats.dropped == 6); /* the first may be in work already */
    assert_true(stats.waiting <= 2);
    end(&s);
}

/* At the end what waits is posted; without time for it, it is dropped. */
static void test_stop(void **state)
{
    struct scene s;

    begin(&s, (struct courier_options){0});
    for (int i = 0; i < 10; i++)
        take(&s, "success@simulator.amazonses.com\n");
    end(&s);
    assert_int_equal(s.n, 10);

    begin(&s, (struct courier_options){0});
    s.answers[0] = "503 Service Unavailable";
    for (int i = 0; i < 10; i++)
        take(&s, "success@simulator.amazonses.com\n");
    int64_t before = clock_mono();
    courier_stop(s.courier, 0);
    assert_true(clock_mono() - before < PATIENCE_MS);
    peer_stop(&s.peer);
    assert_true(s.n <= 2);
    courier_stop(NULL, 0);
    struct sandbox_message m = message("bounce@simulator.amazonses.com\nada@example.com\n");
    courier_take(NULL, &m);
}

/* Longer than what is kept, and what is no text: cut, and still posted as JSON. */
static void test_hostile(void **state)
{
    struct scene s;
    struct buf data = buf_init(100000), to = buf_init(1000);

    buf_printf(&data, "Subject: \xFF");
    for (int i = 0; i < 5000; i++)
        buf_add_str(&data, STR("\xC3\xA4"));
    buf_printf(&data, "\r\n\r\n");
    buf_printf(&to, "bounce+");
    for (int i = 0; i < 300; i++)
        buf_add_char(&to, 'x');
    buf_printf(&to, "@simulator.amazonses.com\n");
    begin(&s, (struct courier_options){0});
    struct sandbox_message m = message("success@simulator.amazonses.com\n");
    m.data = buf_str(&data);
    courier_take(s.courier, &m);
    m.to = buf_str(&to);
    courier_take(s.courier, &m);
    assert_int_equal(await(&s, 2).posted, 2);
    end(&s);
    json_decref(body_of(&s, 0));
    json_decref(body_of(&s, 1));
    buf_free(&data);
    buf_free(&to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounce),   cmocka_unit_test(test_recipients),
        cmocka_unit_test(test_again),    cmocka_unit_test(test_refused),
        cmocka_unit_test(test_patience), cmocka_unit_test(test_guard),
        cmocka_unit_test(test_full),     cmocka_unit_test(test_stop),
        cmocka_unit_test(test_hostile),
    };

    log_configure(LOG_ERROR, LOG_JSON);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
