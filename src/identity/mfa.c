#include "identity/mfa.h"

#include "base/fault.h"
#include "crypto/init.h"
#include "crypto/qr.h"
#include "crypto/recovery.h"
#include "crypto/totp.h"

enum { SEALED_MAX = TOTP_SECRET_SIZE + SEAL_OVERHEAD, URI_MAX = QR_TEXT_MAX, SVG_MAX = 256 * 1024 };

static const char state_sql[] =
    "SELECT totp_secret, totp_active, totp_last_step FROM users WHERE id = $1";

static const char enroll_sql[] = "UPDATE users SET totp_secret = $2, totp_last_step = 0,"
                                 " updated_at = $3 WHERE id = $1 AND totp_active = 0";

/* The secret is compared too: it may have been replaced since it was read. */
static const char activate_sql[] =
    "UPDATE users SET totp_active = 1, totp_last_step = $2, updated_at = $3"
    " WHERE id = $1 AND totp_active = 0 AND totp_secret = $4";

/* Of many who use one code, one moves the step on. */
static const char use_step_sql[] =
    "UPDATE users SET totp_last_step = $2, totp_secret = $4"
    " WHERE id = $1 AND totp_last_step < $2 AND totp_active = 1 AND totp_secret = $3";

static const char use_code_sql[] = "UPDATE recovery_codes SET used_at = $3"
                                   " WHERE user_id = $1 AND code_mac IN ($2, $4, $5, $6, $7, $8,"
                                   " $9, $10, $11) AND used_at IS NULL";
_Static_assert(MAC_RING_MAX == 9, "as many MACs in use_code_sql");

static const char remove_sql[] =
    "UPDATE users SET totp_secret = NULL, totp_active = 0, totp_last_step = 0, updated_at = $2"
    " WHERE id = $1 AND totp_secret IS NOT NULL";

static const char delete_codes_sql[] = "DELETE FROM recovery_codes WHERE user_id = $1";

static const char insert_codes_sql[] =
    "INSERT INTO recovery_codes (user_id, code_mac) VALUES ($1, $2), ($1, $3), ($1, $4),"
    " ($1, $5), ($1, $6), ($1, $7), ($1, $8), ($1, $9), ($1, $10), ($1, $11)";
_Static_assert(MFA_RECOVERY_CODES == 10, "as many rows in insert_codes_sql");

static const char left_sql[] =
    "SELECT count(*) FROM recovery_codes WHERE user_id = $1 AND used_at IS NULL";

struct totp_state {
    uint8_t sealed[SEALED_MAX];
    size_t n_sealed;
    uint8_t secret[TOTP_SECRET_SIZE];
    bool active;
    int64_t last_step;
};

struct totp_context {
    struct str parts[4];
};

/* What a secret is bound to: it opens nowhere else. */
static struct totp_context context_of(const struct user *user)
{
    return (struct totp_context){{STR_INIT("users"),
                                  STR_INIT("totp_secret"),
                                  {(const char *)user->id.b, sizeof user->id.b},
                                  {(const char *)user->tenant_id.b, sizeof user->tenant_id.b}}};
}

static int seal_secret(const struct mfa_keys *keys, const struct user *user,
                       const uint8_t secret[TOTP_SECRET_SIZE], struct buf *ret_sealed)
{
    struct totp_context context = context_of(user);

    return seal(keys->seal, context.parts, 4, (struct str){(const char *)secret, TOTP_SECRET_SIZE},
                ret_sealed);
}

static int unseal_secret(const struct mfa_keys *keys, const struct user *user,
                         struct totp_state *state)
{
    struct totp_context context = context_of(user);
    _cleanup_buf_ struct buf secret = buf_secret(TOTP_SECRET_SIZE);
    int r = unseal(keys->seal, context.parts, 4,
                   (struct str){(const char *)state->sealed, state->n_sealed}, &secret);

    if (r == 0 && secret.n == TOTP_SECRET_SIZE)
        memcpy(state->secret, secret.p, TOTP_SECRET_SIZE);
    else if (r >= 0)
        r = fault_set(FAULT_CRYPTO, "a user's one-time code secret does not open");
    return r;
}

