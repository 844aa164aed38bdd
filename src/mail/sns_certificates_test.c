#include "mail/sns_certificates.h"

#include "base/fault.h"
#include "mail/sns_scene.h"

#include <pthread.h>
#include <stdarg.h>

#include <setjmp.h>

#include <cmocka.h>

/* The names of real certificates are accepted, and no others. */
static void test_names(void **state)
{
    static const struct {
        const char *name;
        int outcome;
    } cases[] = {
        {"sns.us-east-1.amazonaws.com", 0},
        {"sns.amazonaws.com", 0},
        {"sns-signing.us-east-1.amazonaws.com", 0},
        {"SNS.amazonaws.com", 0},
        {"sns.eu-west-1.amazonaws.com", SNS_CERTIFICATE_REFUSED},
        {"sns.amazonaws.com.evil.example", SNS_CERTIFICATE_REFUSED},
        {"amazonaws.com", SNS_CERTIFICATE_REFUSED},
        {"sqs.us-east-1.amazonaws.com", SNS_CERTIFICATE_REFUSED},
        {"*.us-east-1.amazonaws.com", SNS_CERTIFICATE_REFUSED},
        {"*.amazonaws.com", SNS_CERTIFICATE_REFUSED},
        {"evil.example", SNS_CERTIFICATE_REFUSED},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sns_fixture_leaf leaf = sns_scene_leaf();
        struct sns_fixture_envelope e = sns_scene_notification();
        sns_scene_again();
        leaf.name = cases[i].name;
        sns_scene_serve(&sns_scene.ca, &leaf);
        assert_int_equal(sns_scene_verify(&e, 0), cases[i].outcome);
        assert_int_equal(sns_scene.fetches, 1);
    }
}

/* Serves one that is refused; the refusal is kept for a minute, and no longer. */
static void expect_refusal(const struct sns_fixture_ca *by, const struct sns_fixture_leaf *leaf,
                           EVP_PKEY *signer)
{
    struct sns_fixture_envelope e = sns_scene_notification();
    struct sns_fixture_leaf good = sns_scene_leaf();
    struct sns_message m;

    sns_scene_again();
    if (leaf)
        sns_scene_serve(by, leaf);
    assert_int_equal(sns_scene_verify_with(&e, &e, signer, 0, &m), SNS_CERTIFICATE_REFUSED);
    sns_scene_serve(&sns_scene.ca, &good);
    assert_int_equal(sns_scene_verify(&e, SNS_REFUSED_AGE_MS - 1), SNS_CERTIFICATE_REFUSED);
    assert_int_equal(sns_scene.fetches, 1);
    assert_int_equal(sns_scene_verify(&e, SNS_REFUSED_AGE_MS), 0);
    assert_int_equal(sns_scene.fetches, 2);
}

static void test_refused_certificates(void **state)
{
    struct sns_fixture_leaf leaf = sns_scene_leaf();

    leaf.until_ms = SNS_SCENE_NOW - CLOCK_SECOND;
    expect_refusal(&sns_scene.ca, &leaf, sns_scene.key);
    leaf = sns_scene_leaf();
    leaf.from_ms = SNS_SCENE_NOW + CLOCK_SECOND;
    expect_refusal(&sns_scene.ca, &leaf, sns_scene.key);
    leaf = sns_scene_leaf();
    expect_refusal(&sns_scene.foreign, &leaf, sns_scene.key);
    expect_refusal(NULL, &leaf, sns_scene.key);
    leaf.authority = true;
    expect_refusal(&sns_scene.ca, &leaf, sns_scene.key);
    leaf = sns_scene_leaf();
    leaf.key = sns_scene.weak_key;
    expect_refusal(&sns_scene.ca, &leaf, sns_scene.weak_key);
}

static void test_what_is_no_certificate(void **state)
{
    struct sns_fixture_envelope e = sns_scene_notification();
    char texts[][64] = {"", "<html>404</html>", "-----BEGIN CERTIFICATE-----\nAAAA\n",
                        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        sns_scene_again();
        buf_reset(&sns_scene.pem);
        buf_add_str(&sns_scene.pem, str_of(texts[i]));
        assert_int_equal(sns_scene_verify(&e, 0), SNS_CERTIFICATE_REFUSED);
    }
}

