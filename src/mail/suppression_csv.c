#include "mail/suppression_csv.h"

#include "base/clock.h"
#include "base/fault.h"
#include "identity/email_address.h"
#include "mail/csv.h"
#include "mail/suppression_reach.h"

static const char import_sql[] =
    "INSERT INTO suppressions (tenant_id, address, reason, source, note, created_at, created_by,"
    " expires_at) SELECT $1, t1, t2, 'import', t3, $2, $3, CASE WHEN i1 <> 0 THEN i1 END"
    " FROM bulk_rows WHERE true ORDER BY n"
    " ON CONFLICT (address, tenant_id, reason) DO UPDATE SET"
    " source = excluded.source, note = excluded.note, created_at = excluded.created_at,"
    " created_by = excluded.created_by, expires_at = excluded.expires_at"
    " WHERE suppressions.expires_at < excluded.expires_at"
    " OR (suppressions.expires_at IS NOT NULL AND excluded.expires_at IS NULL)";

enum column { ADDRESS, REASON, EXPIRES_AT, NOTE, COLUMNS };

static const struct str columns[COLUMNS] = {STR_INIT("address"), STR_INIT("reason"),
                                            STR_INIT("expires_at"), STR_INIT("note")};

struct entry {
    struct str address, note;
    enum suppression_reason reason;
    int64_t expires_at;
};

struct suppression_import {
    struct csv_reader reader;
    struct arena arena; /* what the entries point to */
    struct entry *entries;
    size_t n, cap;
    int place[COLUMNS]; /* of a record's cells; -1: absent */
    bool begun;         /* past the first line */
    int64_t lines, mistakes;
    struct suppression_mistake told[SUPPRESSION_MISTAKES_MAX];
};

static void mistake(struct suppression_import *i, int64_t line, const char *text)
{
    if (i->mistakes < SUPPRESSION_MISTAKES_MAX)
        i->told[i->mistakes] = (struct suppression_mistake){line, text};
    i->mistakes++;
}

/* Whether the record names columns; without that they are in the order of the table. */
static bool read_names(struct suppression_import *i, const struct str *cells, size_t n)
{
    int place[COLUMNS] = {-1, -1, -1, -1};

    for (int k = 0; k < COLUMNS; k++) {
        i->place[k] = k;
        for (size_t c = 0; c < n; c++)
            if (str_eq_ci(str_trim(cells[c]), columns[k]))
                place[k] = (int)c;
    }
    if (place[ADDRESS] < 0)
        return false;
    memcpy(i->place, place, sizeof place);
    return true;
}

static struct str cell_of(const struct suppression_import *i, const struct str *cells, size_t n,
                          enum column column)
{
    int place = i->place[column];

    return place >= 0 && (size_t)place < n ? str_trim(cells[place]) : STR("");
}

static int keep(struct suppression_import *i, const struct entry *e)
{
    if (i->n == i->cap) {
        size_t cap = i->cap ? i->cap * 2 : 64;
        struct entry *grown = realloc(i->entries, cap * sizeof *grown);
        if (!grown)
            return fault_set(FAULT_MEMORY, "no memory for %zu suppressions", cap);
        i->entries = grown;
        i->cap = cap;
    }
    i->entries[i->n] = *e;
    i->entries[i->n].address = arena_str(&i->arena, e->address);
    i->entries[i->n].note = arena_str(&i->arena, e->note);
    if (!i->entries[i->n].address.p || !i->entries[i->n].note.p)
        return FAULT_MEMORY;
    i->n++;
    return 0;
}

static const char *read_entry(const struct suppression_import *i, const struct str *cells, size_t n,
                              char address[EMAIL_ADDRESS_SIZE], struct entry *e)
{
    struct str reason = cell_of(i, cells, n, REASON), expires = cell_of(i, cells, n, EXPIRES_AT);

    if (email_address_normalise(cell_of(i, cells, n, ADDRESS), address, &e->address.n) != 0)
        return "not an address";
    e->address.p = address;
    e->reason = SUPPRESSION_MANUAL;
    if (reason.n && suppression_reason_parse(reason, &e->reason) != 0)
        return "not a reason";
    e->expires_at = 0;
    if (expires.n && (clock_parse(expires, &e->expires_at) != 0 || e->expires_at <= 0))
        return "expires_at is not a time (RFC 3339)";
    e->note = cell_of(i, cells, n, NOTE);
    return e->note.n > SUPPRESSION_NOTE_MAX ? "the note is too long" : NULL;
}

static const char *text_of(enum csv_error error)
{
    switch (error) {
    case CSV_QUOTE:
        return "a quote is out of place";
    case CSV_TOO_LONG:
        return "the line is too long";
    case CSV_NOT_TEXT:
        break;
    }
    return "not text in UTF-8";
}

static int take(int64_t line, enum csv_error error, const struct str *cells, size_t n, void *arg)
{
    struct suppression_import *i = arg;
    char address[EMAIL_ADDRESS_SIZE];
    struct entry e = {{0}};
    bool first = !i->begun;

    i->begun = true;
    if (error) {
        mistake(i, line, text_of(error));
        return 0;
    }
    if (first && read_names(i, cells, n))
        return 0;
    i->lines++;
    const char *wrong = read_entry(i, cells, n, address, &e);
    if (!wrong && i->n == SUPPRESSION_IMPORT_MAX)
        wrong = "too many lines";
    if (wrong) {
        mistake(i, line, wrong);
        return 0;
    }
    return keep(i, &e);
}

