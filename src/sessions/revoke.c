#include "sessions/revoke.h"

#include "base/fault.h"
#include "base/json.h"
#include "identity/notification.h"

#define END_WHERE "UPDATE families SET revoked_at = $2, revoked_reason = $3 WHERE "
#define NOT_ENDED SESSION_NOT_ENDED("families")
/* Also over $2, of what was over by then: by another node's clock it may live, and be prolonged. */
#define TALLY                                                                                      \
    " RETURNING issued_at, CASE WHEN expires_at > $2 AND idle_expires_at > $2 THEN 1 ELSE 0 END"

static const char find_sql[] =
    "SELECT f.user_id, f.tenant_id, u.email, u.tenant_id FROM families f "
    "JOIN users u ON u.id = f.user_id WHERE f.id = $1";
static const char end_one_sql[] = END_WHERE "id = $1 AND " NOT_ENDED TALLY;
/* An epoch comes with these, which ends what was over; with the first of them, up to $5. */
static const char end_others_sql[] = END_WHERE
    "user_id = $1 AND id <> $4 AND (created_at > $5 OR (expires_at > $2 AND idle_expires_at > $2)) "
    "AND " NOT_ENDED TALLY;
static const char end_all_sql[] =
    END_WHERE "user_id = $1 AND " SESSION_ACTIVE("families", "$2") TALLY;
/*
 * A mass revocation may have committed since, with epochs that end the same sessions: those were
 * counted and told by it. Behind the lock of the trail it shows; who gets the lock later looks for
 * what this ended (mass_beside.c). The epoch of this very act, $4, is not meant.
 */
#define LEAVE                                                                                      \
    "UPDATE families SET revoked_at = NULL, revoked_reason = NULL WHERE revoked_at = $2 "          \
    "AND revoked_reason = $3 AND EXISTS (SELECT 1 FROM epochs e WHERE e.user_id = "                \
    "families.user_id AND e.not_before >= families.created_at AND e.not_before <> $4) AND "
enum { NO_EPOCH = -1 };
static const char leave_one_sql[] = LEAVE "id = $1" TALLY;
static const char leave_all_sql[] = LEAVE "user_id = $1" TALLY;
static const char newest_sql[] =
    "SELECT coalesce(max(created_at), 0) FROM families WHERE user_id = $1";
static const char ended_at_sql[] =
    "SELECT id, issued_at FROM families WHERE user_id = $1 AND revoked_at = $2";

/* A JSON object of the reason and, where n is not negative, how many sessions it ended. */
static int write_detail(struct buf *out, struct str reason, int64_t n)
{
    struct json_writer w = json_writer(out);

    json_object_begin(&w);
    json_key(&w, "reason");
    json_str(&w, reason);
    if (n >= 0) {
        json_key(&w, "sessions");
        json_int(&w, n);
    }
    json_object_end(&w);
    return buf_fault(out);
}

/* What a statement with TALLY changed. */
struct tally {
    int64_t rows, active, issued_at; /* of the last of the rows */
};

static int run_tally(struct store_txn *t, const char *sql, const struct store_param *params,
                     size_t n, struct tally *ret)
{
    struct store_rows *rows _cleanup_rows_ = NULL;
    struct tally tally = {0};
    int r = store_query(t, sql, &rows, params, n);

    while (r == 0 && (r = store_rows_next(rows)) == 1) {
        tally.rows++;
        tally.issued_at = store_col_int(rows, 0);
        tally.active += store_col_int(rows, 1);
        r = 0;
    }
    if (r == 0)
        *ret = tally;
    return r;
}

struct ending {
    struct sessions *s;
    const struct trail_actor *actor;
    const struct uuid *tenant, *id;
    struct str reason;
    int64_t now;
    enum trail_action action;
    bool own;               /* the actor's own session: no notice, and others' are unknown */
    struct str reused_from; /* of a token that came back: where from */
    int64_t ended;          /* of those that were active */
    bool changed;           /* the one family; horizon: when no token of it lives any more */
    int64_t horizon;
};

/* Tokens may be of a time ahead of now: by a clock that was put back since, or another node's. */
static int64_t horizon_of(int64_t issued_at, int64_t now)
{
    return session_access_horizon(issued_at > now ? issued_at : now);
}

/* Takes from the tally what a mass revocation ended before. */
static int leave(struct store_txn *t, const char *sql, const struct uuid *id, struct str reason,
                 int64_t now, int64_t own, struct tally *tally)
{
    struct tally left = {0};
    int r = tally->rows ? store_lock(t, STORE_LOCK_TRAIL) : 0;

    if (r == 0 && tally->rows)
        r = run_tally(t, sql, PARAMS(P_ID(id), P_INT(now), P_TEXT(reason), P_INT(own)), &left);
    tally->rows -= left.rows;
    tally->active -= left.active;
    return r;
}

