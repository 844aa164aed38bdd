#include "mail/sandbox_person.h"

#include "base/fault.h"

enum { WORK_MAX = 16 * 1024 * 1024, FIRST_IDS = 64 };

/* $3 is a line's end: an address is a line of its own, in whatever case it was given. */
#define LINES "$3 || lower(recipients) || $3"
static const char to_sql[] = "SELECT id FROM sandbox_messages WHERE at < $2 AND replace(" LINES
                             ", $3 || $1 || $3, '') <> " LINES " ORDER BY seq";

static const char foreign_sql[] =
    "SELECT count(*) FROM (SELECT 1 FROM email_logs WHERE provider_id = $1 AND tenant_id <> $2"
    " LIMIT 1) of_another";

static const char of_logs_sql[] = "SELECT l.provider_id FROM bulk_ids b CROSS JOIN email_logs l"
                                  " WHERE l.id = b.id AND l.provider_id IS NOT NULL"
                                  " AND l.transport = 'sandbox'";

static const char remove_sql[] =
    "DELETE FROM sandbox_messages WHERE id IN (SELECT id FROM bulk_ids)";

struct ids {
    struct uuid *items;
    size_t n, cap;
};

static int add(struct ids *ids, struct arena *a, const struct uuid *id)
{
    if (ids->n == ids->cap) {
        size_t more = ids->cap ? ids->cap * 2 : FIRST_IDS;
        struct uuid *grown = arena_array(a, more, sizeof *grown);
        if (!grown)
            return FAULT_MEMORY;
        if (ids->n)
            memcpy(grown, ids->items, ids->n * sizeof *grown);
        ids->items = grown;
        ids->cap = more;
    }
    ids->items[ids->n++] = *id;
    return 0;
}

static int remove_all(struct store_txn *t, const struct ids *ids)
{
    int r = ids->n ? store_bulk_ids(t, ids->items, ids->n) : 0;

    return r || ids->n == 0 ? r : store_exec(t, remove_sql, NULL, NO_PARAMS);
}

/* The sandbox's name of a message as a provider is its id as text. */
static int read_of_logs(struct store_txn *t, struct arena *a, struct ids *ids)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct uuid id;
    int r = store_query(t, of_logs_sql, &rows, NO_PARAMS);

    while (r == 0 && (r = store_rows_next(rows)) == 1)
        r = uuid_parse(store_col_text(rows, 0), &id) == 0 ? add(ids, a, &id) : 0;
    return r;
}

int sandbox_person_erase_logs(struct store_txn *t, const struct uuid *log_ids, size_t n)
{
    _cleanup_arena_ struct arena a = arena_init(WORK_MAX);
    struct ids ids = {0};
    int r = n ? store_bulk_ids(t, log_ids, n) : 0;

    if (r == 0 && n)
        r = read_of_logs(t, &a, &ids);
    return r ? r : remove_all(t, &ids);
}

static int read_to(struct store_txn *t, struct arena *a, const struct mail_person *person,
                   struct ids *ids)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r =
        store_query(t, to_sql, &rows,
                    PARAMS(P_TEXT(person->address),
                           P_INT(person->before ? person->before : INT64_MAX), P_TEXT(STR("\n"))));

    while (r == 0 && (r = store_rows_next(rows)) == 1) {
        struct uuid id = store_col_id(rows, 0);
        r = add(ids, a, &id);
    }
    return r;
}

static int is_foreign(struct store_txn *t, const struct mail_person *person, const struct uuid *id,
                      bool *ret_foreign)
{
    char text[UUID_TEXT_SIZE];
    int64_t rows = 0;

    uuid_format(id, text);
    int r = person->tenant ? store_number(t, foreign_sql, &rows,
                                          PARAMS(P_TEXT(str_of(text)), P_ID(person->tenant)))
                           : 0;
    if (r == 0)
        *ret_foreign = rows > 0;
    return r;
}

/* The first of those that are to go. */
static int find(struct store_txn *t, struct arena *a, const struct mail_person *person,
                int64_t limit, struct ids *ret_ids)
{
    struct ids ids = {0};
    size_t kept = 0;
    bool foreign = false;
    int r = person->address.n ? read_to(t, a, person, &ids) : 0;

    for (size_t i = 0; r == 0 && i < ids.n && (int64_t)kept < limit; i++) {
        r = is_foreign(t, person, &ids.items[i], &foreign);
        if (r == 0 && !foreign)
            ids.items[kept++] = ids.items[i];
    }
    ids.n = kept;
    if (r == 0)
        *ret_ids = ids;
    return r;
}

int sandbox_person_erase(struct store_txn *t, const struct mail_person *person, int64_t limit,
                         int64_t *ret_removed)
{
    _cleanup_arena_ struct arena a = arena_init(WORK_MAX);
    struct ids ids = {0};
    int r = find(t, &a, person, limit, &ids);

    if (r == 0)
        r = remove_all(t, &ids);
    if (r == 0)
        *ret_removed = (int64_t)ids.n;
    return r;
}

int sandbox_person_is_left(struct store_txn *t, const struct mail_person *person, bool *ret_left)
{
    _cleanup_arena_ struct arena a = arena_init(WORK_MAX);
    struct ids ids = {0};
    int r = find(t, &a, person, 1, &ids);

    if (r == 0)
        *ret_left = ids.n > 0;
    return r;
}
