#include "mail/log.h"

#include "base/fault.h"
#include "mail/moves.h"

#define ROW                                                                                        \
    STORE_INTO("email_logs",                                                                       \
               "id, message_id, tenant_id, user_id, recipient, domain, template, subject,"         \
               " transport, state, error_code, created_at, state_at, counted, detail",             \
               "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15")
enum { ROW_COLUMNS = 15 };

/* Up to so many rows, statements of their own are fewer round trips. */
enum { FEW_ROWS = 3 };

#define SELECT_ENTRIES "SELECT " MAIL_LOG_COLUMNS " FROM email_logs l WHERE "

/*
 * A page behind an index of (column, id), and no other: a planner that is told of equality may as
 * well go through the log by id, which for what is rare, such as a state that no row is in, means
 * all of it. So the column is part of the order, and what is compared is the pair.
 */
#define PAGE_OF(column, value)                                                                     \
    "(l." column ", l.id) < (" value ", $1) AND (l." column ", l.id) >= (" value ", $2)"
#define LAST(columns) " ORDER BY " columns "l.id DESC LIMIT $3"

static const char list_sql[] = SELECT_ENTRIES "l.id < $1 AND l.id >= $2" LAST("");
static const char list_state_sql[] = SELECT_ENTRIES PAGE_OF("state", "$4") LAST("l.state DESC, ");
static const char list_tenant_sql[] =
    SELECT_ENTRIES PAGE_OF("tenant_id", "$4") LAST("l.tenant_id DESC, ");
/*
 * A list of one, so that the tenant stays in the order, and PostgreSQL still knows where it ends. A
 * state that it is not told beforehand: of the first one in the alphabet it expects next to
 * nothing, and then takes the index of states, passing over all other tenants' rows.
 */
static const char list_tenant_state_sql[] =
    SELECT_ENTRIES "l.tenant_id IN ($4, $4) AND " PAGE_OF("state", "(SELECT CAST($5 AS TEXT))")
        LAST("l.tenant_id DESC, l.state DESC, ");
static const char list_recipient_sql[] = SELECT_ENTRIES PAGE_OF(
    "recipient", "$4") " AND ($5 = '' OR l.state = $5)"
                       " AND ($6 = 1 OR l.tenant_id = $7)" LAST("l.recipient DESC, ");

static const char find_sql[] = SELECT_ENTRIES "l.id = $1 AND ($2 = 1 OR l.tenant_id = $3)";
static const char find_message_sql[] =
    SELECT_ENTRIES "l.message_id = $1 AND ($2 = 1 OR l.tenant_id = $3) ORDER BY l.recipient, l.id";

/* Along the primary keys, which are in the order of time: no more is read than is removed. */
static const char reap_logs_sql[] =
    "DELETE FROM email_logs WHERE id IN (SELECT id FROM email_logs WHERE id < $1 ORDER BY id"
    " LIMIT $2)";
static const char reap_events_sql[] =
    "DELETE FROM email_events WHERE id IN (SELECT id FROM (SELECT id, received_at"
    " FROM email_events ORDER BY id LIMIT $2) oldest WHERE received_at < $1)";

/* $n and $n+1 of a statement that is bound to a tenant. */
#define P_ANY(tenant) P_INT((tenant) ? 0 : 1)
#define P_TENANT(tenant) ((tenant) ? P_ID(tenant) : P_BLOB("", 0))

static struct str domain_of(struct str address)
{
    size_t at = str_find(address, '@');

    return at < address.n ? (struct str){address.p + at + 1, address.n - at - 1} : STR("");
}

/* A row that is new, and its place in the counters. */
struct beginning {
    const struct mail_message *message;
    const struct mail_recipient *to;
    struct mail_move move;
};

static void put_row(const void *rows, size_t i, struct store_param *params)
{
    const struct beginning *b = (const struct beginning *)rows + i;
    const struct mail_message *m = b->message;
    const struct mail_recipient *to = b->to;
    const struct store_param columns[ROW_COLUMNS] = {
        P_ID(&b->move.id),         P_ID(&m->id),
        P_ID(&m->tenant_id),       uuid_is_nil(&to->user_id) ? P_NULL : P_ID(&to->user_id),
        P_TEXT(to->address),       P_TEXT(b->move.domain),
        P_TEXT(m->template_name),  P_TEXT(m->subject),
        P_TEXT(m->transport),      P_TEXT(mail_state_name(to->state)),
        P_TEXT(to->code),          P_INT(b->move.created_at),
        P_INT(b->move.created_at), P_INT(0),
        P_TEXT(STR("")),
    };

    memcpy(params, columns, sizeof columns);
}

