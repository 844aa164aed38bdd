#include "sessions/overview.h"

#include "base/fault.h"
#include "sessions/login.h"

/* Of the first end of all the user's sessions that found the family active. */
#define OF_EPOCH(column)                                                                           \
    "(SELECT e." column " FROM epochs e WHERE e.user_id = f.user_id "                              \
    "AND e.not_before >= f.created_at AND e.at < f.expires_at AND e.at < f.idle_expires_at "       \
    "ORDER BY e.not_before LIMIT 1)"
#define COLUMNS                                                                                    \
    "f.id, f.created_at, f.rotated_at, f.expires_at, f.idle_expires_at, f.generation, "            \
    "coalesce(f.revoked_at, " OF_EPOCH("at") "), f.ip, f.user_agent, "                             \
                                             "CASE WHEN f.revoked_at IS NULL THEN " OF_EPOCH(      \
                                                 "reason") " ELSE f.revoked_reason END"

static const char active_sql[] =
    "SELECT " COLUMNS " FROM families f WHERE f.user_id = $1 AND " SESSION_ACTIVE(
        "f", "$2") " AND f.id < $3 ORDER BY f.id DESC LIMIT $4";
static const char all_sql[] =
    "SELECT " COLUMNS " FROM families f WHERE f.user_id = $1 ORDER BY f.id DESC LIMIT $2";
static const char count_active_sql[] =
    "SELECT count(*) FROM families f WHERE f.user_id = $1 AND " SESSION_ACTIVE("f", "$2");
static const char count_reuse_sql[] =
    "SELECT count(*) FROM trail WHERE subject_id = $1 AND action = 'session.reuse'";
static const char reap_sql[] =
    "DELETE FROM families WHERE id IN "
    "(SELECT id FROM families WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";

static int read_family(struct store_rows *rows, struct arena *a, int64_t now,
                       struct overview_family *ret)
{
    int64_t idle_expires_at = store_col_int(rows, 4), revoked_at = store_col_int(rows, 6);
    int64_t expires_at = store_col_int(rows, 3);
    int64_t over = expires_at < idle_expires_at ? expires_at : idle_expires_at;
    /* What is over is ended too, in case it lives by another clock (revoke.c): no news of it. */
    bool ended = revoked_at && (revoked_at < over || now < over);

    *ret = (struct overview_family){.id = store_col_id(rows, 0),
                                    .created_at = store_col_int(rows, 1),
                                    .last_used_at = store_col_int(rows, 2),
                                    .expires_at = expires_at,
                                    .generation = store_col_int(rows, 5),
                                    .revoked_at = ended ? revoked_at : 0,
                                    .ip = arena_str(a, store_col_text(rows, 7)),
                                    .user_agent = arena_str(a, store_col_text(rows, 8)),
                                    .revoked_reason =
                                        arena_str(a, ended ? store_col_text(rows, 9) : STR(""))};
    if (!ret->ip.p || !ret->user_agent.p || !ret->revoked_reason.p)
        return FAULT_MEMORY;
    ret->active = !revoked_at && now < over;
    return 0;
}

static int read_families(struct store_rows *rows, struct arena *a, int64_t now, size_t max,
                         struct overview_family **ret, size_t *ret_n)
{
    struct overview_family *families = arena_array(a, max, sizeof *families);
    size_t n = 0;
    int r = families ? 0 : FAULT_MEMORY;

    while (r == 0 && n < max && (r = store_rows_next(rows)) == 1)
        r = read_family(rows, a, now, &families[n++]);
    if (r == 0) {
        *ret = families;
        *ret_n = n;
    }
    return r;
}

struct listing {
    struct arena *arena;
    const struct uuid *user_id, *before;
    size_t limit, n;
    int64_t now;
    struct overview_family *families;
};

static int list_job(struct store_txn *t, void *arg)
{
    static const struct uuid last = {
        {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}};
    struct listing *l = arg;
    struct store_rows *rows _cleanup_rows_ = NULL;
    int r = store_query(t, active_sql, &rows,
                        PARAMS(P_ID(l->user_id), P_INT(l->now), P_ID(l->before ? l->before : &last),
                               P_INT((int64_t)l->limit)));

    return r ? r : read_families(rows, l->arena, l->now, l->limit, &l->families, &l->n);
}

