/*
 * The signature of webhooks that are not Amazon's: "X-Webhook-Signature: t=<unix>,v1=<hex>", where
 * v1 is the HMAC-SHA256 of "<unix>.<body>" under a secret both sides know.
 * Rooms: mail and below. Ownership: keys are plain values of the caller, who wipes them with
 * crypto_wipe. Threads: any. Nothing is allocated.
 *
 * While a secret is changed, the sender may sign by both (several v1) and the receiver accept both.
 */
#ifndef HOLDFAST_MAIL_WEBHOOK_SIGNATURE_H
#define HOLDFAST_MAIL_WEBHOOK_SIGNATURE_H

#include "base/buf.h"
#include "crypto/mac.h"

enum {
    WEBHOOK_SIGNATURES_MAX = 8,       /* v1 values in a header */
    WEBHOOK_HEADER_MAX = 1024,        /* bytes of it */
    WEBHOOK_TOLERANCE_MS = 300 * 1000 /* how far t may lie from now, either way */
};

enum webhook_outcome {
    WEBHOOK_MALFORMED = 1, /* not of the form */
    WEBHOOK_MISMATCH,      /* no v1 is the body's by any of the keys */
    WEBHOOK_STALE          /* signed well, but too long ago or in the future */
};

/*
 * Whether a header of the form "t=<seconds>,v1=<64 hex>[,v1=…]" was made for body by one of the n
 * keys (mac_key_init of each secret) within WEBHOOK_TOLERANCE_MS of now_ms. t comes first, without
 * leading zeros; there are no spaces and no other members. Its time depends on the lengths and the
 * number of keys and values alone. Returns 0, an enum webhook_outcome, or FAULT_CRYPTO.
 */
int webhook_signature_verify(const struct mac_key *keys, size_t n, struct str header,
                             struct str body, int64_t now_ms);

/*
 * Appends the header's value for body at now_ms, with a v1 for each of the n keys. Returns 0,
 * FAULT_LIMIT, FAULT_MEMORY or FAULT_CRYPTO.
 */
int webhook_signature_write(const struct mac_key *keys, size_t n, struct str body, int64_t now_ms,
                            struct buf *ret_header);

/* What the outcome means, in a few words for an answer or a log. */
const char *webhook_outcome_text(int outcome);

#endif
