/*
 * What every use of cryptography here stands on: start-up, random bytes, comparison, wiping.
 * Rooms: all below crypto. Threads: crypto_init before any other thread; the rest any.
 */
#ifndef HOLDFAST_CRYPTO_INIT_H
#define HOLDFAST_CRYPTO_INIT_H

#include "base/str.h"

/*
 * Starts the libraries and fetches the algorithms used, once; later calls do nothing.
 * Must precede every other function of this room. Returns 0 or FAULT_CRYPTO.
 */
int crypto_init(void);

/* Fills n bytes from the kernel's generator. Cannot fail: the process ends where it does. */
void crypto_random(void *ret_bytes, size_t n);

/* Whether n bytes are equal, in a time that depends on n alone. */
bool crypto_memeq(const void *a, const void *b, size_t n);

/* As crypto_memeq for views; the lengths themselves are no secret. */
bool crypto_str_eq(struct str a, struct str b);

/* Overwrites n bytes; never optimised away. */
void crypto_wipe(void *p, size_t n);

#endif