int overview_sessions(struct sessions *s, struct arena *a, const struct uuid *user_id,
                      const struct uuid *before, size_t limit, int64_t now,
                      struct overview_family **ret, size_t *ret_n)
{
    struct listing l = {
        .arena = a, .user_id = user_id, .before = before, .limit = limit, .now = now};
    int r = store_read(s->store, list_job, &l);

    if (r == 0) {
        *ret = l.families;
        *ret_n = l.n;
    }
    return r;
}

struct auditing {
    struct arena *arena;
    const struct uuid *tenant, *user_id;
    int64_t now;
    struct overview view;
};

static int take_event(const struct trail_record *record, void *arg)
{
    struct auditing *audit = arg;
    struct arena *a = audit->arena;
    struct overview_event *e = &audit->view.events[audit->view.n_events++];

    *e = (struct overview_event){.at = record->at,
                                 .action = arena_str(a, record->action),
                                 .actor = arena_str(a, record->actor),
                                 .ip = arena_str(a, record->ip),
                                 .detail = arena_str(a, record->detail)};
    return e->action.p && e->actor.p && e->ip.p && e->detail.p ? 0 : FAULT_MEMORY;
}

static int read_events(struct store_txn *t, struct auditing *audit)
{
    struct trail_filter filter = {.all_tenants = !audit->tenant, .subject_id = *audit->user_id};

    if (audit->tenant)
        filter.tenant_id = *audit->tenant;
    audit->view.n_events = 0;
    audit->view.events = arena_array(audit->arena, OVERVIEW_EVENTS_MAX, sizeof *audit->view.events);
    if (!audit->view.events)
        return FAULT_MEMORY;
    return trail_list(t, &filter, 0, OVERVIEW_EVENTS_MAX, take_event, audit);
}

static int read_counts(struct store_txn *t, struct auditing *audit)
{
    struct overview *v = &audit->view;
    int r = store_number(t, count_active_sql, &v->active_sessions,
                         PARAMS(P_ID(audit->user_id), P_INT(audit->now)));

    if (r == 0)
        r = store_number(t, count_reuse_sql, &v->reuse_detections, PARAMS(P_ID(audit->user_id)));
    return r ? r : failures_24h(t, audit->user_id, audit->now, &v->failed_logins_24h);
}

static int read_all(struct store_txn *t, struct auditing *audit)
{
    struct store_rows *rows _cleanup_rows_ = NULL;
    int r =
        store_query(t, all_sql, &rows, PARAMS(P_ID(audit->user_id), P_INT(OVERVIEW_FAMILIES_MAX)));

    return r ? r
             : read_families(rows, audit->arena, audit->now, OVERVIEW_FAMILIES_MAX,
                             &audit->view.families, &audit->view.n_families);
}

static int audit_job(struct store_txn *t, void *arg)
{
    struct auditing *audit = arg;
    int r = user_find(t, audit->arena, audit->tenant, audit->user_id, &audit->view.user);

    if (r)
        return r == USER_UNKNOWN ? OVERVIEW_UNKNOWN : r;
    r = read_all(t, audit);
    if (r == 0)
        r = read_events(t, audit);
    return r ? r : read_counts(t, audit);
}

int overview_audit(struct sessions *s, struct arena *a, const struct uuid *tenant,
                   const struct uuid *user_id, int64_t now, struct overview *ret)
{
    struct auditing audit = {.arena = a, .tenant = tenant, .user_id = user_id, .now = now};
    int r = login_flush_failures(s, now);

    if (r == 0)
        r = store_read(s->store, audit_job, &audit);
    if (r == 0)
        *ret = audit.view;
    return r;
}

struct reaping {
    int64_t before, limit, deleted;
};

static int reap_job(struct store_txn *t, void *arg)
{
    struct reaping *reaping = arg;

    return store_exec(t, reap_sql, &reaping->deleted,
                      PARAMS(P_INT(reaping->before), P_INT(reaping->limit)));
}

int overview_reap(struct store *s, int64_t now, int64_t keep_ms, int64_t limit,
                  int64_t *ret_deleted)
{
    struct reaping reaping = {now - keep_ms, limit, 0};
    int r = store_write(s, reap_job, &reaping);

    if (r == 0)
        *ret_deleted = reaping.deleted;
    return r;
}
