/*
 * Adds many users, each with one live family, straight to Holdfast's tables; writes their ids to
 * standard output, one a line. An existing user lends tenant and password hash.
 */
#include "bench/seed.h"

#include "base/clock.h"
#include "base/fault.h"

#include <sodium.h>
#include <stdio.h>

enum { USERS_MAX = 100000000 };

static const char usage[] = "usage: seed DATABASE_URL EMAIL COUNT\n";

static struct seed_row row_new(uint64_t i, const struct uuid *user, int64_t now)
{
    struct seed_row row = {.user = *user,
                           .family = uuid_at(now),
                           .now = now,
                           .expires_at = now + (int64_t)90 * CLOCK_DAY,
                           .idle_expires_at = now + (int64_t)14 * CLOCK_DAY};
    snprintf(row.email, sizeof row.email, "seed%llu@bench.example", (unsigned long long)i);
    randombytes_buf(row.seed, sizeof row.seed);
    return row;
}

static int add_users(const struct seed_sink *sink, void *state, struct uuid *users, uint64_t n)
{
    const int64_t now = clock_now();
    int r = 0;
    for (uint64_t i = 0; r == 0 && i < n; i++) {
        char text[UUID_TEXT_SIZE];
        users[i] = uuid_at(now - (int64_t)(n - i));
        struct seed_row row = row_new(i, &users[i], now);
        r = sink->user(state, &row);
        uuid_format(&users[i], text);
        puts(text);
    }
    if (r == 0)
        r = sink->turn(state);
    for (uint64_t i = 0; r == 0 && i < n; i++) {
        struct seed_row row = row_new(i, &users[i], now);
        r = sink->family(state, &row);
    }
    return r ? r : sink->finish(state);
}

static int seed(const char *url, const char *email, uint64_t n)
{
    const struct seed_sink *sink =
        str_has_prefix(str_of(url), STR("sqlite:")) ? &seed_sqlite : &seed_postgres;
    struct uuid *users = calloc(n, sizeof *users);
    if (!users)
        return fault_set(FAULT_MEMORY, "%llu users", (unsigned long long)n);
    void *state;
    int r = sink->open(url, email, &state);
    if (r == 0)
        r = add_users(sink, state, users, n);
    free(users);
    return r;
}

int main(int argc, char **argv)
{
    uint64_t n;
    if (argc != 4 || str_to_u64(str_of(argv[3]), USERS_MAX, &n) || n == 0) {
        fputs(usage, stderr);
        return 2;
    }
    if (sodium_init() < 0 || seed(argv[1], argv[2], n)) {
        fprintf(stderr, "seed: %s\n", fault_message());
        return 1;
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
