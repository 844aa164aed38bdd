#include "sessions/refresh.h"

#include "base/clock.h"
#include "base/fault.h"
#include "crypto/init.h"
#include "sessions/revoke.h"

enum { ATTEMPTS = 8 };

static const char find_sql[] =
    "SELECT f.id, f.user_id, f.tenant_id, f.generation, f.seed, f.amr, f.created_at, f.rotated_at, "
    "f.expires_at, f.idle_expires_at, f.revoked_at, "
    "u.email, u.role, u.disabled, " USER_EPOCH(
        "u.id") ", u.email_status, u.totp_active, "
                "u.password_temporary, u.locked_at "
                "FROM families f JOIN users u ON u.id = f.user_id WHERE f.id = $1";

static const char rotate_sql[] =
    "UPDATE families SET generation = $3, rotated_at = $4, "
    "issued_at = CASE WHEN issued_at > $4 THEN issued_at ELSE $4 END, idle_expires_at = $5, "
    "ip = $6, user_agent = $7 WHERE id = $1 AND generation = $2 AND " SESSION_NOT_ENDED("families");

struct finding {
    const struct refresh_token *token;
    struct arena *arena;
    bool found;
    struct session_family family;
    struct user user;
};

static int read_family(struct store_rows *rows, struct session_family *ret)
{
    struct str seed = store_col_blob(rows, 4);

    if (seed.n != REFRESH_SEED_SIZE)
        return fault_set(FAULT_STORE, "a family's seed has %zu bytes", seed.n);
    *ret = (struct session_family){.id = store_col_id(rows, 0),
                                   .user_id = store_col_id(rows, 1),
                                   .tenant_id = store_col_id(rows, 2),
                                   .generation = (uint32_t)store_col_int(rows, 3),
                                   .amr = (unsigned)store_col_int(rows, 5),
                                   .created_at = store_col_int(rows, 6),
                                   .rotated_at = store_col_int(rows, 7),
                                   .expires_at = store_col_int(rows, 8),
                                   .idle_expires_at = store_col_int(rows, 9),
                                   .revoked_at = store_col_int(rows, 10)};
    memcpy(ret->seed, seed.p, sizeof ret->seed);
    return 0;
}

static int read_user(struct store_rows *rows, struct arena *a, const struct session_family *family,
                     struct user *ret)
{
    struct user user = {.id = family->user_id,
                        .tenant_id = family->tenant_id,
                        .email = arena_str(a, store_col_text(rows, 11)),
                        .disabled = store_col_int(rows, 13) != 0,
                        .not_before = store_col_int(rows, 14),
                        .mfa_active = store_col_int(rows, 16) != 0,
                        .password_temporary = store_col_int(rows, 17) != 0,
                        .locked_at = store_col_int(rows, 18)};

    if (!user.email.p)
        return FAULT_MEMORY;
    if (role_parse(store_col_text(rows, 12), &user.role) ||
        email_status_parse(store_col_text(rows, 15), &user.email_status))
        return fault_set(FAULT_STORE, "a user's role or address state is unknown");
    *ret = user;
    return 0;
}

static int read_finding(struct store_rows *rows, void *arg)
{
    struct finding *f = arg;
    int r = store_rows_next(rows);

    f->found = false;
    if (r <= 0)
        return r;
    r = read_family(rows, &f->family);
    if (r == 0)
        r = read_user(rows, f->arena, &f->family, &f->user);
    f->found = r == 0;
    return r;
}

/* What holds whatever generation the token is of. */
static int check_alive(const struct finding *f, int64_t now)
{
    const struct session_family *family = &f->family;

    if (family->revoked_at || f->user.disabled || family->created_at <= f->user.not_before)
        return REFRESH_REVOKED;
    if (family->expires_at <= now || family->idle_expires_at <= now)
        return REFRESH_EXPIRED;
    return 0;
}

struct rotation {
    struct sessions *s;
    const struct finding *finding;
    const struct refresh_input *input;
    uint32_t next;
    bool won;
};

/* The parameters of rotate_sql. */
#define ROTATION(r, at)                                                                            \
    PARAMS(P_ID(&(r)->finding->family.id), P_INT((r)->finding->family.generation),                 \
           P_INT((r)->next), P_INT(at),                                                            \
           P_INT((at) + config_current()->refresh_idle_days * CLOCK_DAY), P_TEXT((r)->input->ip),  \
           P_TEXT((r)->input->user_agent))

static int64_t rotation_time(const struct refresh_input *input)
{
    return input->rotate_at > input->now ? input->rotate_at : input->now;
}

static int rotate(struct rotation *rotation)
{
    int64_t changed = 0;
    int r = store_run(rotation->s->store, rotate_sql, &changed,
                      ROTATION(rotation, rotation_time(rotation->input)));

    rotation->won = changed == 1;
    return r;
}

/* Another try: the row changed between reading and writing. */
enum { AGAIN = 100 };

static struct trail_actor actor_of(const struct finding *f, const struct refresh_input *input)
{
    return (struct trail_actor){.tenant_id = f->family.tenant_id,
                                .user_id = f->family.user_id,
                                .label = f->user.email,
                                .ip = input->ip,
                                .request_id = input->request_id};
}

