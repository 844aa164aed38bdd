#include "mail/outbox_round.h"

#include "base/fault.h"
#include "base/log.h"

/* Turns that fail before a round is given up: those of three bad rows among 64. */
enum { FAILURES_MAX = 32 };

/* $2: the row's lease, or the node's name. A row of others by now is theirs to work on. */
static const char aside_sql[] =
    "UPDATE email_outbox SET next_at = $3, lease = $4, attempts = attempts + $5, last_error = $6"
    " WHERE message_id = $1 AND $2 IN (lease, substr(lease, 1, 36))";

/* What cannot be worked on. */
struct bad_row {
    struct outbox_slot *slot; /* its report cannot be written; NULL: it cannot be begun */
    struct outbox_row row;    /* then */
    char reason[300];
};

struct round {
    struct store *store;
    struct outbox_turn *turn;
    bool worked; /* some part did */
    size_t failures;
    int fault; /* of the last of them */
    int64_t expired;
    struct bad_row bad[2 * OUTBOX_SENDERS_MAX];
    size_t n, n_due; /* of these, how many are due */
};

static void advance(struct outbox_turn *turn)
{
    for (size_t i = 0; i < turn->n; i++) {
        struct outbox_slot *s = turn->slots[i];
        if (s->state == OUTBOX_SLOT_IDLE || (s->state == OUTBOX_SLOT_REPORTED && !s->left_out))
            s->state = outbox_slot_advance(s) ? OUTBOX_SLOT_GIVEN : OUTBOX_SLOT_IDLE;
    }
}

static int take(struct round *o, size_t reports)
{
    int r = store_write(o->store, outbox_turn_job, o->turn);

    o->turn->in_doubt = r != 0;
    if (r == 0) {
        advance(o->turn);
        o->worked = o->worked || reports || o->turn->ret_due;
        o->expired += o->turn->ret_expired;
    } else {
        o->failures++;
        o->fault = r;
    }
    return r;
}

/* Where the store itself is out of reach, parts would only ask it again. */
static bool is_over(const struct round *o, int r)
{
    return r == FAULT_UNAVAILABLE || r == FAULT_IO || o->failures > FAILURES_MAX;
}

static void note_bad(struct round *o, struct outbox_slot *slot)
{
    struct bad_row *bad = &o->bad[o->n++];

    bad->slot = slot;
    bad->row = o->turn->ret_first;
    o->n_due += slot == NULL;
    snprintf(bad->reason, sizeof bad->reason, "%.299s", fault_message());
}

/* All of the slots, none of which is reported to a turn unless it is of [first, first + n). */
static void leave_out(struct outbox_slot *const *slots, size_t count, size_t first, size_t n)
{
    for (size_t i = 0; i < count; i++)
        slots[i]->left_out = i < first || i >= first + n;
}

/* Reports alone, by halves. Returns 0, or why no more can be found out. */
static int take_reports(struct round *o, struct outbox_slot *const *slots, size_t count,
                        size_t first, size_t n)
{
    leave_out(slots, count, first, n);
    int r = n ? take(o, n) : 0;

    if (r == 0 || is_over(o, r))
        return r;
    if (n == 1) {
        note_bad(o, slots[first]);
        return 0;
    }
    r = take_reports(o, slots, count, first, n / 2);
    return r ? r : take_reports(o, slots, count, first + n / 2, n - n / 2);
}

/* Messages that are due alone, by halves; those that cannot be begun are passed over. As above. */
static int take_due(struct round *o, size_t n)
{
    o->turn->claims = n;
    o->turn->skips = o->n_due;
    int r = n ? take(o, 0) : 0;

    if (r == 0 || is_over(o, r) || o->turn->ret_due == 0)
        return r;
    /* Where it cannot even be read, those behind it are not known yet. */
    size_t found = o->turn->ret_due;
    if (found == 1) {
        note_bad(o, NULL);
        return take_due(o, n - 1);
    }
    r = take_due(o, found / 2);
    return r ? r : take_due(o, n - found / 2);
}

struct putting {
    struct uuid message_id;
    struct str held_by;
    char lease[OUTBOX_LEASE_SIZE];
    int64_t next_at, attempts;
};

