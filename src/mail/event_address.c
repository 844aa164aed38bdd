#include "base/fault.h"
#include "mail/event_work.h"
#include "mail/suppression.h"
#include "mail/suppression_reach.h"

/* i1 of bulk_rows: what a row is for. */
enum target { TO_SUPPRESS, TO_COUNT, TO_RESET };

/*
 * What lasts longer replaces an entry. But one that a person made, and that is still in force at
 * $2, stays that person's whoever makes it last: a tenant may lift what an event made.
 */
#define KEPT(column)                                                                               \
    column " = CASE WHEN suppressions.source <> 'event' AND suppressions.expires_at > $2"          \
           " THEN suppressions." column " ELSE excluded." column " END"
#define REPLACE                                                                                    \
    " ON CONFLICT (address, tenant_id, reason) DO UPDATE SET " KEPT("source") ", " KEPT(           \
        "note") ", " KEPT("created_at") ", " KEPT("created_by") ", expires_at = "                  \
                                                                "excluded.expires_at"

/* Each reason has its own entry: the order in which events come makes no difference. */
static const char suppress_sql[] =
    "INSERT INTO suppressions (tenant_id, address, reason, source, note, created_at, created_by,"
    " expires_at) SELECT $1, t1, t2, 'event', t3, $2, 'system', CAST(NULL AS BIGINT)"
    " FROM bulk_rows WHERE i1 = 0 ORDER BY n" REPLACE " WHERE suppressions.expires_at IS NOT NULL";

/* One that is older than a delivery, though it came later, counts no more. */
static const char count_sql[] =
    "INSERT INTO soft_bounces (address, message, at) SELECT t1, t2, i2 FROM bulk_rows"
    " WHERE i1 = 1 AND NOT EXISTS (SELECT 1 FROM email_events e WHERE e.recipient = t1"
    " AND e.kind = '" MAIL_KIND_DELIVERY "' AND e.at >= i2) ORDER BY n"
    " ON CONFLICT (address, message) DO UPDATE SET at = CASE WHEN excluded.at > soft_bounces.at"
    " THEN excluded.at ELSE soft_bounces.at END";

/* CROSS, here and below: SQLite keeps this order of loops. */
static const char reset_sql[] =
    "DELETE FROM soft_bounces WHERE (address, message) IN (SELECT s.address, s.message"
    " FROM bulk_rows r CROSS JOIN soft_bounces s WHERE r.i1 = 2 AND s.address = r.t1"
    " AND s.at <= r.i2)";

static const char lift_sql[] =
    "DELETE FROM suppressions WHERE tenant_id = $1 AND reason = 'soft_bounces' AND source = 'event'"
    " AND address IN (SELECT t1 FROM bulk_rows WHERE i1 = 2)"
    " AND (SELECT count(*) FROM soft_bounces s WHERE s.address = suppressions.address) < $2";

static const char suppress_soft_sql[] =
    "INSERT INTO suppressions (tenant_id, address, reason, source, note, created_at, created_by,"
    " expires_at) SELECT $1, s.address, 'soft_bounces', 'event', '', $2, 'system', $3"
    " FROM (SELECT DISTINCT t1 FROM bulk_rows WHERE i1 = 1) b CROSS JOIN soft_bounces s"
    " WHERE s.address = b.t1 GROUP BY s.address HAVING count(*) >= $4 ORDER BY s.address" REPLACE
    " WHERE suppressions.expires_at < excluded.expires_at";

/* Something to do about an address. */
struct deed {
    enum target target;
    struct str address, text; /* a reason, or a message; which tell deeds apart */
    struct str note;
    int64_t at; /* of a soft bounce or a delivery: of equal ones the last counts */
};

static int compare_same(const struct deed *x, const struct deed *y)
{
    int c = (int)x->target - (int)y->target;

    if (c == 0)
        c = str_compare(x->address, y->address);
    return c ? c : str_compare(x->text, y->text);
}

static int compare_deeds(const void *a, const void *b)
{
    const struct deed *x = a, *y = b;
    int c = compare_same(x, y);

    return c ? c : (x->at < y->at) - (x->at > y->at);
}

static struct deed suppressing(const struct mail_item *item, enum suppression_reason reason)
{
    return (struct deed){TO_SUPPRESS, item->event->recipient, suppression_reason_name(reason),
                         item->code, 0};
}

