/* Mass revocation: lists as people write them, counts that hold, and no statement a user. */
#include "sessions/mass_list.h"

#include "base/clock.h"
#include "sessions/access.h"
#include "sessions/overview.h"
#include "sessions/scene.h"

static struct mass_list read_list(const char *text)
{
    struct mass_list list = {0};

    assert_done(mass_list_read(&list, str_of(text)));
    return list;
}

static void expect_entry(const struct mass_list *list, size_t i, const char *text, size_t line,
                         enum mass_entry_state state)
{
    assert_true(i < list->n);
    assert_true(str_eq(list->entries[i].text, str_of(text)));
    assert_int_equal(list->entries[i].line, line);
    assert_int_equal(list->entries[i].state, state);
}

#define ID_A "018bcfe5-6800-7000-8000-00000000000a"
#define ID_A_UPPER "018BCFE5-6800-7000-8000-00000000000A"

static void test_reading(void **state)
{
    struct mass_list list = read_list("\xEF\xBB\xBF" ID_A "\r\n"
                                      "# a comment\r\n"
                                      "\r\n"
                                      "  Ada@Example.com  # who left\n"
                                      "\t" ID_A_UPPER "\n"
                                      "nonsense\n"
                                      " \n"
                                      "bob@example.com");

    assert_int_equal(list.n, 5);
    expect_entry(&list, 0, ID_A, 1, MASS_PENDING);
    expect_entry(&list, 1, "Ada@Example.com", 4, MASS_ADDRESS);
    expect_entry(&list, 2, ID_A_UPPER, 5, MASS_PENDING);
    expect_entry(&list, 3, "nonsense", 6, MASS_MALFORMED);
    expect_entry(&list, 4, "bob@example.com", 8, MASS_ADDRESS);
    assert_int_equal(mass_list_count(&list, MASS_ADDRESS), 2);
    mass_list_free(&list);
    assert_int_equal(list.n, 0);
}

static void test_reading_nothing(void **state)
{
    static const char *const empty[] = {"", "\n", "\r\n", "#", "# x\n\n", "\xEF\xBB\xBF", " \t\n"};

    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        struct mass_list list = read_list(empty[i]);
        assert_int_equal(list.n, 0);
        mass_list_free(&list);
    }
}

static void test_splitting(void **state)
{
    struct mass_list list = {0};

    assert_done(mass_list_split(&list, STR(ID_A ", ada@example.com,,x,")));
    assert_int_equal(list.n, 3);
    expect_entry(&list, 0, ID_A, 1, MASS_PENDING);
    expect_entry(&list, 1, "ada@example.com", 2, MASS_ADDRESS);
    expect_entry(&list, 2, "x", 4, MASS_MALFORMED);
    mass_list_free(&list);
}

static struct mass_options options_of(bool dry_run, int64_t now)
{
    return (struct mass_options){.reason = STR("breach"), .dry_run = dry_run, .now = now};
}

static struct mass_totals run(struct scene *f, struct mass_list *list, bool dry_run, int64_t now)
{
    struct mass_options options = options_of(dry_run, now);
    struct mass_totals totals;

    assert_done(mass_list_run(f->s, &f->actor, &options, list, NULL, NULL, &totals));
    return totals;
}

static void expect_totals(struct mass_totals t, int64_t requested, int64_t matched, int64_t unknown,
                          int64_t sessions, int64_t users)
{
    assert_int_equal(t.requested, requested);
    assert_int_equal(t.matched, matched);
    assert_int_equal(t.unknown, unknown);
    assert_int_equal(t.sessions, sessions);
    assert_int_equal(t.users_with_sessions, users);
}

