#include "config/fixture.h"

static const struct {
    const char *set[3];  /* NULL: no more */
    const char *problem; /* NULL: none */
} rows[] = {
    {{"AWS_REGION=eu-west-1"}, NULL},
    {{"AWS_REGION=EU"}, "AWS_REGION: is not a region such as eu-west-1\n"},
    {{"AWS_REGION=a/b"}, "AWS_REGION: is not a region such as eu-west-1\n"},
    {{"AWS_ACCESS_KEY_ID=a"}, "AWS_SECRET_ACCESS_KEY: is not set, but AWS_ACCESS_KEY_ID is\n"},
    {{"AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b"}, NULL},
    {{"AWS_ROLE_ARN=arn"}, "AWS_WEB_IDENTITY_TOKEN_FILE: is not set, but AWS_ROLE_ARN is\n"},
    {{"AWS_ROLE_ARN=arn", "AWS_WEB_IDENTITY_TOKEN_FILE=/x"}, NULL},
    {{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/v2/credentials/x"}, NULL},
    {{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=.evil.test/"},
     "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: does not begin with /\n"},
    {{"AWS_EC2_METADATA_SERVICE_ENDPOINT=http://[fd00:ec2::254]"}, NULL},
    {{"AWS_EC2_METADATA_SERVICE_ENDPOINT=169.254.169.254"},
     "AWS_EC2_METADATA_SERVICE_ENDPOINT: is not an origin such as http://169.254.169.254\n"},
    {{"AWS_ENDPOINT_URL=http://127.0.0.1:5000"}, NULL},
    {{"AWS_ENDPOINT_URL=http://127.0.0.1:5000/x"},
     "AWS_ENDPOINT_URL: is not an origin such as http://127.0.0.1:5000\n"},
    {{"AWS_ENDPOINT_URL=https://aws.test", "HOLDFAST_ENV=production"},
     "AWS_ENDPOINT_URL: is for tests, not for production\n"},
};

static void test_each(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int r = fixture_load(f, NULL, true, f->data_dir, rows[i].set[0], rows[i].set[1], NULL);
        if (!rows[i].problem)
            assert_int_equal(r, 0);
        else
            assert_problem(f, rows[i].problem);
    }
}

static void test_the_metadata_is_asked_by_default(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fixture_load(f, NULL, false, f->data_dir, NULL), 0);
    assert_string_equal(f->config->aws_metadata, "http://169.254.169.254");
    assert_false(f->config->aws_metadata_off);
    assert_int_equal(
        fixture_load(f, NULL, false, f->data_dir, "AWS_EC2_METADATA_DISABLED=True", NULL), 0);
    assert_true(f->config->aws_metadata_off);
}

int main(void)
{
#define WITH_PLACE(f) cmocka_unit_test_setup_teardown(f, fixture_init, fixture_release)
    const struct CMUnitTest tests[] = {
        WITH_PLACE(test_each),
        WITH_PLACE(test_the_metadata_is_asked_by_default),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
