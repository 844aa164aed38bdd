#include "sessions/login.h"

#include "base/clock.h"
#include "base/fault.h"
#include "crypto/init.h"
#include "crypto/password.h"
#include "crypto/sha256.h"
#include "identity/device.h"
#include "identity/notification.h"

/* Keeps the limits' keys apart. */
enum { KEY_ADDRESS = 1, KEY_ACCOUNT_MINUTE, KEY_ACCOUNT_HOUR };

static const char insert_sql[] =
    "INSERT INTO families (id, tenant_id, user_id, generation, seed, amr, created_at, rotated_at, "
    "issued_at, expires_at, idle_expires_at, ip, user_agent) "
    "SELECT $1, $2, $3, 0, $4, $5, $6, $6, $6, $7, $8, $9, $10 WHERE " USER_EPOCH("$3") " <= $11";

static int account_key(struct str email, uint64_t kind, struct limiter_key *ret)
{
    uint8_t digest[SHA256_SIZE];
    int r = sha256(email, digest);

    if (r)
        return r;
    ret->kind = kind;
    memcpy(ret->subject, digest, sizeof ret->subject);
    return 0;
}

int login_admit(struct sessions *s, const struct in6_addr *address, struct str email,
                struct limiter_state *ret_state)
{
    const struct config *config = config_current();
    struct limiter_rule minute = {config->login_per_minute, CLOCK_MINUTE};
    struct limiter_rule hour = {config->login_per_hour, CLOCK_HOUR};
    struct limiter_key by_address = limiter_key_of_address(KEY_ADDRESS, address), by_minute,
                       by_hour;
    struct limiter_state of_address, of_minute, of_hour;
    int64_t now = clock_mono();
    int r = account_key(email, KEY_ACCOUNT_MINUTE, &by_minute);

    if (r == 0)
        r = account_key(email, KEY_ACCOUNT_HOUR, &by_hour);
    if (r)
        return r;
    r = limiter_take(s->limiter, &by_address, minute, now, &of_address);
    *ret_state = of_address;
    if (r == 0) {
        r = limiter_take(s->limiter, &by_minute, minute, now, &of_minute);
        if (r || of_minute.remaining < of_address.remaining)
            *ret_state = of_minute;
    }
    if (r == 0) {
        r = limiter_take(s->limiter, &by_hour, hour, now, &of_hour);
        if (r)
            *ret_state = of_hour;
    }
    if (r == LIMITER_REFUSED) {
        metric_add(&s->counters.login_limited, 1);
        return LOGIN_LIMITED;
    }
    return r;
}

struct lookup {
    struct arena *arena;
    struct str email;
    bool found;
    struct user user;
};

static int lookup_job(struct store_txn *t, void *arg)
{
    struct lookup *l = arg;
    int r = user_find_by_email(t, l->arena, NULL, l->email, &l->user);

    l->found = r == 0;
    return r == USER_UNKNOWN ? 0 : r;
}

/* One Argon2id, whatever the account. Returns 0, LOGIN_REFUSED or a fault. */
static int verify(struct sessions *s, const struct lookup *l, struct str password,
                  bool *ret_admitted)
{
    bool admitted = l->found && failures_admit(s->failures, &l->user) == 0;
    int r = admitted ? password_verify(password, l->user.password_hash)
                     : password_verify_dummy(password);

    *ret_admitted = admitted;
    if (r == 0 && !user_may_sign_in(&l->user))
        r = 1;
    return r > 0 ? LOGIN_REFUSED : r;
}

static int note_device(struct sessions *s, struct store_txn *t, struct arena *a,
                       const struct login_input *input, const struct user *user)
{
    struct device_prints device;
    enum device_novelty novelty;
    int r = device_fingerprints(&s->device_keys, input->user_agent, input->ip, &device);

    if (r == 0)
        r = device_seen(t, &user->id, &device, input->now, &novelty);
    if (r || novelty != DEVICE_NEW)
        return r;
    struct str from = session_device_text(a, input->ip, input->user_agent);
    return notification_add(t, &user->tenant_id, &user->id, NOTIFICATION_NEW_DEVICE, from,
                            input->now);
}

/*
 * A mass revocation holds no users: its epochs may be there and not yet visible, whatever was read
 * before. But it takes the lock of the trail before it looks for sessions that begin meanwhile, and
 * so does this before it begins one. If this comes first, the revocation finds the session and ends
 * it; if the revocation does, its epochs are visible here.
 */
