#include "identity/failures.h"

#include "base/clock.h"
#include "identity/fixture.h"

enum { LIMIT = 10 };

static struct failures *new_failures(int64_t limit)
{
    struct failures *f = NULL;

    assert_done(failures_new(limit, &f));
    return f;
}

/* One wrong guess; returns what admission said. */
static int guess(struct failures *failures, const struct user *user)
{
    int r = failures_admit(failures, user);

    if (r == 0)
        failures_settle(failures, &user->id, FAILURES_FAILURE);
    return r;
}

static void guess_times(struct failures *failures, const struct user *user, int times)
{
    for (int i = 0; i < times; i++)
        assert_done(guess(failures, user));
}

static int64_t failed_24h(struct identity_fixture *f, const struct uuid *id, int64_t at)
{
    int64_t count = -1;

    assert_done(failures_24h(identity_begin(f), id, at, &count));
    identity_end(f, 0);
    return count;
}

struct seen {
    int calls, locked;
    int64_t count;
    size_t n;
    int result;
    struct uuid tenant;
};

static int note_seen(struct store_txn *t, const struct failures_note *notes, size_t n, void *arg)
{
    struct seen *seen = arg;

    seen->calls++;
    seen->n = n;
    seen->locked = 0;
    seen->count = 0;
    seen->tenant = notes[0].tenant_id;
    for (size_t i = 0; i < n; i++) {
        seen->locked += notes[i].locked;
        seen->count += notes[i].count;
    }
    return seen->result;
}

static void test_flush_counts_and_locks(void **state)
{
    struct identity_fixture *f = *state;
    struct failures *failures = new_failures(LIMIT);
    struct uuid a = identity_user(f, "a", ROLE_MEMBER), b = identity_user(f, "b", ROLE_MEMBER);
    struct user ada = identity_read(f, &a), bob = identity_read(f, &b);
    struct seen seen = {0};

    assert_done(failures_flush(failures, f->s, NOW, note_seen, &seen));
    assert_int_equal(seen.calls, 0);
    guess_times(failures, &ada, 7);
    guess_times(failures, &bob, 2);
    assert_done(failures_flush(failures, f->s, NOW, note_seen, &seen));
    assert_true(seen.calls == 1 && seen.n == 2 && seen.count == 9 && seen.locked == 0);
    assert_true(uuid_eq(&seen.tenant, &f->tenant));
    assert_int_equal(identity_read(f, &a).failed_logins, 7);
    assert_int_equal(identity_read(f, &b).failed_logins, 2);
    /* The user as read before the flush: what was flushed still counts. */
    guess_times(failures, &ada, 3);
    assert_int_equal(guess(failures, &ada), FAILURES_LOCKED);
    assert_done(failures_flush(failures, f->s, NOW + 1, note_seen, &seen));
    assert_true(seen.n == 1 && seen.count == 3 && seen.locked == 1);
    assert_true(identity_read(f, &a).locked_at == NOW + 1);
    assert_true(identity_read(f, &b).locked_at == 0);
    ada = identity_read(f, &a);
    assert_int_equal(guess(failures, &ada), FAILURES_LOCKED);
    assert_int_equal(failed_24h(f, &a, NOW), 10);
    assert_int_equal(failed_24h(f, &b, NOW), 2);
    /* What was written is remembered for a minute. */
    assert_done(failures_flush(failures, f->s, NOW + CLOCK_MINUTE, note_seen, &seen));
    assert_int_equal(failures_held(failures), 1);
    assert_done(failures_flush(failures, f->s, NOW + 1 + CLOCK_MINUTE, note_seen, &seen));
    assert_int_equal(failures_held(failures), 0);
    assert_int_equal(seen.calls, 2);
    failures_free(failures);
}

static void test_success_begins_anew(void **state)
{
    struct identity_fixture *f = *state;
    struct failures *failures = new_failures(LIMIT);
    struct uuid id = identity_user(f, "a", ROLE_MEMBER);
    struct user ada = identity_read(f, &id);

    guess_times(failures, &ada, LIMIT - 1);
    assert_done(failures_admit(failures, &ada));
    failures_settle(failures, &id, FAILURES_SUCCESS);
    guess_times(failures, &ada, 2);
    assert_done(failures_flush(failures, f->s, NOW, NULL, NULL));
    assert_int_equal(identity_read(f, &id).failed_logins, 2);
    assert_int_equal(failed_24h(f, &id, NOW), LIMIT + 1);
    /* A success leaves nothing behind where nothing failed, and what is abandoned does not count.
     */
    assert_done(failures_flush(failures, f->s, NOW + CLOCK_MINUTE, NULL, NULL));
    for (int i = 0; i < 3 * LIMIT; i++) {
        assert_done(failures_admit(failures, &ada));
        failures_settle(failures, &id, i % 2 ? FAILURES_SUCCESS : FAILURES_ABANDONED);
        assert_int_equal(failures_held(failures), 0);
    }
    failures_settle(failures, &id, FAILURES_FAILURE); /* not admitted: ignored */
    assert_int_equal(failures_held(failures), 0);
    failures_free(failures);
}

