#include "base/fault.h"
#include "crypto/sha256.h"
#include "mail/outbox.h"
#include "mail/outbox_content.h"
#include "mail/suppression.h"

/* A key that has run out is as if it had never been. */
static const char take_key_sql[] =
    "INSERT INTO email_requests (tenant_id, request_key, digest, message_id, expires_at)"
    " VALUES ($1, $2, $3, $4, $5)"
    " ON CONFLICT (tenant_id, request_key) DO UPDATE SET digest = excluded.digest,"
    " message_id = excluded.message_id, expires_at = excluded.expires_at"
    " WHERE email_requests.expires_at <= $6";
static const char find_key_sql[] =
    "SELECT digest, message_id FROM email_requests WHERE tenant_id = $1 AND request_key = $2";
static const char reap_sql[] =
    "DELETE FROM email_requests WHERE (tenant_id, request_key) IN (SELECT tenant_id, request_key"
    " FROM email_requests WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";

#define ROW                                                                                        \
    STORE_INTO("email_outbox",                                                                     \
               "message_id, tenant_id, transport, body, attempts, next_at, lease, lease_until,"    \
               " last_error, created_at, rank, security",                                          \
               "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12")
enum { ROW_COLUMNS = 12 };

/*
 * Messages are taken by rank: the time at which the last recipient would be reached if the tenant's
 * messages went one behind the other, each recipient in so many ms. It is more than it takes, so
 * who has much to send is always behind who has little. (These are the finish times of fair
 * queueing.)
 */
enum { RECIPIENT_MS = 1000 };
static const char rank_sql[] =
    "SELECT coalesce(max(rank), 0) FROM email_outbox WHERE tenant_id = $1 AND security = $2";

/* So many addresses go into one statement. */
enum { USERS_STEP = 25 };
static const char users_sql[] =
    "SELECT id, email FROM users WHERE tenant_id = $1 AND email IN ($2, $3, $4, $5, $6, $7, $8, $9,"
    " $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26)";

enum { MEMORY_MAX = 16 * 1024 * 1024 };

static const struct str digest_label = STR_INIT("holdfast mail request v1");

static struct str transport_name(void)
{
    static const struct str names[] = {
        [EMAIL_SANDBOX] = STR_INIT("sandbox"),
        [EMAIL_SMTP] = STR_INIT("smtp"),
        [EMAIL_SES] = STR_INIT("ses"),
        [EMAIL_NONE] = STR_INIT(""),
    };

    return names[config_current()->email_transport];
}

static struct outbox_content content_of(const struct outbox_request *r)
{
    return (struct outbox_content){.purpose = r->purpose,
                                   .automatic = r->automatic,
                                   .subject = r->subject,
                                   .text = r->text,
                                   .html = r->html};
}

int outbox_check(const struct mail *m, const struct outbox_request *request,
                 struct mime_problem *ret_problem)
{
    struct outbox_content content = content_of(request);
    struct buf mime _cleanup_buf_ = buf_secret(MIME_MESSAGE_MAX);
    char id[OUTBOX_MESSAGE_ID_SIZE], normal[EMAIL_ADDRESS_SIZE];
    struct outbox_copy copy = {
        .tenant_id = request->tenant_id, .to = request->to[0], .content = &content};
    size_t length;

    for (size_t i = 0; i < request->n; i++) {
        if (email_address_normalise(request->to[i], normal, &length) == 0)
            continue;
        snprintf(ret_problem->field, sizeof ret_problem->field, "to[%u].address",
                 (unsigned)i % 1000);
        return MIME_MALFORMED;
    }
    return outbox_content_write(m, &copy, &mime, id, ret_problem);
}

/* Each part behind its length, so that no two requests are one text. */
static int make_digest(const struct outbox_request *r, uint8_t ret_digest[SHA256_SIZE])
{
    enum { FIXED = 5, PARTS_MAX = 2 * (FIXED + MAIL_RECIPIENTS_MAX) };
    struct str parts[PARTS_MAX],
        fields[FIXED + MAIL_RECIPIENTS_MAX] = {r->subject, r->text, r->html, r->template_name};
    uint64_t lengths[FIXED + MAIL_RECIPIENTS_MAX];
    char purpose[2] = {(char)r->purpose, (char)r->automatic};
    size_t n = FIXED + r->n;

    fields[FIXED - 1] = (struct str){purpose, sizeof purpose};
    for (size_t i = 0; i < r->n; i++)
        fields[FIXED + i] = r->to[i];
    for (size_t i = 0; i < n; i++) {
        lengths[i] = fields[i].n;
        parts[2 * i] = (struct str){(const char *)&lengths[i], sizeof lengths[i]};
        parts[2 * i + 1] = fields[i];
    }
    return sha256_parts(digest_label, parts, 2 * n, ret_digest);
}

