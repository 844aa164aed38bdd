/*
 * Devices: where a user has signed in from, so that a sign-in from elsewhere is told to them.
 * Rooms: identity and below. Ownership: the caller's memory. Threads: inside a job.
 */
#ifndef HOLDFAST_DEVICE_H
#define HOLDFAST_DEVICE_H

#include "base/uuid.h"
#include "crypto/mac.h"
#include "store/store.h"

/* How many devices of a user are kept: those used last. */
enum { DEVICE_KEEP = 50 };

#define DEVICE_LABEL STR("holdfast device v1")

struct device_fingerprint {
    uint8_t b[MAC_SIZE];
};

enum device_novelty {
    DEVICE_KNOWN,
    DEVICE_NEW,
    DEVICE_FIRST /* new, and the user's very first: nothing to tell */
};

/*
 * What makes a device: its user agent without version numbers, and the network of its address
 * (IPv4 /24, IPv6 /48; text that is no address counts as it is). key comes from mac_derive with
 * DEVICE_LABEL. Returns 0 or FAULT_CRYPTO.
 */
int device_fingerprint(const struct mac_key *key, struct str user_agent, struct str address,
                       struct device_fingerprint *ret_fingerprint);

/* As device_fingerprint by each key of the ring. */
struct device_prints {
    size_t n;
    struct device_fingerprint prints[MAC_RING_MAX];
};
int device_fingerprints(const struct mac_ring *ring, struct str user_agent, struct str address,
                        struct device_prints *ret_prints);

/*
 * Notes a sign-in; of many at once with a new device, one is told DEVICE_NEW. A device that is
 * known under a retired key goes over to the active one. 0 or a fault.
 */
int device_seen(struct store_txn *t, const struct uuid *user_id, const struct device_prints *device,
                int64_t now, enum device_novelty *ret_novelty);

#endif