static int load_row(struct store_txn *t, const struct user *user, struct totp_state *ret_state)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(t, state_sql, &rows, PARAMS(P_ID(&user->id)));

    if (r == 0)
        r = store_rows_next(rows);
    if (r < 0)
        return r;
    if (r == 0 || store_col_is_null(rows, 0))
        return MFA_NONE;
    struct str sealed = store_col_blob(rows, 0);
    if (sealed.n > SEALED_MAX)
        return fault_set(FAULT_STORE, "a sealed one-time code secret has %zu bytes", sealed.n);
    memcpy(ret_state->sealed, sealed.p, sealed.n);
    ret_state->n_sealed = sealed.n;
    ret_state->active = store_col_int(rows, 1) != 0;
    ret_state->last_step = store_col_int(rows, 2);
    return 0;
}

/* Checks a code against the state; the caller wipes the state, whatever is returned. */
static int verify_step(const struct mfa_keys *keys, const struct user *user,
                       struct totp_state *state, struct str code, int64_t now, int64_t *ret_step)
{
    int r = unseal_secret(keys, user, state);

    if (r == 0)
        r = totp_verify(state->secret, code, now, state->last_step, ret_step);
    return r == TOTP_WRONG ? MFA_WRONG : r;
}

/* The MAC is bound to the user: equal codes of two users are not seen to be equal. */
static int mac_code(const struct mac_key *key, const struct uuid *user_id, struct str code,
                    uint8_t ret_mac[MAC_SIZE])
{
    struct str parts[] = {{(const char *)user_id->b, sizeof user_id->b}, code};

    return mac_sha256_parts(key, parts, 2, ret_mac);
}

struct secret_memory {
    char *p;
    size_t n;
};

static void wipe_memory(void *object)
{
    struct secret_memory *m = object;

    crypto_wipe(m->p, m->n);
}

/* A copy in the arena that is wiped with it. */
static int keep_secret(struct arena *a, struct str s, struct str *ret)
{
    struct secret_memory *m = arena_alloc(a, sizeof *m);

    if (!m || !(m->p = arena_alloc(a, s.n + 1)))
        return FAULT_MEMORY;
    m->n = s.n;
    memcpy(m->p, s.p, s.n);
    int r = arena_on_free(a, wipe_memory, m);
    if (r == 0)
        *ret = (struct str){m->p, m->n};
    return r;
}

/* Reserved at once, so that no copy is left behind by growing. */
static int make_uri(struct arena *a, const uint8_t secret[TOTP_SECRET_SIZE], struct str issuer,
                    struct str account, struct mfa_enrolment *e)
{
    _cleanup_buf_ struct buf uri = buf_secret(URI_MAX), svg = buf_secret(SVG_MAX);
    int r = totp_uri(secret, issuer, account, &uri);

    if (r == 0)
        r = keep_secret(a, buf_str(&uri), &e->uri);
    if (r == 0)
        r = qr_svg(buf_str(&uri), &svg);
    if (r == 0)
        r = keep_secret(a, buf_str(&svg), &e->qr_svg);
    return r;
}

static int make_texts(struct arena *a, const uint8_t secret[TOTP_SECRET_SIZE], struct str issuer,
                      struct str account, struct mfa_enrolment *e)
{
    char text[TOTP_SECRET_TEXT_SIZE];
    int r = totp_secret_format(secret, text);

    if (r == 0) {
        r = keep_secret(a, str_of(text), &e->secret);
        crypto_wipe(text, sizeof text);
    }
    return r == 0 ? make_uri(a, secret, issuer, account, e) : r;
}

