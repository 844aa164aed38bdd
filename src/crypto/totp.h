/*
 * Time-based one-time codes (RFC 6238): SHA-1, six digits, steps of 30 s, as authenticator apps
 * read them.
 * Rooms: identity and below. Ownership: the caller's memory. Threads: any.
 */
#ifndef HOLDFAST_TOTP_H
#define HOLDFAST_TOTP_H

#include "base/buf.h"

enum { TOTP_SECRET_SIZE = 20, TOTP_DIGITS = 6, TOTP_STEP_MS = 30 * 1000, TOTP_WINDOW = 1 };

/* The secret as base32 for typing, and its NUL. */
enum { TOTP_SECRET_TEXT_SIZE = 33 };

enum totp_outcome {
    TOTP_WRONG = 1 /* not the code of a step near now, or one used already */
};

/* A random secret. */
void totp_secret_new(uint8_t ret_secret[TOTP_SECRET_SIZE]);

/* The secret in base32 (RFC 4648, section 6). Returns 0 or FAULT_MEMORY. */
int totp_secret_format(const uint8_t secret[TOTP_SECRET_SIZE],
                       char ret_text[TOTP_SECRET_TEXT_SIZE]);

/*
 * Appends "otpauth://totp/Issuer:account?secret=...&issuer=...&algorithm=SHA1&digits=6&period=30",
 * issuer and account percent-encoded. Holds the secret. Returns 0, FAULT_LIMIT or FAULT_MEMORY.
 */
int totp_uri(const uint8_t secret[TOTP_SECRET_SIZE], struct str issuer, struct str account,
             struct buf *ret_uri);

/*
 * Whether code is that of now_ms's step or of TOTP_WINDOW steps around it, and of a step after
 * last_step (0 where none was used). A code works once: the caller stores *ret_step as the new
 * last_step, conditionally on the old one. Returns 0, TOTP_WRONG or FAULT_CRYPTO.
 */
int totp_verify(const uint8_t secret[TOTP_SECRET_SIZE], struct str code, int64_t now_ms,
                int64_t last_step, int64_t *ret_step);

#endif