/* Who has the key already. */
static int find_key(struct store_txn *t, const struct outbox_request *request,
                    const uint8_t digest[SHA256_SIZE], struct uuid *ret_id)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct str known = {(const char *)digest, SHA256_SIZE};
    int r = store_query(t, find_key_sql, &rows,
                        PARAMS(P_ID(&request->tenant_id), P_TEXT(request->key)));

    if (r == 0)
        r = store_rows_next(rows);
    if (r <= 0)
        return r < 0 ? r
                     : fault_set(FAULT_STORE, "a key of a request is gone while it is looked at");
    if (!str_eq(store_col_blob(rows, 0), known))
        return OUTBOX_CONFLICT;
    *ret_id = store_col_id(rows, 1);
    return OUTBOX_REPEATED;
}

/* Takes the key for the message *id, or finds whose it is. Two at once: one waits for the other. */
static int take_key(struct store_txn *t, const struct outbox_request *request, int64_t now,
                    struct uuid *id)
{
    uint8_t digest[SHA256_SIZE];
    int64_t taken = 0;
    int r = request->key.n ? make_digest(request, digest) : 0;

    if (r || request->key.n == 0)
        return r;
    r = store_exec(t, take_key_sql, &taken,
                   PARAMS(P_ID(&request->tenant_id), P_TEXT(request->key),
                          P_BLOB(digest, sizeof digest), P_ID(id), P_INT(now + OUTBOX_KEY_MS),
                          P_INT(now)));
    return r || taken ? r : find_key(t, request, digest, id);
}

/* A message that is new. */
struct draft {
    struct outbox_acceptance *item;
    struct mail_recipient to[MAIL_RECIPIENTS_MAX];
    size_t queued; /* recipients who are not suppressed */
    int64_t rank;
    struct buf body;
};

struct accepting {
    struct store_txn *t;
    struct mail *m;
    struct arena a;
    struct draft *drafts;
    size_t n;
};

/* The recipients of some drafts of one tenant, side by side. */
struct crowd {
    const struct uuid *tenant_id;
    int64_t now;
    struct mail_recipient *to[SUPPRESSION_FIND_MAX];
    struct str addresses[SUPPRESSION_FIND_MAX];
    bool security[SUPPRESSION_FIND_MAX];
    size_t n;
};

static int find_users(struct store_txn *t, const struct crowd *c, size_t first, size_t n)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct store_param params[1 + USERS_STEP] = {P_ID(c->tenant_id)};
    int r;

    for (size_t i = 0; i < USERS_STEP; i++)
        params[1 + i] = P_TEXT(i < n ? c->addresses[first + i] : STR(""));
    r = store_query(t, users_sql, &rows, params, 1 + USERS_STEP);
    while (r == 0 && (r = store_rows_next(rows)) == 1) {
        r = 0;
        for (size_t i = first; i < first + n; i++)
            if (str_eq(c->addresses[i], store_col_text(rows, 1)))
                c->to[i]->user_id = store_col_id(rows, 0);
    }
    return r;
}

/* Who they are, and who is not to be written to. */
static int look_up(struct store_txn *t, struct crowd *c)
{
    struct suppression_hit hits[SUPPRESSION_FIND_MAX];
    int r = suppression_find(t, c->tenant_id, c->addresses, c->n, c->now, hits);

    for (size_t i = 0; r == 0 && i < c->n; i++) {
        bool stopped = suppression_stops(&hits[i], c->security[i]);
        *c->to[i] = (struct mail_recipient){
            .address = c->addresses[i],
            .state = stopped ? MAIL_SUPPRESSED : MAIL_QUEUED,
            .code = stopped ? suppression_reason_name(hits[i].reason) : STR("")};
    }
    for (size_t i = 0; r == 0 && i < c->n; i += USERS_STEP)
        r = find_users(t, c, i, c->n - i < USERS_STEP ? c->n - i : USERS_STEP);
    c->n = 0;
    return r;
}