static int store_secret(struct store_txn *t, const struct mfa_keys *keys, const struct user *user,
                        const uint8_t secret[TOTP_SECRET_SIZE], int64_t now)
{
    _cleanup_buf_ struct buf sealed = buf_init(SEALED_MAX);
    struct totp_state state;
    int64_t changed = 0;
    int r = seal_secret(keys, user, secret, &sealed);

    if (r == 0)
        r = store_exec(t, enroll_sql, &changed,
                       PARAMS(P_ID(&user->id), P_BLOB(sealed.p, sealed.n), P_INT(now)));
    if (r != 0 || changed == 1)
        return r;
    r = load_row(t, user, &state); /* no such user any more, or active */
    return r == 0 ? MFA_ACTIVE : r;
}

static int make_code(struct arena *a, const struct mfa_keys *keys, const struct uuid *user_id,
                     struct str *ret_shown, uint8_t ret_mac[MAC_SIZE])
{
    char shown[RECOVERY_SHOWN_SIZE], code[RECOVERY_CODE_SIZE];
    int r;

    recovery_code_new(shown);
    if (recovery_code_normalise(str_of(shown), code) != 0)
        r = fault_set(FAULT_INTERNAL, "a new recovery code is malformed");
    else
        r = mac_code(&keys->recovery.keys[0], user_id, str_of(code), ret_mac);
    if (r == 0)
        r = keep_secret(a, str_of(shown), ret_shown);
    crypto_wipe(shown, sizeof shown);
    crypto_wipe(code, sizeof code);
    return r;
}

static int replace_codes(struct store_txn *t, struct arena *a, const struct mfa_keys *keys,
                         const struct uuid *user_id, struct str codes[MFA_RECOVERY_CODES])
{
    uint8_t macs[MFA_RECOVERY_CODES][MAC_SIZE];
    struct store_param params[1 + MFA_RECOVERY_CODES] = {P_ID(user_id)};
    int r = store_exec(t, delete_codes_sql, NULL, PARAMS(P_ID(user_id)));

    for (int i = 0; r == 0 && i < MFA_RECOVERY_CODES; i++) {
        r = make_code(a, keys, user_id, &codes[i], macs[i]);
        params[1 + i] = P_BLOB(macs[i], MAC_SIZE);
    }
    if (r == 0)
        r = store_exec(t, insert_codes_sql, NULL, params, 1 + MFA_RECOVERY_CODES);
    return r == STORE_CONFLICT ? fault_set(FAULT_INTERNAL, "two recovery codes are equal") : r;
}

int mfa_enroll(struct store_txn *t, struct arena *a, const struct mfa_keys *keys,
               const struct user *user, struct str issuer, int64_t now,
               struct mfa_enrolment *ret_enrolment)
{
    uint8_t secret[TOTP_SECRET_SIZE];
    struct mfa_enrolment e;

    totp_secret_new(secret);
    int r = store_secret(t, keys, user, secret, now);
    if (r == 0)
        r = replace_codes(t, a, keys, &user->id, e.codes);
    if (r == 0)
        r = make_texts(a, secret, issuer, user->email, &e);
    crypto_wipe(secret, sizeof secret);
    if (r == 0)
        *ret_enrolment = e;
    return r;
}

/* Apps show "123 456", so that is what people type. */
static struct str without_spaces(struct str code, char out[MFA_CODE_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < code.n && n < MFA_CODE_MAX; i++)
        if (code.p[i] != ' ')
            out[n++] = code.p[i];
    return (struct str){out, n};
}

int mfa_activate(struct store_txn *t, const struct mfa_keys *keys, const struct user *user,
                 struct str code, int64_t now)
{
    struct totp_state state;
    char digits[MFA_CODE_MAX];
    int64_t step = 0, changed = 0;
    int r = load_row(t, user, &state);

    if (r != 0)
        return r;
    code = without_spaces(code, digits);
    r = state.active ? MFA_ACTIVE : verify_step(keys, user, &state, code, now, &step);
    if (r == 0)
        r = store_exec(
            t, activate_sql, &changed,
            PARAMS(P_ID(&user->id), P_INT(step), P_INT(now), P_BLOB(state.sealed, state.n_sealed)));
    if (r == 0 && changed == 0)
        r = MFA_WRONG;
    crypto_wipe(&state, sizeof state);
    return r;
}