/* More certificates than a chain has; and one behind an intermediate of its own. */
static void test_chains(void **state)
{
    struct sns_fixture_envelope e = sns_scene_notification();
    struct sns_fixture_leaf leaf = sns_scene_leaf();

    for (int i = 1; i < CERTIFICATE_CHAIN_MAX; i++)
        sns_fixture_issue(&sns_scene.ca, &leaf, &sns_scene.pem);
    assert_int_equal(sns_scene_verify(&e, 0), 0);
    sns_scene_again();
    for (int i = 0; i < CERTIFICATE_CHAIN_MAX; i++)
        sns_fixture_issue(&sns_scene.ca, &leaf, &sns_scene.pem);
    assert_int_equal(sns_scene_verify(&e, 0), SNS_CERTIFICATE_REFUSED);
    /* A root that the certificate brings along is not one of ours. */
    sns_scene_again();
    sns_scene_serve(&sns_scene.foreign, &leaf);
    buf_add_str(&sns_scene.pem, buf_str(&sns_scene.foreign.pem));
    assert_int_equal(sns_scene_verify(&e, 0), SNS_CERTIFICATE_REFUSED);
}

static void test_unreachable(void **state)
{
    struct sns_fixture_envelope e = sns_scene_notification();

    sns_scene.outcome = SNS_FETCH_UNREACHABLE;
    assert_int_equal(sns_scene_verify(&e, 0), SNS_CERTIFICATE_UNREACHABLE);
    sns_scene.outcome = 0;
    assert_int_equal(sns_scene_verify(&e, SNS_UNREACHABLE_AGE_MS - 1), SNS_CERTIFICATE_UNREACHABLE);
    assert_int_equal(sns_scene.fetches, 1);
    assert_int_equal(sns_scene_verify(&e, SNS_UNREACHABLE_AGE_MS), 0);
    assert_int_equal(sns_scene.fetches, 2);
}

static void test_not_found(void **state)
{
    struct sns_fixture_envelope e = sns_scene_notification();

    sns_scene.outcome = SNS_FETCH_REFUSED;
    assert_int_equal(sns_scene_verify(&e, 0), SNS_CERTIFICATE_REFUSED);
    assert_int_equal(sns_scene_verify(&e, 1), SNS_CERTIFICATE_REFUSED);
    assert_int_equal(sns_scene.fetches, 1);
}

/* A fault is forwarded, and not kept. */
static void test_fault(void **state)
{
    struct sns_fixture_envelope e = sns_scene_notification();

    sns_scene.outcome = FAULT_IO;
    assert_int_equal(sns_scene_verify(&e, 0), FAULT_IO);
    sns_scene.outcome = 0;
    assert_int_equal(sns_scene_verify(&e, 0), 0);
}

/* As verify, with a message of that time. */
static int verify_then(int64_t offset)
{
    struct sns_fixture_envelope e = sns_scene_notification();
    char time[CLOCK_TEXT_SIZE];

    clock_format(SNS_SCENE_NOW + offset, time);
    e.timestamp = time;
    return sns_scene_verify(&e, offset);
}

static void test_age(void **state)
{
    const int64_t age = SNS_CERTIFICATE_AGE_MS;

    assert_int_equal(verify_then(0), 0);
    assert_int_equal(verify_then(age - 1), 0);
    assert_int_equal(sns_scene.fetches, 1);
    assert_int_equal(verify_then(age), 0);
    assert_int_equal(sns_scene.fetches, 2);
    /* Out of reach: the one that is known serves on, and it is tried again soon. */
    sns_scene.outcome = SNS_FETCH_UNREACHABLE;
    assert_int_equal(verify_then(2 * age), 0);
    assert_int_equal(sns_scene.fetches, 3);
    assert_int_equal(verify_then(2 * age + SNS_UNREACHABLE_AGE_MS - 1), 0);
    assert_int_equal(sns_scene.fetches, 3);
    /* Gone: forgotten. */
    sns_scene.outcome = SNS_FETCH_REFUSED;
    assert_int_equal(verify_then(2 * age + SNS_UNREACHABLE_AGE_MS), SNS_CERTIFICATE_REFUSED);
    assert_int_equal(sns_scene.fetches, 4);
    assert_int_equal(verify_then(2 * age + SNS_UNREACHABLE_AGE_MS + 1), SNS_CERTIFICATE_REFUSED);
    assert_int_equal(sns_scene.fetches, 4);
}

static void test_expires_while_kept(void **state)
{
    struct sns_fixture_leaf leaf = sns_scene_leaf();

    leaf.until_ms = SNS_SCENE_NOW + CLOCK_HOUR;
    sns_scene_serve(&sns_scene.ca, &leaf);
    assert_int_equal(verify_then(0), 0);
    assert_int_equal(verify_then(CLOCK_HOUR), 0);
    assert_int_equal(verify_then(CLOCK_HOUR + CLOCK_SECOND), SNS_CERTIFICATE_REFUSED);
    assert_int_equal(sns_scene.fetches, 1);
}

