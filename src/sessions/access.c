#include "sessions/access.h"

#include "base/clock.h"
#include "base/fault.h"

static int outcome_of(int jwt)
{
    if (jwt < 0)
        return jwt;
    return jwt == JWT_EXPIRED ? ACCESS_EXPIRED : ACCESS_INVALID;
}

/* What the account says about a token that is authentic and of a family that has not ended. */
static int judge(const struct jwt_claims *claims, const struct gate_account *account)
{
    if (account->disabled || !uuid_eq(&account->tenant_id, &claims->tid))
        return ACCESS_REVOKED;
    /* The family's id carries the time at which it began. */
    return uuid_time(&claims->sid) <= account->not_before ? ACCESS_REVOKED : 0;
}

int access_check(struct sessions *s, struct str token, int64_t now, struct access *ret)
{
    int r = jwt_verify(s->jwt, token, now, &ret->claims);

    if (r)
        return outcome_of(r);
    /*
     * A family's end is remembered for one life of a token: one that was issued when lives were
     * longer ends with the rest, or it would come back to life.
     */
    if (now >= (ret->claims.iat + config_current()->access_ttl_s) * CLOCK_SECOND)
        return ACCESS_EXPIRED;
    if (!sessions_fresh(s))
        return ACCESS_STALE;
    if (gate_family_ended(s->gate, &ret->claims.sid))
        return ACCESS_REVOKED;
    if (gate_account_find(s->gate, &ret->claims.sub, &ret->account))
        return ACCESS_MISS;
    return judge(&ret->claims, &ret->account);
}

struct loading {
    const struct uuid *id;
    struct gate_account *account;
    bool found;
};

static void copy_text(struct str text, char *to, size_t size)
{
    size_t n = text.n < size ? text.n : size - 1;

    memcpy(to, text.p, n);
    to[n] = '\0';
}

static int load_job(struct store_txn *t, void *arg)
{
    struct loading *l = arg;
    struct arena arena _cleanup_arena_ = arena_init(16 * 1024);
    struct user user;
    int r = user_find(t, &arena, NULL, l->id, &user);

    l->found = r == 0;
    if (r)
        return r == USER_UNKNOWN ? 0 : r;
    *l->account = (struct gate_account){.user_id = user.id,
                                        .tenant_id = user.tenant_id,
                                        .role = user.role,
                                        .disabled = user.disabled,
                                        .mfa_enabled = user.mfa_active,
                                        .password_temporary = user.password_temporary,
                                        .not_before = user.not_before};
    copy_text(user.email, l->account->email, sizeof l->account->email);
    copy_text(email_status_name(user.email_status), l->account->email_status,
              sizeof l->account->email_status);
    return 0;
}

int access_load(struct sessions *s, const struct uuid *user_id, struct gate_account *ret)
{
    struct loading l = {.id = user_id, .account = ret};
    uint64_t ticket = gate_account_ticket(s->gate, user_id);
    int r = store_read(s->store, load_job, &l);

    if (r)
        return r;
    if (!l.found)
        return ACCESS_REVOKED;
    return gate_account_put(s->gate, ticket, ret);
}

int access_check_blocking(struct sessions *s, struct str token, int64_t now, struct access *ret)
{
    int r = access_check(s, token, now, ret);

    if (r != ACCESS_MISS)
        return r;
    r = access_load(s, &ret->claims.sub, &ret->account);
    return r ? r : judge(&ret->claims, &ret->account);
}