static int end_one(struct store_txn *t, struct ending *e)
{
    struct tally tally;
    int r =
        run_tally(t, end_one_sql, PARAMS(P_ID(e->id), P_INT(e->now), P_TEXT(e->reason)), &tally);

    if (r == 0)
        r = leave(t, leave_one_sql, e->id, e->reason, e->now, NO_EPOCH, &tally);
    if (r)
        return r;
    e->changed = tally.rows > 0;
    e->ended = tally.active;
    e->horizon = horizon_of(tally.issued_at, e->now);
    return 0;
}

static int tell_and_record(struct store_txn *t, struct ending *e, const struct uuid *tenant,
                           const struct uuid *user, struct str email, enum notification_kind kind,
                           struct str told)
{
    struct buf detail _cleanup_buf_ = buf_init(4096);
    /* Nothing ended, nobody to tell; that it was asked for is recorded all the same. */
    bool tells = !e->own && e->ended;
    int r = tells ? notification_add(t, tenant, user, kind, told, e->now) : 0;

    if (r == 0)
        r = write_detail(&detail, e->reason, e->ended);
    if (r)
        return r;
    struct trail_event event = {.action = e->action,
                                .tenant_id = *tenant,
                                .subject_id = *user,
                                .subject = email,
                                .detail = buf_str(&detail)};
    return trail_append(e->s->trail, t, e->actor, &event);
}

static int end_family(struct store_txn *t, struct ending *e, struct store_rows *rows)
{
    struct uuid user = store_col_id(rows, 0), tenant = store_col_id(rows, 1);
    struct str email = store_col_text(rows, 2);
    int r = end_one(t, e);

    if (r || !e->changed)
        return r;
    r = feed_family(t, e->id, e->now, e->horizon);
    if (r)
        return r;
    struct str told = e->reason;
    enum notification_kind kind = NOTIFICATION_SESSION_REVOKED;
    if (e->reused_from.n) {
        kind = NOTIFICATION_TOKEN_REUSED;
        told = e->reused_from;
    }
    return tell_and_record(t, e, &tenant, &user, email, kind, told);
}

static int family_job(struct store_txn *t, void *arg)
{
    struct ending *e = arg;
    struct store_rows *rows _cleanup_rows_ = NULL;
    int r = store_query(t, find_sql, &rows, PARAMS(P_ID(e->id)));

    e->ended = 0;
    e->changed = false;
    if (r == 0)
        r = store_rows_next(rows);
    if (r <= 0)
        return r ? r : REVOKE_UNKNOWN;
    struct uuid user = store_col_id(rows, 0), tenant = store_col_id(rows, 3);
    if ((e->tenant && !uuid_eq(e->tenant, &tenant)) ||
        (e->own && !uuid_eq(&e->actor->user_id, &user)))
        return REVOKE_UNKNOWN;
    return end_family(t, e, rows);
}

/* Runs the job and puts what it ended into this node's gate before anyone is answered. */
static int run_family(struct ending *e, int64_t *ret_ended)
{
    int r = store_write(e->s->store, family_job, e);

    if (r == 0 && e->changed)
        r = gate_end_family(e->s->gate, e->id, e->horizon);
    if (r)
        return r;
    metric_add(&e->s->counters.revocations, (uint64_t)e->ended);
    *ret_ended = e->ended;
    return 0;
}

int session_revoke_family(struct sessions *s, const struct trail_actor *actor,
                          const struct uuid *tenant, const struct uuid *family_id,
                          struct str reason, int64_t now, int64_t *ret_ended)
{
    struct ending e = {.s = s,
                       .actor = actor,
                       .tenant = tenant,
                       .id = family_id,
                       .reason = reason,
                       .now = now,
                       .action = TRAIL_SESSION_REVOKE};

    return run_family(&e, ret_ended);
}

int session_logout(struct sessions *s, const struct trail_actor *actor,
                   const struct uuid *family_id, int64_t now, int64_t *ret_ended)
{
    struct ending e = {.s = s,
                       .actor = actor,
                       .id = family_id,
                       .reason = STR("logout"),
                       .now = now,
                       .action = TRAIL_SESSION_LOGOUT,
                       .own = true};

    return run_family(&e, ret_ended);
}

int session_revoke_reused(struct sessions *s, const struct trail_actor *actor,
                          const struct uuid *family_id, struct str from, int64_t now)
{
    int64_t ended;
    struct ending e = {.s = s,
                       .actor = actor,
                       .id = family_id,
                       .reason = STR("token reused"),
                       .now = now,
                       .action = TRAIL_SESSION_REUSE,
                       .reused_from = from};

    return run_family(&e, &ended);
}

/* With an epoch past every family there is, also one that a node with a fast clock began. */
static int end_every(struct store_txn *t, const struct uuid *user_id, struct user_epoch *epoch,
                     struct tally *ret)
{
    int64_t newest = 0, now = epoch->at;
    /* The user before the families, as everywhere: a sign-in holds it too while it begins one. */
    int r = user_hold(t, user_id);

