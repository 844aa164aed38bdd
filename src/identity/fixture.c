#include "identity/fixture.h"

#include "crypto/init.h"
#include "identity/tenant.h"

enum { ARENA_MAX = 16 * 1024 * 1024 };

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

static int make(void **state, bool postgres)
{
    struct identity_fixture *f = calloc(1, sizeof *f);
    struct store_txn *t;

    assert_non_null(f);
    assert_done(crypto_init());
    f->base = fixture_new(postgres);
    f->s = f->base->s = fixture_node(f->base);
    f->a = arena_init(ARENA_MAX);
    sem_init(&f->begun, 0, 0);
    sem_init(&f->ended, 0, 0);
    t = identity_begin(f);
    assert_done(tenant_insert(t, STR("Example"), NOW, &f->tenant));
    identity_end(f, 0);
    *state = f;
    return 0;
}

int identity_sqlite(void **state)
{
    return make(state, false);
}

int identity_postgres(void **state)
{
    return make(state, true);
}

int identity_release(void **state)
{
    struct identity_fixture *f = *state;

    if (f->t) /* a test that failed left it open */
        end(f, 1);
    arena_free(&f->a);
    sem_destroy(&f->begun);
    sem_destroy(&f->ended);
    fixture_free(f->base);
    free(f);
    return 0;
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
