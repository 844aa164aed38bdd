#include "identity/fixture.h"

#include "crypto/init.h"
#include "identity/tenant.h"

enum { POOL = 6, ARENA_MAX = 16 * 1024 * 1024, THREADS_MAX = 64 };

static int hold_job(struct store_txn *t, void *arg)
{
    struct identity_fixture *f = arg;

    f->t = t;
    sem_post(&f->begun);
    while (sem_wait(&f->ended) != 0)
        ;
    f->t = NULL;
    return f->result;
}

static void *hold_main(void *arg)
{
    struct identity_fixture *f = arg;

    f->result = store_write(f->s, hold_job, f);
    sem_post(&f->begun); /* for a transaction that could not begin */
    return NULL;
}

struct store_txn *identity_begin(struct identity_fixture *f)
{
    assert_int_equal(pthread_create(&f->thread, NULL, hold_main, f), 0);
    while (sem_wait(&f->begun) != 0)
        ;
    assert_non_null(f->t);
    return f->t;
}

static int end(struct identity_fixture *f, int result)
{
    f->result = result;
    sem_post(&f->ended);
    pthread_join(f->thread, NULL);
    sem_wait(&f->begun);
    return f->result;
}

void identity_end(struct identity_fixture *f, int result)
{
    assert_int_equal(end(f, result), result);
}

static int setup(struct identity_fixture *f, void **state)
{
    struct store_txn *t;

    assert_done(crypto_init());
    f->s = f->base->s = NULL;
    struct store_options o = {.url = f->base->url, .pool = POOL, .timeout_ms = 20000};
    assert_done(store_open(&o, &f->s));
    f->base->s = f->s;
    f->a = arena_init(ARENA_MAX);
    sem_init(&f->begun, 0, 0);
    sem_init(&f->ended, 0, 0);
    t = identity_begin(f);
    assert_done(tenant_insert(t, STR("Example"), NOW, &f->tenant));
    identity_end(f, 0);
    *state = f;
    return 0;
}

static int make(void **state, int (*empty)(void **state))
{
    struct identity_fixture *f = calloc(1, sizeof *f);
    void *base = NULL;

    assert_non_null(f);
    assert_int_equal(empty(&base), 0);
    f->base = base;
    return setup(f, state);
}

int identity_sqlite(void **state)
{
    return make(state, fixture_sqlite_empty);
}

int identity_postgres(void **state)
{
    return make(state, fixture_postgres_empty);
}

int identity_release(void **state)
{
    struct identity_fixture *f = *state;
    void *base = f->base;

    if (f->t) /* a test that failed left it open */
        end(f, 1);
    arena_free(&f->a);
    sem_destroy(&f->begun);
    sem_destroy(&f->ended);
    free(f);
    return fixture_release(&base);
}

struct uuid identity_user(struct identity_fixture *f, const char *name, enum role role)
{
    char email[100];
    struct uuid id;
    struct user_new user = {.tenant_id = f->tenant, .role = role, .password_hash = STR("hash")};

    snprintf(email, sizeof email, "%s@example.com", name);
    user.email = str_of(email);
    assert_done(user_insert(identity_begin(f), &user, NOW, &id));
    identity_end(f, 0);
    return id;
}

struct user identity_read(struct identity_fixture *f, const struct uuid *id)
{
    struct user user;

    assert_done(user_find(identity_begin(f), &f->a, NULL, id, &user));
    identity_end(f, 0);
    return user;
}

void identity_parallel(size_t n, void *(*thread)(void *arg), void *arg)
{
    pthread_t threads[THREADS_MAX];

    assert_true(n <= THREADS_MAX);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, thread, arg), 0);
    for (size_t i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
}
