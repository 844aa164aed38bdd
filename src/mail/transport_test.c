/* The ways by which a message leaves, and what they say became of it. */
#include "mail/transport.h"

#include "mail/outbox_scene.h"
#include "mail/sandbox.h"
#include "net/fixture.h"

static const struct str to[] = {STR_INIT("a@x.org"), STR_INIT("no@x.org")};

static struct transport_message message_to(size_t n)
{
    return (struct transport_message){.message_id = STR("id@here"),
                                      .from = STR("me@here.example"),
                                      .recipients = to,
                                      .n = n,
                                      .mime = STR("Subject: x\r\n\r\nHello.\r\n")};
}

struct told {
    int times;
    char id[UUID_TEXT_SIZE];
};

static void take(void *context, const struct sandbox_message *m)
{
    struct told *told = context;

    told->times++;
    uuid_format(&m->id, told->id);
}

static void test_sandbox(void **state)
{
    struct outbox_scene *s = *state;
    struct transport_message m = message_to(2);
    struct transport *t = NULL;
    struct told told = {0};
    struct sandbox_listener listener = {take, &told};
    struct transport_fate fates[2];
    char id[TRANSPORT_ID_SIZE];

    s->f->config->email_transport = EMAIL_SANDBOX;
    assert_done(transport_new(s->f->config, s->f->node.store, &t));
    assert_string_equal(t->kind->name, "sandbox");
    sandbox_listen(&listener);
    assert_done(t->kind->send(t, &m, id, fates));
    sandbox_listen(NULL);
    assert_int_equal(fates[1].result, TRANSPORT_ACCEPTED);
    /* The events that come back call it by the same name. */
    assert_int_equal(told.times, 1);
    assert_string_equal(told.id, id);
    assert_int_equal(mail_number_of(s->f,
                                    "SELECT count(*) FROM sandbox_messages WHERE recipients = $1"
                                    " AND mail_from = 'me@here.example' AND size = 22",
                                    "a@x.org\nno@x.org\n"),
                     1);
    transport_free(t);
}

static void test_none(void **state)
{
    struct outbox_scene *s = *state;
    struct transport *t = NULL;

    s->f->config->email_transport = EMAIL_NONE;
    assert_done(transport_new(s->f->config, s->f->node.store, &t));
    assert_null(t);
    transport_free(t);
}

/* A server that is told what to answer to a message. */
static void serve(struct peer_conn *c, void *context)
{
    char line[600];
    bool in_data = false;

    peer_say(c, "220 peer\r\n");
    while (peer_read_line(c, line, sizeof line)) {
        if (in_data && strcmp(line, ".") != 0)
            continue;
        if (in_data) {
            in_data = false;
            if (!*(const char *)context)
                return; /* silence */
            peer_say(c, context);
        } else if (strcmp(line, "DATA") == 0) {
            in_data = true;
            peer_say(c, "354 go on\r\n");
        } else if (strstr(line, "<no@")) {
            peer_say(c, "550 5.1.1 nobody\r\n");
        } else {
            peer_say(c, "250 fine\r\n");
        }
    }
}

/* Sends by a server with this answer. */
static void send_to(struct outbox_scene *s, const char *answer, size_t n,
                    char ret_id[TRANSPORT_ID_SIZE], struct transport_fate *ret_fates)
{
    struct peer p = {.serve = serve, .context = (void *)(uintptr_t)answer};
    struct transport_message m = message_to(n);
    struct transport *t = NULL;
    char url[60];

    peer_start(&p);
    snprintf(url, sizeof url, "smtp://127.0.0.1:%d", p.port);
    free(s->f->config->smtp_url);
    s->f->config->smtp_url = strdup(url);
    assert_done(transport_new(s->f->config, s->f->node.store, &t));
    assert_string_equal(t->kind->name, "smtp");
    assert_done(t->kind->send(t, &m, ret_id, ret_fates));
    transport_free(t);
    peer_stop(&p);
}

