#include "mail/event.h"

#include "base/fault.h"
#include "mail/event_work.h"
#include "mail/log.h"
#include "mail/moves.h"

enum { KEY_TIME = 6 /* bytes of a time in ms */ };

/*
 * In the order of the digests, so that batches which share events wait for each other and do not
 * lock each other out, though STORE_LOCK_MAIL forbids that already.
 */
static const char append_sql[] =
    "INSERT INTO email_events (log_id, provider_id, recipient, kind, subtype, code, feedback_id,"
    " state, counted, at, received_at, dedupe, detail)"
    " SELECT (SELECT l.id FROM email_logs l WHERE l.provider_id = r.t1 AND l.recipient = r.t2"
    " AND r.t1 <> '' LIMIT 1), r.t1, r.t2, r.t3, r.t4, r.t5, r.t6, r.t8, r.i2, r.i1, $1, r.b1, r.t7"
    " FROM bulk_rows r WHERE true ORDER BY r.n"
    " ON CONFLICT (dedupe) DO NOTHING RETURNING dedupe, log_id";

/* CROSS: SQLite keeps this order of loops. */
static const char logs_sql[] =
    "SELECT " MAIL_MOVE_COLUMNS " FROM bulk_rows r CROSS JOIN email_logs l"
    " WHERE l.provider_id = r.t1 AND l.recipient = r.t2 AND r.t1 <> '' AND r.t8 <> ''";

static const char first_sql[] =
    "INSERT INTO email_firsts (kind, received_at) VALUES ('delivery', $1)"
    " ON CONFLICT (kind) DO NOTHING";

/*
 * What is told without a feedback_id, such as deliveries, is most of what comes, and is of the
 * present: with the time in front such keys are written one behind the other at the end of their
 * index, where each of a batch would dirty a page of its own.
 */
static void put_time(int64_t at, uint8_t digest[SHA256_SIZE])
{
    for (int i = 0; i < KEY_TIME; i++)
        digest[i] = (uint8_t)(at >> (8 * (KEY_TIME - 1 - i)));
}

/* The parts hold no NUL, so with one behind each they are told apart. */
static int digest_of(const struct mail_event *e, uint8_t ret_digest[SHA256_SIZE])
{
    static const struct str end = STR_INIT("\0");
    uint64_t at = (uint64_t)e->at;
    bool feedback = e->feedback_id.n > 0;
    const struct str parts[] = {
        e->kind,
        end,
        e->recipient,
        end,
        feedback ? STR("feedback") : STR("message"),
        end,
        feedback ? e->feedback_id : e->provider_id,
        end,
        {(const char *)&at, feedback ? 0 : sizeof at},
    };

    int r = sha256_parts(STR("holdfast mail event v1"), parts, sizeof parts / sizeof *parts,
                         ret_digest);
    if (r == 0 && !feedback)
        put_time(e->at, ret_digest);
    return r;
}

static int compare_items(const void *a, const void *b)
{
    return memcmp(((const struct mail_item *)a)->digest, ((const struct mail_item *)b)->digest,
                  SHA256_SIZE);
}

/* Of equal ones the first of the batch comes first. */
static int compare_places(const void *a, const void *b)
{
    const struct mail_item *x = a, *y = b;
    int c = compare_items(a, b);

    return c ? c : (x->event > y->event) - (x->event < y->event);
}

/* At most max bytes of what a stranger said, without what would change a screen or end a line. */
static int tame(struct mail_work *w, struct str s, size_t max, struct str *ret)
{
    struct str cut = str_cut(s, max);
    char *clean = arena_alloc(w->a, cut.n + 1);

    if (!clean)
        return FAULT_MEMORY;
    str_without_controls(cut, clean);
    *ret = (struct str){clean, cut.n};
    return 0;
}

static int prepare(struct mail_work *w, const struct mail_event *events, size_t n)
{
    size_t kept = 0;
    int r = 0;

    w->items = arena_array(w->a, n + 1, sizeof *w->items);
    if (!w->items)
        return FAULT_MEMORY;
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct mail_item *item = &w->items[i];
        *item = (struct mail_item){.event = &events[i]};
        r = tame(w, events[i].code, MAIL_CODE_MAX, &item->code);
        if (r == 0)
            r = tame(w, events[i].detail, MAIL_DETAIL_MAX, &item->detail);
        if (r == 0)
            r = digest_of(&events[i], item->digest);
    }
    if (r || n == 0)
        return r;
    qsort(w->items, n, sizeof *w->items, compare_places);
    for (size_t i = 1; i < n; i++)
        if (compare_items(&w->items[kept], &w->items[i]) != 0)
            w->items[++kept] = w->items[i];
    w->n = kept + 1;
    w->result.duplicates = (int64_t)(n - w->n);
    return 0;
}

static struct str text(struct str s)
{
    return s.p ? s : STR("");
}

