#include "mail/notice_mail.h"

#include "base/fault.h"
#include "base/log.h"
#include "identity/notification.h"
#include "mail/outbox_content.h"
#include "mail/template.h"

enum { ARENA_MAX = 32 << 20, RACED = 1 };

static const char lane_sql[] = "SELECT seen, next_at FROM notice_mail WHERE lane = $1";
static const char advance_sql[] =
    "UPDATE notice_mail SET seen = $2, next_at = $3 WHERE lane = $1 AND seen = $4";
static const char scan_sql[] = "SELECT id FROM notifications WHERE id > $1 ORDER BY id LIMIT $2";

#define SELECT_NOTICES                                                                             \
    "SELECT n.id, n.tenant_id, n.kind, n.detail, n.created_at, u.email,"                           \
    " coalesce(p.email_security, 1), coalesce(p.email_product, 1)"                                 \
    " FROM notifications n JOIN users u ON u.id = n.user_id"                                       \
    " LEFT JOIN preferences p ON p.user_id = n.user_id"                                            \
    " WHERE n.id > $1 AND n.id <= $2 AND n.created_at >= $3 AND u.email_status = 'ok'"
static const char urgent_sql[] =
    SELECT_NOTICES " AND n.kind <> 'sessions_revoked' ORDER BY n.id LIMIT $4";
/* Who has signed in again and read it needs no mail hours later. */
static const char bulk_sql[] =
    SELECT_NOTICES " AND n.kind = 'sessions_revoked' AND n.read_at IS NULL ORDER BY n.id LIMIT $4";

static const struct str lane_names[] = {STR_INIT("urgent"), STR_INIT("bulk")};

/* A notice that becomes a message. */
struct draft {
    struct uuid tenant_id;
    int64_t id, created_at;
    struct str kind, detail, to;
    bool wants[NOTIFICATION_MAIL_NONE]; /* by what it is about */
    struct outbox_request request;
};

struct turn {
    struct mail *m;
    enum notice_mail_lane lane;
    struct notice_mail_memory *memory;
    int64_t per_minute, now, mono;
    struct arena arena;

    int64_t seen, next_at; /* as the lane's row has them */
    int64_t upto;          /* and where this turn comes to */
    struct draft drafts[NOTICE_MAIL_BATCH];
    size_t n;
    bool more;
    int64_t accepted;
};

static int read_lane(struct store_txn *t, enum notice_mail_lane lane, int64_t *ret_seen,
                     int64_t *ret_next_at)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(t, lane_sql, &rows, PARAMS(P_TEXT(lane_names[lane])));

    if (r == 0)
        r = store_rows_next(rows);
    if (r <= 0)
        return r < 0 ? r : fault_set(FAULT_STORE, "a lane of notices has no row");
    *ret_seen = store_col_int(rows, 0);
    *ret_next_at = store_col_int(rows, 1);
    return 0;
}

/* Whether a missing id may still come. What this node has missed for long enough will not. */
static bool may_come(const struct turn *turn, int64_t id)
{
    return store_writes_in_parallel(turn->m->store) &&
           (id > turn->memory->horizon || turn->mono - turn->memory->since < NOTICE_MAIL_GAP_MS);
}

/*
 * Finds the last id before one that may still come. All that are missing now are waited for
 * together.
 */
static int scan(struct store_txn *t, struct turn *turn)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int64_t id = turn->seen, missing = 0, n = 0;
    int r = store_query(t, scan_sql, &rows, PARAMS(P_INT(turn->seen), P_INT(NOTICE_MAIL_SCAN)));

    while (r == 0 && (r = store_rows_next(rows)) == 1) {
        r = 0;
        id = store_col_int(rows, 0);
        n++;
        if (!missing && id != turn->upto + 1 && may_come(turn, turn->upto + 1))
            missing = turn->upto + 1;
        if (!missing)
            turn->upto = id;
    }
    if (missing > turn->memory->horizon)
        *turn->memory = (struct notice_mail_memory){id, turn->mono};
    turn->more = n == NOTICE_MAIL_SCAN && !missing;
    return r;
}

/* Behind the urgent lane, which has judged what may still come. */
static int limit_bulk(struct store_txn *t, struct turn *turn)
{
    int64_t next_at;

    return read_lane(t, NOTICE_MAIL_URGENT, &turn->upto, &next_at);
}