/* Says whether there is something to do. */
static bool deed_of(const struct mail_item *item, struct deed *ret)
{
    const struct mail_event *e = item->event;

    switch (e->action) {
    case MAIL_ACTION_SUPPRESS:
        *ret = suppressing(item, SUPPRESSION_PROVIDER);
        return true;
    case MAIL_ACTION_INVALIDATE:
        *ret = suppressing(item, SUPPRESSION_BOUNCE);
        return true;
    case MAIL_ACTION_UNSUBSCRIBE:
        *ret = suppressing(item, SUPPRESSION_COMPLAINT);
        return true;
    case MAIL_ACTION_SOFT_COUNT:
        *ret = (struct deed){TO_COUNT, e->recipient,
                             e->provider_id.n ? e->provider_id : e->feedback_id, STR(""), e->at};
        return true;
    case MAIL_ACTION_SOFT_RESET:
        *ret = (struct deed){TO_RESET, e->recipient, STR(""), STR(""), e->at};
        return true;
    case MAIL_ACTION_NONE:
    case MAIL_ACTION_ALERT:
        break;
    }
    return false;
}

static int collect(struct mail_work *w, struct store_bulk_row **ret_rows, size_t n_of[3])
{
    struct deed *deeds = arena_array(w->a, w->n + 1, sizeof *deeds);
    struct store_bulk_row *rows = arena_array(w->a, w->n + 1, sizeof *rows);
    size_t n = 0, kept = 0;

    if (!deeds || !rows)
        return FAULT_MEMORY;
    for (size_t i = 0; i < w->n; i++)
        n += w->items[i].accepted && deed_of(&w->items[i], &deeds[n]);
    if (n)
        qsort(deeds, n, sizeof *deeds, compare_deeds);
    for (size_t i = 0; i < n; i++) {
        if (i && compare_same(&deeds[i - 1], &deeds[i]) == 0)
            continue;
        struct store_bulk_row *row = &rows[kept++];
        row->i[0] = deeds[i].target;
        row->i[1] = deeds[i].at;
        row->t[0] = deeds[i].address;
        row->t[1] = deeds[i].text.p ? deeds[i].text : STR("");
        row->t[2] = deeds[i].note;
        n_of[deeds[i].target]++;
    }
    *ret_rows = rows;
    return 0;
}

static int suppress(struct mail_work *w)
{
    static const struct uuid everywhere;
    int64_t changed = 0;
    int r = store_exec(w->t, suppress_sql, &changed, PARAMS(P_ID(&everywhere), P_INT(w->now)));

    w->result.suppressed += changed;
    return r;
}

static int reset(struct mail_work *w)
{
    static const struct uuid everywhere;
    int64_t lifted = 0;
    int r = store_exec(w->t, reset_sql, NULL, NO_PARAMS);

    if (r == 0)
        r = store_exec(w->t, lift_sql, &lifted,
                       PARAMS(P_ID(&everywhere), P_INT(w->policy->soft_limit)));
    return r || lifted == 0 ? r : suppression_reach_forget_bulk(w->t);
}

static int suppress_soft(struct mail_work *w)
{
    static const struct uuid everywhere;
    int64_t changed = 0;
    int r = store_exec(w->t, suppress_soft_sql, &changed,
                       PARAMS(P_ID(&everywhere), P_INT(w->now),
                              P_INT(w->now + w->policy->soft_suppress_ms),
                              P_INT(w->policy->soft_limit)));

    w->result.suppressed += changed;
    return r;
}

int mail_act_on_addresses(struct mail_work *w)
{
    struct store_bulk_row *rows = NULL;
    size_t n_of[3] = {0};
    int r = collect(w, &rows, n_of);

    if (r || n_of[TO_SUPPRESS] + n_of[TO_COUNT] + n_of[TO_RESET] == 0)
        return r;
    r = store_bulk_rows(w->t, rows, n_of[TO_SUPPRESS] + n_of[TO_COUNT] + n_of[TO_RESET]);
    if (r == 0 && n_of[TO_SUPPRESS])
        r = suppress(w);
    if (r == 0 && n_of[TO_COUNT])
        r = store_exec(w->t, count_sql, NULL, NO_PARAMS);
    if (r == 0 && n_of[TO_RESET])
        r = reset(w);
    if (r == 0 && n_of[TO_COUNT])
        r = suppress_soft(w);
    return r || w->result.suppressed == 0 ? r : suppression_reach_bulk(w->t, w->now);
}
