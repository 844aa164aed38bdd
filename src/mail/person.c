#include "mail/person.h"

#include "base/fault.h"
#include "mail/sandbox_person.h"

/*
 * The first rows of the address and of the account, each along an index: an OR of both would have
 * either engine read all that a tenant ever sent.
 */
#define ARM(is, and)                                                                               \
    "SELECT id FROM (SELECT id FROM email_logs WHERE " is " AND ($3 = 1 OR tenant_id = $4)"        \
    " AND id > $5 AND id < $6" and                                                                 \
        " ORDER BY id LIMIT $7) "
#define OF_PERSON(and)                                                                             \
    ARM("recipient = $1 AND $1 <> ''", and) "of_address UNION " ARM("user_id = $2", and) "of_user"

static const char logs_sql[] =
    "SELECT " MAIL_LOG_COLUMNS
    " FROM email_logs l WHERE l.id IN (" OF_PERSON("") ")"
                                                       " ORDER BY l.id LIMIT $7";

static const char events_sql[] =
    "SELECT id, log_id, provider_id, recipient, kind, subtype, code, detail, at, received_at"
    " FROM email_events WHERE log_id = $1 AND id > $2 ORDER BY id LIMIT $3";

/* What was erased is of no account and of no address. */
static const char find_sql[] = OF_PERSON(" AND state <> 'queued'");
static const char left_sql[] = "SELECT count(*) FROM (" OF_PERSON("") ") of_person";

static const char erase_logs_sql[] =
    "UPDATE email_logs SET recipient = 'erased', user_id = NULL, subject = '', detail = ''"
    " WHERE id IN (SELECT id FROM bulk_ids)";

static const char erase_events_sql[] = "UPDATE email_events SET recipient = 'erased', detail = ''"
                                       " WHERE log_id IN (SELECT id FROM bulk_ids)";

#define WAITING                                                                                    \
    "SELECT e.id FROM email_events e WHERE e.recipient = $1 AND e.log_id IS NULL AND"              \
    " (($2 = 1 AND e.received_at < $4) OR (e.provider_id <> '' AND EXISTS (SELECT 1"               \
    " FROM email_logs l WHERE l.provider_id = e.provider_id AND l.recipient = 'erased'"            \
    " AND ($2 = 1 OR l.tenant_id = $3)))) LIMIT $5"

static const char erase_waiting_sql[] =
    "UPDATE email_events SET recipient = 'erased', detail = '' WHERE id IN (" WAITING ")";
static const char waiting_left_sql[] = "SELECT count(*) FROM (" WAITING ") waiting";

static const char erase_soft_sql[] = "DELETE FROM soft_bounces WHERE address = $1";

/* $1 to $7 of OF_PERSON. An id that no account has stands for none. */
#define P_PERSON(p, after, end, limit)                                                             \
    P_TEXT((p)->address), P_ID(&(p)->user_id), P_INT((p)->tenant ? 0 : 1),                         \
        (p)->tenant ? P_ID((p)->tenant) : P_BLOB("", 0), P_ID(after), P_ID(end),                   \
        P_INT((int64_t)(limit))

/* $1 to $5 of WAITING. */
#define P_WAITING(p, limit)                                                                        \
    P_TEXT((p)->address), P_INT((p)->tenant ? 0 : 1),                                              \
        (p)->tenant ? P_ID((p)->tenant) : P_BLOB("", 0),                                           \
        P_INT((p)->before ? (p)->before : INT64_MAX), P_INT(limit)

static const struct uuid start;

/* The id before which rows are meant. */
static struct uuid end_of(const struct mail_person *person)
{
    struct uuid end = mail_log_id_from(person->before);

    if (person->before == 0)
        memset(end.b, 0xff, sizeof end.b);
    return end;
}

int mail_person_logs(struct store_txn *t, struct arena *a, const struct mail_person *person,
                     const struct uuid *after, size_t limit, struct mail_log_entry **ret_items,
                     size_t *ret_n)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct uuid end = end_of(person);
    int r = store_query(t, logs_sql, &rows, PARAMS(P_PERSON(person, after, &end, limit)));

    return r ? r : mail_log_read(rows, a, limit, ret_items, ret_n);
}

