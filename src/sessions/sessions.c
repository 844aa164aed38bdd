#include "sessions/sessions.h"

#include "base/clock.h"
#include "base/encode.h"
#include "base/fault.h"
#include "crypto/init.h"
#include "identity/device.h"

enum { ACCOUNTS_MAX = 16384, LIMITER_KEYS_MAX = 200000 };

/* Splits a comma-separated list of secrets into views. */
static size_t split(const char *list, struct str *parts, size_t max)
{
    struct str rest = str_of(list), part;
    size_t n = 0;

    while (n < max && str_next(&rest, ',', &part))
        parts[n++] = str_trim(part);
    return n;
}

int encryption_secrets_read(const struct config *config, struct encryption_secrets *ret)
{
    struct str parts[SEAL_RETIRED_MAX + 1];
    size_t n = split(config->encryption_retired_keys, parts, SEAL_RETIRED_MAX + 1);

    if (n > SEAL_RETIRED_MAX)
        return fault_set(FAULT_LIMIT, "more than %d ENCRYPTION_RETIRED_KEYS", SEAL_RETIRED_MAX);
    if (!config->encryption_key ||
        hex_decode(str_of(config->encryption_key), SEAL_KEY_SIZE, ret->active))
        return fault_set(FAULT_INTERNAL, "ENCRYPTION_KEY is not set to 64 hexadecimal digits");
    for (size_t i = 0; i < n; i++)
        if (hex_decode(parts[i], SEAL_KEY_SIZE, ret->retired[i]))
            return fault_set(FAULT_INTERNAL, "ENCRYPTION_RETIRED_KEYS is malformed");
    ret->n_retired = n;
    return 0;
}

static int init_sealing(struct sessions *s, const struct config *config)
{
    struct encryption_secrets secrets = {.n_retired = 0};
    int r = encryption_secrets_read(config, &secrets);

    if (r == 0)
        r = seal_keys_init(secrets.active, (const uint8_t(*)[SEAL_KEY_SIZE])secrets.retired,
                           secrets.n_retired, &s->seal);
    struct str all[1 + SEAL_RETIRED_MAX] = {{(const char *)secrets.active, SEAL_KEY_SIZE}};
    for (size_t i = 0; i < secrets.n_retired; i++)
        all[1 + i] = (struct str){(const char *)secrets.retired[i], SEAL_KEY_SIZE};
    if (r == 0)
        r = mac_ring_derive(all, 1 + secrets.n_retired, MFA_RECOVERY_LABEL, &s->mfa.recovery);
    if (r == 0)
        r = mac_ring_derive(all, 1 + secrets.n_retired, DEVICE_LABEL, &s->device_keys);
    s->mfa.seal = &s->seal;
    crypto_wipe(&secrets, sizeof secrets);
    return r;
}

static int init_tokens(struct sessions *s, const struct config *config)
{
    struct str all[1 + JWT_RETIRED_MAX + 1] = {str_of(config->jwt_secret)}, *retired = all + 1;
    size_t n = split(config->jwt_retired_secrets, retired, JWT_RETIRED_MAX + 1);

    if (n > JWT_RETIRED_MAX)
        return fault_set(FAULT_LIMIT, "more than %d JWT_RETIRED_SECRETS", JWT_RETIRED_MAX);
    int r = mac_ring_derive(all, 1 + n, REFRESH_LABEL, &s->refresh);
    if (r)
        return r;
    return jwt_keys_new((enum jwt_algorithm)config->jwt_algorithm, all[0], retired, n,
                        str_of(config->jwt_issuer), str_of(config->jwt_audience), &s->jwt);
}

int sessions_new(const struct config *config, struct store *store, struct trail *trail,
                 struct sessions **ret)
{
    struct sessions *s = calloc(1, sizeof *s);

    if (!s)
        return fault_set(FAULT_MEMORY, "no memory for the sessions");
    s->store = store;
    s->trail = trail;
    int r = init_sealing(s, config);
    if (r == 0)
        r = init_tokens(s, config);
    if (r == 0)
        r = gate_new(ACCOUNTS_MAX, &s->gate);
    if (r == 0)
        r = failures_new(config->login_lock_after, &s->failures);
    if (r == 0)
        r = limiter_new(LIMITER_KEYS_MAX, &s->limiter);
    if (r) {
        sessions_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

void sessions_free(struct sessions *s)
{
    if (!s)
        return;
    feed_follower_stop(s->follower);
    limiter_free(s->limiter);
    failures_free(s->failures);
    gate_free(s->gate);
    jwt_keys_free(s->jwt);
    seal_keys_release(&s->seal);
    crypto_wipe(s, sizeof *s);
    free(s);
}

int sessions_follow(struct sessions *s, const struct feed_listener *listener)
{
    return feed_follow(s->store, s->gate, listener, &s->follower);
}

bool sessions_reachable(const struct sessions *s)
{
    return s->follower && !feed_follower_failing(s->follower);
}

bool sessions_fresh(const struct sessions *s)
{
    return s->follower && feed_follower_lag(s->follower) < SESSION_STALE_MS;
}

int64_t session_access_horizon(int64_t now)
{
    const struct config *c = config_current();

    /* Within the grace tokens are issued without a trace in the row. */
    return now + (c->access_ttl_s + c->refresh_grace_s) * CLOCK_SECOND + SESSION_SKEW_MS;
}

static int issue_access(struct sessions *s, const struct session_family *family,
                        const struct user *user, int64_t now, int64_t ttl, struct buf *out)
{
    struct jwt_claims claims = {.sub = user->id,
                                .tid = user->tenant_id,
                                .sid = family->id,
                                .jti = uuid_at(now),
                                .amr = family->amr,
                                .iat = now / 1000,
                                .exp = now / 1000 + ttl};
    struct str role = role_name(user->role);

    memcpy(claims.role, role.p, role.n);
    return jwt_issue(s->jwt, &claims, out);
}

/* Seconds; a token does not outlive its session, for there would be nothing left to revoke. */
static int64_t access_life(const struct session_family *family, int64_t now)
{
    int64_t ttl = config_current()->access_ttl_s, left = (family->expires_at - now) / CLOCK_SECOND;

    return left >= ttl ? ttl : left > 0 ? left : 1;
}

int session_grant_make(struct sessions *s, struct arena *a, const struct session_family *family,
                       uint32_t generation, const struct user *user, int64_t now,
                       struct session_grant *ret)
{
    struct buf access _cleanup_buf_ = buf_secret(JWT_MAX);
    char refresh[REFRESH_TOKEN_TEXT_SIZE];
    int64_t ttl = access_life(family, now);
    int r = issue_access(s, family, user, now, ttl, &access);

    if (r == 0)
        r = refresh_token_make(&s->refresh, &family->id, generation, family->seed, refresh);
    if (r)
        return r;
    struct session_grant grant = {.access_token = arena_str(a, buf_str(&access)),
                                  .refresh_token =
                                      arena_str(a, (struct str){refresh, REFRESH_TOKEN_TEXT}),
                                  .expires_in = ttl,
                                  .session_id = family->id,
                                  .user = *user};
    crypto_wipe(refresh, sizeof refresh);
    if (!grant.access_token.p || !grant.refresh_token.p)
        return FAULT_MEMORY;
    *ret = grant;
    return 0;
}

struct str session_device_text(struct arena *a, struct str ip, struct str user_agent)
{
    char *text =
        user_agent.n ? arena_printf(a, "%.*s (%.*s)", STR_ARG(ip), STR_ARG(user_agent)) : NULL;

    return text ? str_of(text) : ip;
}