/* The first of what stands for one user counts, however it is written. */
static void test_resolving(void **state)
{
    struct scene *f = *state;
    struct uuid ada = scene_member(f, "ada"), bob = scene_member(f, "bob");
    char text[UUID_TEXT_SIZE], file[400];

    uuid_format(&ada, text);
    snprintf(file, sizeof file,
             "bob@example.com\nBob@Example.com\nbob@example.com\n%s\n"
             "ada@example.com\nnobody@example.com\nnobody@example.com\n" ID_A "\n",
             text);
    struct mass_list list = read_list(file);
    assert_done(mass_list_resolve(f->s, NULL, &list));
    expect_entry(&list, 0, "bob@example.com", 1, MASS_PENDING);
    assert_true(uuid_eq(&list.entries[0].id, &bob));
    expect_entry(&list, 1, "Bob@Example.com", 2, MASS_DUPLICATE);
    expect_entry(&list, 2, "bob@example.com", 3, MASS_DUPLICATE);
    expect_entry(&list, 3, text, 4, MASS_PENDING);
    expect_entry(&list, 4, "ada@example.com", 5, MASS_DUPLICATE);
    expect_entry(&list, 5, "nobody@example.com", 6, MASS_UNKNOWN);
    expect_entry(&list, 6, "nobody@example.com", 7, MASS_UNKNOWN);
    expect_entry(&list, 7, ID_A, 8, MASS_PENDING);
    struct mass_totals totals = run(f, &list, true, NOW);
    expect_totals(totals, 5, 2, 3, 0, 0);
    assert_int_equal(list.entries[7].state, MASS_UNKNOWN);
    mass_list_free(&list);
}

/* Three users with two, one and no sessions. */
static struct mass_list three_users(struct scene *f)
{
    struct uuid ada = scene_member(f, "ada"), bob = scene_member(f, "bob");

    scene_member(f, "eve");
    scene_begin(f, &ada, NOW);
    scene_begin(f, &ada, NOW);
    scene_begin(f, &bob, NOW);
    struct mass_list list = read_list("ada@example.com\nbob@example.com\neve@example.com\nwho?\n");
    assert_done(mass_list_resolve(f->s, NULL, &list));
    return list;
}

static void pend_again(struct mass_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->entries[i].state == MASS_DONE)
            list->entries[i].state = MASS_PENDING;
}

/* By the first of the revocations that found them. */
static void expect_ended_at(struct scene *f, const char *email, int64_t at)
{
    struct overview view;
    struct uuid id;

    assert_done(mass_resolve(f->s, NULL, &(struct str){email, strlen(email)}, 1, &id));
    assert_done(overview_audit(f->s, &f->a, NULL, &id, at, &view));
    assert_int_equal(view.active_sessions, 0);
    assert_true(view.n_families > 0);
    for (size_t i = 0; i < view.n_families; i++) {
        assert_false(view.families[i].active);
        assert_int_equal(view.families[i].revoked_at, at);
        assert_true(str_eq(view.families[i].revoked_reason, STR("breach")));
    }
}

/* A dry run changes nothing and says what the real one then does, user by user. */
static void test_dry_run_predicts(void **state)
{
    struct scene *f = *state;
    struct mass_list list = three_users(f);
    static const int64_t sessions[] = {2, 1, 0};
    int64_t records = scene_number(f, "SELECT count(*) FROM trail");

    for (int real = 0; real < 2; real++) {
        expect_totals(run(f, &list, !real, NOW + 1), 4, 3, 1, 3, 2);
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(list.entries[i].state, MASS_DONE);
            assert_int_equal(list.entries[i].sessions, sessions[i]);
        }
        assert_int_equal(scene_number(f, "SELECT count(*) FROM epochs"), real ? 3 : 0);
        assert_int_equal(scene_notices(f, "sessions_revoked"), real ? 2 : 0);
        assert_int_equal(scene_number(f, "SELECT count(*) FROM feed"), real);
        assert_int_equal(scene_number(f, "SELECT count(*) FROM trail") - records, real);
        pend_again(&list);
    }
    /* Run again: no session ends, and nobody is told, twice; their epochs move. */
    expect_totals(run(f, &list, false, NOW + 4), 4, 3, 1, 0, 0);
    assert_int_equal(scene_notices(f, "sessions_revoked"), 2);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM feed"), 2);
    assert_int_equal(scene_number(f, "SELECT min(newest) FROM (SELECT max(not_before) AS newest"
                                     " FROM epochs GROUP BY user_id) AS of_users"),
                     NOW + 4);
    expect_ended_at(f, "ada@example.com", NOW + 1);
    mass_list_free(&list);
}

