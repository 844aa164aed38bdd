#include "mail/outbox_turn.h"

#include "base/fault.h"
#include "mail/outbox_content.h"
#include "mail/outbox_work.h"

enum { MEMORY_MAX = 64 * 1024 * 1024 };

static bool is_in_hand(const struct outbox_turn *turn, const struct uuid *message)
{
    for (size_t i = 0; i < turn->n; i++)
        if (turn->slots[i]->state != OUTBOX_SLOT_IDLE &&
            uuid_eq(&turn->slots[i]->task.message_id, message))
            return true;
    return false;
}

/*
 * A turn whose commit was lost may have marked copies that no sender was ever given: those were
 * not in flight.
 */
static int settle_doubt(struct store_txn *t, const struct outbox_turn *turn)
{
    struct uuid ids[OUTBOX_SENDERS_MAX];
    size_t n = 0;

    for (size_t i = 0; i < turn->n; i++)
        if (turn->slots[i]->state != OUTBOX_SLOT_IDLE)
            ids[n++] = turn->slots[i]->task.message_id;
    return outbox_rows_release(t, turn->node, turn->now, ids, n);
}

static void add_reports(struct outbox_work *w)
{
    for (size_t i = 0; i < w->turn->n; i++)
        if (w->turn->slots[i]->state == OUTBOX_SLOT_REPORTED && !w->turn->slots[i]->left_out)
            w->units[w->n++] = (struct outbox_unit){.slot = w->turn->slots[i]};
}

/* Whether a report's unit goes on with its message. */
static bool goes_on(const struct outbox_work *w, const struct outbox_slot *slot)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->units[i].slot == slot)
            return w->units[i].step.flies;
    return false;
}

/* The slots that would have nothing to do, as many as may begin with a message. */
static size_t find_places(const struct outbox_work *w, struct outbox_slot **places,
                          struct buf **bodies)
{
    const struct outbox_turn *turn = w->turn;
    size_t n = 0;

    for (size_t i = 0; i < turn->n && n < turn->claims; i++) {
        struct outbox_slot *s = turn->slots[i];
        bool ends = s->state == OUTBOX_SLOT_REPORTED && !s->left_out && !goes_on(w, s);
        if (s->state != OUTBOX_SLOT_IDLE && !ends)
            continue;
        places[n] = s;
        bodies[n++] = &s->next_body;
    }
    return n;
}

static int add_due(struct outbox_work *w)
{
    struct outbox_turn *turn = w->turn;
    struct outbox_slot *places[OUTBOX_SENDERS_MAX];
    struct buf *bodies[OUTBOX_SENDERS_MAX];
    struct outbox_row *rows = arena_array(&w->a, OUTBOX_SENDERS_MAX, sizeof *rows);
    struct outbox_due_query query = {.now = turn->now,
                                     .sandbox_only = turn->sandbox,
                                     .below = INT64_MAX,
                                     .skips = turn->skips,
                                     .limit = find_places(w, places, bodies)};
    size_t found = 0;
    int r = rows ? 0 : FAULT_MEMORY;

    if (r == 0 && query.limit)
        r = outbox_rows_due(w->t, &query, rows, bodies, &found);
    turn->ret_due = found;
    if (found)
        turn->ret_first = rows[0];
    for (size_t i = 0; r == 0 && i < found; i++)
        if (!is_in_hand(turn, &rows[i].message_id))
            w->units[w->n++] = (struct outbox_unit){.slot = places[i], .row = &rows[i]};
    return r;
}

/* A message of which a sender had so many copies that it may give way. */
struct long_one {
    struct outbox_unit *unit;
    int64_t rank; /* its own, but no sooner than now: so those that are late take turns */
};

static int compare_ranks(const void *a, const void *b)
{
    const struct long_one *x = a, *y = b;

    return (x->rank < y->rank) - (x->rank > y->rank);
}

