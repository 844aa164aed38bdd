/*
 * The payload of access tokens: written in one fixed form, and read in that form alone.
 * Rooms: crypto alone (behind crypto/jwt.h). Ownership: the caller's memory. Threads: any; reading
 * allocates nothing.
 */
#ifndef HOLDFAST_JWT_PAYLOAD_H
#define HOLDFAST_JWT_PAYLOAD_H

#include "crypto/jwt.h"

/* Bytes of a payload that fit into a token with the longest header and signature. */
enum { JWT_PAYLOAD_MAX = (JWT_MAX - 96 - 86 - 2) / 4 * 3 };

/* Bytes that the claims behind the names take at most. */
enum { JWT_CLAIMS_MAX = 4 * 46 + 64 + 32 + 2 * 24 };

/* Appends the payload's beginning, which names issuer and audience. */
void jwt_payload_names(struct str issuer, struct str audience, struct buf *out);

/* Appends a payload that begins with names. Returns 0, FAULT_INTERNAL, or the buffer's fault. */
int jwt_payload_write(struct str names, const struct jwt_claims *claims, struct buf *out);

/*
 * Reads a payload. Returns 0, JWT_MALFORMED, or JWT_AUDIENCE where its form is ours but it does not
 * begin with names.
 */
int jwt_payload_read(struct str names, struct str payload, struct jwt_claims *ret_claims);

#endif
