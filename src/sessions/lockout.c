#include "sessions/lockout.h"

#include "identity/notification.h"

enum { BATCH = 100 };

struct lifting {
    struct sessions *s;
    int64_t now;
    bool any;
    struct failures_lifted lifted[BATCH];
    size_t n;
};

static int look_job(struct store_txn *t, void *arg)
{
    struct lifting *l = arg;

    return failures_liftable(t, l->now, &l->any);
}

static int follow(struct store_txn *t, struct lifting *l, const struct failures_lifted *lifted)
{
    struct trail_actor actor = {.label = STR("system")};
    struct trail_event event = {.action = TRAIL_USER_UNLOCK,
                                .tenant_id = lifted->tenant_id,
                                .subject_id = lifted->user_id,
                                .detail = STR("{\"reason\":\"the lock has passed\"}")};
    int r = notification_add(t, &lifted->tenant_id, &lifted->user_id, NOTIFICATION_ACCOUNT_UNLOCKED,
                             STR(""), l->now);

    if (r == 0)
        r = feed_user(t, &lifted->user_id, l->now, session_access_horizon(l->now));
    return r ? r : trail_append(l->s->trail, t, &actor, &event);
}

static int lift_job(struct store_txn *t, void *arg)
{
    struct lifting *l = arg;
    int r = failures_lift(t, l->now, BATCH, l->lifted, &l->n);

    for (size_t i = 0; r == 0 && i < l->n; i++)
        r = follow(t, l, &l->lifted[i]);
    return r;
}

int lockout_lift(struct sessions *s, int64_t now)
{
    struct lifting l = {.s = s, .now = now};
    int r = store_read(s->store, look_job, &l);

    if (r || !l.any)
        return r;
    r = store_write(s->store, lift_job, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++)
        failures_forget(s->failures, &l.lifted[i].user_id);
    return r;
}