    if (r == 0)
        r = run_tally(t, end_all_sql, PARAMS(P_ID(user_id), P_INT(now), P_TEXT(epoch->reason)),
                      ret);
    if (r == 0)
        r = store_number(t, newest_sql, &newest, PARAMS(P_ID(user_id)));
    epoch->not_before = user_epoch_before_lock(newest > now ? newest : now);
    return r;
}

/* With an epoch up to where the one that is kept began. */
static int end_others(struct store_txn *t, const struct uuid *user_id, const struct uuid *keep,
                      struct user_epoch *epoch, struct tally *ret)
{
    epoch->not_before = user_epoch_before_lock(uuid_time(keep) - 2);
    return run_tally(t, end_others_sql,
                     PARAMS(P_ID(user_id), P_INT(epoch->at), P_TEXT(epoch->reason), P_ID(keep),
                            P_INT(epoch->not_before)),
                     ret);
}

static int end_families(struct store_txn *t, const struct uuid *user_id, const struct uuid *keep,
                        struct str reason, int64_t now, int64_t *ret_own, struct tally *ret)
{
    struct user_epoch epoch = {.at = now, .reason = reason};
    int64_t added = 0;
    int r = keep ? end_others(t, user_id, keep, &epoch, ret) : end_every(t, user_id, &epoch, ret);

    /* Only now: a family that an epoch has ended is none that could be ended. */
    if (r == 0)
        r = user_end_epoch(t, user_id, &epoch, &added);
    if (r == 0 && added)
        *ret_own = epoch.not_before;
    return r;
}

int session_end_all(struct store_txn *t, const struct uuid *user_id, const struct uuid *keep,
                    struct str reason, int64_t now, int64_t *ret_ended)
{
    int64_t horizon = session_access_horizon(now), own = NO_EPOCH;
    struct tally ended;
    int r = end_families(t, user_id, keep, reason, now, &own, &ended);

    if (r == 0)
        r = leave(t, leave_all_sql, user_id, reason, now, own, &ended);
    /* Families for those who hold sockets of theirs; the user for who caches the account. */
    if (r == 0)
        r = feed_families_of(t, user_id, now, horizon);
    if (r == 0)
        r = feed_user(t, user_id, now, horizon);
    if (r == 0)
        *ret_ended = ended.active;
    return r;
}

int session_check_alive(struct store_txn *t, const struct uuid *family_id)
{
    static const char sql[] =
        "SELECT 1 FROM families f WHERE f.id = $1 AND " SESSION_NOT_ENDED("f");
    struct store_rows *rows _cleanup_rows_ = NULL;
    int r = store_query(t, sql, &rows, PARAMS(P_ID(family_id)));

    if (r == 0)
        r = store_rows_next(rows);
    if (r < 0)
        return r;
    return r == 1 ? 0 : REVOKE_UNKNOWN;
}

struct settling {
    struct sessions *s;
    const struct uuid *user_id;
    int64_t revoked_at;
};

static int settle_job(struct store_txn *t, void *arg)
{
    struct settling *settling = arg;
    struct store_rows *rows _cleanup_rows_ = NULL;
    int r = store_query(t, ended_at_sql, &rows,
                        PARAMS(P_ID(settling->user_id), P_INT(settling->revoked_at)));

    while (r == 0 && (r = store_rows_next(rows)) == 1) {
        struct uuid id = store_col_id(rows, 0);
        r = gate_end_family(settling->s->gate, &id,
                            horizon_of(store_col_int(rows, 1), settling->revoked_at));
    }
    return r;
}

int session_settle_user(struct sessions *s, const struct uuid *user_id, int64_t revoked_at)
{
    struct settling settling = {s, user_id, revoked_at};

    gate_account_forget(s->gate, user_id);
    failures_reread(s->failures, user_id);
    return store_read(s->store, settle_job, &settling);
}

static int user_job(struct store_txn *t, void *arg)
{
    struct ending *e = arg;
    struct arena arena _cleanup_arena_ = arena_init(16 * 1024);
    struct user user;
    int r = user_find(t, &arena, e->tenant, e->id, &user);

    if (r)
        return r == USER_UNKNOWN ? REVOKE_UNKNOWN : r;
    r = session_end_all(t, e->id, NULL, e->reason, e->now, &e->ended);
    if (r)
        return r;
    return tell_and_record(t, e, &user.tenant_id, e->id, user.email, NOTIFICATION_SESSIONS_REVOKED,
                           e->reason);
}

int session_revoke_user(struct sessions *s, const struct trail_actor *actor,
                        const struct uuid *tenant, const struct uuid *user_id, struct str reason,
                        int64_t now, int64_t *ret_ended)
{
    struct ending e = {.s = s,
                       .actor = actor,
                       .tenant = tenant,
                       .id = user_id,
                       .reason = reason,
                       .now = now,
                       .action = TRAIL_SESSION_REVOKE_USER};
    int r = store_write(s->store, user_job, &e);

    if (r == 0)
        r = session_settle_user(s, user_id, now);
    if (r)
        return r;
    metric_add(&s->counters.revocations, (uint64_t)e.ended);
    *ret_ended = e.ended;
    return 0;
}