static int read_draft(struct store_rows *rows, struct arena *a, struct draft *ret)
{
    *ret = (struct draft){.id = store_col_int(rows, 0),
                          .tenant_id = store_col_id(rows, 1),
                          .kind = arena_str(a, store_col_text(rows, 2)),
                          .detail = arena_str(a, store_col_text(rows, 3)),
                          .created_at = store_col_int(rows, 4),
                          .to = arena_str(a, store_col_text(rows, 5))};
    ret->wants[NOTIFICATION_MAIL_SECURITY] = store_col_int(rows, 6) != 0;
    ret->wants[NOTIFICATION_MAIL_ACCOUNT] = store_col_int(rows, 7) != 0;
    return ret->kind.p && ret->detail.p && ret->to.p ? 0 : FAULT_MEMORY;
}

/* A second's worth, so that what is allowed in a minute is spread over it. */
static size_t batch_of(const struct turn *turn)
{
    int64_t n = turn->per_minute / 60;

    return n < 1 ? 1 : n < NOTICE_MAIL_BATCH ? (size_t)n : NOTICE_MAIL_BATCH;
}

/* What there is to mail; a full batch ends where it ends. */
static int read_drafts(struct store_txn *t, struct turn *turn)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    bool bulk = turn->lane == NOTICE_MAIL_BULK;
    int64_t oldest = turn->now - (bulk ? NOTICE_MAIL_BULK_AGE_MS : NOTICE_MAIL_AGE_MS);
    size_t batch = batch_of(turn);
    int r = store_query(
        t, bulk ? bulk_sql : urgent_sql, &rows,
        PARAMS(P_INT(turn->seen), P_INT(turn->upto), P_INT(oldest), P_INT((int64_t)batch)));

    while (r == 0 && turn->n < batch && (r = store_rows_next(rows)) == 1)
        r = read_draft(rows, &turn->arena, &turn->drafts[turn->n++]);
    if (r == 0 && turn->n == batch && turn->drafts[turn->n - 1].id < turn->upto) {
        turn->upto = turn->drafts[turn->n - 1].id;
        turn->more = true;
    }
    return r;
}

static int read_job(struct store_txn *t, void *arg)
{
    struct turn *turn = arg;
    int r = read_lane(t, turn->lane, &turn->seen, &turn->next_at);

    arena_free(&turn->arena);
    turn->arena = arena_init(ARENA_MAX);
    turn->n = 0;
    turn->more = false;
    turn->upto = turn->seen;
    if (r || turn->next_at > turn->now)
        return r;
    r = turn->lane == NOTICE_MAIL_BULK ? limit_bulk(t, turn) : scan(t, turn);
    return r || turn->upto <= turn->seen ? r : read_drafts(t, turn);
}

static struct str keep(struct turn *turn, struct buf *text)
{
    return buf_fault(text) ? (struct str){NULL, 0} : arena_str(&turn->arena, buf_str(text));
}

/* Fills the request's texts. Returns 0, 1 where they are none that can be sent, or a fault. */
static int write_texts(struct turn *turn, struct draft *d, enum template_id template,
                       const struct notification_words *words)
{
    struct buf text _cleanup_buf_ = buf_init(TEMPLATE_OUT_MAX),
                    html _cleanup_buf_ = buf_init(TEMPLATE_OUT_MAX);
    const struct config *c = config_current();
    struct outbox_request *q = &d->request;
    char url[MIME_URL_MAX + 1] = "";
    int r = outbox_content_url(turn->m, &d->tenant_id, q->purpose, d->to, url);

    if (r)
        return r;
    struct template_notice notice = {.sender = *turn->m->sender.name ? str_of(turn->m->sender.name)
                                                                     : STR("Holdfast"),
                                     .title = words->title,
                                     .body = words->body,
                                     .at = d->created_at,
                                     .link = c->origin_count ? c->origins[0] : STR(""),
                                     .unsubscribe_url = str_of(url)};
    r = template_write(template, &notice, &text, &html);
    if (r)
        return r < 0 ? r : 1;
    q->text = keep(turn, &text);
    q->html = keep(turn, &html);
    return q->text.p && q->html.p ? 0 : FAULT_MEMORY;
}

