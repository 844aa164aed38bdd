/* What the transport sandbox keeps, and what it calls it. */
#include "mail/sandbox.h"
#include "mail/transport.h"
#include "store/fixture.h"

static struct config config = {.email_transport = EMAIL_SANDBOX, .sandbox_keep = 2};

static const struct str recipients[] = {STR_INIT("b@y.test"), STR_INIT("c@y.test")};
static const struct transport_message message = {
    .from = STR_INIT("a@x.test"), .recipients = recipients, .n = 2, .mime = STR_INIT("\xFF\r\n")};

static struct transport *start(struct fixture *f)
{
    struct transport *t = NULL;

    f->s = fixture_node(f);
    config_publish(&config);
    assert_done(transport_sandbox_new(&config, f->s, &t));
    assert_string_equal(t->kind->name, "sandbox");
    return t;
}

static void note_id(void *context, const struct sandbox_message *m)
{
    uuid_format(&m->id, context);
}

static int list_job(struct store_txn *t, void *arg)
{
    static struct arena arena;

    arena_free(&arena);
    arena = arena_init(1 << 20);
    return sandbox_list(t, &arena, 0, 10, arg);
}

/* The id of its page and of its events is the provider's id in the log. */
static void test_kept(void **state)
{
    struct fixture *f = *state;
    struct transport *t = start(f);
    struct transport_fate fates[2];
    char id[TRANSPORT_ID_SIZE], told[UUID_TEXT_SIZE] = "", listed[UUID_TEXT_SIZE];
    struct sandbox_listener listener = {note_id, told};
    struct sandbox_page page;

    sandbox_listen(&listener);
    assert_done(t->kind->send(t, &message, id, fates));
    sandbox_listen(NULL);
    assert_string_equal(told, id);
    for (int i = 0; i < 2; i++)
        assert_int_equal(fates[i].result, TRANSPORT_ACCEPTED);
    assert_done(store_read(f->s, list_job, &page));
    assert_int_equal(page.n, 1);
    uuid_format(&page.items[0].id, listed);
    assert_string_equal(listed, id);
    assert_true(str_eq(page.items[0].from, STR("a@x.test")));
    assert_true(str_eq(page.items[0].to, STR("b@y.test\nc@y.test\n")));
    assert_true(str_eq(page.items[0].data, message.mime));
    for (int i = 0; i < 3; i++)
        assert_done(t->kind->send(t, &message, id, fates));
    assert_int_equal(fixture_number(f->s, "SELECT count(*) FROM sandbox_messages"), 2);
    transport_free(t);
}

/* What is not on disk was not taken. */
static void test_not_kept(void **state)
{
    struct fixture *f = *state;
    struct transport *t = start(f);
    struct transport_fate fates[2];
    char id[TRANSPORT_ID_SIZE] = "untouched", told[UUID_TEXT_SIZE] = "";
    struct sandbox_listener listener = {note_id, told};

    fixture_run(f->s, "DROP TABLE sandbox_messages", NO_PARAMS);
    sandbox_listen(&listener);
    assert_true(t->kind->send(t, &message, id, fates) < 0);
    sandbox_listen(NULL);
    assert_string_equal(id, "untouched");
    assert_string_equal(told, "");
    transport_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {FIXTURE_BOTH_EMPTY(test_kept),
                                       FIXTURE_BOTH_EMPTY(test_not_kept)};

    return FIXTURE_RUN(tests);
}