static int fill(struct mail_work *w)
{
    struct store_bulk_row *rows = arena_array(w->a, w->n + 1, sizeof *rows);

    if (!rows)
        return FAULT_MEMORY;
    for (size_t i = 0; i < w->n; i++) {
        const struct mail_item *item = &w->items[i];
        const struct mail_event *e = item->event;
        rows[i].i[0] = e->at;
        rows[i].i[1] = e->counted;
        rows[i].t[0] = text(e->provider_id);
        rows[i].t[1] = text(e->recipient);
        rows[i].t[2] = text(e->kind);
        rows[i].t[3] = text(e->subtype);
        rows[i].t[4] = item->code;
        rows[i].t[5] = text(e->feedback_id);
        rows[i].t[6] = item->detail;
        rows[i].t[7] = mail_state_name(e->state);
        rows[i].b[0] = (struct str){(const char *)item->digest, sizeof item->digest};
    }
    return store_bulk_rows(w->t, rows, w->n);
}

static struct mail_item *find_item(struct mail_work *w, struct str digest)
{
    struct mail_item key;

    if (digest.n != SHA256_SIZE)
        return NULL;
    memcpy(key.digest, digest.p, SHA256_SIZE);
    return bsearch(&key, w->items, w->n, sizeof key, compare_items);
}

/* What comes back is what is new. */
static int append(struct mail_work *w)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(w->t, append_sql, &rows, PARAMS(P_INT(w->now)));

    while (r == 0 && (r = store_rows_next(rows)) == 1) {
        struct mail_item *item = find_item(w, store_col_blob(rows, 0));
        if (!item)
            return fault_set(FAULT_STORE, "an event came back that was not appended");
        item->accepted = true;
        item->log_id = store_col_id(rows, 1);
        w->result.accepted++;
        w->result.unmatched += uuid_is_nil(&item->log_id);
        w->result.alerts += item->event->action == MAIL_ACTION_ALERT;
        r = 0;
    }
    w->result.duplicates += (int64_t)w->n - w->result.accepted;
    return r;
}

static int read_logs(struct mail_work *w, struct mail_moves *ret_moves)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(w->t, logs_sql, &rows, NO_PARAMS);

    return r ? r : mail_moves_read(rows, w->a, ret_moves);
}

static int move_states(struct mail_work *w)
{
    struct mail_moves moves = {0};
    int r = read_logs(w, &moves);

    for (size_t i = 0; r == 0 && i < w->n; i++) {
        const struct mail_item *item = &w->items[i];
        const struct mail_event *e = item->event;
        struct mail_move *m = item->accepted ? mail_moves_find(&moves, &item->log_id) : NULL;
        struct mail_mark mark = {e->state, e->counted, e->at, item->code, item->detail};
        if (m)
            mail_mark_raise(&m->after, &mark);
    }
    return r ? r : mail_moves_write(w->t, w->a, &moves);
}

/* Rates of delivery are known from the first delivery on. */
static int note_first(struct mail_work *w)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->items[i].accepted && w->items[i].event->state == MAIL_DELIVERED)
            return store_exec(w->t, first_sql, NULL, PARAMS(P_INT(w->now)));
    return 0;
}

static int apply(struct mail_work *w, const struct mail_event *events, size_t n)
{
    int r = prepare(w, events, n);

    if (r || w->n == 0)
        return r;
    r = store_lock(w->t, STORE_LOCK_MAIL);
    if (r == 0)
        r = fill(w);
    if (r == 0)
        r = append(w);
    if (r || w->result.accepted == 0)
        return r;
    if (w->result.accepted > w->result.unmatched)
        r = move_states(w);
    if (r == 0)
        r = note_first(w);
    if (r == 0)
        r = mail_act_on_addresses(w);
    return r ? r : mail_act_on_users(w);
}

static void tell_fates(const struct mail_work *w, const struct mail_event *events, size_t n,
                       enum mail_event_fate *fates)
{
    for (size_t i = 0; i < n; i++)
        fates[i] = MAIL_EVENT_DUPLICATE;
    for (size_t i = 0; i < w->n; i++) {
        const struct mail_item *item = &w->items[i];
        if (item->accepted)
            fates[item->event - events] =
                uuid_is_nil(&item->log_id) ? MAIL_EVENT_UNMATCHED : MAIL_EVENT_MATCHED;
    }
}

int mail_event_apply(struct store_txn *t, const struct mail_event *events, size_t n,
                     const struct mail_event_policy *policy, int64_t now,
                     struct mail_event_result *ret_result, enum mail_event_fate *ret_fates)
{
    _cleanup_arena_ struct arena a = arena_init(MAIL_WORK_MAX);
    struct mail_work w = {.t = t, .a = &a, .policy = policy, .now = now};

    if (n > MAIL_EVENTS_MAX)
        return fault_set(FAULT_LIMIT, "%zu events in a batch, %d at most", n, MAIL_EVENTS_MAX);
    int r = apply(&w, events, n);
    if (r)
        return r;
    *ret_result = w.result;
    if (ret_fates)
        tell_fates(&w, events, n, ret_fates);
    return 0;
}