static bool may_begin(const struct mail_recipient *to)
{
    return (to->state == MAIL_QUEUED || to->state == MAIL_SUPPRESSED ||
            to->state == MAIL_REJECTED) &&
           domain_of(to->address).n > 0;
}

static int begin(const struct mail_message *m, int64_t now, struct beginning *rows)
{
    if (m->n > MAIL_RECIPIENTS_MAX)
        return fault_set(FAULT_INTERNAL, "a message to %zu recipients", m->n);
    for (size_t i = 0; i < m->n; i++) {
        const struct mail_recipient *to = &m->recipients[i];
        if (!may_begin(to))
            return fault_set(FAULT_INTERNAL, "a message cannot begin like this");
        rows[i] = (struct beginning){
            m,
            to,
            {.id = uuid_at(now),
             .tenant_id = m->tenant_id,
             .domain = domain_of(to->address),
             .template_name = m->template_name,
             .created_at = now,
             .before = {.state = MAIL_NO_STATE},
             .after = {to->state, false, now, to->code.p ? to->code : STR(""), STR("")}}};
    }
    return 0;
}

static int add_rows(struct store_txn *t, const struct beginning *rows, size_t n)
{
    struct store_addition addition = {ROW, ROW_COLUMNS, put_row, rows, n};
    struct store_param params[ROW_COLUMNS];
    int r = 0;

    if (n > FEW_ROWS)
        return store_add(t, &addition);
    for (size_t i = 0; r == 0 && i < n; i++) {
        put_row(rows, i, params);
        r = store_exec(t, addition.insert, NULL, params, ROW_COLUMNS);
    }
    return r;
}

/* The counters last: whoever changes them next waits until this is committed. */
static int write_rows(struct store_txn *t, struct arena *a, const struct beginning *rows, size_t n)
{
    struct mail_moves moves = {arena_array(a, n + 1, sizeof *moves.items), n};
    int r = moves.items ? add_rows(t, rows, n) : FAULT_MEMORY;

    for (size_t i = 0; r == 0 && i < n; i++)
        moves.items[i] = rows[i].move;
    return r ? r : mail_moves_write(t, a, &moves);
}

int mail_log_create_all(struct store_txn *t, const struct mail_message *messages, const int64_t *at,
                        size_t n)
{
    _cleanup_arena_ struct arena a = arena_init(MAIL_WORK_MAX);
    struct beginning *rows = arena_array(&a, n * MAIL_RECIPIENTS_MAX + 1, sizeof *rows);
    size_t k = 0;
    int r = rows ? 0 : FAULT_MEMORY;

    for (size_t i = 0; r == 0 && i < n; i++) {
        r = begin(&messages[i], at[i], rows + k);
        k += messages[i].n;
    }
    return r ? r : write_rows(t, &a, rows, k);
}

int mail_log_create(struct store_txn *t, const struct mail_message *message, int64_t now)
{
    return mail_log_create_all(t, message, &now, 1);
}

static int read_entry(struct store_rows *rows, struct arena *a, struct mail_log_entry *e)
{
    struct str *const texts[] = {&e->provider_id,   &e->recipient, &e->domain,
                                 &e->template_name, &e->subject,   &e->transport};

    e->id = store_col_id(rows, 0);
    e->message_id = store_col_id(rows, 1);
    e->tenant_id = store_col_id(rows, 2);
    e->user_id = store_col_id(rows, 3);
    for (int i = 0; i < (int)(sizeof texts / sizeof *texts); i++) {
        *texts[i] = arena_str(a, store_col_text(rows, 4 + i));
        if (!texts[i]->p)
            return FAULT_MEMORY;
    }
    if (mail_state_parse(store_col_text(rows, 10), &e->mark.state) != 0)
        return fault_set(FAULT_STORE, "a log row is in no known state");
    e->mark.counted = store_col_int(rows, 11) != 0;
    e->mark.at = store_col_int(rows, 12);
    e->mark.code = arena_str(a, store_col_text(rows, 13));
    e->mark.detail = arena_str(a, store_col_text(rows, 14));
    e->created_at = store_col_int(rows, 15);
    e->sent_at = store_col_int(rows, 16);
    return e->mark.code.p && e->mark.detail.p ? 0 : FAULT_MEMORY;
}

int mail_log_read(struct store_rows *rows, struct arena *a, size_t limit,
                  struct mail_log_entry **ret_items, size_t *ret_n)
{
    struct mail_log_entry *items = arena_array(a, limit + 1, sizeof *items);
    size_t n = 0;
    int r = items ? 0 : FAULT_MEMORY;

