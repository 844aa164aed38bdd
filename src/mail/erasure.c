#include "mail/erasure.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/fault.h"
#include "mail/person.h"

enum { PAGE = 100, WORK_MAX = 8 << 20, BUDGET_MS = 200, DETAIL_MAX = 200 };

/* What a record asks for. */
struct request {
    int64_t seq;
    bool asked; /* by mail.erase: that it is done is told even where there was nothing */
    struct uuid user_id, tenant_id;
    struct mail_person person;
    bool pending;
};

struct page {
    struct trail *trail;
    struct arena arena;
    enum trail_action action;
    int64_t since, after;
    struct request requests[PAGE];
    size_t n;
};

static int take_request(const struct trail_record *record, void *arg)
{
    struct page *p = arg;
    struct request *q = &p->requests[p->n++];

    *q = (struct request){.seq = record->seq,
                          .asked = p->action == TRAIL_MAIL_ERASE,
                          .user_id = record->subject_id,
                          .tenant_id = record->tenant_id};
    q->person = (struct mail_person){.address = arena_str(&p->arena, record->subject),
                                     .user_id = record->subject_id,
                                     .tenant = &q->tenant_id,
                                     .before = record->at + 1};
    if (q->asked && str_eq(record->detail, STR(ERASURE_EVERYWHERE)))
        q->person.tenant = NULL;
    return q->person.address.p ? 0 : FAULT_MEMORY;
}

struct telling {
    char detail[DETAIL_MAX]; /* what the record of this request begins with */
    bool told;
};

static int take_told(const struct trail_record *record, void *arg)
{
    struct telling *t = arg;

    t->told = t->told || str_has_prefix(record->detail, str_of(t->detail));
    return 0;
}

/* Whether the trail says already that it is done. */
static int read_told(struct store_txn *t, const struct request *q, bool *ret_told)
{
    struct telling telling = {.told = false};
    struct trail_filter filter = {.all_tenants = true,
                                  .action = str_of(trail_action_name(TRAIL_MAIL_ERASED)),
                                  .subject_id = q->user_id};

    snprintf(telling.detail, sizeof telling.detail, "{\"request\":%lld,", (long long)q->seq);
    int r = trail_list(t, &filter, 0, PAGE, take_told, &telling);
    if (r == 0)
        *ret_told = telling.told;
    return r;
}

/* Looks only, as there is nothing to do about nearly all of them. */
static int look(struct store_txn *t, struct request *q)
{
    bool told = true;
    int r = mail_person_is_left(t, &q->person, &q->pending);

    if (r == 0 && q->asked && !q->pending) {
        r = read_told(t, q, &told);
        q->pending = !told;
    }
    return r;
}

static int page_job(struct store_txn *t, void *arg)
{
    struct page *p = arg;
    struct trail_filter filter = {
        .all_tenants = true, .action = str_of(trail_action_name(p->action)), .since = p->since};

    p->n = 0;
    int r = trail_list_from(t, &filter, p->after, PAGE, take_request, p);
    for (size_t i = 0; r == 0 && i < p->n; i++)
        r = look(t, &p->requests[i]);
    return r;
}

struct batch {
    struct trail *trail;
    struct request *q;
    int64_t rows, total; /* of this transaction, and of those before it */
};

static int tell(struct store_txn *t, const struct batch *b)
{
    char detail[DETAIL_MAX];
    struct trail_actor actor = {.label = STR("system")};
    struct trail_event event = {.action = TRAIL_MAIL_ERASED,
                                .tenant_id = b->q->tenant_id,
                                .subject_id = b->q->user_id,
                                .subject = STR("")};
    int n = snprintf(detail, sizeof detail, "{\"request\":%lld,\"rows\":%lld}",
                     (long long)b->q->seq, (long long)(b->total + b->rows));

    event.detail = (struct str){detail, (size_t)n};
    return trail_append(b->trail, t, &actor, &event);
}

/* With the last of the rows it is on record that they are gone; not while any is still to be sent.
 */
static int erase_job(struct store_txn *t, void *arg)
{
    struct batch *b = arg;
    bool left = false, told = true;
    int r = mail_person_erase(t, &b->q->person, ERASURE_BATCH, &b->rows);

    if (r || b->rows >= ERASURE_BATCH)
        return r;
    r = mail_person_is_left(t, &b->q->person, &left);
    if (r == 0 && !left && b->q->asked && b->total + b->rows == 0)
        r = read_told(t, b->q, &told);
    if (r == 0 && !left && (b->total + b->rows > 0 || !told))
        r = tell(t, b);
    return r;
}

static int erase(struct store *store, struct trail *trail, struct request *q)
{
    struct batch b = {.trail = trail, .q = q};
    int r;

    do {
        b.total += b.rows;
        b.rows = 0;
        r = store_write(store, erase_job, &b);
    } while (r == 0 && b.rows >= ERASURE_BATCH);
    return r;
}

/* One page of an action. *ret_n: how many records it had. */
static int run_page(struct page *p, struct store *store, int64_t *seq, size_t *ret_n)
{
    p->after = *seq;
    int r = store_read(store, page_job, p);

    for (size_t i = 0; r == 0 && i < p->n; i++) {
        if (p->requests[i].pending)
            r = erase(store, p->trail, &p->requests[i]);
        if (r == 0)
            *seq = p->requests[i].seq;
    }
    *ret_n = p->n;
    arena_free(&p->arena);
    return r;
}

static int run_action(struct page *p, struct store *store, enum trail_action action, int64_t *seq,
                      bool *ret_done)
{
    int64_t until = clock_mono() + BUDGET_MS;
    size_t n = PAGE;
    int r = 0;

    p->action = action;
    while (r == 0 && n == PAGE && clock_mono() < until)
        r = run_page(p, store, seq, &n);
    *ret_done = r == 0 && n < PAGE;
    return r;
}

int erasure_run(struct erasure *e, struct store *store, struct trail *trail, int64_t keep_ms,
                int64_t now)
{
    struct page *p = calloc(1, sizeof *p);
    bool deleted = false, asked = false;

    if (!p)
        return fault_set(FAULT_MEMORY, "no memory for erasures");
    p->trail = trail;
    p->since = now - keep_ms - CLOCK_DAY;
    p->arena = arena_init(WORK_MAX);
    int r = run_action(p, store, TRAIL_USER_DELETE, &e->deleted_seq, &deleted);
    if (r == 0)
        r = run_action(p, store, TRAIL_MAIL_ERASE, &e->asked_seq, &asked);
    free(p);
    if (r == 0 && deleted && asked && clock_mono() >= e->again_at) {
        e->deleted_seq = e->asked_seq = 0;
        e->again_at = clock_mono() + ERASURE_AGAIN_MS;
    }
    return r;
}
