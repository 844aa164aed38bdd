/*
 * Encryption of small values at rest: AES-256-GCM (NIST SP 800-38D) under a ring of keys.
 * Rooms: all below crypto. Ownership: the ring holds its keys until seal_keys_release wipes them.
 * Threads: any, on a ring that no longer changes.
 *
 * A sealed value is version (1 byte) | key id (4) | nonce (12) | ciphertext | tag (16). Version and
 * key id are authenticated too. Nonces are random: one key seals at most 2^32 values (section 8.3),
 * after which the chance of a repeat would pass 2^-32; a new active key starts anew.
 */
#ifndef HOLDFAST_SEAL_H
#define HOLDFAST_SEAL_H

#include "base/buf.h"

enum {
    SEAL_KEY_SIZE = 32,
    SEAL_KEY_ID_SIZE = 4,
    SEAL_RETIRED_MAX = 8,
    SEAL_OVERHEAD = 1 + SEAL_KEY_ID_SIZE + 12 + 16,
    SEAL_CONTEXT_MAX = 8,
    SEAL_PLAINTEXT_MAX = 16 * 1024 * 1024
};

struct seal_key {
    uint8_t id[SEAL_KEY_ID_SIZE];
    uint8_t key[SEAL_KEY_SIZE];
};

struct seal_keys {
    struct seal_key ring[1 + SEAL_RETIRED_MAX]; /* the first is the active one */
    size_t n;
};

enum seal_outcome {
    SEAL_REFUSED = 1 /* not authentic, of an unknown key, or for another context */
};

/*
 * A ring of the active secret and the n_retired ones that still open what they sealed. Key and id
 * are derived from each secret. Returns 0, FAULT_LIMIT past SEAL_RETIRED_MAX, FAULT_CRYPTO where a
 * call failed or two keys have the same id.
 */
int seal_keys_init(const uint8_t active[SEAL_KEY_SIZE], const uint8_t (*retired)[SEAL_KEY_SIZE],
                   size_t n_retired, struct seal_keys *ret_keys);

/* Wipes the keys. */
void seal_keys_release(struct seal_keys *keys);

/*
 * Appends plaintext sealed under the active key, bound to the n_context parts (at most
 * SEAL_CONTEXT_MAX; such as table, column, row id: a value moved elsewhere does not open). The
 * parts are kept apart by their lengths. Returns 0, FAULT_LIMIT, FAULT_MEMORY, FAULT_CRYPTO.
 */
int seal(const struct seal_keys *keys, const struct str *context, size_t n_context,
         struct str plaintext, struct buf *ret_sealed);

/*
 * Appends what was sealed with the same context; to a secret buffer. Nothing of an
 * unauthentic value is appended. Returns 0, SEAL_REFUSED, or a fault as seal.
 */
int unseal(const struct seal_keys *keys, const struct str *context, size_t n_context,
           struct str sealed, struct buf *ret_plaintext);

/* Whether a sealed value is under another key than the active one (or none): seal it anew. */
bool seal_needs_reseal(const struct seal_keys *keys, struct str sealed);

#endif