static int verify_url(int number, int64_t offset)
{
    struct sns_fixture_envelope e = sns_scene_notification();
    char url[256];

    snprintf(url, sizeof url, "https://" SNS_FIXTURE_HOST "/SimpleNotificationService-%032x.pem",
             (unsigned)number);
    e.url = url;
    return sns_scene_verify(&e, offset);
}

/* Whoever invents URLs neither makes us fetch at will nor displaces what is known. */
static void test_invented_urls(void **state)
{
    const int64_t start =
        CLOCK_MINUTE - SNS_SCENE_NOW % CLOCK_MINUTE; /* the beginning of a minute */

    assert_int_equal(verify_url(0, start), 0);
    sns_scene.outcome = SNS_FETCH_REFUSED;
    for (int i = 1; i < SNS_FETCHES_PER_MINUTE; i++)
        assert_int_equal(verify_url(i, start), SNS_CERTIFICATE_REFUSED);
    for (int i = 0; i < 300; i++)
        assert_int_equal(verify_url(100 + i, start + i), SNS_CERTIFICATE_UNREACHABLE);
    assert_int_equal(sns_scene.fetches, SNS_FETCHES_PER_MINUTE);
    assert_int_equal(verify_url(0, start), 0);
    /* The next minutes give as many again, until far more were refused than are kept. */
    for (int minute = 1; minute <= 20; minute++)
        for (int i = 0; i < 20; i++)
            verify_url(1000 * minute + i, start + minute * CLOCK_MINUTE);
    assert_int_equal(sns_scene.fetches, 21 * SNS_FETCHES_PER_MINUTE);
    assert_int_equal(verify_url(0, start + 20 * CLOCK_MINUTE), 0);
    assert_int_equal(sns_scene.fetches, 21 * SNS_FETCHES_PER_MINUTE);
}

static void test_least_used_goes(void **state)
{
    const int64_t minute = CLOCK_MINUTE;
    int n = SNS_CERTIFICATES_MAX;

    for (int i = 0; i <= n; i++) {
        assert_int_equal(verify_url(i, i * minute), 0);
        assert_int_equal(verify_url(0, i * minute), 0);
    }
    assert_int_equal(sns_scene.fetches, n + 1);
    assert_int_equal(verify_url(0, n * minute), 0);
    assert_int_equal(verify_url(2, n * minute), 0);
    assert_int_equal(sns_scene.fetches, n + 1);
    assert_int_equal(verify_url(1, n * minute), 0);
    assert_int_equal(sns_scene.fetches, n + 2);
}

enum { THREADS = 6 };

static struct buf shared_json;

static void *verify_in_thread(void *argument)
{
    _cleanup_arena_ struct arena own = arena_init(SNS_ARENA_MAX);
    int *outcome = argument;
    struct sns_message m;

    atomic_fetch_add(&sns_scene.arrived, 1);
    *outcome = sns_verify(sns_scene.verifier, buf_str(&shared_json), SNS_SCENE_NOW, &own, &m);
    return NULL;
}

static void test_one_fetch_for_all(void **state)
{
    struct sns_fixture_envelope e = sns_scene_notification();
    _cleanup_buf_ struct buf signature = buf_init(4096);
    pthread_t threads[THREADS];
    int outcomes[THREADS];

    shared_json = buf_init(8192);
    sns_fixture_sign(&e, sns_scene.key, 0, &signature);
    sns_fixture_json(&e, buf_str(&signature), &shared_json);
    sns_scene.awaited = THREADS;
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, verify_in_thread, &outcomes[i]), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(outcomes[i], 0);
    assert_int_equal(sns_scene.fetches, 1);
    buf_free(&shared_json);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sns_scene_set_up, sns_scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_names),
        TEST(test_refused_certificates),
        TEST(test_what_is_no_certificate),
        TEST(test_chains),
        TEST(test_unreachable),
        TEST(test_not_found),
        TEST(test_fault),
        TEST(test_age),
        TEST(test_expires_while_kept),
        TEST(test_invented_urls),
        TEST(test_least_used_goes),
        TEST(test_one_fetch_for_all),
    };

    return cmocka_run_group_tests(tests, sns_scene_open, sns_scene_close);
}
