/* What the outbox holds of a message, what opens it, and the copy that is made of it. */
#include "mail/outbox_content.h"

#include "mail/outbox_scene.h"

static const struct outbox_content content = {.purpose = UNSUBSCRIBE_PRODUCT,
                                              .automatic = true,
                                              .subject = STR_INIT("Subject"),
                                              .text = STR_INIT("text"),
                                              .html = STR_INIT("")};

static void test_opens(void **state)
{
    struct outbox_scene *s = *state;
    struct buf body _cleanup_buf_ = buf_init(OUTBOX_BODY_MAX);
    struct buf plain _cleanup_buf_ = buf_secret(OUTBOX_BODY_MAX);
    struct uuid id = uuid_new(), other = uuid_new();
    struct outbox_content got;

    assert_done(outbox_content_seal(&s->m->seal, &id, &content, &body));
    assert_done(outbox_content_open(&s->m->seal, &id, buf_str(&body), &plain, &got));
    assert_int_equal(got.purpose, UNSUBSCRIBE_PRODUCT);
    assert_true(got.automatic);
    assert_true(str_eq(got.subject, content.subject));
    assert_true(str_eq(got.text, content.text));
    assert_int_equal(got.html.n, 0);
    assert_int_equal(outbox_content_purpose(buf_str(&body)), UNSUBSCRIBE_PRODUCT);

    /* Another message's, changed anywhere, or cut anywhere. */
    assert_int_equal(outbox_content_open(&s->m->seal, &other, buf_str(&body), &plain, &got),
                     SEAL_REFUSED);
    for (size_t i = 0; i < body.n; i++) {
        body.p[i] ^= 1;
        assert_int_equal(outbox_content_open(&s->m->seal, &id, buf_str(&body), &plain, &got),
                         SEAL_REFUSED);
        body.p[i] ^= 1;
        assert_int_equal(
            outbox_content_open(&s->m->seal, &id, (struct str){body.p, i}, &plain, &got),
            SEAL_REFUSED);
    }
}

static void test_largest(void **state)
{
    struct outbox_scene *s = *state;
    struct buf body _cleanup_buf_ = buf_init(OUTBOX_BODY_MAX);
    struct buf plain _cleanup_buf_ = buf_secret(OUTBOX_BODY_MAX);
    struct outbox_content large = content, got;
    struct uuid id = uuid_new();
    char *text = malloc(MIME_BODY_MAX), subject[MIME_SUBJECT_MAX];

    assert_non_null(text);
    memset(text, 'x', MIME_BODY_MAX);
    memset(subject, 'x', sizeof subject);
    large.text = large.html = (struct str){text, MIME_BODY_MAX};
    large.subject = (struct str){subject, sizeof subject};
    assert_done(outbox_content_seal(&s->m->seal, &id, &large, &body));
    assert_done(outbox_content_open(&s->m->seal, &id, buf_str(&body), &plain, &got));
    assert_int_equal(got.html.n, MIME_BODY_MAX);
    free(text);
}

/* The copy as text; NUL-terminated. */
static const char *copy_of(struct outbox_scene *s, const struct outbox_content *c,
                           const struct uuid *log_id)
{
    struct buf mime _cleanup_buf_ = buf_init(MIME_MESSAGE_MAX);
    struct outbox_copy copy = {s->f->tenant, *log_id, STR("ann@x.org"), NOW, c};
    char id[OUTBOX_MESSAGE_ID_SIZE];
    struct mime_problem problem;

    assert_done(outbox_content_write(s->m, &copy, &mime, id, &problem));
    return arena_str(&s->f->a, buf_str(&mime)).p;
}

static void test_copies(void **state)
{
    struct outbox_scene *s = *state;
    struct outbox_content c = content;
    struct uuid log_id = uuid_at(NOW);
    const char *text;

    snprintf(s->m->public_url, sizeof s->m->public_url, "https://mail.example.com");
    text = copy_of(s, &c, &log_id);
    assert_string_equal(text, copy_of(s, &c, &log_id)); /* the same in every attempt */
    assert_non_null(strstr(text, "Message-ID: <018bcfe5-6800-7"));
    assert_non_null(strstr(text, "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"));
    assert_non_null(strstr(text, "List-Unsubscribe: <https://mail.example.com/v1/emails/"));
    assert_non_null(strstr(text, "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"));
    assert_non_null(strstr(text, "Auto-Submitted: "));
    /* A notice of safety can be ended where it is our own, not where it is a product's. */
    c.purpose = UNSUBSCRIBE_SECURITY;
    assert_non_null(strstr(copy_of(s, &c, &log_id), "List-Unsubscribe: "));
    c.automatic = false;
    assert_null(strstr(copy_of(s, &c, &log_id), "List-Unsubscribe"));
}

/* The link in a copy is good for its recipient, tenant and purpose. */
static void test_link(void **state)
{
    struct outbox_scene *s = *state;
    struct uuid log_id = uuid_at(NOW);
    const char *link = strstr(copy_of(s, &content, &log_id), "?token=");
    struct unsubscribe token;

    assert_non_null(link);
    struct str text = {link + 7, strcspn(link + 7, ">")};
    assert_done(unsubscribe_check(&s->m->unsubscribe, text, &token));
    assert_string_equal(token.address, "ann@x.org");
    assert_int_equal(token.purpose, UNSUBSCRIBE_PRODUCT);
    assert_true(uuid_eq(&token.tenant_id, &s->f->tenant));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_ON_SQLITE(test_opens, outbox_scene),
        FIXTURE_ON_SQLITE(test_largest, outbox_scene),
        FIXTURE_ON_SQLITE(test_copies, outbox_scene),
        FIXTURE_ON_SQLITE(test_link, outbox_scene),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