static void test_bound_to_a_tenant(void **state)
{
    struct scene *f = *state;
    struct mass_list list = three_users(f);
    struct mass_options options = options_of(false, NOW);
    struct mass_totals totals;

    options.tenant = &f->other;
    assert_done(mass_list_run(f->s, &f->actor, &options, &list, NULL, NULL, &totals));
    expect_totals(totals, 4, 0, 4, 0, 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(list.entries[i].state, MASS_UNKNOWN);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM feed"), 0);
    mass_list_free(&list);
}

/* What ended passes neither here nor at another node, also where a clock was ahead. */
static void test_tokens_end(void **state)
{
    struct scene *f = *state;
    struct scene_node other = scene_node_open(f);
    struct uuid ada = scene_member(f, "ada"), bob = scene_member(f, "bob");
    int64_t now = clock_now(), ahead = now + 30 * CLOCK_SECOND;
    struct session_family families[] = {scene_begin(f, &ada, now), scene_begin(f, &ada, ahead),
                                        scene_begin(f, &bob, now)};
    struct str tokens[3];
    struct access access;
    struct mass_list list = read_list("ada@example.com");

    assert_done(sessions_follow(f->s, NULL));
    assert_done(sessions_follow(other.s, NULL));
    for (int i = 0; i < 3; i++) {
        tokens[i] = scene_grant(f, &families[i], 0, ahead).access_token;
        assert_int_equal(access_check_blocking(f->s, tokens[i], ahead, &access), 0);
        assert_int_equal(access_check_blocking(other.s, tokens[i], ahead, &access), 0);
    }
    assert_done(mass_list_resolve(f->s, NULL, &list));
    expect_totals(run(f, &list, false, now), 1, 1, 0, 2, 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(access_check_blocking(f->s, tokens[i], ahead, &access), ACCESS_REVOKED);
        fixture_await(access_check_blocking(other.s, tokens[i], ahead, &access) == ACCESS_REVOKED);
    }
    assert_int_equal(access_check_blocking(f->s, tokens[2], ahead, &access), 0);
    mass_list_free(&list);
    scene_node_close(&other);
}

/* A token passes no more though its family is gone, at nodes that hold its account in memory too.
 */
static void test_users_without_sessions(void **state)
{
    struct scene *f = *state;
    struct scene_node other = scene_node_open(f);
    struct uuid ada = scene_member(f, "ada"), bob = scene_member(f, "bob");
    int64_t now = clock_now();
    struct session_family gone = scene_begin(f, &ada, now), kept = scene_begin(f, &bob, now);
    struct str ended = scene_grant(f, &gone, 0, now).access_token;
    struct str alive = scene_grant(f, &kept, 0, now).access_token;
    struct mass_list list = read_list("ada@example.com");
    struct access access;

    assert_done(sessions_follow(f->s, NULL));
    assert_done(sessions_follow(other.s, NULL));
    scene_run(f, "DELETE FROM families WHERE user_id = $1", PARAMS(P_ID(&ada)));
    assert_int_equal(access_check_blocking(f->s, ended, now, &access), 0);
    assert_int_equal(access_check_blocking(other.s, ended, now, &access), 0);
    assert_done(mass_list_resolve(f->s, NULL, &list));
    expect_totals(run(f, &list, false, now), 1, 1, 0, 0, 0);
    assert_int_equal(access_check_blocking(f->s, ended, now, &access), ACCESS_REVOKED);
    fixture_await(access_check_blocking(other.s, ended, now, &access) == ACCESS_REVOKED);
    assert_int_equal(access_check_blocking(f->s, alive, now, &access), 0);
    assert_int_equal(scene_notices(f, "sessions_revoked"), 0);
    mass_list_free(&list);
    scene_node_close(&other);
}

/* n ids of nobody. */
static void add_strangers(struct mass_list *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct mass_entry e = {.id = uuid_at(NOW), .state = MASS_PENDING};
        assert_done(mass_list_add(list, STR(ID_A), i + 1));
        list->entries[list->n - 1].id = e.id;
    }
}