/* The last in the line first. */
static size_t find_long(struct outbox_work *w, size_t limit, struct long_one *ret)
{
    size_t n = 0;

    for (size_t i = 0; i < w->n; i++) {
        struct outbox_unit *u = &w->units[i];
        int64_t rank = u->slot->next.rank;
        if (!u->row && u->step.flies && u->slot->task.copies >= OUTBOX_COPIES)
            ret[n++] = (struct long_one){u, rank > w->turn->now ? rank : w->turn->now};
    }
    if (n)
        qsort(ret, n, sizeof *ret, compare_ranks);
    return n < limit ? n : limit;
}

/* Between two looks others may have accepted what comes first: then the second sees a row again. */
static bool is_unit(const struct outbox_work *w, const struct uuid *message)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->units[i].row && uuid_eq(&w->units[i].row->message_id, message))
            return true;
    return false;
}

/* Those behind the places that were free get one of a long message that comes after them. */
static int make_way(struct outbox_work *w)
{
    struct outbox_turn *turn = w->turn;
    struct long_one long_ones[OUTBOX_SENDERS_MAX];
    struct buf *bodies[OUTBOX_SENDERS_MAX];
    size_t found = 0, n = find_long(w, turn->claims - turn->ret_due, long_ones);
    struct outbox_row *rows = n ? arena_array(&w->a, n, sizeof *rows) : NULL;
    struct outbox_due_query query = {.now = turn->now,
                                     .sandbox_only = turn->sandbox,
                                     .skips = turn->skips + turn->ret_due,
                                     .limit = n};

    for (size_t i = 0; i < n; i++)
        bodies[i] = &long_ones[i].unit->slot->next_body;
    if (n == 0)
        return 0;
    query.below = long_ones[0].rank;
    int r = rows ? outbox_rows_due(w->t, &query, rows, bodies, &found) : FAULT_MEMORY;
    for (size_t i = 0; r == 0 && i < found && rows[i].rank < long_ones[i].rank; i++) {
        struct outbox_unit *u = long_ones[i].unit;
        if (is_in_hand(turn, &rows[i].message_id) || is_unit(w, &rows[i].message_id))
            continue;
        r = outbox_let_go(w, u);
        w->units[w->n++] = (struct outbox_unit){.slot = u->slot, .row = &rows[i]};
    }
    return r;
}

static const struct uuid *message_of(const struct outbox_unit *u)
{
    return u->row ? &u->row->message_id : &u->slot->task.message_id;
}

/* The part of each unit from the first on of the list, which is in the order of messages. */
static void give_candidates(struct outbox_work *w, size_t first, struct outbox_candidate *list,
                            size_t n)
{
    for (size_t i = first; i < w->n; i++) {
        struct outbox_unit *u = &w->units[i];
        size_t at = 0, end;
        while (at < n && !uuid_eq(&list[at].is.message_id, message_of(u)))
            at++;
        for (end = at; end < n && uuid_eq(&list[end].is.message_id, message_of(u)); end++)
            ;
        u->candidates = u->from = list + at;
        u->end = list + end;
    }
}

/* Each of the candidates may get an ending. */
static int make_room(struct outbox_work *w, size_t candidates)
{
    struct outbox_ending *more =
        arena_array(&w->a, w->n_endings + candidates + 1, sizeof *w->endings);

    if (!more)
        return FAULT_MEMORY;
    if (w->n_endings)
        memcpy(more, w->endings, w->n_endings * sizeof *more);
    w->endings = more;
    return 0;
}

static int find_candidates(struct outbox_work *w, size_t first)
{
    struct uuid ids[2 * OUTBOX_SENDERS_MAX];
    struct outbox_recipient *recipients = NULL;
    size_t n = 0;

    for (size_t i = first; i < w->n; i++)
        ids[i - first] = *message_of(&w->units[i]);
    int r = outbox_recipients_read(w->t, &w->a, ids, w->n - first, &recipients, &n);
    if (r == 0)
        r = make_room(w, n);
    if (r)
        return r;
    struct outbox_candidate *list = arena_array(&w->a, n + 1, sizeof *list);
    if (!list)
        return FAULT_MEMORY;
    for (size_t i = 0; i < n; i++)
        list[i].is = recipients[i];
    give_candidates(w, first, list, n);
    return 0;
}

