/*
 * Message authentication and key derivation: HMAC-SHA256 (RFC 2104), HKDF-SHA256 (RFC 5869).
 * Rooms: all below crypto. Ownership: keys are plain values of the caller, who wipes them with
 * crypto_wipe. Threads: any; nothing is allocated but by the
 * derivations.
 */
#ifndef HOLDFAST_MAC_H
#define HOLDFAST_MAC_H

#include "crypto/sha256.h"

enum { MAC_SIZE = SHA256_SIZE };

/* A key with its schedule done: SHA-256's states after the inner and the outer padded key. */
struct mac_key {
    uint32_t inner[8], outer[8];
};

/*
 * A key of exactly these bytes, as other implementations would take them (RFC 2104, section 2:
 * more than a block is hashed first). Returns 0 or FAULT_CRYPTO.
 */
int mac_key_init(struct str secret, struct mac_key *ret);

/*
 * A 32-byte key of its own for each label, from a secret of at least 128 bits of entropy: HKDF
 * with no salt and the label as info. Returns 0 or FAULT_CRYPTO.
 */
int mac_derive(struct str secret, struct str label, struct mac_key *ret);

enum { MAC_RETIRED_MAX = 8, MAC_RING_MAX = 1 + MAC_RETIRED_MAX };

/* Keys of one purpose: the first makes, all verify. */
struct mac_ring {
    size_t n;
    struct mac_key keys[MAC_RING_MAX];
};

/*
 * mac_derive of each of the n secrets (at most MAC_RING_MAX), the active one first. Returns 0,
 * FAULT_LIMIT or FAULT_CRYPTO.
 */
int mac_ring_derive(const struct str *secrets, size_t n, struct str label, struct mac_ring *ret);

/* Outcome: no key of the ring made it. */
enum { MAC_FORGED = 1 };

/*
 * n bytes (at most 255 * 32) of HKDF-SHA256; an empty salt is the standard's default.
 * Returns 0 or FAULT_CRYPTO.
 */
int mac_hkdf(struct str secret, struct str salt, struct str info, void *ret_bytes, size_t n);

/* The HMAC of the message. Returns 0 or FAULT_CRYPTO. */
int mac_sha256(const struct mac_key *key, struct str message, uint8_t ret_mac[MAC_SIZE]);

/*
 * The HMAC of the n parts as if they were one string: the caller separates them where their
 * lengths vary. Returns 0 or FAULT_CRYPTO.
 */
int mac_sha256_parts(const struct mac_key *key, const struct str *parts, size_t n,
                     uint8_t ret_mac[MAC_SIZE]);

/* As mac_sha256_parts by the ring's first key. */
int mac_ring_make(const struct mac_ring *ring, const struct str *parts, size_t n,
                  uint8_t ret_mac[MAC_SIZE]);

/*
 * Whether mac is that of the parts by any key of the ring, in constant time: all are tried. Returns
 * 0, MAC_FORGED or FAULT_CRYPTO.
 */
int mac_ring_check(const struct mac_ring *ring, const struct str *parts, size_t n,
                   const uint8_t mac[MAC_SIZE]);

#endif