static void join(struct crowd *c, struct draft *d)
{
    const struct outbox_request *request = d->item->request;

    c->tenant_id = &request->tenant_id;
    c->now = d->item->now;
    for (size_t i = 0; i < request->n; i++) {
        c->to[c->n] = &d->to[i];
        c->addresses[c->n] = request->to[i];
        c->security[c->n++] = request->purpose == UNSUBSCRIBE_SECURITY;
    }
}

/* In as few statements as neighbours of one tenant allow. */
static int look_up_all(struct accepting *a)
{
    struct crowd c = {.n = 0};
    int r = 0;

    for (size_t i = 0; r == 0 && i < a->n; i++) {
        const struct outbox_request *next = a->drafts[i].item->request;
        if (c.n &&
            (!uuid_eq(c.tenant_id, &next->tenant_id) || c.n + next->n > SUPPRESSION_FIND_MAX))
            r = look_up(a->t, &c);
        join(&c, &a->drafts[i]);
    }
    if (r == 0 && c.n)
        r = look_up(a->t, &c);
    for (size_t i = 0; r == 0 && i < a->n; i++)
        for (size_t k = 0; k < a->drafts[i].item->request->n; k++)
            a->drafts[i].queued += a->drafts[i].to[k].state == MAIL_QUEUED;
    return r;
}

static bool is_security(const struct draft *d)
{
    return d->item->request->purpose == UNSUBSCRIBE_SECURITY;
}

/* The draft before that stands in the same line, if any. */
static const struct draft *before(const struct accepting *a, const struct draft *d)
{
    for (const struct draft *other = d; other-- > a->drafts;)
        if (other->queued && is_security(other) == is_security(d) &&
            uuid_eq(&other->item->request->tenant_id, &d->item->request->tenant_id))
            return other;
    return NULL;
}

static int read_last_rank(struct store_txn *t, const struct draft *d, int64_t *ret_rank)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(t, rank_sql, &rows,
                        PARAMS(P_ID(&d->item->request->tenant_id), P_INT(is_security(d))));

    if (r == 0)
        r = store_rows_next(rows);
    if (r == 1)
        *ret_rank = store_col_int(rows, 0);
    return r < 0 ? r : 0;
}

/* Two batches of a tenant at once may give the same ranks, which is as well. */
static int rank_all(struct accepting *a)
{
    int r = 0;

    for (struct draft *d = a->drafts; r == 0 && d < a->drafts + a->n; d++) {
        const struct draft *last = before(a, d);
        int64_t from = last ? last->rank : 0;
        if (d->queued && !last)
            r = read_last_rank(a->t, d, &from);
        if (from < d->item->now)
            from = d->item->now;
        d->rank = from + RECIPIENT_MS * (int64_t)d->queued;
    }
    return r;
}

static void put_row(const void *rows, size_t i, struct store_param *params)
{
    const struct draft *d = ((const struct draft *const *)rows)[i];
    const struct store_param columns[ROW_COLUMNS] = {
        P_ID(&d->item->id),
        P_ID(&d->item->request->tenant_id),
        P_TEXT(transport_name()),
        P_BLOB(d->body.p, d->body.n),
        P_INT(0),
        P_INT(d->item->now),
        P_TEXT(STR("")),
        P_INT(0),
        P_TEXT(STR("")),
        P_INT(d->item->now),
        P_INT(d->rank),
        P_INT(is_security(d)),
    };

    memcpy(params, columns, sizeof columns);
}

static int put_into_outbox(struct accepting *a)
{
    const struct draft **drafts = arena_array(&a->a, a->n + 1, sizeof *drafts);
    struct store_addition rows = {ROW, ROW_COLUMNS, put_row, drafts, 0};
    struct store_param params[ROW_COLUMNS];
    int r = drafts ? 0 : FAULT_MEMORY;

    for (size_t i = 0; r == 0 && i < a->n; i++) {
        struct draft *d = &a->drafts[i];
        struct outbox_content content = content_of(d->item->request);
        if (d->queued == 0)
            continue;
        r = outbox_content_seal(&a->m->seal, &d->item->id, &content, &d->body);
        drafts[rows.n++] = d;
    }
    if (r || rows.n != 1)
        return r ? r : store_add(a->t, &rows);
    /* Of one a statement of its own is fewer round trips. */
    put_row(drafts, 0, params);
    return store_exec(a->t, rows.insert, NULL, params, ROW_COLUMNS);
}

