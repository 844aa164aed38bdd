/*
 * Refresh tokens: derived, not stored.
 *
 * "hfr_" and the base64url text of family id (16 bytes) | generation (4, big-endian) | MAC (32),
 * the MAC being HMAC-SHA256 under the refresh key over label, id, generation and the family's seed.
 * The same family and generation give the same token on every node. Keys are a ring of
 * REFRESH_LABEL: retired ones still verify.
 *
 * Rooms: sessions. Threads: any. Nothing here touches the store.
 */
#ifndef HOLDFAST_SESSIONS_REFRESH_TOKEN_H
#define HOLDFAST_SESSIONS_REFRESH_TOKEN_H

#include "base/uuid.h"
#include "crypto/mac.h"

#define REFRESH_LABEL STR("holdfast refresh v1")

enum {
    REFRESH_SEED_SIZE = 32,
    REFRESH_TOKEN_BYTES = 16 + 4 + MAC_SIZE,
    REFRESH_TOKEN_TEXT = 4 + (REFRESH_TOKEN_BYTES * 4 + 2) / 3,
    REFRESH_TOKEN_TEXT_SIZE = REFRESH_TOKEN_TEXT + 1,
    REFRESH_GENERATION_MAX = 0x7FFFFFFF
};

struct refresh_token {
    struct uuid family_id;
    uint32_t generation;
    uint8_t mac[MAC_SIZE];
};

/* Outcome: not a token, or not authentic. */
enum { REFRESH_TOKEN_INVALID = 1 };

/* Writes the token's text. Returns 0 or FAULT_CRYPTO. */
int refresh_token_make(const struct mac_ring *keys, const struct uuid *family_id,
                       uint32_t generation, const uint8_t seed[REFRESH_SEED_SIZE],
                       char ret_text[REFRESH_TOKEN_TEXT_SIZE]);

/* Takes the text apart; authenticates nothing. Returns 0 or REFRESH_TOKEN_INVALID. */
int refresh_token_parse(struct str text, struct refresh_token *ret);

/* Whether the token is of this seed. Returns 0, REFRESH_TOKEN_INVALID or FAULT_CRYPTO. */
int refresh_token_check(const struct mac_ring *keys, const struct refresh_token *token,
                        const uint8_t seed[REFRESH_SEED_SIZE]);

#endif
