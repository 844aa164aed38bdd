#include "mail/sandbox.h"

#include "base/fault.h"
#include "mail/message_parts.h"

#include <pthread.h>

static const char insert_sql[] =
    "INSERT INTO sandbox_messages (id, at, helo, mail_from, recipients, data, size)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7)";

/* Nothing is less than or equal to the NULL of an OFFSET behind the end. */
static const char trim_sql[] =
    "DELETE FROM sandbox_messages WHERE seq <="
    " (SELECT seq FROM sandbox_messages ORDER BY seq DESC LIMIT 1 OFFSET $1)";

static const char count_sql[] = "SELECT count(*) FROM sandbox_messages";

static const char page_sql[] =
    "SELECT seq, size FROM sandbox_messages ORDER BY seq DESC LIMIT $2 OFFSET $1";

static const char all_sql[] = "SELECT seq FROM sandbox_messages ORDER BY seq DESC LIMIT $1";

#define SELECT_MESSAGE "SELECT id, at, helo, mail_from, recipients, data FROM sandbox_messages"
static const char by_seq_sql[] = SELECT_MESSAGE " WHERE seq = $1";
static const char by_id_sql[] = SELECT_MESSAGE " WHERE id = $1";
static const char remove_sql[] = "DELETE FROM sandbox_messages WHERE id = $1";
static const char clear_sql[] = "DELETE FROM sandbox_messages";

enum { SEARCH_MAX = 10000 }; /* messages that a search looks through */

struct keeping {
    const struct sandbox_message *message;
    int64_t keep;
};

static int keep_job(struct store_txn *t, void *arg)
{
    const struct keeping *k = arg;
    const struct sandbox_message *m = k->message;
    int r =
        store_exec(t, insert_sql, NULL,
                   PARAMS(P_ID(&m->id), P_INT(m->at), P_TEXT(m->helo), P_TEXT(m->from),
                          P_TEXT(m->to), P_BLOB(m->data.p, m->data.n), P_INT((int64_t)m->data.n)));

    return r ? r : store_exec(t, trim_sql, NULL, PARAMS(P_INT(k->keep)));
}

static pthread_rwlock_t listening = PTHREAD_RWLOCK_INITIALIZER;
static struct sandbox_listener listener;

void sandbox_listen(const struct sandbox_listener *l)
{
    pthread_rwlock_wrlock(&listening);
    listener = l ? *l : (struct sandbox_listener){0};
    pthread_rwlock_unlock(&listening);
}

static void tell(const struct sandbox_message *m)
{
    pthread_rwlock_rdlock(&listening);
    if (listener.told)
        listener.told(listener.context, m);
    pthread_rwlock_unlock(&listening);
}

int sandbox_keep(struct store *s, const struct sandbox_message *m, int64_t keep)
{
    struct keeping keeping = {m, keep};
    int r = store_write(s, keep_job, &keeping);

    if (r == 0)
        tell(m);
    return r;
}

/* The row's message; its views are valid until the next row. */
static struct sandbox_message read_row(struct store_rows *rows)
{
    return (struct sandbox_message){
        .id = store_col_id(rows, 0),
        .at = store_col_int(rows, 1),
        .helo = store_col_text(rows, 2),
        .from = store_col_text(rows, 3),
        .to = store_col_text(rows, 4),
        .data = store_col_blob(rows, 5),
    };
}

static int copy(struct arena *a, const struct sandbox_message *m,
                struct sandbox_message *ret_message)
{
    struct sandbox_message kept = {.id = m->id,
                                   .at = m->at,
                                   .helo = arena_str(a, m->helo),
                                   .from = arena_str(a, m->from),
                                   .to = arena_str(a, m->to),
                                   .data = arena_str(a, m->data)};

    if (!kept.helo.p || !kept.from.p || !kept.to.p || !kept.data.p)
        return FAULT_MEMORY;
    *ret_message = kept;
    return 0;
}

static int count_all(struct store_txn *t, int64_t *ret_total)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(t, count_sql, &rows, NO_PARAMS);

    if (r == 0)
        r = store_rows_next(rows);
    if (r < 0)
        return r;
    *ret_total = store_col_int(rows, 0);
    return 0;
}

/* Reads one message and hands it on; SANDBOX_UNKNOWN where it is not there. */
static int read_message(struct store_txn *t, const char *sql, struct store_param key,
                        struct arena *a, struct sandbox_message *ret_message)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(t, sql, &rows, &key, 1);

    if (r == 0)
        r = store_rows_next(rows);
    if (r <= 0)
        return r < 0 ? r : SANDBOX_UNKNOWN;
    struct sandbox_message m = read_row(rows);
    return copy(a, &m, ret_message);
}

/*
 * The numbers of a page's messages, whose data is not read before it is known that it fits: a
 * driver may hold all rows of a query in memory.
 */
static int list_numbers(struct store_txn *t, int64_t start, int64_t limit,
                        int64_t ret_numbers[SANDBOX_PAGE], size_t *ret_n)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int64_t bytes = 0;
    size_t n = 0;
    int r = store_query(t, page_sql, &rows, PARAMS(P_INT(start), P_INT(limit)));

    while (r >= 0 && n < SANDBOX_PAGE && (r = store_rows_next(rows)) > 0) {
        bytes += store_col_int(rows, 1);
        if (n > 0 && bytes > SANDBOX_PAGE_BYTES)
            break;
        ret_numbers[n++] = store_col_int(rows, 0);
    }
    if (r < 0)
        return r;
    *ret_n = n;
    return 0;
}

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

