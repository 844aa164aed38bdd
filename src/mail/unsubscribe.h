/*
 * Tokens that unsubscribe: who holds one may end the mail of one purpose from one tenant to one
 * address, and nothing else (RFC 8058: one POST, no sign-in).
 *
 * A token is the base64url text of version (1 byte, 1) | purpose (1) | tenant id (16) | address |
 * MAC (32), the MAC being HMAC-SHA256 under a key of its own over a label and all before it. It is
 * derived, not stored, the same each time, and does not expire: a link in an old message has to
 * work. It names the address, so it is no more secret than the message that carries it; a log shows
 * it only as a digest.
 *
 * Keys are a ring of UNSUBSCRIBE_LABEL from the encryption secrets: retired ones still check.
 *
 * Rooms: mail and below. Ownership: keys are a plain value of the caller, who wipes them. Threads:
 * any, on keys that no longer change.
 */
#ifndef HOLDFAST_MAIL_UNSUBSCRIBE_H
#define HOLDFAST_MAIL_UNSUBSCRIBE_H

#include "base/encode.h"
#include "base/uuid.h"
#include "crypto/mac.h"
#include "identity/email_address.h"

#define UNSUBSCRIBE_LABEL STR("holdfast unsubscribe v1")

enum {
    UNSUBSCRIBE_HEAD = 1 + 1 + 16,
    UNSUBSCRIBE_BYTES_MAX = UNSUBSCRIBE_HEAD + EMAIL_ADDRESS_MAX + MAC_SIZE,
    UNSUBSCRIBE_TEXT_MAX = BASE64URL_LENGTH(UNSUBSCRIBE_BYTES_MAX),
    UNSUBSCRIBE_TEXT_SIZE = UNSUBSCRIBE_TEXT_MAX + 1
};

/* What the mail is for that is to end; the numbers stand in tokens. */
enum unsubscribe_purpose {
    UNSUBSCRIBE_PRODUCT = 1, /* everything but security notices */
    UNSUBSCRIBE_SECURITY = 2,
    UNSUBSCRIBE_ALL = 3
};

struct unsubscribe {
    struct uuid tenant_id;
    enum unsubscribe_purpose purpose;
    char address[EMAIL_ADDRESS_SIZE]; /* normalised, NUL-terminated */
};

enum unsubscribe_outcome {
    UNSUBSCRIBE_INVALID = 1, /* not a token, or not authentic */
    UNSUBSCRIBE_ADDRESS      /* unsubscribe_make: not an address */
};

/* Writes the token's text with a NUL. Returns 0, UNSUBSCRIBE_ADDRESS or FAULT_CRYPTO. */
int unsubscribe_make(const struct mac_ring *keys, const struct uuid *tenant_id,
                     enum unsubscribe_purpose purpose, struct str address,
                     char ret_text[UNSUBSCRIBE_TEXT_SIZE]);

/* Reads a token of a stranger. Returns 0, UNSUBSCRIBE_INVALID or FAULT_CRYPTO. */
int unsubscribe_check(const struct mac_ring *keys, struct str text, struct unsubscribe *ret_token);

#endif