int suppression_import_new(struct suppression_import **ret_import)
{
    struct suppression_import *i = calloc(1, sizeof *i);

    if (!i)
        return fault_set(FAULT_MEMORY, "no memory for an import");
    i->reader = csv_reader_init(take, i);
    i->arena = arena_init((size_t)SUPPRESSION_IMPORT_MAX *
                          (EMAIL_ADDRESS_SIZE + SUPPRESSION_NOTE_MAX + 64));
    *ret_import = i;
    return 0;
}

void suppression_import_free(struct suppression_import *import)
{
    if (!import)
        return;
    csv_reader_release(&import->reader);
    arena_free(&import->arena);
    free(import->entries);
    free(import);
}

int suppression_import_feed(struct suppression_import *import, struct str piece)
{
    return csv_reader_feed(&import->reader, piece);
}

int suppression_import_finish(struct suppression_import *import)
{
    return csv_reader_finish(&import->reader);
}

const struct suppression_mistake *suppression_import_mistakes(const struct suppression_import *i,
                                                              size_t *ret_n, int64_t *ret_total)
{
    *ret_total = i->mistakes;
    *ret_n = i->mistakes < SUPPRESSION_MISTAKES_MAX ? (size_t)i->mistakes
                                                    : (size_t)SUPPRESSION_MISTAKES_MAX;
    return i->told;
}

/* Of one address and reason the entry that lasts longest first. */
static int compare_same(const struct entry *x, const struct entry *y)
{
    int c = str_compare(x->address, y->address);

    return c ? c : (int)x->reason - (int)y->reason;
}

static int compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int c = compare_same(x, y);
    uint64_t until_x = (uint64_t)x->expires_at - 1, until_y = (uint64_t)y->expires_at - 1;

    return c ? c : (until_x < until_y) - (until_x > until_y);
}

/* Rows of different addresses and reasons in their order, in memory of the caller's. */
static size_t join(const struct suppression_import *i, struct entry *sorted,
                   struct store_bulk_row *rows)
{
    size_t n = 0;

    memcpy(sorted, i->entries, i->n * sizeof *sorted);
    qsort(sorted, i->n, sizeof *sorted, compare);
    for (size_t k = 0; k < i->n; k++) {
        if (k && compare_same(&sorted[k - 1], &sorted[k]) == 0)
            continue;
        rows[n].i[0] = sorted[k].expires_at;
        rows[n].t[0] = sorted[k].address;
        rows[n].t[1] = suppression_reason_name(sorted[k].reason);
        rows[n].t[2] = sorted[k].note;
        n++;
    }
    return n;
}

/* Once they are there: those that were known already took no room. */
static int check_room(struct store_txn *t, const struct suppression_importer *by)
{
    int64_t n = 0;

    if (by->limit == 0 || uuid_is_nil(&by->tenant_id))
        return 0;
    int r = suppression_count_own(t, &by->tenant_id, by->limit + 1, &n);
    return r == 0 && n > by->limit ? SUPPRESSION_FULL : r;
}

int suppression_import_apply(struct store_txn *t, const struct suppression_import *import,
                             const struct suppression_importer *by,
                             struct suppression_import_result *ret_result)
{
    struct store_bulk_row *rows = calloc(import->n + 1, sizeof *rows);
    struct entry *sorted = calloc(import->n + 1, sizeof *sorted);
    size_t n = 0;
    int64_t changed = 0;
    int r = 0;

    if (import->mistakes)
        r = fault_set(FAULT_INTERNAL, "an import with mistakes is not to be applied");
    else if (!rows || !sorted)
        r = fault_set(FAULT_MEMORY, "no memory for %zu suppressions", import->n);
    else if (import->n)
        n = join(import, sorted, rows);
    if (r == 0 && n)
        r = store_bulk_rows(t, rows, n);
    if (r == 0 && n)
        r = store_exec(t, import_sql, &changed,
                       PARAMS(P_ID(&by->tenant_id), P_INT(by->now), P_TEXT(by->created_by)));
    if (r == 0 && changed && uuid_is_nil(&by->tenant_id))
        r = suppression_reach_bulk(t, by->now);
    if (r == 0 && changed)
        r = check_room(t, by);
    free(rows);
    free(sorted);
    if (r == 0)
        *ret_result = (struct suppression_import_result){
            import->lines, changed, (int64_t)n - changed, (int64_t)(import->n - n)};
    return r;
}

void suppression_csv_head(struct buf *out)
{
    buf_add_str(out, STR("address,reason,expires_at,note,scope,source,created_at,created_by\r\n"));
}

static void add_time(struct buf *out, int64_t ms)
{
    char text[CLOCK_TEXT_SIZE] = "";

    if (ms)
        clock_format(ms, text);
    csv_add_cell(out, str_of(text), false);
}

void suppression_csv_line(const struct suppression *s, struct buf *out)
{
    char tenant[UUID_TEXT_SIZE] = "";

    if (!uuid_is_nil(&s->tenant_id))
        uuid_format(&s->tenant_id, tenant);
    csv_add_cell(out, s->address, true);
    csv_add_cell(out, suppression_reason_name(s->reason), false);
    add_time(out, s->expires_at);
    csv_add_cell(out, s->note, false);
    csv_add_cell(out, str_of(tenant), false);
    csv_add_cell(out, s->source, false);
    add_time(out, s->created_at);
    csv_add_cell(out, s->created_by, false);
    csv_add_end(out);
}