static int insert_family(struct store_txn *t, const struct login_input *input,
                         struct login_session *session)
{
    const struct config *config = config_current();
    const struct user *user = &session->user;
    /* Behind any revocation of the account, even in the same millisecond or by a faster clock. */
    int64_t at = input->now > user->not_before ? input->now : user->not_before + 1;
    struct session_family *f = &session->family;

    *f = (struct session_family){.id = uuid_at(at),
                                 .user_id = user->id,
                                 .tenant_id = user->tenant_id,
                                 .amr = session->amr,
                                 .created_at = at,
                                 .rotated_at = at,
                                 .expires_at = at + config->refresh_ttl_days * CLOCK_DAY,
                                 .idle_expires_at = at + config->refresh_idle_days * CLOCK_DAY};
    crypto_random(f->seed, sizeof f->seed);
    int64_t begun = 0;
    int r = store_lock(t, STORE_LOCK_TRAIL);
    if (r == 0)
        r = store_exec(t, insert_sql, &begun,
                       PARAMS(P_ID(&f->id), P_ID(&f->tenant_id), P_ID(&f->user_id),
                              P_BLOB(f->seed, sizeof f->seed), P_INT(f->amr), P_INT(at),
                              P_INT(f->expires_at), P_INT(f->idle_expires_at), P_TEXT(input->ip),
                              P_TEXT(input->user_agent), P_INT(user->not_before)));
    return r == 0 && begun == 0 ? LOGIN_REFUSED : r;
}

int login_begin(struct sessions *s, struct store_txn *t, struct arena *a,
                const struct login_input *input, struct login_session *session)
{
    const struct user *user = &session->user;
    int r = note_device(s, t, a, input, user);

    if (r == 0)
        r = insert_family(t, input, session);
    if (r)
        return r;
    struct trail_actor actor = {.tenant_id = user->tenant_id,
                                .user_id = user->id,
                                .label = user->email,
                                .ip = input->ip,
                                .request_id = input->request_id};
    struct trail_event event = {.action = TRAIL_USER_LOGIN,
                                .tenant_id = user->tenant_id,
                                .subject_id = user->id,
                                .subject = user->email,
                                .detail = session->amr & JWT_AMR_OTP ? STR("{\"mfa\":true}")
                                                                     : STR("{\"mfa\":false}")};
    return trail_append(s->trail, t, &actor, &event);
}

struct beginning {
    struct sessions *s;
    struct arena *arena;
    const struct login_input *input;
    const struct user *verified;
    struct str new_hash; /* empty: the stored one is of today's cost */
    struct login_session session;
};

/* The account as it is now must still be the one whose password was verified. */
static int recheck(struct store_txn *t, struct beginning *b)
{
    struct user *now = &b->session.user;
    /* Held, so that a change of the password is either seen here or ends what begins here. */
    int r = user_hold(t, &b->verified->id);

    if (r == 0)
        r = user_find(t, b->arena, NULL, &b->verified->id, now);
    if (r)
        return r == USER_UNKNOWN ? LOGIN_REFUSED : r;
    if (!user_may_sign_in(now) || now->password_changed_at != b->verified->password_changed_at)
        return LOGIN_REFUSED;
    /* All sessions were ended since: this sign-in is older than that and begins none. */
    if (now->not_before > b->verified->not_before)
        return LOGIN_REFUSED;
    return now->mfa_active != b->verified->mfa_active ? LOGIN_REFUSED : 0;
}

static int use_code(struct store_txn *t, struct beginning *b)
{
    const struct user *user = &b->session.user;
    enum mfa_method method;
    int64_t left;
    char text[24];
    int r = mfa_check(t, &b->s->mfa, user, b->input->code, b->input->now, &method);

    if (r)
        return r > 0 ? LOGIN_REFUSED : r;
    b->session.amr |= JWT_AMR_OTP;
    if (method != MFA_RECOVERY)
        return 0;
    r = mfa_codes_left(t, &user->id, &left);
    if (r)
        return r;
    int n = snprintf(text, sizeof text, "%lld", (long long)left);
    return notification_add(t, &user->tenant_id, &user->id, NOTIFICATION_RECOVERY_CODE_USED,
                            (struct str){text, (size_t)n}, b->input->now);
}

