/* What only a checkpoint shows, and checkpoints that are not what they seem. */
#include "trail/fixture.h"

#include "trail/line.h"

#include <sys/stat.h>
#include <unistd.h>

/* The file's bytes, NUL-terminated. */
static size_t read_file(const char *path, char *bytes, size_t size)
{
    FILE *in = fopen(path, "re");
    size_t n;

    assert_non_null(in);
    n = fread(bytes, 1, size - 1, in);
    fclose(in);
    bytes[n] = 0;
    return n;
}

static void write_file(const char *path, const char *mode, const char *bytes)
{
    FILE *out = fopen(path, mode);

    assert_non_null(out);
    assert_true(fputs(bytes, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

static void test_written_when_the_head_moves(void **state)
{
    struct trail_fixture *f = *state;
    char bytes[4096], public_text[SIGN_PUBLIC_TEXT_SIZE];
    struct checkpoint c;
    struct stat st;

    assert_string_equal(trail_checkpoint_path(f->trail), f->path);
    assert_done(trail_checkpoint_write(f->trail));
    assert_int_equal(read_file(f->path, bytes, sizeof bytes), 0); /* no chain yet */
    trail_fixture_fill(f->trail, f->s, 5);
    assert_done(trail_checkpoint_write(f->trail));
    assert_done(trail_checkpoint_write(f->trail));
    size_t n = read_file(f->path, bytes, sizeof bytes);
    assert_true(n > 0 && strchr(bytes, '\n') == bytes + n - 1);
    assert_int_equal(checkpoint_parse((struct str){bytes, n - 1}, &c), 0);
    assert_int_equal(checkpoint_verify(&c), 0);
    assert_int_equal(c.seq, 5);
    trail_public_key(f->trail, public_text);
    assert_non_null(strstr(bytes, public_text));
    trail_fixture_fill(f->trail, f->s, 1);
    assert_done(trail_checkpoint_write(f->trail));
    assert_true(read_file(f->path, bytes, sizeof bytes) > n);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    *strrchr(f->path, '/') = 0;
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void test_each_part_is_signed(void **state)
{
    struct checkpoint c = {.seq = 5, .at = 1700000000123}, d;
    _cleanup_buf_ struct buf line = buf_init(CHECKPOINT_LINE_MAX);
    struct sign_key key, other;

    assert_done(sign_key_derive(STR("0123456789abcdef0123456789abcdef"), STR("one"), &key));
    assert_done(sign_key_derive(STR("0123456789abcdef0123456789abcdef"), STR("two"), &other));
    assert_done(checkpoint_sign(&c, &key));
    assert_done(checkpoint_format(&c, &line));
    assert_int_equal(checkpoint_parse((struct str){line.p, line.n - 1}, &d), 0);
    assert_memory_equal(&c, &d, sizeof c);
    assert_int_equal(checkpoint_verify(&d), 0);
    d.seq++;
    assert_int_equal(checkpoint_verify(&d), 1);
    d = c;
    d.at++;
    assert_int_equal(checkpoint_verify(&d), 1);
    d = c;
    d.mac[31] ^= 1;
    assert_int_equal(checkpoint_verify(&d), 1);
    d = c;
    d.chain.b[0] ^= 1;
    assert_int_equal(checkpoint_verify(&d), 1);
    d = c;
    memcpy(d.key, other.public_key, sizeof d.key);
    assert_int_equal(checkpoint_verify(&d), 1);
    buf_reset(&line);
    buf_add_str(&line, STR("Nov 22 06:00:00 host holdfast: holdfast checkpoint "));
    assert_done(checkpoint_format(&c, &line));
    assert_int_equal(checkpoint_parse((struct str){line.p, line.n - 1}, &d), 0);
}

static void test_no_checkpoint(void **state)
{
    static const char *const lines[] = {
        "",
        "{",
        "{}",
        "[]",
        "null",
        "{\"seq\":1}",
        "{\"chain\":\"x\",\"seq\":1,\"mac\":\"x\",\"at\":\"x\",\"key\":\"x\",\"signature\":\"x\"}",
        "{\"chain\":1,\"seq\":\"1\",\"mac\":1,\"at\":1,\"key\":1,\"signature\":1}",
    };
    struct checkpoint c;

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_int_equal(checkpoint_parse(str_of(lines[i]), &c), 1);
}

static void test_truncation_shows(void **state)
{
    struct trail_fixture *f = *state;

    trail_fixture_fill(f->trail, f->s, 5);
    trail_fixture_keep(f);
    assert_done(trail_checkpoint_write(f->trail));
    trail_fixture_fill(f->trail, f->s, 5);
    assert_done(trail_checkpoint_write(f->trail));
    struct trail_report r = trail_fixture_verify(f, f->trail, f->path);
    assert_true(r.intact);
    assert_int_equal(r.checkpoints, 2);
    assert_int_equal(r.last_checkpoint, 10);

    trail_fixture_put_back(f);
    assert_true(trail_fixture_verify(f, f->trail, NULL).intact);
    r = trail_fixture_verify(f, f->trail, f->path);
    assert_int_equal(trail_fixture_findings(&r), 1);
    assert_int_equal(f->last.kind, FINDING_TRUNCATED);
    assert_int_equal(f->last.seq, 6);
    assert_int_equal(f->last.last, 10);
    assert_int_equal(r.checkpoints, 1);

    /* Gone as a whole, it looks like a new installation. */
    trail_fixture_alter(f, "DELETE FROM trail");
    trail_fixture_alter(f, "DELETE FROM trail_head");
    assert_true(trail_fixture_verify(f, f->trail, NULL).intact);
    r = trail_fixture_verify(f, f->trail, f->path);
    assert_int_equal(r.findings[FINDING_TRUNCATED], 1);
    assert_int_equal(trail_checkpoint_write(f->trail), CHECKPOINT_BEHIND);
}

static void test_a_database_put_back_shows(void **state)
{
    struct trail_fixture *f = *state;

    trail_fixture_fill(f->trail, f->s, 5);
    trail_fixture_keep(f);
    trail_fixture_fill(f->trail, f->s, 5);
    assert_done(trail_checkpoint_write(f->trail));
    trail_fixture_put_back(f);
    trail_fixture_fill(f->trail, f->s, 1);
    assert_int_equal(trail_checkpoint_write(f->trail), CHECKPOINT_BEHIND);
    trail_fixture_fill(f->trail, f->s, 9);
    assert_done(trail_checkpoint_write(f->trail));
    assert_true(trail_fixture_verify(f, f->trail, NULL).intact);
    struct trail_report r = trail_fixture_verify(f, f->trail, f->path);
    assert_int_equal(trail_fixture_findings(&r), 1);
    assert_int_equal(f->last.kind, FINDING_CHECKPOINT_DIFFERS);
    assert_int_equal(f->last.seq, 10);
    assert_int_equal(f->last.line, 1);
    assert_int_equal(r.checkpoints, 2);
}

static void test_another_chain_shows(void **state)
{
    struct trail_fixture *f = *state;

    trail_fixture_fill(f->trail, f->s, 5);
    assert_done(trail_checkpoint_write(f->trail));
    trail_fixture_alter(f, "DELETE FROM trail");
    trail_fixture_alter(f, "DELETE FROM trail_head");
    trail_fixture_fill(f->trail, f->s, 8);
    assert_true(trail_fixture_verify(f, f->trail, NULL).intact);
    struct trail_report r = trail_fixture_verify(f, f->trail, f->path);
    assert_int_equal(r.findings[FINDING_CHECKPOINT_DIFFERS], 1);
    assert_int_equal(trail_checkpoint_write(f->trail), CHECKPOINT_BEHIND);
}

static void test_a_broken_head_is_not_signed(void **state)
{
    struct trail_fixture *f = *state;
    char bytes[4096];

    trail_fixture_fill(f->trail, f->s, 5);
    trail_fixture_keep(f);
    trail_fixture_alter(f, "UPDATE trail_head SET seq = 4");
    assert_int_equal(trail_checkpoint_write(f->trail), CHECKPOINT_BROKEN);
    trail_fixture_put_back(f);
    trail_fixture_alter(f, "DELETE FROM trail WHERE seq = 5");
    assert_int_equal(trail_checkpoint_write(f->trail), CHECKPOINT_BROKEN);
    assert_int_equal(read_file(f->path, bytes, sizeof bytes), 0);
    trail_fixture_put_back(f);
    assert_done(trail_checkpoint_write(f->trail));
}

static void test_checkpoints_that_are_none(void **state)
{
    struct trail_fixture *f = *state;
    struct trail *other =
        trail_fixture_new(f, f->s, trail_fixture_secrets[1], trail_fixture_secrets, 1);
    char bytes[4096], forged[4096];

    trail_fixture_fill(f->trail, f->s, 12);
    assert_done(trail_checkpoint_write(f->trail));
    read_file(f->path, bytes, sizeof bytes);
    snprintf(forged, sizeof forged, "%s", bytes);
    memcpy(strstr(forged, "\"seq\":12") + 6, "11", 2);
    write_file(f->path, "ae", forged);
    write_file(f->path, "ae", "hello\n\n");
    trail_fixture_fill(other, f->s, 1);
    assert_done(trail_checkpoint_write(other));
    struct trail_report r = trail_fixture_verify(f, other, f->path);
    assert_int_equal(r.findings[FINDING_CHECKPOINT_FORGED], 1);
    assert_int_equal(r.findings[FINDING_CHECKPOINT_UNREADABLE], 2);
    assert_int_equal(trail_fixture_findings(&r), 3);
    assert_int_equal(r.first.line, 2);
    assert_int_equal(f->last.line, 4);
    assert_int_equal(r.checkpoints, 2); /* one of them under the retired key */
    r = trail_fixture_verify(f, f->trail, f->path);
    assert_int_equal(r.findings[FINDING_CHECKPOINT_UNKNOWN_KEY], 1);
    trail_free(other);
}

static void test_a_line_without_end(void **state)
{
    struct trail_fixture *f = *state;
    char bytes[4096];
    static char big[8 * CHECKPOINT_LINE_MAX];

    trail_fixture_fill(f->trail, f->s, 2);
    assert_done(trail_checkpoint_write(f->trail));
    write_file(f->path, "ae", "{\"chain\":\"01");
    struct trail_report r = trail_fixture_verify(f, f->trail, f->path);
    assert_true(r.intact && r.unfinished_line);
    trail_fixture_fill(f->trail, f->s, 2);
    assert_done(trail_checkpoint_write(f->trail));
    r = trail_fixture_verify(f, f->trail, f->path);
    assert_true(r.intact && !r.unfinished_line);
    assert_int_equal(r.checkpoints, 2);
    read_file(f->path, bytes, sizeof bytes);

    memset(big, '{', sizeof big - 1);
    big[sizeof big - 2] = '\n';
    write_file(f->path, "ae", big);
    r = trail_fixture_verify(f, f->trail, f->path);
    assert_int_equal(r.findings[FINDING_CHECKPOINT_UNREADABLE], 1);
    assert_int_equal(r.checkpoints, 2);
    assert_done(trail_checkpoint_write(f->trail));
}

static void test_files_that_cannot_be_read(void **state)
{
    struct trail_fixture *f = *state;
    struct trail_verify_options o = {.against = f->path};
    struct trail_report r = {.records = 77};

    assert_int_equal(trail_verify(f->trail, &o, &r), FAULT_IO);
    o.against = f->base->place;
    assert_int_equal(trail_verify(f->trail, &o, &r), FAULT_IO);
    assert_int_equal(r.records, 77);
}

static void test_many_checkpoints(void **state)
{
    struct trail_fixture *f = *state;
    enum { N = 600 }; /* more than two batches */

    for (int i = 0; i < N; i++) {
        trail_fixture_fill(f->trail, f->s, 1);
        assert_done(trail_checkpoint_write(f->trail));
    }
    struct trail_report r = trail_fixture_verify(f, f->trail, f->path);
    assert_true(r.intact);
    assert_int_equal(r.checkpoints, N);
    assert_int_equal(r.last_checkpoint, N);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        TRAIL_BOTH(test_written_when_the_head_moves),
        {"test_each_part_is_signed", test_each_part_is_signed, trail_fixture_sqlite,
         trail_fixture_release, NULL},
        {"test_no_checkpoint", test_no_checkpoint, NULL, NULL, NULL},
        TRAIL_BOTH(test_truncation_shows),
        TRAIL_BOTH(test_a_database_put_back_shows),
        TRAIL_BOTH(test_another_chain_shows),
        TRAIL_BOTH(test_a_broken_head_is_not_signed),
        TRAIL_BOTH(test_checkpoints_that_are_none),
        TRAIL_BOTH(test_a_line_without_end),
        {"test_files_that_cannot_be_read", test_files_that_cannot_be_read, trail_fixture_sqlite,
         trail_fixture_release, NULL},
        {"test_many_checkpoints", test_many_checkpoints, trail_fixture_sqlite,
         trail_fixture_release, NULL},
    };

    return FIXTURE_RUN(tests);
}
