#include "mail/person.h"

#include "base/fault.h"

#define OF_PERSON                                                                                  \
    "((l.recipient = $1 AND $1 <> '') OR (l.user_id = $2)) AND ($3 = 1 OR l.tenant_id = $4)"

static const char logs_sql[] = "SELECT " MAIL_LOG_COLUMNS " FROM email_logs l WHERE " OF_PERSON
                               " AND l.id > $5 ORDER BY l.id LIMIT $6";

static const char events_sql[] =
    "SELECT id, log_id, provider_id, recipient, kind, subtype, code, detail, at, received_at"
    " FROM email_events WHERE log_id = $1 AND id > $2 ORDER BY id LIMIT $3";

static const char find_sql[] = "SELECT l.id FROM email_logs l WHERE " OF_PERSON
                               " AND l.recipient <> 'erased' ORDER BY l.id LIMIT $5";

static const char erase_logs_sql[] =
    "UPDATE email_logs SET recipient = 'erased', user_id = NULL, subject = '', detail = ''"
    " WHERE id IN (SELECT id FROM bulk_ids)";

static const char erase_events_sql[] = "UPDATE email_events SET recipient = 'erased', detail = ''"
                                       " WHERE log_id IN (SELECT id FROM bulk_ids)";

static const char erase_waiting_sql[] =
    "UPDATE email_events SET recipient = 'erased', detail = '' WHERE recipient = $1"
    " AND id IN (SELECT id FROM email_events WHERE recipient = $1 AND log_id IS NULL LIMIT $2)";

static const char erase_soft_sql[] = "DELETE FROM soft_bounces WHERE address = $1";

/* $1 to $4 of OF_PERSON. An id that no account has stands for none. */
#define P_PERSON(p)                                                                                \
    P_TEXT((p)->address), P_ID(&(p)->user_id), P_INT((p)->tenant ? 0 : 1),                         \
        (p)->tenant ? P_ID((p)->tenant) : P_BLOB("", 0)

int mail_person_logs(struct store_txn *t, struct arena *a, const struct mail_person *person,
                     const struct uuid *after, size_t limit, struct mail_log_entry **ret_items,
                     size_t *ret_n)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(t, logs_sql, &rows,
                        PARAMS(P_PERSON(person), P_ID(after), P_INT((int64_t)limit)));

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

int mail_event_list(struct store_txn *t, struct arena *a, const struct uuid *log_id, int64_t after,
                    size_t limit, struct mail_event_entry **ret_items, size_t *ret_n)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct mail_event_entry *items = arena_array(a, limit + 1, sizeof *items);
    size_t n = 0;
    int r = items ? store_query(t, events_sql, &rows,
                                PARAMS(P_ID(log_id), P_INT(after), P_INT((int64_t)limit)))
                  : FAULT_MEMORY;

    while (r == 0 && n < limit && (r = store_rows_next(rows)) == 1)
        r = read_event(rows, a, &items[n++]);
    if (r)
        return r;
    *ret_items = items;
    *ret_n = n;
    return 0;
}

static int find(struct store_txn *t, const struct mail_person *person, struct uuid *ids,
                int64_t limit, size_t *ret_n)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    size_t n = 0;
    int r = store_query(t, find_sql, &rows, PARAMS(P_PERSON(person), P_INT(limit)));

    while (r == 0 && (int64_t)n < limit && (r = store_rows_next(rows)) == 1) {
        ids[n++] = store_col_id(rows, 0);
        r = 0;
        if ((int64_t)n == limit)
            break;
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
    return r ? r : store_exec(t, erase_logs_sql, NULL, NO_PARAMS);
}

int mail_person_erase(struct store_txn *t, const struct mail_person *person, int64_t limit,
                      int64_t *ret_rows)
{
    _cleanup_arena_ struct arena a = arena_init(64 * 1024 * 1024);
    struct uuid *ids = arena_array(&a, (size_t)limit + 1, sizeof *ids);
    size_t n = 0;
    int64_t waiting = 0;
    int r = ids ? store_lock(t, STORE_LOCK_MAIL) : FAULT_MEMORY;

    if (r == 0)
        r = find(t, person, ids, limit, &n);
    if (r == 0)
        r = erase_rows(t, ids, n);
    if (r == 0 && !person->tenant && person->address.n) {
        r = store_exec(t, erase_waiting_sql, &waiting,
                       PARAMS(P_TEXT(person->address), P_INT(limit)));
        if (r == 0)
            r = store_exec(t, erase_soft_sql, NULL, PARAMS(P_TEXT(person->address)));
    }
    if (r == 0)
        *ret_rows = (int64_t)n + waiting;
    return r;
}
