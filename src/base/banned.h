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

/* With clang, glibc's checked variants of these are macros, and a macro cannot be poisoned. */
#undef sprintf
#undef vsprintf
#pragma GCC poison strcpy strcat strncpy strncat stpcpy sprintf vsprintf gets strtok
#pragma GCC poison atoi atol atoll atof rand srand tmpnam mktemp
#pragma GCC poison asctime ctime gmtime localtime strerror

#endif
