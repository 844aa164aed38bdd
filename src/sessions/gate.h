/*
 * The gate: what this node knows in memory of ended families and of accounts, so that a token is
 * checked without I/O. The feed keeps it true.
 *
 * Families that ended are held as long as an access token of theirs can live. Accounts are a
 * bounded cache; an account that is not in it is loaded from the store by whoever needs it.
 *
 * Rooms: sessions and below. Ownership: the gate copies. Threads: any; no call blocks on I/O.
 */
#ifndef HOLDFAST_SESSIONS_GATE_H
#define HOLDFAST_SESSIONS_GATE_H

#include "base/uuid.h"
#include "identity/role.h"

struct gate;

enum { GATE_EMAIL_SIZE = 256, GATE_STATUS_SIZE = 16 };

/* What guards and /auth/me need of a user. */
struct gate_account {
    struct uuid user_id, tenant_id;
    enum role role;
    bool disabled, mfa_enabled, password_temporary;
    int64_t not_before; /* families begun at or before this time are ended */
    char email[GATE_EMAIL_SIZE], email_status[GATE_STATUS_SIZE];
};

/* Outcome: the account is not in the cache. */
enum { GATE_MISS = 1 };

/* Returns 0 or FAULT_MEMORY. */
int gate_new(size_t accounts_max, struct gate **ret);
void gate_free(struct gate *g);

/*
 * Adds an ended family until expires_at (ms UTC), and until as much time as that is from now has
 * passed: a clock that leaps ahead and is put back again makes nothing forgotten. Returns 0 or
 * FAULT_MEMORY.
 */
int gate_end_family(struct gate *g, const struct uuid *family_id, int64_t expires_at);
bool gate_family_ended(struct gate *g, const struct uuid *family_id);

/* Forgets families whose time is over; called each few seconds. */
void gate_reap(struct gate *g, int64_t now);

/* Copies an account. Returns 0 or GATE_MISS. */
int gate_account_find(struct gate *g, const struct uuid *user_id, struct gate_account *ret);

/*
 * Puts an account that was read from the store. ticket is what gate_account_ticket gave before
 * the read: an account that was forgotten in between is not put, for it may be outdated.
 * Returns 0 or FAULT_MEMORY.
 */
uint64_t gate_account_ticket(struct gate *g, const struct uuid *user_id);
int gate_account_put(struct gate *g, uint64_t ticket, const struct gate_account *account);

void gate_account_forget(struct gate *g, const struct uuid *user_id);
void gate_forget_all(struct gate *g);

struct gate_stats {
    size_t families, accounts;
};
void gate_stats(struct gate *g, struct gate_stats *ret);

#endif
