/*
 * Passwords: their policy, their hash (Argon2id, RFC 9106), and one-time passwords.
 * Rooms: identity and below. Ownership: the caller's memory. Threads: any, but hashing takes
 * PASSWORD_MEMORY bytes and tens of milliseconds: never on an event thread.
 */
#ifndef HOLDFAST_PASSWORD_H
#define HOLDFAST_PASSWORD_H

#include "base/str.h"

/* The cost of a hash; stored ones of another cost need a rehash. Parallelism is always 1. */
enum { PASSWORD_MEMORY = 19456 * 1024, PASSWORD_PASSES = 2 };

/* Lengths in code points, and the bound in bytes that follows. */
enum { PASSWORD_MIN = 8, PASSWORD_MAX = 128, PASSWORD_MAX_BYTES = 4 * PASSWORD_MAX };

/* Room for an encoded hash "$argon2id$v=19$m=19456,t=2,p=1$salt$hash" and its NUL. */
enum { PASSWORD_HASH_SIZE = 128 };

/* Room for a generated password and its NUL. */
enum { PASSWORD_GENERATED_SIZE = 28 };

enum password_outcome {
    PASSWORD_SHORT = 1, /* fewer than PASSWORD_MIN code points */
    PASSWORD_LONG,      /* more than PASSWORD_MAX code points */
    PASSWORD_COMMON,    /* among the commonest, whatever its case */
    PASSWORD_NOT_UTF8
};

/* Whether the password may be chosen. Returns 0 or an enum password_outcome; no faults. */
int password_check(struct str password);

/* A fresh hash. Returns 0, FAULT_MEMORY, or FAULT_LIMIT past PASSWORD_MAX_BYTES. */
int password_hash(struct str password, char ret_hash[PASSWORD_HASH_SIZE]);

/*
 * Whether the password is the one hashed. Returns 0 where it is, 1 where it is not; FAULT_MEMORY;
 * FAULT_CRYPTO where hash is no hash.
 */
int password_verify(struct str password, struct str hash);

/* Costs what password_verify costs and returns 1 or a fault: for accounts that do not exist. */
int password_verify_dummy(struct str password);

/* Whether hash was made at another cost than today's (or is no hash at all). */
bool password_needs_rehash(struct str hash);

/*
 * A random password of 118 bits, four groups of six lower-case letters and digits without look-
 * alikes.
 */
void password_generate(char ret_password[PASSWORD_GENERATED_SIZE]);

#endif
