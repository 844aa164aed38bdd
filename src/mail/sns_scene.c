#include "mail/sns_scene.h"

#include "crypto/init.h"

#include <sched.h>
#include <stdarg.h>

#include <setjmp.h>

#include <cmocka.h>

struct sns_scene sns_scene = {.arena = {.cap = 4 * (size_t)SNS_ARENA_MAX}};

int sns_scene_fetch(void *context, const char *url, struct buf *ret_pem)
{
    assert_ptr_equal(context, &sns_scene);
    assert_true(sns_cert_url_valid(str_of(url), STR(SNS_FIXTURE_TOPIC)));
    atomic_fetch_add(&sns_scene.fetches, 1);
    snprintf(sns_scene.url, sizeof sns_scene.url, "%s", url);
    while (atomic_load(&sns_scene.arrived) < atomic_load(&sns_scene.awaited))
        sched_yield();
    return sns_scene.outcome ? sns_scene.outcome : buf_add_str(ret_pem, buf_str(&sns_scene.pem));
}

struct sns_fixture_leaf sns_scene_leaf(void)
{
    return (struct sns_fixture_leaf){.name = SNS_FIXTURE_HOST,
                                     .from_ms = SNS_SCENE_NOW - CLOCK_DAY,
                                     .until_ms = SNS_SCENE_NOW + 90 * (int64_t)CLOCK_DAY,
                                     .key = sns_scene.key};
}

void sns_scene_serve(const struct sns_fixture_ca *by, const struct sns_fixture_leaf *leaf)
{
    buf_reset(&sns_scene.pem);
    sns_fixture_issue(by, leaf, &sns_scene.pem);
}

int sns_scene_open(void **state)
{
    if (crypto_init())
        return 1;
    sns_fixture_ca_init(&sns_scene.ca, "Test Root", SNS_SCENE_NOW);
    sns_fixture_ca_init(&sns_scene.foreign, "Test Root", SNS_SCENE_NOW);
    sns_scene.trust = sns_fixture_trust(&sns_scene.ca);
    sns_scene.key = sns_fixture_key(2048);
    sns_scene.other_key = sns_fixture_key(2048);
    sns_scene.weak_key = sns_fixture_key(1024);
    sns_scene.pem = buf_init((size_t)CERTIFICATE_PEM_MAX * 2);
    return 0;
}

int sns_scene_close(void **state)
{
    certificate_trust_free(sns_scene.trust);
    sns_fixture_ca_release(&sns_scene.ca);
    sns_fixture_ca_release(&sns_scene.foreign);
    EVP_PKEY_free(sns_scene.key);
    EVP_PKEY_free(sns_scene.other_key);
    EVP_PKEY_free(sns_scene.weak_key);
    buf_free(&sns_scene.pem);
    return 0;
}

int sns_scene_set_up(void **state)
{
    static const struct str topics[] = {STR_INIT("arn:aws-cn:sns:cn-north-1:123456789012:other"),
                                        STR_INIT(SNS_FIXTURE_TOPIC)};
    const struct sns_settings settings = {topics, 2, sns_scene.trust, sns_scene_fetch, &sns_scene};
    struct sns_fixture_leaf leaf = sns_scene_leaf();

    sns_scene_serve(&sns_scene.ca, &leaf);
    sns_scene.outcome = 0;
    atomic_store(&sns_scene.fetches, 0);
    atomic_store(&sns_scene.awaited, 0);
    atomic_store(&sns_scene.arrived, 0);
    *sns_scene.url = 0;
    return sns_verifier_new(&settings, &sns_scene.verifier);
}

int sns_scene_tear_down(void **state)
{
    sns_verifier_free(sns_scene.verifier);
    arena_free(&sns_scene.arena);
    return 0;
}

void sns_scene_again(void)
{
    sns_scene_tear_down(NULL);
    assert_int_equal(sns_scene_set_up(NULL), 0);
}

struct sns_fixture_envelope sns_scene_notification(void)
{
    return (struct sns_fixture_envelope){.type = "Notification",
                                         .message = "{\"eventType\":\"Bounce\"}",
                                         .message_id = "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
                                         .timestamp = "2026-09-21T14:13:20.000Z",
                                         .topic_arn = SNS_FIXTURE_TOPIC,
                                         .version = "1",
                                         .url = SNS_FIXTURE_URL};
}

struct sns_fixture_envelope sns_scene_confirmation(const char *type)
{
    struct sns_fixture_envelope e = sns_scene_notification();

    e.type = type;
    e.message = "You have chosen to subscribe";
    e.token = "2336412f37fb687f5d51e6e2425c464de257ebd8&x=y";
    e.subscribe_url = "http://169.254.169.254/latest/meta-data/";
    return e;
}

/* Verifies the envelope with a signature that was made of another, at some time from now. */
int sns_scene_verify_with(const struct sns_fixture_envelope *sent,
                          const struct sns_fixture_envelope *signed_one, EVP_PKEY *by,
                          int64_t offset, struct sns_message *ret)
{
    _cleanup_buf_ struct buf signature = buf_init(4096), json = buf_init(SNS_BODY_MAX * 2);

    sns_fixture_sign(signed_one, by, 0, &signature);
    sns_fixture_json(sent, buf_str(&signature), &json);
    return sns_verify(sns_scene.verifier, buf_str(&json), SNS_SCENE_NOW + offset, &sns_scene.arena,
                      ret);
}

int sns_scene_verify(const struct sns_fixture_envelope *e, int64_t offset)
{
    struct sns_message m;

    return sns_scene_verify_with(e, e, sns_scene.key, offset, &m);
}