static int begin_job(struct store_txn *t, void *arg)
{
    struct beginning *b = arg;
    int r = recheck(t, b);

    b->session.amr = JWT_AMR_PWD;
    if (r == 0 && b->verified->mfa_active)
        r = use_code(t, b);
    if (r == 0 && b->new_hash.n)
        r = user_rehash(t, &b->verified->id, b->verified->password_hash, b->new_hash);
    if (r == 0 && b->session.user.failed_logins)
        r = user_clear_failures(t, &b->verified->id);
    return r ? r : login_begin(b->s, t, b->arena, b->input, &b->session);
}

static int begin(struct sessions *s, struct arena *a, const struct login_input *input,
                 const struct user *user, struct session_grant *ret)
{
    char hash[PASSWORD_HASH_SIZE];
    struct beginning b = {.s = s, .arena = a, .input = input, .verified = user};
    int r = 0;

    /* Hashed out here: a job may run on the store's only writer. */
    if (password_needs_rehash(user->password_hash)) {
        r = password_hash(input->password, hash);
        b.new_hash = str_of(hash);
    }
    if (r == 0)
        r = store_write(s->store, begin_job, &b);
    if (r == 0)
        r = session_grant_make(s, a, &b.session.family, 0, &b.session.user, input->now, ret);
    crypto_wipe(&b.session.family.seed, sizeof b.session.family.seed);
    return r;
}

static enum failures_result result_of(int outcome)
{
    if (outcome == 0)
        return FAILURES_SUCCESS;
    return outcome == LOGIN_REFUSED ? FAILURES_FAILURE : FAILURES_ABANDONED;
}

int login_run(struct sessions *s, struct arena *a, const struct login_input *input,
              struct session_grant *ret)
{
    struct lookup l = {.arena = a, .email = input->email};
    bool admitted = false;
    int r = store_read(s->store, lookup_job, &l);

    if (r == 0)
        r = verify(s, &l, input->password, &admitted);
    if (r == 0 && l.user.mfa_active && input->code.n == 0)
        r = LOGIN_MFA_REQUIRED;
    if (r == 0)
        r = begin(s, a, input, &l.user, ret);
    if (admitted)
        failures_settle(s->failures, &l.user.id, result_of(r));
    if (r == 0)
        metric_add(&s->counters.logins, 1);
    else if (r == LOGIN_REFUSED)
        metric_add(&s->counters.login_failures, 1);
    return r;
}

int login_verify_password(struct sessions *s, const struct user *user, struct str password,
                          const struct in6_addr *address, struct limiter_state *ret_state)
{
    int r = login_admit(s, address, user->email, ret_state);

    if (r)
        return r;
    bool admitted = failures_admit(s->failures, user) == 0;
    r = admitted ? password_verify(password, user->password_hash) : password_verify_dummy(password);
    if (r > 0)
        r = LOGIN_REFUSED;
    if (admitted)
        failures_settle(s->failures, &user->id, result_of(r));
    return r;
}

struct flushing {
    struct sessions *s;
    int64_t now;
};

/* A handful of failures in one second is nobody's typing. */
enum { BURST = 5 };

static int record(struct store_txn *t, struct flushing *f, const struct failures_note *note,
                  enum trail_action action)
{
    char detail[64];
    int n = snprintf(detail, sizeof detail, "{\"failures\":%lld}", (long long)note->count);
    struct trail_actor actor = {.label = STR("system")};
    struct trail_event event = {.action = action,
                                .tenant_id = note->tenant_id,
                                .subject_id = note->user_id,
                                .detail = {detail, (size_t)n}};

    return trail_append(f->s->trail, t, &actor, &event);
}

static int told(struct store_txn *t, const struct failures_note *notes, size_t n, void *arg)
{
    struct flushing *f = arg;
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++) {
        const struct failures_note *note = &notes[i];
        if (note->locked)
            r = notification_add(t, &note->tenant_id, &note->user_id, NOTIFICATION_ACCOUNT_LOCKED,
                                 STR(""), f->now);
        if (r == 0 && note->locked)
            r = record(t, f, note, TRAIL_USER_LOCKED);
        else if (r == 0 && note->count >= BURST)
            r = record(t, f, note, TRAIL_USER_LOGIN_BURST);
    }
    return r;
}

int login_flush_failures(struct sessions *s, int64_t now)
{
    struct flushing f = {s, now};

    failures_set_limit(s->failures, config_current()->login_lock_after);
    return failures_flush(s->failures, s->store, now, told, &f);
}