static int read_event(struct store_rows *rows, struct arena *a, struct mail_event_entry *e)
{
    struct str *const texts[] = {&e->provider_id, &e->recipient, &e->kind,
                                 &e->subtype,     &e->code,      &e->detail};

    e->id = store_col_int(rows, 0);
    e->log_id = store_col_id(rows, 1);
    for (int i = 0; i < (int)(sizeof texts / sizeof *texts); i++) {
        *texts[i] = arena_str(a, store_col_text(rows, 2 + i));
        if (!texts[i]->p)
            return FAULT_MEMORY;
    }
    e->at = store_col_int(rows, 8);
    e->received_at = store_col_int(rows, 9);
    return 0;
}

int mail_event_read(struct store_rows *rows, struct arena *a, size_t limit,
                    struct mail_event_entry **ret_items, size_t *ret_n)
{
    struct mail_event_entry *items = arena_array(a, limit + 1, sizeof *items);
    size_t n = 0;
    int r = items ? 0 : FAULT_MEMORY;

    while (r == 0 && n < limit && (r = store_rows_next(rows)) == 1)
        r = read_event(rows, a, &items[n++]);
    if (r)
        return r;
    *ret_items = items;
    *ret_n = n;
    return 0;
}

int mail_event_list(struct store_txn *t, struct arena *a, const struct uuid *log_id, int64_t after,
                    size_t limit, struct mail_event_entry **ret_items, size_t *ret_n)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(t, events_sql, &rows,
                        PARAMS(P_ID(log_id), P_INT(after), P_INT((int64_t)limit)));

    return r ? r : mail_event_read(rows, a, limit, ret_items, ret_n);
}

static int find(struct store_txn *t, const struct mail_person *person, struct uuid *ids,
                int64_t limit, size_t *ret_n)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct uuid end = end_of(person);
    size_t n = 0;
    int r = store_query(t, find_sql, &rows, PARAMS(P_PERSON(person, &start, &end, limit)));

    while (r == 0 && (int64_t)n < limit && (r = store_rows_next(rows)) == 1) {
        ids[n++] = store_col_id(rows, 0);
        r = 0;
    }
    *ret_n = n;
    return r;
}

static int erase_rows(struct store_txn *t, const struct uuid *ids, size_t n)
{
    int r = n ? store_bulk_ids(t, ids, n) : 0;

    if (r || n == 0)
        return r;
    r = store_exec(t, erase_events_sql, NULL, NO_PARAMS);
    if (r == 0)
        r = store_exec(t, erase_logs_sql, NULL, NO_PARAMS);
    return r ? r : sandbox_person_erase_logs(t, ids, n);
}

int mail_person_erase(struct store_txn *t, const struct mail_person *person, int64_t limit,
                      int64_t *ret_rows)
{
    _cleanup_arena_ struct arena a = arena_init(64 * 1024 * 1024);
    struct uuid *ids = arena_array(&a, (size_t)limit + 1, sizeof *ids);
    size_t n = 0;
    int64_t waiting = 0, kept = 0;
    int r = ids ? store_lock(t, STORE_LOCK_MAIL) : FAULT_MEMORY;

    if (r == 0)
        r = find(t, person, ids, limit, &n);
    if (r == 0)
        r = erase_rows(t, ids, n);
    if (r == 0 && person->address.n)
        r = store_exec(t, erase_waiting_sql, &waiting, PARAMS(P_WAITING(person, limit)));
    if (r == 0 && !person->tenant && person->address.n)
        r = store_exec(t, erase_soft_sql, NULL, PARAMS(P_TEXT(person->address)));
    if (r == 0)
        r = sandbox_person_erase(t, person, limit, &kept);
    if (r == 0)
        *ret_rows = (int64_t)n + waiting + kept;
    return r;
}

int mail_person_is_left(struct store_txn *t, const struct mail_person *person, bool *ret_left)
{
    struct uuid end = end_of(person);
    int64_t rows = 0, waiting = 0;
    int r = store_number(t, left_sql, &rows, PARAMS(P_PERSON(person, &start, &end, 1)));

    if (r == 0 && person->address.n)
        r = store_number(t, waiting_left_sql, &waiting, PARAMS(P_WAITING(person, 1)));
    bool left = rows > 0 || waiting > 0;
    if (r == 0 && !left)
        r = sandbox_person_is_left(t, person, &left);
    if (r == 0)
        *ret_left = left;
    return r;
}