struct progress {
    size_t calls, done, total, stop_at;
    pthread_t caller;
    size_t elsewhere; /* calls on other threads than the caller's */
};

static bool note_progress(size_t done, size_t total, void *context)
{
    struct progress *p = context;

    p->calls++;
    p->elsewhere += !pthread_equal(pthread_self(), p->caller);
    p->done = done;
    p->total = total;
    return p->calls != p->stop_at;
}

static void test_chunks(void **state)
{
    static const struct {
        size_t n, chunks;
    } cases[] = {
        {1, 1},
        {MASS_CHUNK_MIN - 1, 1},
        {MASS_CHUNK_MIN, 1},
        {MASS_CHUNK_MIN + 1, 2},
        {2 * MASS_CHUNK_MIN, 2},
        {MASS_CHUNKS * MASS_CHUNK_MIN + 1, MASS_CHUNKS},
    };
    struct scene *f = *state;
    struct mass_options options = options_of(true, NOW);
    struct mass_totals totals;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mass_list list = {0};
        struct progress p = {0};
        add_strangers(&list, cases[i].n);
        assert_done(mass_list_run(f->s, &f->actor, &options, &list, note_progress, &p, &totals));
        assert_int_equal(p.calls, cases[i].chunks);
        assert_int_equal(p.done, cases[i].n);
        assert_int_equal(p.total, cases[i].n);
        expect_totals(totals, (int64_t)cases[i].n, 0, (int64_t)cases[i].n, 0, 0);
        assert_int_equal(mass_list_count(&list, MASS_UNKNOWN), cases[i].n);
        mass_list_free(&list);
    }
}

static const char many_users_sql[] =
    "INSERT INTO users SELECT $1, tenant_id, $2, role, password_hash, 0, 0, 0, NULL, 0, 'ok', "
    "NULL, 0, 0, 0, 0, NULL FROM users WHERE email = 'ada@example.com'";

static void add_user_like_ada(struct scene *f, const struct uuid *id, const char *email)
{
    scene_run(f, many_users_sql, PARAMS(P_ID(id), P_TEXT(str_of(email))));
    scene_begin(f, id, NOW);
}

static int64_t sessions_of(const struct mass_list *list, const struct uuid *id)
{
    for (size_t i = 0; i < list->n; i++)
        if (uuid_eq(&list->entries[i].id, id))
            return list->entries[i].state == MASS_DONE ? list->entries[i].sessions : -1;
    fail_msg("not in the list");
    return 0;
}