static int aside_job(struct store_txn *t, void *arg)
{
    const struct putting *p = arg;
    int r = store_lock(t, STORE_LOCK_MAIL);

    return r ? r
             : store_exec(t, aside_sql, NULL,
                          PARAMS(P_ID(&p->message_id), P_TEXT(p->held_by), P_INT(p->next_at),
                                 P_TEXT(str_of(p->lease)), P_INT(p->attempts),
                                 P_TEXT(STR(OUTBOX_ASIDE_ERROR))));
}

/* As after an attempt that failed. */
static struct putting wait_of(const struct round *o, const struct outbox_row *row)
{
    struct putting p = {.message_id = row->message_id,
                        .next_at = o->turn->now + outbox_delay(row->attempts + 1),
                        .held_by = str_of(row->lease),
                        .attempts = 1};

    memcpy(p.lease, row->lease, sizeof p.lease);
    return p;
}

/* As if a node had died with it: this one may let go of what is its own and in no sender's hands.
 */
static struct putting loss_of(const struct round *o, const struct outbox_slot *s)
{
    struct putting p = {.message_id = s->task.message_id,
                        .next_at = o->turn->now + OUTBOX_ASIDE_MS,
                        .held_by = str_of(o->turn->node)};
    struct uuid nobody = uuid_new();
    char name[OUTBOX_NODE_SIZE];

    uuid_format(&nobody, name);
    outbox_lease_write(name, &s->task.log_id, p.lease);
    return p;
}

static void tell(const struct bad_row *bad, const struct putting *p)
{
    struct log_line l;

    log_begin(&l, LOG_ERROR,
              bad->slot ? "what became of a message cannot be written: it is put aside"
                        : "a message cannot be begun: it is put aside");
    log_field_uuid(&l, "message", &p->message_id);
    log_field_str(&l, "reason", str_of(bad->reason));
    if (bad->slot) {
        log_field_uuid(&l, "log", &bad->slot->task.log_id);
        log_field_int(&l, "accepted", bad->slot->report.fate.result == TRANSPORT_ACCEPTED);
    }
    log_end(&l);
}

/* Says how many were put aside; what cannot be is found again by the next turn. */
static size_t put_aside(const struct round *o)
{
    size_t n = 0;

    for (size_t i = 0; i < o->n; i++) {
        const struct bad_row *bad = &o->bad[i];
        struct putting p = bad->slot ? loss_of(o, bad->slot) : wait_of(o, &bad->row);
        if (store_write(o->store, aside_job, &p))
            continue;
        tell(bad, &p);
        if (bad->slot)
            bad->slot->state = OUTBOX_SLOT_IDLE;
        n++;
    }
    return n;
}

static size_t find_reports(const struct outbox_turn *turn, struct outbox_slot **reports)
{
    size_t n = 0;

    for (size_t i = 0; i < turn->n; i++) {
        turn->slots[i]->left_out = false;
        if (turn->slots[i]->state == OUTBOX_SLOT_REPORTED)
            reports[n++] = turn->slots[i];
    }
    return n;
}

/* The parts of a turn that failed. */
static int take_apart(struct round *o, struct outbox_slot *const *reports, size_t n, size_t claims,
                      size_t *ret_aside)
{
    o->turn->claims = 0;
    int r = take_reports(o, reports, n, 0, n);

    leave_out(reports, n, 0, 0);
    if (r == 0)
        r = take_due(o, claims);
    bool alone = n == 0 && o->n == 1;
    if (o->n && (o->worked || alone))
        *ret_aside = put_aside(o);
    if (r)
        return r;
    return *ret_aside < o->n ? o->fault : 0;
}

int outbox_round(struct store *store, struct outbox_turn *turn, size_t *ret_aside)
{
    struct round o;
    struct outbox_slot *reports[OUTBOX_SENDERS_MAX];
    size_t claims = turn->claims, n = find_reports(turn, reports);

    memset(&o, 0, sizeof o);
    o.store = store;
    o.turn = turn;
    *ret_aside = 0;
    turn->skips = 0;
    int r = take(&o, n);
    if (r && !is_over(&o, r))
        r = take_apart(&o, reports, n, claims, ret_aside);
    turn->claims = claims;
    turn->ret_expired = o.expired;
    return r;
}