/* What follows for the units from the first on. */
static int plan(struct outbox_work *w, size_t first)
{
    int r = first < w->n ? find_candidates(w, first) : 0;

    for (size_t i = first; r == 0 && i < w->n; i++) {
        if (w->units[i].row)
            outbox_take_due(w, &w->units[i]);
        else
            outbox_take_report(w, &w->units[i]);
    }
    if (r == 0)
        r = outbox_choose(w);
    for (size_t i = first; r == 0 && i < w->n; i++)
        r = outbox_plan(w, &w->units[i]);
    return r;
}

/* Changes the messages' rows. Where one is no longer ours, another node answers for it. */
static int take_steps(struct outbox_work *w)
{
    struct outbox_step *steps[2 * OUTBOX_SENDERS_MAX];

    for (size_t i = 0; i < w->n; i++)
        steps[i] = &w->units[i].step;
    int r = outbox_rows_step(w->t, &w->a, steps, w->n);
    for (size_t i = 0; r == 0 && i < w->n; i++) {
        const struct outbox_unit *u = &w->units[i];
        if (!u->step.done || !u->step.flies)
            continue;
        u->slot->has_next = true;
        u->slot->same_body = !u->row;
    }
    return r;
}

/* Last, for what it locks others wait for who accept messages. */
static int write_endings(struct outbox_work *w)
{
    struct mail_settlement *items = arena_array(&w->a, w->n_endings + 1, sizeof *items);
    size_t n = 0;

    if (!items)
        return FAULT_MEMORY;
    for (size_t i = 0; i < w->n_endings; i++) {
        const struct outbox_unit *u = w->endings[i].unit;
        if (u && !u->step.done)
            continue;
        items[n++] = w->endings[i].what;
        w->turn->ret_expired += u && u->expired;
    }
    return mail_settle(w->t, items, n, NULL);
}

static int work(struct outbox_work *w)
{
    struct outbox_turn *turn = w->turn;
    size_t reports;
    int r = turn->in_doubt ? settle_doubt(w->t, turn) : 0;

    add_reports(w);
    reports = w->n;
    if (r == 0)
        r = plan(w, 0);
    if (r == 0 && turn->claims)
        r = add_due(w);
    if (r == 0 && turn->claims)
        r = make_way(w);
    if (r == 0)
        r = plan(w, reports);
    if (r == 0)
        r = take_steps(w);
    return r ? r : write_endings(w);
}

int outbox_turn_job(struct store_txn *t, void *arg)
{
    struct outbox_turn *turn = arg;
    struct outbox_work *w = calloc(1, sizeof *w);
    int r = w ? store_lock(t, STORE_LOCK_MAIL)
              : fault_set(FAULT_MEMORY, "no memory for a turn of the outbox");

    turn->ret_expired = 0;
    turn->ret_due = 0;
    for (size_t i = 0; i < turn->n; i++)
        turn->slots[i]->has_next = false;
    if (r == 0) {
        *w = (struct outbox_work){.t = t, .turn = turn, .a = arena_init(MEMORY_MAX)};
        r = work(w);
        arena_free(&w->a);
    }
    free(w);
    return r > 0 ? fault_set(FAULT_STORE, "a turn of the outbox is refused: %d", r) : r;
}

void outbox_slot_init(struct outbox_slot *slot)
{
    *slot = (struct outbox_slot){.body = buf_init(OUTBOX_BODY_MAX),
                                 .next_body = buf_init(OUTBOX_BODY_MAX)};
}

void outbox_slot_release(struct outbox_slot *slot)
{
    buf_free(&slot->body);
    buf_free(&slot->next_body);
}

bool outbox_slot_advance(struct outbox_slot *slot)
{
    if (slot->has_next && !slot->same_body) {
        struct buf body = slot->body;
        slot->body = slot->next_body;
        slot->next_body = body;
    }
    if (slot->has_next)
        slot->task = slot->next;
    return slot->has_next;
}
