/* Images are found in what the two programs print. */
#include "deploy/targets/compose.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char older[] = "services:\n"
                            "  db:\n"
                            "    image: postgres:15\n"
                            "  web:\n"
                            "    environment: &id001\n"
                            "      image: no\n"
                            "    image: shop:1\n"
                            "    labels:\n"
                            "      web: \"y\"\n"
                            "  worker:\n"
                            "    environment: *id001\n"
                            "    image: 'shop:2'\n"
                            "  built:\n"
                            "    build:\n"
                            "      context: /x\n"
                            "version: '3.9'\n"
                            "volumes:\n"
                            "  data:\n"
                            "    image: volume\n";

static const char newer[] = "name: shop\n"
                            "services:\n"
                            "  \"web\":\n"
                            "    image: \"shop@sha256:ab\"\n"
                            "networks:\n"
                            "  default:\n"
                            "    name: shop_default\n";

static void expect(const char *text, const char *service, const char *image)
{
    struct str found = compose_config_image(str_of(text), str_of(service));

    if (!str_eq(found, str_of(image)))
        fail_msg("%s: \"%.*s\", not \"%s\"", service, STR_ARG(found), image);
}

static void test_images(void **state)
{
    expect(older, "db", "postgres:15");
    expect(older, "web", "shop:1");
    expect(older, "worker", "shop:2");
    expect(older, "built", "");
    expect(older, "data", "");
    expect(older, "none", "");
    expect(newer, "web", "shop@sha256:ab");
    expect(newer, "default", "");
    assert_true(str_eq(compose_config_name(STR(newer)), STR("shop")));
    assert_int_equal(compose_config_name(STR(older)).n, 0);
    expect("", "web", "");
    expect("services:\n  web:\n", "web", "");
    expect("services:\n  web:\n    image:", "web", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_images),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
