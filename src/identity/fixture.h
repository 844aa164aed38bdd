/*
 * What the identity room's tests share: a fresh store with its real schema, a tenant, and a
 * transaction that is used from the test itself, so that its assertions may fail there.
 *
 * Rooms: tests of identity and below. Ownership: identity_release removes all. Threads: the test's.
 */
#ifndef HOLDFAST_IDENTITY_FIXTURE_H
#define HOLDFAST_IDENTITY_FIXTURE_H

#include "base/arena.h"
#include "identity/user.h"
#include "store/fixture.h"

#include <pthread.h>
#include <semaphore.h>

struct identity_fixture {
    struct fixture *base;
    struct store *s;
    struct arena a;
    struct uuid tenant;
    pthread_t thread;
    sem_t begun, ended;
    struct store_txn *t; /* while a transaction is open */
    int result;          /* what the job returns, and then what the store did */
};

int identity_sqlite(void **state);
int identity_postgres(void **state);
int identity_release(void **state);

/* Begins a writing transaction; only its functions may use the store until it ends. */
struct store_txn *identity_begin(struct identity_fixture *f);

/* Ends it: 0 commits, anything else rolls back and is expected to come back. */
void identity_end(struct identity_fixture *f, int result);

/* Commits a new user "<name>@example.com" of the tenant. */
struct uuid identity_user(struct identity_fixture *f, const char *name, enum role role);

/* Reads the user anew. */
struct user identity_read(struct identity_fixture *f, const struct uuid *id);

#define IDENTITY_BOTH(f) FIXTURE_EACH(f, identity)

#endif
