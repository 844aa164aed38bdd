/*
 * How many passwords libsodium checks a second with the parameters of sign-in (Argon2id, 19 MiB,
 * two passes, one lane) on as many threads as there are cores: what no sign-in can exceed.
 */
#include "base/clock.h"
#include "base/str.h"

#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { MEMORY = 19456 * 1024, PASSES = 2, THREADS_MAX = 256 };

static const char password[] = "correct horse battery";

struct race {
    char hash[crypto_pwhash_STRBYTES];
    int64_t until_us;
    _Atomic uint64_t done;
    _Atomic bool failed;
};

static void *check(void *arg)
{
    struct race *race = arg;
    while (clock_mono_us() < race->until_us && !race->failed) {
        if (crypto_pwhash_str_verify(race->hash, password, sizeof password - 1) != 0)
            race->failed = true;
        else if (clock_mono_us() < race->until_us)
            race->done++;
    }
    return NULL;
}

static int run(struct race *race, size_t n)
{
    pthread_t threads[THREADS_MAX];
    size_t started = 0;
    while (started < n && pthread_create(&threads[started], NULL, check, race) == 0)
        started++;
    if (started < n)
        race->failed = true;
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    return race->failed ? 1 : 0;
}

int main(int argc, char **argv)
{
    uint64_t seconds;
    if (argc != 2 || str_to_u64(str_of(argv[1]), 3600, &seconds) || seconds == 0) {
        fputs("usage: argon SECONDS\n", stderr);
        return 2;
    }
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t n = cores < 1 ? 1 : cores > THREADS_MAX ? THREADS_MAX : (size_t)cores;
    static struct race race;
    if (sodium_init() < 0 || crypto_pwhash_str_alg(race.hash, password, sizeof password - 1, PASSES,
                                                   MEMORY, crypto_pwhash_ALG_ARGON2ID13) != 0) {
        fputs("argon: libsodium cannot hash\n", stderr);
        return 1;
    }
    race.until_us = clock_mono_us() + (int64_t)seconds * 1000000;
    if (run(&race, n)) {
        fputs("argon: a check failed\n", stderr);
        return 1;
    }
    printf("{\"threads\":%zu,\"perSecond\":%.2f}\n", n, (double)race.done / (double)seconds);
    return 0;
}