static void test_forget_after_unlocking(void **state)
{
    struct identity_fixture *f = *state;
    struct failures *failures = new_failures(LIMIT);
    struct uuid id = identity_user(f, "a", ROLE_MEMBER);
    struct user ada = identity_read(f, &id);

    guess_times(failures, &ada, LIMIT);
    assert_int_equal(failures_admit(failures, &ada), FAILURES_LOCKED);
    failures_forget(failures, &id);
    assert_done(failures_admit(failures, &ada));
    failures_settle(failures, &id, FAILURES_ABANDONED);
    assert_done(failures_flush(failures, f->s, NOW, NULL, NULL));
    assert_true(identity_read(f, &id).locked_at == 0); /* begun anew */
    assert_int_equal(failed_24h(f, &id, NOW), LIMIT);
    failures_free(failures);
}

static void test_a_change_gives_no_more_guesses(void **state)
{
    struct identity_fixture *f = *state;
    struct failures *failures = new_failures(LIMIT);
    struct uuid id = identity_user(f, "a", ROLE_MEMBER);
    struct user ada = identity_read(f, &id);

    guess_times(failures, &ada, LIMIT);
    failures_reread(failures, &id);
    assert_int_equal(failures_admit(failures, &ada), FAILURES_LOCKED);
    assert_done(failures_flush(failures, f->s, NOW, NULL, NULL));
    assert_true(identity_read(f, &id).locked_at != 0);
    failures_reread(failures, &id); /* what the store holds is read from there again */
    assert_int_equal(failures_held(failures), 0);
    failures_free(failures);
}

static void test_limits(void **state)
{
    struct identity_fixture *f = *state;
    struct failures *failures = new_failures(0);
    struct uuid id = identity_user(f, "a", ROLE_MEMBER);
    struct user ada = identity_read(f, &id);

    guess_times(failures, &ada, 5 * LIMIT); /* 0 never locks */
    assert_done(failures_flush(failures, f->s, NOW, NULL, NULL));
    ada = identity_read(f, &id);
    assert_true(ada.locked_at == 0 && ada.failed_logins == (int64_t)5 * LIMIT);
    failures_set_limit(failures, LIMIT);
    assert_int_equal(failures_admit(failures, &ada), FAILURES_LOCKED);
    ada.failed_logins = 0;
    ada.disabled = true;
    assert_int_equal(failures_admit(failures, &ada), FAILURES_LOCKED);
    failures_free(failures);

    failures = new_failures(LIMIT);
    ada.disabled = false;
    for (int i = 0; i < FAILURES_ACCOUNTS; i++) {
        ada.id = uuid_new();
        assert_done(failures_admit(failures, &ada));
    }
    ada.id = uuid_new();
    assert_int_equal(failures_admit(failures, &ada), FAILURES_LOCKED);
    assert_int_equal(failures_held(failures), FAILURES_ACCOUNTS);
    failures_free(failures);
}

/* A fault while writing keeps the counts; a deleted user takes theirs along. */
static void test_failing_flush(void **state)
{
    struct identity_fixture *f = *state;
    struct failures *failures = new_failures(LIMIT);
    struct uuid a = identity_user(f, "a", ROLE_MEMBER), b = identity_user(f, "b", ROLE_MEMBER);
    struct user ada = identity_read(f, &a), bob = identity_read(f, &b), gone;
    struct seen seen = {.result = FAULT_UNAVAILABLE};

    guess_times(failures, &ada, LIMIT - 2);
    guess_times(failures, &bob, 1);
    assert_int_equal(failures_flush(failures, f->s, NOW, note_seen, &seen), FAULT_UNAVAILABLE);
    assert_int_equal(identity_read(f, &a).failed_logins, 0);
    guess_times(failures, &ada, 2);
    assert_int_equal(guess(failures, &ada), FAILURES_LOCKED);
    assert_done(user_delete(identity_begin(f), &f->a, NULL, &b, &gone));
    identity_end(f, 0);
    seen.result = 0;
    assert_done(failures_flush(failures, f->s, NOW, note_seen, &seen));
    assert_true(seen.n == 1 && seen.count == LIMIT && seen.locked == 1);
    assert_int_equal(failed_24h(f, &a, NOW), LIMIT);
    assert_int_equal(failures_held(failures), 1);
    failures_free(failures);
}

