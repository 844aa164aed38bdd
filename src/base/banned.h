/*
 * Functions that do not compile here, because each has a bounded or checked replacement.
 * Force-included into every translation unit after the system headers that declare them.
 */
#ifndef HOLDFAST_BANNED_H
#define HOLDFAST_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* With clang these two are macros of the fortified headers, which cannot be poisoned. */
#undef sprintf
#undef vsprintf
#pragma GCC poison strcpy strcat strncpy strncat stpcpy sprintf vsprintf gets strtok
#pragma GCC poison atoi atol atoll atof srand tmpnam mktemp
#pragma GCC poison asctime ctime gmtime localtime strerror

/* OpenSSL's headers name parameters so, hence no poison: a call is an error by -Werror. */
/* NOLINTNEXTLINE(readability-redundant-declaration) */
int rand(void) __attribute__((deprecated("crypto_random is the source of randomness")));

#endif
