#include "base/fault.h"
#include "store/internal.h"

static int compare(const void *a, const void *b)
{
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

/* Sorted values go to the end of either engine's index, and equal ones lie side by side. */
static size_t sort_distinct(struct str *values, size_t n)
{
    size_t kept = 0;

    if (n == 0)
        return 0;
    qsort(values, n, sizeof *values, compare);
    for (size_t i = 1; i < n; i++)
        if (!str_eq(values[kept], values[i]))
            values[++kept] = values[i];
    return kept + 1;
}

/* Takes the values over. */
static int fill(struct store_txn *t, enum store_bulk kind, struct str *values, size_t n)
{
    n = sort_distinct(values, n);
    t->failed = t->store->driver->bulk(t, kind, values, n);
    free(values);
    return t->failed;
}

static int allocate(struct store_txn *t, size_t n, struct str **ret)
{
    struct str *values = calloc(n ? n : 1, sizeof *values);

    if (!values)
        return t->failed = fault_set(FAULT_MEMORY, "no memory for %zu values", n);
    *ret = values;
    return 0;
}

int store_bulk_ids(struct store_txn *t, const struct uuid *ids, size_t n)
{
    struct str *values = NULL;

    if (t->failed || allocate(t, n, &values) != 0)
        return t->failed;
    for (size_t i = 0; i < n; i++)
        values[i] = (struct str){(const char *)ids[i].b, sizeof ids[i].b};
    return fill(t, STORE_BULK_IDS, values, n);
}

static bool is_text(struct str s)
{
    return s.n == 0 || (!memchr(s.p, 0, s.n) && str_is_utf8(s));
}

int store_bulk_texts(struct store_txn *t, const struct str *texts, size_t n)
{
    struct str *values = NULL;

    if (t->failed || allocate(t, n, &values) != 0)
        return t->failed;
    for (size_t i = 0; i < n; i++) {
        values[i] = texts[i].p ? texts[i] : STR("");
        if (!is_text(values[i])) {
            free(values);
            return t->failed = fault_set(FAULT_STORE, "value %zu is no text in UTF-8", i + 1);
        }
    }
    return fill(t, STORE_BULK_TEXTS, values, n);
}

int store_bulk_rows(struct store_txn *t, const struct store_bulk_row *rows, size_t n)
{
    if (t->failed)
        return t->failed;
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < STORE_ROW_TEXTS; k++)
            if (!is_text(rows[i].t[k]))
                return t->failed = fault_set(FAULT_STORE, "text %d of row %zu is no text in UTF-8",
                                             k + 1, i + 1);
    return t->failed = t->store->driver->bulk_rows(t, rows, n);
}