/* A user behind the end of a chunk is reached; one who stops there has done whole chunks. */
static void test_stopped_and_completed(void **state)
{
    struct scene *f = *state;
    struct uuid first = uuid_at(NOW - 2), last = uuid_at(NOW + 2);
    struct mass_options options = options_of(false, NOW + 1);
    struct mass_list list = {0};
    struct progress p = {.stop_at = 1};
    struct mass_totals totals;

    scene_member(f, "ada");
    add_user_like_ada(f, &first, "first@example.com");
    add_user_like_ada(f, &last, "last@example.com");
    add_strangers(&list, MASS_CHUNK_MIN + 1);
    list.entries[1].id = last;
    list.entries[MASS_CHUNK_MIN].id = first;
    assert_int_equal(mass_list_run(f->s, &f->actor, &options, &list, note_progress, &p, &totals),
                     MASS_STOPPED);
    expect_totals(totals, MASS_CHUNK_MIN, 1, MASS_CHUNK_MIN - 1, 1, 1);
    assert_int_equal(sessions_of(&list, &first), 1);
    assert_int_equal(sessions_of(&list, &last), -1);
    pend_again(&list);
    p = (struct progress){0};
    assert_done(mass_list_run(f->s, &f->actor, &options, &list, note_progress, &p, &totals));
    assert_int_equal(totals.sessions, 1);
    assert_int_equal(sessions_of(&list, &last), 1);
    assert_int_equal(scene_notices(f, "sessions_revoked"), 2);
    mass_list_free(&list);
}

/* Several chunks at the same time: each user once, and progress one call at a time. */
static void test_threads(void **state)
{
    struct scene *f = *state;
    struct mass_options options = options_of(false, NOW + 1);
    struct mass_list list = {0};
    struct progress p = {.caller = pthread_self()};
    struct mass_totals totals;
    struct uuid ids[4];

    options.threads = 3;
    scene_member(f, "ada");
    add_strangers(&list, 4 * MASS_CHUNK_MIN);
    for (int i = 0; i < 4; i++) {
        ids[i] = uuid_at(NOW - 2 + i + i / 2);
        add_user_like_ada(f, &ids[i], arena_printf(&f->a, "u%d@example.com", i));
        list.entries[i * MASS_CHUNK_MIN].id = ids[i];
    }
    assert_done(mass_list_run(f->s, &f->actor, &options, &list, note_progress, &p, &totals));
    expect_totals(totals, 4 * MASS_CHUNK_MIN, 4, 4 * MASS_CHUNK_MIN - 4, 4, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(sessions_of(&list, &ids[i]), 1);
    assert_int_equal(p.calls, 4);
    assert_int_equal(p.done, 4 * MASS_CHUNK_MIN);
    if (!f->base->postgres)
        assert_int_equal(p.elsewhere, 0); /* each is a transaction of its own there, too */
    assert_int_equal(scene_notices(f, "sessions_revoked"), 4);
    mass_list_free(&list);
}

/* As many statements for three hundred users as for three. */
static void test_statements_do_not_grow(void **state)
{
    struct scene *f = *state;
    int64_t first = 0;

    scene_member(f, "ada");
    for (int n = 3; n <= 300; n *= 100) {
        struct mass_list list = {0};
        for (int i = 0; i < n; i++) {
            struct uuid id = uuid_at(NOW);
            char *email = arena_printf(&f->a, "u%d.%d@example.com", n, i);
            add_user_like_ada(f, &id, email);
            assert_done(mass_list_add(&list, str_of(email), 1));
        }
        scene_count_statements(f);
        assert_done(mass_list_resolve(f->s, NULL, &list));
        expect_totals(run(f, &list, false, NOW + 1), n, n, 0, n, n);
        if (first)
            assert_int_equal(scene_statements(), first);
        first = scene_statements();
        assert_in_range(first, 5, 20);
        mass_list_free(&list);
    }
    assert_int_equal(scene_notices(f, "sessions_revoked"), 303);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),    cmocka_unit_test(test_reading_nothing),
        cmocka_unit_test(test_splitting),  SCENE_BOTH(test_resolving),
        SCENE_BOTH(test_dry_run_predicts), SCENE_BOTH(test_bound_to_a_tenant),
        SCENE_BOTH(test_tokens_end),       SCENE_BOTH(test_users_without_sessions),
        SCENE_BOTH(test_chunks),           SCENE_BOTH(test_stopped_and_completed),
        SCENE_BOTH(test_threads),          SCENE_BOTH(test_statements_do_not_grow),
    };
    return FIXTURE_RUN(tests);
}
