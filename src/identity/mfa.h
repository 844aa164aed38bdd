/*
 * The second factor: one-time codes by an authenticator app (RFC 6238), and recovery codes.
 * Rooms: identity and below. Ownership: what an enrolment returns lives in the caller's arena, and
 * is wiped when the arena is freed. Threads: inside a job; keys do not change.
 *
 * The secret is sealed to its user; recovery codes are kept as MACs. A code of either kind works
 * once, however many try it at the same time. The caller limits how often anyone may try.
 */
#ifndef HOLDFAST_MFA_H
#define HOLDFAST_MFA_H

#include "base/arena.h"
#include "crypto/mac.h"
#include "crypto/seal.h"
#include "identity/user.h"
#include "store/store.h"

enum { MFA_RECOVERY_CODES = 10, MFA_CODE_MAX = 64 };

enum mfa_outcome {
    MFA_NONE = 1, /* no secret (mfa_activate, mfa_remove), or none that is active (mfa_check) */
    MFA_ACTIVE,   /* active already: remove it first */
    MFA_WRONG     /* not a code of this user, or one that was used */
};

struct mfa_keys {
    const struct seal_keys *seal;
    struct mac_ring recovery; /* of MFA_RECOVERY_LABEL */
};

#define MFA_RECOVERY_LABEL STR("holdfast recovery code v1")

struct mfa_enrolment {
    struct str secret; /* base32, for typing */
    struct str uri;    /* otpauth://... */
    struct str qr_svg;
    struct str codes[MFA_RECOVERY_CODES];
};

enum mfa_method { MFA_TOTP, MFA_RECOVERY };

/*
 * A new secret, not yet active, and new recovery codes in place of older ones. issuer and the
 * user's address name the account in the app. Returns 0, MFA_ACTIVE or a fault.
 */
int mfa_enroll(struct store_txn *t, struct arena *a, const struct mfa_keys *keys,
               const struct user *user, struct str issuer, int64_t now,
               struct mfa_enrolment *ret_enrolment);

/*
 * Makes the second factor active by a first code of the app. Returns 0, MFA_NONE, MFA_ACTIVE,
 * MFA_WRONG or a fault.
 */
int mfa_activate(struct store_txn *t, const struct mfa_keys *keys, const struct user *user,
                 struct str code, int64_t now);

/*
 * Uses up a one-time or recovery code, told apart by their form. Writes only where the code is
 * right. Returns 0, MFA_NONE, MFA_WRONG or a fault.
 */
int mfa_check(struct store_txn *t, const struct mfa_keys *keys, const struct user *user,
              struct str code, int64_t now, enum mfa_method *ret_method);

/* Removes secret and recovery codes; the caller has checked the right to. Returns 0, MFA_NONE or a
 * fault. */
int mfa_remove(struct store_txn *t, const struct uuid *user_id, int64_t now);

/* How many recovery codes are left. Returns 0 or a fault. */
int mfa_codes_left(struct store_txn *t, const struct uuid *user_id, int64_t *ret_left);

#endif