/* Returns 0, 1 where nothing is to be sent, or a fault. */
static int compose(struct turn *turn, struct draft *d)
{
    struct notification_words words;
    struct mime_problem problem;
    int r = notification_words(&turn->arena, d->kind, d->detail, &words);

    if (r < 0)
        return r;
    if (r || words.mail == NOTIFICATION_MAIL_NONE || !d->wants[words.mail])
        return 1;
    bool security = words.mail == NOTIFICATION_MAIL_SECURITY;
    enum template_id template = security ? TEMPLATE_SECURITY : TEMPLATE_NOTICE;
    d->request =
        (struct outbox_request){.tenant_id = d->tenant_id,
                                .to = {d->to},
                                .n = 1,
                                .subject = words.title,
                                .template_name = template_name(template),
                                .purpose = security ? UNSUBSCRIBE_SECURITY : UNSUBSCRIBE_PRODUCT,
                                .automatic = true};
    r = write_texts(turn, d, template, &words);
    if (r == 0)
        r = outbox_check(turn->m, &d->request, &problem);
    if (r > 0)
        log_warn("notice %lld cannot be mailed", (long long)d->id);
    return r > 0 ? 1 : r;
}

/* By tenant, as all who change counters of several do. */
static int compare_tenants(const void *a, const void *b)
{
    const struct draft *x = a, *y = b;
    int order = memcmp(x->tenant_id.b, y->tenant_id.b, sizeof x->tenant_id.b);

    return order ? order : (x->id > y->id) - (x->id < y->id);
}

/* Keeps those that are to be sent. */
static int compose_all(struct turn *turn)
{
    size_t kept = 0;

    for (size_t i = 0; i < turn->n; i++) {
        int r = compose(turn, &turn->drafts[i]);
        if (r < 0)
            return r;
        if (r == 0)
            turn->drafts[kept++] = turn->drafts[i];
    }
    turn->n = kept;
    qsort(turn->drafts, turn->n, sizeof *turn->drafts, compare_tenants);
    return 0;
}

static int write_job(struct store_txn *t, void *arg)
{
    struct turn *turn = arg;
    int64_t changed = 0, next_at = turn->next_at;
    struct uuid id;

    if (turn->n)
        next_at = turn->now + (int64_t)turn->n * CLOCK_MINUTE / turn->per_minute;
    int r = store_exec(t, advance_sql, &changed,
                       PARAMS(P_TEXT(lane_names[turn->lane]), P_INT(turn->upto), P_INT(next_at),
                              P_INT(turn->seen)));
    if (r == 0 && changed == 0)
        return RACED;
    turn->accepted = 0;
    for (size_t i = 0; r == 0 && i < turn->n; i++) {
        r = outbox_accept(t, turn->m, &turn->drafts[i].request, turn->now, &id);
        turn->accepted += r == 0;
        r = r == OUTBOX_SUPPRESSED ? 0 : r;
    }
    return r > 0 ? fault_set(FAULT_INTERNAL, "a notice was not accepted: outcome %d", r) : r;
}

static int run(struct turn *turn)
{
    int r = store_read(turn->m->store, read_job, turn);

    if (r || turn->upto <= turn->seen)
        return r;
    r = compose_all(turn);
    return r ? r : store_write(turn->m->store, write_job, turn);
}

int notice_mail_turn(struct mail *m, enum notice_mail_lane lane, struct notice_mail_memory *memory,
                     int64_t per_minute, int64_t now, int64_t mono,
                     struct notice_mail_result *ret_result)
{
    struct turn *turn = calloc(1, sizeof *turn);

    if (!turn)
        return fault_set(FAULT_MEMORY, "no memory for notices");
    *turn = (struct turn){.m = m,
                          .lane = lane,
                          .memory = memory,
                          .per_minute = per_minute > 0 ? per_minute : 1,
                          .now = now,
                          .mono = mono};
    int r = run(turn);
    /* Another node was there first, and has done it. */
    if (r == 0)
        *ret_result = (struct notice_mail_result){turn->upto, turn->accepted,
                                                  turn->more && turn->accepted == 0};
    else if (r == RACED)
        *ret_result = (struct notice_mail_result){turn->seen, 0, false};
    arena_free(&turn->arena);
    free(turn);
    return r == RACED ? 0 : r;
}