/* A restored database is worth a record, which explains why a row jumped: both or neither. */
static int forward_job(struct store_txn *t, void *arg)
{
    struct rotation *rotation = arg;
    const struct finding *f = rotation->finding;
    struct trail_actor actor = actor_of(f, rotation->input);
    struct trail_event event = {.action = TRAIL_SESSION_FORWARD,
                                .tenant_id = f->family.tenant_id,
                                .subject_id = f->family.user_id,
                                .subject = f->user.email};
    int64_t changed = 0;
    int r = store_exec(t, rotate_sql, &changed, ROTATION(rotation, rotation_time(rotation->input)));

    rotation->won = changed == 1;
    return r || !rotation->won ? r : trail_append(rotation->s->trail, t, &actor, &event);
}

static int advance(struct sessions *s, struct arena *a, const struct finding *f,
                   const struct refresh_input *input, struct session_grant *ret)
{
    struct rotation rotation = {s, f, input, f->token->generation + 1, false};
    bool forward = f->token->generation > f->family.generation;

    if (rotation.next > REFRESH_GENERATION_MAX)
        return REFRESH_EXPIRED;
    int r = forward ? store_write(s->store, forward_job, &rotation) : rotate(&rotation);
    if (r)
        return r;
    if (!rotation.won)
        return AGAIN;
    metric_add(forward ? &s->counters.refresh_forwards : &s->counters.refreshes, 1);
    return session_grant_make(s, a, &f->family, rotation.next, &f->user, input->now, ret);
}

static int reuse(struct sessions *s, struct arena *a, const struct finding *f,
                 const struct refresh_input *input)
{
    struct trail_actor actor = actor_of(f, input);
    struct str from = session_device_text(a, input->ip, input->user_agent);
    int r = session_revoke_reused(s, &actor, &f->family.id, from, input->now);

    if (r)
        return r;
    metric_add(&s->counters.reuses, 1);
    return REFRESH_REUSED;
}

/*
 * The predecessor of the current generation gets the same successor again, for a fixed time. A
 * clock that was put back since the rotation does not prolong it.
 */
static bool in_grace(const struct finding *f, int64_t now)
{
    int64_t grace = config_current()->refresh_grace_s * CLOCK_SECOND;

    return f->token->generation + 1 == f->family.generation && grace > 0 &&
           now <= f->family.rotated_at + grace && now >= f->family.rotated_at - SESSION_SKEW_MS;
}

static int decide(struct sessions *s, struct arena *a, const struct finding *f,
                  const struct refresh_input *input, struct session_grant *ret)
{
    uint32_t current = f->family.generation;

    /* Ahead of the row only after the database was restored: the row moves forward. */
    if (f->token->generation >= current)
        return advance(s, a, f, input, ret);
    if (in_grace(f, input->now)) {
        metric_add(&s->counters.refresh_graces, 1);
        return session_grant_make(s, a, &f->family, current, &f->user, input->now, ret);
    }
    return reuse(s, a, f, input);
}

/* Reads the row and authenticates the token: 0 where it is alive, an outcome, or a fault. */
static int examine(struct sessions *s, struct finding *f, int64_t now)
{
    int r = store_find(s->store, find_sql, read_finding, f, PARAMS(P_ID(&f->token->family_id)));

    if (r)
        return r;
    if (!f->found)
        return REFRESH_INVALID;
    r = refresh_token_check(&s->refresh, f->token, f->family.seed);
    if (r)
        return r == REFRESH_TOKEN_INVALID ? REFRESH_INVALID : r;
    return check_alive(f, now);
}

int session_refresh(struct sessions *s, struct arena *a, const struct refresh_input *input,
                    struct session_grant *ret)
{
    struct refresh_token token;
    struct finding f = {.token = &token, .arena = a};
    int r = refresh_token_parse(input->token, &token) ? REFRESH_INVALID : AGAIN;

    for (int i = 0; r == AGAIN && i < ATTEMPTS; i++) {
        r = examine(s, &f, input->now);
        if (r == 0)
            r = decide(s, a, &f, input, ret);
    }
    crypto_wipe(&f.family.seed, sizeof f.family.seed);
    if (r == AGAIN)
        r = fault_set(FAULT_UNAVAILABLE, "a family changed %d times during one rotation", ATTEMPTS);
    if (r > 0)
        metric_add(&s->counters.refresh_refusals, 1);
    return r;
}

int session_refresh_inspect(struct sessions *s, struct arena *a, struct str token, int64_t now,
                            struct refresh_status *ret)
{
    struct refresh_token parsed;
    struct finding f = {.token = &parsed, .arena = a};

    if (refresh_token_parse(token, &parsed))
        return REFRESH_INVALID;
    int r = examine(s, &f, now);
    if (r == 0 && parsed.generation < f.family.generation && !in_grace(&f, now))
        r = REFRESH_REUSED;
    crypto_wipe(&f.family.seed, sizeof f.family.seed);
    if (r == 0)
        *ret = (struct refresh_status){f.family, f.user};
    return r;
}