static void test_smtp(void **state)
{
    static const char *const ses = "0102018f3a5b7c9d-1f6e0a52-9c1b-4f5e-8a77-3d2b1c0e9f86-000000";
    static const char *const not_ses[] = {
        "250 Ok 0102018f3a5b7c9d-1f6e0a52-9c1b-4f5e-8a77-3d2b1c0e9f86-00000\r\n",
        "250 Ok 0102018f3a5b7c9d-1f6e0a52-9c1b-4f5e-8a77-3d2b1c0e9f86-0000000\r\n",
        "250 Ok 0102018F3a5b7c9d-1f6e0a52-9c1b-4f5e-8a77-3d2b1c0e9f86-000000\r\n",
        "250 Ok\r\n",
        "250 queued as 12345\r\n",
    };
    struct outbox_scene *s = *state;
    struct transport_fate fates[2];
    char id[TRANSPORT_ID_SIZE], answer[120];

    snprintf(answer, sizeof answer, "250 Ok %s\r\n", ses);
    send_to(s, answer, 2, id, fates);
    assert_string_equal(id, ses);
    assert_int_equal(fates[0].result, TRANSPORT_ACCEPTED);
    assert_int_equal(fates[1].result, TRANSPORT_PERMANENT);
    assert_string_equal(fates[1].code, "550");
    assert_string_equal(fates[1].text, "5.1.1 nobody");
    for (size_t i = 0; i < sizeof not_ses / sizeof *not_ses; i++) {
        send_to(s, not_ses[i], 1, id, fates);
        assert_string_equal(id, "id@here");
    }
    send_to(s, "451 4.3.0 later\r\n", 1, id, fates);
    assert_int_equal(fates[0].result, TRANSPORT_TEMPORARY);
    assert_false(fates[0].general);
    send_to(s, "", 1, id, fates);
    assert_int_equal(fates[0].result, TRANSPORT_UNCERTAIN);
    assert_string_equal(fates[0].code, "smtp_data");
}

/* What is not the message's fault is told apart. */
static void test_smtp_unreachable(void **state)
{
    struct outbox_scene *s = *state;
    struct transport_message m = message_to(1);
    struct transport_fate fate;
    struct transport *t = NULL;
    char id[TRANSPORT_ID_SIZE], url[60];

    for (int i = 0; i < 2; i++) {
        snprintf(url, sizeof url, "smtp://127.0.0.1:%d%s", peer_dead_port(), i ? "/path" : "");
        free(s->f->config->smtp_url);
        s->f->config->smtp_url = strdup(url);
        assert_done(transport_new(s->f->config, s->f->node.store, &t));
        assert_done(t->kind->send(t, &m, id, &fate));
        assert_int_equal(fate.result, TRANSPORT_TEMPORARY);
        assert_true(fate.general);
        assert_string_equal(fate.code, i ? "smtp_setting" : "smtp_connect");
        transport_free(t);
    }
}

/* In production nothing goes out in the clear. */
static void test_smtp_production(void **state)
{
    struct outbox_scene *s = *state;
    struct transport_fate fate;
    char id[TRANSPORT_ID_SIZE];

    s->f->config->env = ENV_PRODUCTION;
    send_to(s, "250 fine\r\n", 1, id, &fate);
    assert_int_equal(fate.result, TRANSPORT_TEMPORARY);
    assert_true(fate.general);
}

static void test_fates(void **state)
{
    struct transport_fate fates[2];
    char text[300];

    memset(text, 'x', sizeof text);
    text[5] = '\n';
    transport_fates_set(fates, 2, TRANSPORT_PERMANENT, STR("1\xC3\xA4"),
                        (struct str){text, sizeof text});
    assert_string_equal(fates[1].code, "1??");
    assert_int_equal(strlen(fates[1].text), TRANSPORT_TEXT_SIZE - 1);
    assert_int_equal(fates[1].text[5], '?');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OUTBOX_SCENE_BOTH(test_sandbox),
        FIXTURE_ON_SQLITE(test_none, outbox_scene),
        FIXTURE_ON_SQLITE(test_smtp, outbox_scene),
        FIXTURE_ON_SQLITE(test_smtp_unreachable, outbox_scene),
        FIXTURE_ON_SQLITE(test_smtp_production, outbox_scene),
        FIXTURE_ON_SQLITE(test_fates, outbox_scene),
    };

    return FIXTURE_RUN(tests);
}