static void test_24h_and_reap(void **state)
{
    struct identity_fixture *f = *state;
    struct failures *failures = new_failures(0);
    struct uuid id = identity_user(f, "a", ROLE_MEMBER);
    struct user ada = identity_read(f, &id);
    int64_t removed;

    for (int hour = 0; hour < 60; hour++) {
        guess_times(failures, &ada, 1);
        assert_done(failures_flush(failures, f->s, NOW + (int64_t)hour * CLOCK_HOUR, NULL, NULL));
    }
    int64_t at = NOW + (int64_t)59 * CLOCK_HOUR;
    assert_int_equal(failed_24h(f, &id, at), 24);
    assert_int_equal(failed_24h(f, &id, at + (int64_t)30 * CLOCK_HOUR), 0);
    assert_done(failures_reap(identity_begin(f), at, 7, &removed));
    identity_end(f, 0);
    assert_int_equal(removed, 7);
    assert_done(failures_reap(identity_begin(f), at, 100, NULL));
    identity_end(f, 0);
    assert_int_equal(fixture_number(f->s, "SELECT count(*) FROM login_failures"), 49);
    failures_free(failures);
}

/* Many users with all kinds of counts: the sums come out right. */
static void test_many_users(void **state)
{
    enum { USERS = 40 };
    struct identity_fixture *f = *state;
    struct failures *failures = new_failures(LIMIT);
    struct uuid ids[USERS];
    struct seen seen = {0};
    char name[20];

    for (int i = 0; i < USERS; i++) {
        snprintf(name, sizeof name, "u%d", i);
        ids[i] = identity_user(f, name, ROLE_MEMBER);
        struct user u = identity_read(f, &ids[i]);
        for (int j = 0; j < i; j++)
            guess(failures, &u);
    }
    assert_done(failures_flush(failures, f->s, NOW, note_seen, &seen));
    assert_int_equal(seen.n, USERS - 1);
    assert_int_equal(seen.locked, USERS - LIMIT);
    for (int i = 0; i < USERS; i++) {
        struct user u = identity_read(f, &ids[i]);
        assert_int_equal(u.failed_logins, i < LIMIT ? i : LIMIT);
        assert_int_equal(failed_24h(f, &ids[i], NOW), u.failed_logins);
    }
    failures_free(failures);
}

struct storm {
    struct identity_fixture *f;
    struct failures *failures;
    struct user user;
    atomic_int verified, refused, wrong, guessing;
};

static void *storm_guess(void *arg)
{
    struct storm *storm = arg;

    for (int i = 0; i < 20; i++) {
        int r = failures_admit(storm->failures, &storm->user);
        if (r == FAILURES_LOCKED) {
            atomic_fetch_add(&storm->refused, 1);
            continue;
        }
        if (r != 0)
            atomic_fetch_add(&storm->wrong, 1);
        atomic_fetch_add(&storm->verified, 1);
        sched_yield();
        failures_settle(storm->failures, &storm->user.id, FAILURES_FAILURE);
    }
    atomic_fetch_sub(&storm->guessing, 1);
    return NULL;
}

static void *storm_flush(void *arg)
{
    struct storm *storm = arg;
    int64_t at = NOW;

    while (atomic_load(&storm->guessing) > 0)
        if (failures_flush(storm->failures, storm->f->s, at++, NULL, NULL) != 0)
            atomic_fetch_add(&storm->wrong, 1);
    return NULL;
}

/* However many guess at once, and however flushes fall between: the limit's worth is verified. */
static void test_parallel_guesses(void **state)
{
    enum { THREADS = 32 };
    struct identity_fixture *f = *state;
    struct storm storm = {.f = f, .failures = new_failures(LIMIT), .guessing = THREADS};
    struct uuid id = identity_user(f, "a", ROLE_MEMBER);
    pthread_t flusher;

    storm.user = identity_read(f, &id);
    storm.user.failed_logins = 0; /* stale for everyone */
    assert_int_equal(pthread_create(&flusher, NULL, storm_flush, &storm), 0);
    fixture_parallel(THREADS, storm_guess, &storm);
    pthread_join(flusher, NULL);
    assert_int_equal(storm.wrong, 0);
    assert_int_equal(storm.verified + storm.refused, THREADS * 20);
    assert_done(failures_flush(storm.failures, f->s, NOW, NULL, NULL));
    struct user after = identity_read(f, &id);
    assert_int_equal(failed_24h(f, &id, NOW), storm.verified);
    assert_int_equal(after.failed_logins, storm.verified);
    assert_int_equal(storm.verified, LIMIT);
    assert_true(after.locked_at != 0);
    failures_free(storm.failures);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IDENTITY_BOTH(test_flush_counts_and_locks),
        IDENTITY_BOTH(test_success_begins_anew),
        IDENTITY_BOTH(test_forget_after_unlocking),
        IDENTITY_BOTH(test_a_change_gives_no_more_guesses),
        IDENTITY_BOTH(test_limits),
        IDENTITY_BOTH(test_failing_flush),
        IDENTITY_BOTH(test_24h_and_reap),
        IDENTITY_BOTH(test_many_users),
        IDENTITY_BOTH(test_parallel_guesses),
    };

    return FIXTURE_RUN(tests);
}
