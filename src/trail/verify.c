#include "trail/verify.h"

#include "base/fault.h"
#include "crypto/init.h"
#include "trail/internal.h"
#include "trail/verify_internal.h"

/* Rows a query; a row gives at most three findings, the head two. */
enum { PAGE = 1024, PAGE_FINDINGS = 3 * PAGE + 2 };

/* How far the chain has been read; a plain value, so that a page that is read again begins anew. */
struct walk {
    int64_t seq, rows;
    bool sound;            /* the last record is authentic and in its place */
    uint8_t mac[MAC_SIZE]; /* of the last record, as stored */
    struct uuid chain;     /* as the first record names it */
    bool chain_known, end;
};

struct page {
    const struct trail *trail;
    struct walk before, after;
    struct buf *scratch;
    size_t n;
    struct trail_finding findings[PAGE_FINDINGS];
    bool head_known;
    struct uuid chain; /* of the head */
};

static void find(struct page *p, enum trail_finding_kind kind, int64_t seq, int64_t last)
{
    if (p->n < PAGE_FINDINGS)
        p->findings[p->n++] = (struct trail_finding){.kind = kind, .seq = seq, .last = last};
}

/* Whether the row's MAC is right. Returns 0 or a fault. */
static int check_mac(struct page *p, const struct trail_row *row, bool *ret_authentic)
{
    const struct trail_key *key = trail_key_find(p->trail, row->fields[FIELD_KEY]);
    uint8_t mac[MAC_SIZE];
    int e;

    *ret_authentic = false;
    if (!key) {
        find(p, FINDING_UNKNOWN_KEY, row->seq, row->seq);
        return 0;
    }
    e = trail_row_mac(key, row, p->scratch, mac);
    if (e)
        return e;
    *ret_authentic = crypto_str_eq(row->mac, (struct str){(const char *)mac, MAC_SIZE});
    if (!*ret_authentic)
        find(p, FINDING_EDITED, row->seq, row->seq);
    return 0;
}

/*
 * Whether an authentic row was written after the one before it. After a gap, or a record that is
 * itself not sound, nothing can be said; what is wrong there has been named.
 */
static bool check_link(struct page *p, const struct walk *w, const struct trail_row *row)
{
    struct str previous = row->fields[FIELD_PREVIOUS];

    if (row->seq == 1 || !w->sound || row->seq != w->seq + 1)
        return true;
    if (str_eq(previous, (struct str){(const char *)w->mac, MAC_SIZE}))
        return true;
    find(p, FINDING_UNLINKED, row->seq, row->seq);
    return false;
}

static void note_chain(struct walk *w, const struct trail_row *row)
{
    struct str chain = row->fields[FIELD_PREVIOUS];

    if (row->seq != 1 || chain.n != sizeof w->chain.b)
        return;
    memcpy(w->chain.b, chain.p, sizeof w->chain.b);
    w->chain_known = true;
}

static int check_row(struct page *p, const struct trail_row *row)
{
    struct walk *w = &p->after;
    bool authentic;
    int e;

    w->rows++;
    if (row->seq <= w->seq) {
        find(p, FINDING_INSERTED, row->seq, row->seq);
        return 0;
    }
    if (row->seq > w->seq + 1)
        find(p, FINDING_REMOVED, w->seq + 1, row->seq - 1);
    e = check_mac(p, row, &authentic);
    if (e)
        return e;
    w->sound = authentic && check_link(p, w, row);
    if (w->sound)
        note_chain(w, row);
    memset(w->mac, 0, MAC_SIZE);
    if (row->mac.n == MAC_SIZE)
        memcpy(w->mac, row->mac.p, MAC_SIZE);
    w->seq = row->seq;
    return 0;
}

/* Compares the head with the last record. */
static void check_head(struct page *p, const struct trail_head *head)
{
    const struct walk *w = &p->after;

    if (head->seq > w->seq)
        find(p, FINDING_TRUNCATED, w->seq + 1, head->seq);
    else if (head->seq < w->seq || (w->sound && !crypto_memeq(head->mac, w->mac, MAC_SIZE)) ||
             (w->chain_known && !uuid_eq(&head->chain, &w->chain)))
        find(p, FINDING_HEAD, head->seq, head->seq);
}

