/* YAML comes as a tree with lines; what deceives the eye is refused. */
#include "config/yaml_tree.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct reading {
    struct arena a;
    struct buf problems;
    struct yaml_tree *tree;
};

static int setup(void **state)
{
    static struct reading r;

    r = (struct reading){.a = arena_init(1 << 24), .problems = buf_init(1 << 16)};
    *state = &r;
    return 0;
}

static int teardown(void **state)
{
    struct reading *r = *state;

    arena_free(&r->a);
    buf_free(&r->problems);
    return 0;
}

static const struct yaml_tree *get(const struct yaml_tree *map, const char *key)
{
    const struct yaml_tree *e = yaml_tree_get(map, str_of(key));

    assert_non_null(e);
    return e;
}

static void test_tree(void **state)
{
    struct reading *r = *state;

    assert_int_equal(yaml_tree_read(&r->a, "f",
                                    STR("a: 1\n"
                                        "b:\n"
                                        "  c: \"true\" # said\n"
                                        "  d: true\n"
                                        "e: [x, [y], {z: }]\n"),
                                    &r->problems, &r->tree),
                     0);
    assert_true(str_eq(get(r->tree, "a")->text, STR("1")));
    assert_int_equal(get(get(r->tree, "b"), "d")->line, 4);
    assert_true(get(get(r->tree, "b"), "c")->quoted);
    assert_false(get(get(r->tree, "b"), "d")->quoted);
    const struct yaml_tree *e = get(r->tree, "e");
    assert_int_equal(e->kind, YAML_TREE_LIST);
    assert_true(str_eq(e->first->text, STR("x")));
    assert_true(str_eq(e->first->next->first->text, STR("y")));
    assert_int_equal(get(e->first->next->next, "z")->text.n, 0);
    assert_null(yaml_tree_get(r->tree, STR("none")));
}

static void test_empty(void **state)
{
    struct reading *r = *state;

    assert_int_equal(yaml_tree_read(&r->a, "f", STR("# nothing\n"), &r->problems, &r->tree), 0);
    assert_int_equal(r->tree->kind, YAML_TREE_MAP);
    assert_null(r->tree->first);
}

static const struct {
    const char *text, *problem;
} bad[] = {
    {"a: 1\nb: 2\na: 3\n", "f:3: a stands twice; the first is in line 1\n"},
    {"a: &x 1\n", "f:1: anchors, aliases and tags are not taken\n"},
    {"a: 1\nb: *x\n", "f:2: anchors, aliases and tags are not taken\n"},
    {"a: !!int 1\n", "f:1: anchors, aliases and tags are not taken\n"},
    {"a: !x [1]\n", "f:1: anchors, aliases and tags are not taken\n"},
    {"[1, 2]\n", "f:1: is no map of keys and values\n"},
    {"a: 1\n---\nb: 2\n", "f:2: a second document begins\n"},
    {"? [a, b]\n: 1\n", "f:1: a key is no word\n"},
    {"a:\n\t- 1\n", "f:2: found character that cannot start any token\n"},
    {"a: \"x\\0y\"\n", "f:1: holds a NUL\n"},
    {"a: [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]\n", "f:1: too much, or too deeply nested\n"},
};

static void test_refused(void **state)
{
    struct reading *r = *state;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        buf_reset(&r->problems);
        assert_int_equal(yaml_tree_read(&r->a, "f", str_of(bad[i].text), &r->problems, &r->tree),
                         YAML_TREE_INVALID);
        assert_string_equal(buf_cstr(&r->problems), bad[i].problem);
        assert_null(r->tree);
    }
}

static void test_too_much(void **state)
{
    struct reading *r = *state;
    struct buf text _cleanup_buf_ = buf_init(YAML_TREE_BYTES_MAX + 1);

    buf_add_str(&text, STR("a: ["));
    for (int i = 0; i < YAML_TREE_NODES_MAX; i++)
        buf_add_str(&text, STR("1,"));
    buf_add_str(&text, STR("]\n"));
    assert_int_equal(yaml_tree_read(&r->a, "f", buf_str(&text), &r->problems, &r->tree),
                     YAML_TREE_INVALID);
    while (text.n < text.max)
        buf_add_char(&text, ' ');
    assert_int_equal(yaml_tree_read(&r->a, "f", buf_str(&text), &r->problems, &r->tree),
                     YAML_TREE_INVALID);
    assert_non_null(strstr(buf_cstr(&r->problems), "f:1: is larger than 1 MiB\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tree, setup, teardown),
        cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_much, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