    while (r == 0 && n < limit && (r = store_rows_next(rows)) == 1)
        r = read_entry(rows, a, &items[n++]);
    if (r)
        return r;
    *ret_items = items;
    *ret_n = n;
    return 0;
}

struct uuid mail_log_id_from(int64_t ms)
{
    struct uuid id = {{0}};

    for (int i = 0; i < 6; i++)
        id.b[i] = (uint8_t)(ms >> (40 - 8 * i));
    return id;
}

static struct uuid upper_bound(const struct mail_log_query *q)
{
    struct uuid until = mail_log_id_from(q->until);

    if (q->until == 0)
        memset(until.b, 0xff, sizeof until.b);
    return uuid_is_nil(&q->before) || memcmp(until.b, q->before.b, sizeof until.b) < 0 ? until
                                                                                       : q->before;
}

/* The statement for these filters; adds its parameters from $4 on. */
static const char *choose(const struct mail_log_query *q, struct mail_log_statement *s)
{
    struct store_param state = P_TEXT(mail_state_name(q->state));

    if (q->recipient.n) {
        s->params[s->n++] = P_TEXT(q->recipient);
        s->params[s->n++] = state;
        s->params[s->n++] = P_ANY(q->tenant);
        s->params[s->n++] = P_TENANT(q->tenant);
        return list_recipient_sql;
    }
    if (q->tenant)
        s->params[s->n++] = P_ID(q->tenant);
    if (q->state == MAIL_NO_STATE)
        return q->tenant ? list_tenant_sql : list_sql;
    s->params[s->n++] = state;
    return q->tenant ? list_tenant_state_sql : list_state_sql;
}

void mail_log_statement(const struct mail_log_query *query, struct mail_log_statement *ret)
{
    ret->below = upper_bound(query);
    ret->from = mail_log_id_from(query->since);
    ret->params[0] = P_ID(&ret->below);
    ret->params[1] = P_ID(&ret->from);
    ret->params[2] = P_INT((int64_t)query->limit);
    ret->n = 3;
    ret->sql = choose(query, ret);
}

int mail_log_list(struct store_txn *t, struct arena *a, const struct mail_log_query *query,
                  struct mail_log_entry **ret_items, size_t *ret_n)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct mail_log_statement s;

    mail_log_statement(query, &s);
    int r = store_query(t, s.sql, &rows, s.params, s.n);

    return r ? r : mail_log_read(rows, a, query->limit, ret_items, ret_n);
}

int mail_log_find(struct store_txn *t, struct arena *a, const struct uuid *tenant,
                  const struct uuid *id, struct mail_log_entry *ret_entry)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct mail_log_entry *items = NULL;
    size_t n = 0;
    int r = store_query(t, find_sql, &rows, PARAMS(P_ID(id), P_ANY(tenant), P_TENANT(tenant)));

    if (r == 0)
        r = mail_log_read(rows, a, 1, &items, &n);
    if (r || n == 0)
        return r ? r : MAIL_LOG_UNKNOWN;
    *ret_entry = items[0];
    return 0;
}

int mail_log_find_message(struct store_txn *t, struct arena *a, const struct uuid *tenant,
                          const struct uuid *message_id, struct mail_log_entry **ret_items,
                          size_t *ret_n)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct mail_log_entry *items = NULL;
    size_t n = 0;
    int r = store_query(t, find_message_sql, &rows,
                        PARAMS(P_ID(message_id), P_ANY(tenant), P_TENANT(tenant)));

    if (r == 0)
        r = mail_log_read(rows, a, MAIL_RECIPIENTS_MAX, &items, &n);
    if (r || n == 0)
        return r ? r : MAIL_LOG_UNKNOWN;
    *ret_items = items;
    *ret_n = n;
    return 0;
}

int mail_log_reap(struct store_txn *t, int64_t before, int64_t limit, int64_t *ret_removed)
{
    struct uuid end = mail_log_id_from(before);
    int64_t logs = 0, events = 0;
    int r = store_lock(t, STORE_LOCK_MAIL);

    if (r == 0)
        r = store_exec(t, reap_logs_sql, &logs, PARAMS(P_ID(&end), P_INT(limit)));
    if (r == 0)
        r = store_exec(t, reap_events_sql, &events, PARAMS(P_INT(before), P_INT(limit)));
    if (r == 0)
        *ret_removed = logs + events;
    return r;
}