static int read_head(struct page *p, struct store_txn *txn)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct trail_head head;
    int e = store_query(txn, "SELECT " TRAIL_HEAD_COLUMNS " FROM trail_head WHERE id = 1", &rows,
                        NO_PARAMS);

    if (!e)
        e = store_rows_next(rows);
    if (e < 0)
        return e;
    if (e == 0) {
        if (p->after.rows > 0)
            find(p, FINDING_HEAD, p->after.seq, p->after.seq);
        return 0;
    }
    e = trail_head_read(rows, &head);
    if (!e)
        e = trail_head_check(p->trail, &head);
    if (e < 0)
        return e;
    if (e > 0) {
        find(p, FINDING_HEAD, p->after.seq, p->after.seq);
        return 0;
    }
    p->head_known = true;
    p->chain = head.chain;
    check_head(p, &head);
    return 0;
}

/* Rows whose number is none (SQLite stores what it is given) are met by no walk along numbers. */
static int count_rows(struct page *p, struct store_txn *txn)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int e = store_query(txn, "SELECT COUNT(*) FROM trail", &rows, NO_PARAMS);

    if (!e)
        e = store_rows_next(rows);
    if (e < 0)
        return e;
    if (store_col_int(rows, 0) != p->after.rows)
        find(p, FINDING_INSERTED, 0, 0);
    return 0;
}

static int read_rows(struct page *p, struct store_txn *txn, int64_t from)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int64_t n = 0;
    int e =
        store_query(txn, "SELECT " TRAIL_COLUMNS " FROM trail WHERE seq > $1 ORDER BY seq LIMIT $2",
                    &rows, PARAMS(P_INT(from), P_INT(PAGE)));

    if (e)
        return e;
    while ((e = store_rows_next(rows)) == 1) {
        struct trail_row row;
        trail_row_read(rows, &row);
        e = check_row(p, &row);
        if (e)
            return e;
        n++;
    }
    p->after.end = n < PAGE;
    return e;
}

/* Reads a page; the last one, the head too: both from one snapshot. */
static int page_job(struct store_txn *txn, void *arg)
{
    struct page *p = arg;
    int64_t from = p->before.rows ? p->before.seq : INT64_MIN;
    int e;

    p->n = 0;
    p->after = p->before;
    e = read_rows(p, txn, from);
    /* A page of rows that are all out of the sequence must not be read for ever. */
    if (!e && !p->after.end && p->after.seq == p->before.seq)
        p->after.end = true;
    if (!e && p->after.end)
        e = read_head(p, txn);
    if (!e && p->after.end)
        e = count_rows(p, txn);
    return e;
}

void verify_report(const struct trail_verify_options *options, struct trail_report *report,
                   const struct trail_finding *finding)
{
    if (report->intact)
        report->first = *finding;
    report->intact = false;
    report->findings[finding->kind]++;
    if (options->found)
        options->found(finding, options->arg);
}

static int walk_chain(struct page *p, const struct trail_verify_options *options,
                      struct trail_report *report)
{
    while (!p->before.end) {
        int e = store_read(p->trail->store, page_job, p);
        if (e)
            return e;
        for (size_t i = 0; i < p->n; i++)
            verify_report(options, report, &p->findings[i]);
        p->before = p->after;
        if (options->progress)
            options->progress(p->before.rows, options->arg);
    }
    report->records = p->before.rows;
    report->head = p->before.seq;
    memcpy(report->head_mac, p->before.mac, MAC_SIZE);
    return 0;
}

static int verify_chain(const struct trail *trail, const struct trail_verify_options *options,
                        struct trail_report *report, struct uuid *ret_chain)
{
    /* Fields are limited when they are written; who edits them may exceed that, not this. */
    _cleanup_buf_ struct buf scratch = buf_init((size_t)1 << 30);
    struct page *p = calloc(1, sizeof *p);
    int e;

    if (!p)
        return fault_set(FAULT_MEMORY, "no memory to verify the trail");
    p->trail = trail;
    p->scratch = &scratch;
    e = walk_chain(p, options, report);
    if (!e)
        *ret_chain = p->head_known ? p->chain : (struct uuid){{0}};
    free(p);
    return e;
}

int trail_verify(const struct trail *trail, const struct trail_verify_options *options,
                 struct trail_report *ret_report)
{
    struct trail_report report = {.intact = true};
    struct verify_file *file = NULL;
    struct uuid chain;
    int e = 0;

    /* How far the file goes is fixed first: what it says by now, the store has long held. */
    if (options->against)
        e = verify_file_open(options->against, &file);
    if (!e)
        e = verify_chain(trail, options, &report, &chain);
    if (!e && file)
        e = verify_checkpoints(trail, file, options, &chain, &report);
    verify_file_close(file);
    if (!e)
        *ret_report = report;
    return e;
}
