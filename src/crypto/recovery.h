/*
 * Recovery codes: what lets a user in who lost the second factor. Each works once; stored hashed.
 * Rooms: identity and below. Ownership: the caller's memory. Threads: any.
 */
#ifndef HOLDFAST_RECOVERY_H
#define HOLDFAST_RECOVERY_H

#include "base/str.h"

/* Sixteen characters of 5 bits each; as shown, four groups with hyphens; each with its NUL. */
enum { RECOVERY_CODE = 16, RECOVERY_CODE_SIZE = RECOVERY_CODE + 1, RECOVERY_SHOWN_SIZE = 20 };

/* A random code of 80 bits as shown to the user: "k7qd-2m9x-...". */
void recovery_code_new(char ret_code[RECOVERY_SHOWN_SIZE]);

/*
 * The one form in which a typed code is hashed and compared: lower case, no spaces or hyphens, and
 * o, i, l read as 0, 1, 1. Returns 0, or 1 where no code can look like that.
 */
int recovery_code_normalise(struct str typed, char ret_code[RECOVERY_CODE_SIZE]);

#endif