int sandbox_list(struct store_txn *t, struct arena *a, int64_t start, int64_t limit,
                 struct sandbox_page *ret_page)
{
    int64_t numbers[SANDBOX_PAGE];
    struct sandbox_page page = {.start = clamp(start, 0, INT64_MAX)};
    size_t n = 0;
    int r = count_all(t, &page.total);

    if (r == 0)
        r = list_numbers(t, page.start, clamp(limit, 0, SANDBOX_PAGE), numbers, &n);
    if (r == 0) {
        page.items = arena_array(a, n ? n : 1, sizeof *page.items);
        r = page.items ? 0 : FAULT_MEMORY;
    }
    for (; r == 0 && page.n < n; page.n++)
        r = read_message(t, by_seq_sql, P_INT(numbers[page.n]), a, &page.items[page.n]);
    if (r)
        return r < 0 ? r : fault_set(FAULT_STORE, "a message went away in its snapshot");
    *ret_page = page;
    return 0;
}

int sandbox_kind_parse(struct str name, enum sandbox_kind *ret_kind)
{
    if (str_eq(name, STR("from")))
        *ret_kind = SANDBOX_FROM;
    else if (str_eq(name, STR("to")))
        *ret_kind = SANDBOX_TO;
    else if (str_eq(name, STR("containing")))
        *ret_kind = SANDBOX_CONTAINING;
    else
        return 1;
    return 0;
}

static bool contains(struct str s, struct str text)
{
    for (size_t i = 0; i + text.n <= s.n; i++)
        if (str_has_prefix_ci((struct str){s.p + i, s.n - i}, text))
            return true;
    return false;
}

bool sandbox_matches(const struct sandbox_message *m, enum sandbox_kind kind, struct str text)
{
    struct message_head head;

    if (kind == SANDBOX_CONTAINING)
        return contains(m->data, text);
    if (contains(kind == SANDBOX_FROM ? m->from : m->to, text))
        return true;
    message_head_read(m->data, &head);
    for (size_t i = 0; i < head.n; i++)
        if (str_eq_ci(head.fields[i].name, kind == SANDBOX_FROM ? STR("From") : STR("To")) &&
            contains(head.fields[i].value, text))
            return true;
    return false;
}

struct search {
    struct store_txn *t;
    struct arena *a;
    enum sandbox_kind kind;
    struct str text;
    int64_t limit, bytes;
    bool full; /* the page has ended; the rest is only counted */
    struct sandbox_page page;
};

/* Copies a match that is on the page, which has no gaps: behind one that did not fit none does. */
static int take_match(struct search *s, const struct sandbox_message *m)
{
    struct sandbox_page *p = &s->page;

    s->full |= (int64_t)p->n >= s->limit;
    if (p->total++ < p->start || s->full)
        return 0;
    s->bytes += (int64_t)m->data.n;
    s->full = p->n > 0 && s->bytes > SANDBOX_PAGE_BYTES;
    return s->full ? 0 : copy(s->a, m, &p->items[p->n++]);
}

static int search_one(struct search *s, int64_t number)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(s->t, by_seq_sql, &rows, PARAMS(P_INT(number)));

    if (r == 0)
        r = store_rows_next(rows);
    if (r <= 0)
        return r;
    struct sandbox_message m = read_row(rows);
    return sandbox_matches(&m, s->kind, s->text) ? take_match(s, &m) : 0;
}

/* Every message's number, newest first. */
static int all_numbers(struct store_txn *t, struct arena *a, int64_t **ret_numbers, size_t *ret_n)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int64_t *numbers = arena_array(a, SEARCH_MAX, sizeof *numbers);
    size_t n = 0;

    if (!numbers)
        return FAULT_MEMORY;
    int r = store_query(t, all_sql, &rows, PARAMS(P_INT(SEARCH_MAX)));
    while (r >= 0 && n < SEARCH_MAX && (r = store_rows_next(rows)) > 0)
        numbers[n++] = store_col_int(rows, 0);
    if (r < 0)
        return r;
    *ret_numbers = numbers;
    *ret_n = n;
    return 0;
}

int sandbox_search(struct store_txn *t, struct arena *a, enum sandbox_kind kind, struct str text,
                   int64_t start, int64_t limit, struct sandbox_page *ret_page)
{
    struct search s = {.t = t,
                       .a = a,
                       .kind = kind,
                       .text = text,
                       .limit = clamp(limit, 0, SANDBOX_PAGE),
                       .page = {.start = clamp(start, 0, INT64_MAX)}};
    int64_t *numbers = NULL;
    size_t n = 0;
    int r = all_numbers(t, a, &numbers, &n);

    if (r == 0) {
        s.page.items = arena_array(a, SANDBOX_PAGE, sizeof *s.page.items);
        r = s.page.items ? 0 : FAULT_MEMORY;
    }
    for (size_t i = 0; r == 0 && i < n; i++)
        r = search_one(&s, numbers[i]);
    if (r == 0)
        *ret_page = s.page;
    return r;
}

int sandbox_find(struct store_txn *t, struct arena *a, const struct uuid *id,
                 struct sandbox_message *ret_message)
{
    return read_message(t, by_id_sql, P_ID(id), a, ret_message);
}

int sandbox_remove(struct store_txn *t, const struct uuid *id)
{
    int64_t changed = 0;
    int r = store_exec(t, remove_sql, &changed, PARAMS(P_ID(id)));

    return r == 0 && changed == 0 ? SANDBOX_UNKNOWN : r;
}

int sandbox_clear(struct store_txn *t)
{
    return store_exec(t, clear_sql, NULL, NO_PARAMS);
}