/* Uses the step up, and seals the secret anew where it lies under a retired key. */
static int use_step(struct store_txn *t, const struct mfa_keys *keys, const struct user *user,
                    const struct totp_state *state, int64_t step)
{
    _cleanup_buf_ struct buf again = buf_init(SEALED_MAX);
    struct str old = {(const char *)state->sealed, state->n_sealed}, sealed = old;
    int64_t changed = 0;
    int r = 0;

    if (seal_needs_reseal(keys->seal, old)) {
        r = seal_secret(keys, user, state->secret, &again);
        sealed = buf_str(&again);
    }
    if (r == 0)
        r = store_exec(
            t, use_step_sql, &changed,
            PARAMS(P_ID(&user->id), P_INT(step), P_BLOB(old.p, old.n), P_BLOB(sealed.p, sealed.n)));
    return r == 0 && changed == 0 ? MFA_WRONG : r;
}

/* The code as each key of the ring would have it; the last again where there are fewer. */
static int mac_by_all(const struct mac_ring *ring, const struct uuid *user_id, struct str code,
                      uint8_t ret_macs[MAC_RING_MAX][MAC_SIZE])
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < MAC_RING_MAX; i++)
        r = mac_code(&ring->keys[i < ring->n ? i : ring->n - 1], user_id, code, ret_macs[i]);
    return r;
}

static int use_recovery_code(struct store_txn *t, const struct mfa_keys *keys,
                             const struct uuid *user_id, struct str typed, int64_t now)
{
    char code[RECOVERY_CODE_SIZE];
    uint8_t macs[MAC_RING_MAX][MAC_SIZE];
    struct store_param params[2 + MAC_RING_MAX] = {P_ID(user_id), [2] = P_INT(now)};
    int64_t changed = 0;

    if (typed.n > MFA_CODE_MAX || recovery_code_normalise(typed, code) != 0)
        return MFA_WRONG;
    int r = mac_by_all(&keys->recovery, user_id, str_of(code), macs);
    crypto_wipe(code, sizeof code);
    for (size_t i = 0; i < MAC_RING_MAX; i++)
        params[i == 0 ? 1 : 2 + i] = P_BLOB(macs[i], MAC_SIZE);
    if (r == 0)
        r = store_exec(t, use_code_sql, &changed, params, 2 + MAC_RING_MAX);
    return r == 0 && changed == 0 ? MFA_WRONG : r;
}

int mfa_check(struct store_txn *t, const struct mfa_keys *keys, const struct user *user,
              struct str code, int64_t now, enum mfa_method *ret_method)
{
    char digits[MFA_CODE_MAX];
    struct str compact = without_spaces(code, digits);
    enum mfa_method method = compact.n == TOTP_DIGITS ? MFA_TOTP : MFA_RECOVERY;
    struct totp_state state;
    int64_t step = 0;
    int r = load_row(t, user, &state);

    if (r == 0 && !state.active)
        r = MFA_NONE;
    if (r != 0)
        return r;
    if (method == MFA_RECOVERY) {
        r = use_recovery_code(t, keys, &user->id, code, now);
    } else {
        r = verify_step(keys, user, &state, compact, now, &step);
        if (r == 0)
            r = use_step(t, keys, user, &state, step);
        crypto_wipe(&state, sizeof state);
    }
    if (r == 0)
        *ret_method = method;
    return r;
}

int mfa_remove(struct store_txn *t, const struct uuid *user_id, int64_t now)
{
    int64_t changed = 0;
    int r = store_exec(t, remove_sql, &changed, PARAMS(P_ID(user_id), P_INT(now)));

    if (r == 0 && changed == 0)
        return MFA_NONE;
    return r != 0 ? r : store_exec(t, delete_codes_sql, NULL, PARAMS(P_ID(user_id)));
}

int mfa_codes_left(struct store_txn *t, const struct uuid *user_id, int64_t *ret_left)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(t, left_sql, &rows, PARAMS(P_ID(user_id)));

    if (r == 0)
        r = store_rows_next(rows);
    if (r < 0)
        return r;
    *ret_left = store_col_int(rows, 0);
    return 0;
}