static int log_all(struct accepting *a)
{
    struct mail_message *messages = arena_array(&a->a, a->n + 1, sizeof *messages);
    int64_t at[OUTBOX_ACCEPT_MAX];

    if (!messages)
        return FAULT_MEMORY;
    for (size_t i = 0; i < a->n; i++) {
        const struct outbox_request *request = a->drafts[i].item->request;
        at[i] = a->drafts[i].item->now;
        messages[i] = (struct mail_message){.id = a->drafts[i].item->id,
                                            .tenant_id = request->tenant_id,
                                            .template_name = request->template_name,
                                            .subject = request->subject,
                                            .transport = transport_name(),
                                            .recipients = a->drafts[i].to,
                                            .n = request->n};
    }
    return a->n ? mail_log_create_all(a->t, messages, at, a->n) : 0;
}

/* Whether the request makes a message: then there is a draft of it. */
static int begin(struct accepting *a, struct outbox_acceptance *item)
{
    item->outcome = 0;
    item->id = uuid_at(item->now);
    if (item->request->n == 0 || item->request->n > MAIL_RECIPIENTS_MAX)
        return fault_set(FAULT_INTERNAL, "a message to %zu recipients", item->request->n);
    int r = take_key(a->t, item->request, item->now, &item->id);
    if (r == 0)
        a->drafts[a->n++] = (struct draft){.item = item, .body = buf_init(OUTBOX_BODY_MAX)};
    else if (r > 0)
        item->outcome = r;
    return r < 0 ? r : 0;
}

static int accept_all(struct accepting *a, struct outbox_acceptance *items, size_t n)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++)
        r = begin(a, &items[i]);
    if (r == 0)
        r = look_up_all(a);
    if (r == 0)
        r = rank_all(a);
    if (r == 0)
        r = put_into_outbox(a);
    if (r == 0)
        r = log_all(a);
    for (size_t i = 0; r == 0 && i < a->n; i++)
        a->drafts[i].item->outcome = a->drafts[i].queued ? 0 : OUTBOX_SUPPRESSED;
    return r > 0 ? fault_set(FAULT_STORE, "a message's own id is taken") : r;
}

int outbox_accept_all(struct store_txn *t, struct mail *m, struct outbox_acceptance *items,
                      size_t n)
{
    struct accepting a = {.t = t, .m = m, .a = arena_init(MEMORY_MAX)};
    int r = 0;

    if (n > OUTBOX_ACCEPT_MAX)
        return fault_set(FAULT_INTERNAL, "%zu messages at once", n);
    for (size_t i = 0; i < n; i++)
        items[i].outcome = OUTBOX_OFF;
    if (config_current()->email_transport == EMAIL_NONE)
        return 0;
    a.drafts = arena_array(&a.a, n + 1, sizeof *a.drafts);
    r = a.drafts ? accept_all(&a, items, n) : FAULT_MEMORY;
    for (size_t i = 0; i < a.n; i++)
        buf_free(&a.drafts[i].body);
    arena_free(&a.a);
    return r;
}

int outbox_accept(struct store_txn *t, struct mail *m, const struct outbox_request *request,
                  int64_t now, struct uuid *ret_id)
{
    struct outbox_acceptance item = {.request = request, .now = now};
    int r = outbox_accept_all(t, m, &item, 1);

    if (r)
        return r;
    if (item.outcome != OUTBOX_CONFLICT && item.outcome != OUTBOX_OFF)
        *ret_id = item.id;
    return item.outcome;
}

int outbox_compare(const struct outbox_request *a, const struct outbox_request *b)
{
    int c = memcmp(&a->tenant_id, &b->tenant_id, sizeof a->tenant_id);

    return c ? c : str_compare(a->key, b->key);
}

int outbox_reap(struct store_txn *t, int64_t now, int64_t limit, int64_t *ret_removed)
{
    return store_exec(t, reap_sql, ret_removed, PARAMS(P_INT(now), P_INT(limit)));
}
