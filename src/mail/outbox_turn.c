#include "mail/outbox_turn.h"

#include "base/fault.h"
#include "crypto/init.h"
#include "mail/outbox_content.h"
#include "mail/suppression.h"

#define IS_MINE "substr(lease, 1, 36) = $2"

/* $3: 1 where only what was accepted for the sandbox is taken. */
static const char due_sql[] =
    "SELECT message_id, tenant_id, transport, body, attempts, lease, created_at"
    " FROM email_outbox WHERE next_at <= $1 AND ($3 = 0 OR transport = 'sandbox')"
    " ORDER BY next_at, message_id LIMIT $2";

static const char claim_sql[] =
    "UPDATE email_outbox SET lease = $3, lease_until = $4, next_at = $4, attempts = $5"
    " WHERE message_id = $1 AND lease = $2";
static const char drop_sql[] = "DELETE FROM email_outbox WHERE message_id = $1 AND lease = $2";
static const char move_sql[] = "UPDATE email_outbox SET lease = $3, lease_until = $4, next_at = $4"
                               " WHERE message_id = $1 AND " IS_MINE;
static const char wait_sql[] =
    "UPDATE email_outbox SET lease = '', lease_until = 0, next_at = $3, attempts = $4,"
    " last_error = $5 WHERE message_id = $1 AND " IS_MINE;
static const char remove_sql[] = "DELETE FROM email_outbox WHERE message_id = $1 AND " IS_MINE;

/* coalesce: the way to a message's rows is by the message, not by all that is queued. */
static const char queued_sql[] =
    "SELECT id, recipient, template FROM email_logs WHERE message_id = $1"
    " AND coalesce(state, '') = 'queued' AND recipient > $2 ORDER BY recipient LIMIT 1";
static const char lost_sql[] =
    "SELECT recipient FROM email_logs WHERE id = $1 AND coalesce(state, '') = 'queued'";

static const char mine_sql[] =
    "SELECT message_id FROM email_outbox WHERE substr(lease, 1, 36) = $1 LIMIT $2";
static const char free_sql[] =
    "UPDATE email_outbox SET lease = '', lease_until = 0, next_at = $3, attempts = attempts - 1"
    " WHERE message_id = $1 AND " IS_MINE;

enum { LEASE_SIZE = 2 * UUID_TEXT_SIZE };

/* A message whose time has come; its body is in the slot that is to take it. */
struct due {
    struct outbox_slot *slot;
    struct uuid message_id, tenant_id;
    char lease[LEASE_SIZE];
    bool sandboxed;
    int64_t attempts, created_at;
};

#define P_NODE(turn) P_TEXT(str_of((turn)->node))

int64_t outbox_delay(int64_t n)
{
    int64_t delay = OUTBOX_RETRY_MS;

    while (--n > 0 && delay < OUTBOX_RETRY_MAX_MS)
        delay *= 2;
    return delay < OUTBOX_RETRY_MAX_MS ? delay : OUTBOX_RETRY_MAX_MS;
}

/* A quarter more or less, so that what failed together is not tried together. */
static int64_t jitter(int64_t delay)
{
    uint16_t random;

    crypto_random(&random, sizeof random);
    return delay - delay / 4 + delay / 2 * random / UINT16_MAX;
}

static void write_lease(const struct outbox_turn *turn, const struct uuid *log_id,
                        char ret_lease[LEASE_SIZE])
{
    char id[UUID_TEXT_SIZE];

    uuid_format(log_id, id);
    snprintf(ret_lease, LEASE_SIZE, "%s %s", turn->node, id);
}

/* The log row that a lease is about. Returns 0, or 1 where it is none. */
static int read_lease(struct str lease, struct uuid *ret_log_id)
{
    return lease.n == 2 * UUID_TEXT + 1
               ? uuid_parse((struct str){lease.p + UUID_TEXT + 1, UUID_TEXT}, ret_log_id)
               : 1;
}

static int refuse(struct store_txn *t, const struct outbox_turn *turn, const struct uuid *message,
                  struct str recipient, enum mail_state state, struct str code, struct str detail,
                  int64_t *ret_rows)
{
    struct mail_refusal refusal = {*message, recipient, state, code, detail, turn->now};

    return mail_log_refuse(t, &refusal, ret_rows);
}

/* The first recipient behind the cursor that is still queued. */
static int find_queued(struct store_txn *t, const struct uuid *message, struct str cursor,
                       struct outbox_task *task, bool *ret_found)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(t, queued_sql, &rows, PARAMS(P_ID(message), P_TEXT(cursor)));

    if (r == 0)
        r = store_rows_next(rows);
    if (r < 0)
        return r;
    *ret_found = r == 1;
    if (r == 1) {
        task->log_id = store_col_id(rows, 0);
        snprintf(task->recipient, sizeof task->recipient, "%.*s", STR_ARG(store_col_text(rows, 1)));
        snprintf(task->template_name, sizeof task->template_name, "%.*s",
                 STR_ARG(store_col_text(rows, 2)));
    }
    return 0;
}

/* Why the task's recipient is not to be written to now; empty: nothing keeps it. */
static int find_obstacle(struct store_txn *t, const struct outbox_turn *turn,
                         const struct outbox_task *task, struct str *ret_code)
{
    struct str address = str_of(task->recipient);
    struct suppression_hit hit;
    int r = suppression_find(t, &task->tenant_id, &address, 1, turn->now, &hit);

    if (r == 0)
        *ret_code = suppression_stops(&hit, task->purpose == UNSUBSCRIBE_SECURITY)
                        ? suppression_reason_name(hit.reason)
                        : STR("");
    return r;
}

/* The next copy of the message behind the cursor; those on the way that must not go are refused. */
static int choose(struct store_txn *t, const struct outbox_turn *turn, struct str cursor,
                  struct outbox_task *task, bool *ret_found)
{
    char behind[EMAIL_ADDRESS_SIZE];
    bool found = false;
    struct str code;
    int r;

    snprintf(behind, sizeof behind, "%.*s", STR_ARG(cursor));
    for (;;) {
        r = find_queued(t, &task->message_id, str_of(behind), task, &found);
        if (r == 0 && found)
            r = find_obstacle(t, turn, task, &code);
        if (r || !found || code.n == 0)
            break;
        memcpy(behind, task->recipient, sizeof behind);
        r = refuse(t, turn, &task->message_id, str_of(behind), MAIL_SUPPRESSED, code, STR(""),
                   NULL);
        if (r)
            break;
    }
    if (r == 0)
        *ret_found = found;
    return r;
}

static int remove_message(struct store_txn *t, const struct outbox_turn *turn,
                          const struct uuid *message, int64_t *ret_removed)
{
    return store_exec(t, remove_sql, ret_removed, PARAMS(P_ID(message), P_NODE(turn)));
}

/* Nobody took it for so long that nobody will. */
static int expire(struct store_txn *t, struct outbox_turn *turn, const struct outbox_task *task)
{
    char detail[OUTBOX_ERROR_SIZE + 64];
    int64_t removed = 0, rows = 0;
    int r = remove_message(t, turn, &task->message_id, &removed);

    if (r || removed == 0)
        return r;
    snprintf(detail, sizeof detail, "given up after %lld attempts; the last: %s",
             (long long)task->attempt.number, task->attempt.error);
    r = refuse(t, turn, &task->message_id, STR(""), MAIL_REJECTED, STR(OUTBOX_CODE_EXPIRED),
               str_of(detail), &rows);
    turn->ret_expired += rows;
    return r;
}

/* An attempt is over: what is still queued waits for the next one. */
static int postpone(struct store_txn *t, struct outbox_turn *turn, const struct outbox_task *task,
                    bool general)
{
    const struct outbox_attempt *a = &task->attempt;
    int64_t delay = jitter(general ? turn->pause_ms : outbox_delay(a->number));

    if (delay < a->retry_after_ms)
        delay = a->retry_after_ms < OUTBOX_RETRY_MAX_MS ? a->retry_after_ms : OUTBOX_RETRY_MAX_MS;
    if (turn->now + delay >= task->accepted_at + OUTBOX_GIVE_UP_MS)
        return expire(t, turn, task);
    /* What is no fault of the message does not lengthen its waits. */
    return store_exec(t, wait_sql, NULL,
                      PARAMS(P_ID(&task->message_id), P_NODE(turn), P_INT(turn->now + delay),
                             P_INT(general ? a->number - 1 : a->number), P_TEXT(str_of(a->error))));
}

/* No further copy in this attempt. */
static int end_attempt(struct store_txn *t, struct outbox_turn *turn,
                       const struct outbox_task *task)
{
    struct outbox_task any = *task;
    bool left;
    int r = find_queued(t, &task->message_id, STR(""), &any, &left);

    if (r)
        return r;
    return left ? postpone(t, turn, task, false) : remove_message(t, turn, &task->message_id, NULL);
}

/* It may be tried again at once, by any node: this attempt does not count. */
static int let_go(struct store_txn *t, const struct outbox_turn *turn, const struct uuid *message)
{
    return store_exec(t, free_sql, NULL, PARAMS(P_ID(message), P_NODE(turn), P_INT(turn->now)));
}

/* Notes what an attempt that did not end the copy says. */
static void note(struct outbox_attempt *a, const struct transport_fate *f)
{
    snprintf(a->error, sizeof a->error, "%s%s%s", f->code, *f->code && *f->text ? " " : "",
             f->text);
    if (f->retry_after_ms > a->retry_after_ms)
        a->retry_after_ms = f->retry_after_ms;
}

/* Whether this copy's fate leaves it queued. */
static bool stays(const struct outbox_slot *s)
{
    enum transport_result result = s->report.fate.result;

    return result == TRANSPORT_TEMPORARY ||
           (result == TRANSPORT_UNCERTAIN && s->task.purpose == UNSUBSCRIBE_SECURITY);
}

/* What was taken, all at once. */
static int write_accepted(struct store_txn *t, const struct outbox_turn *turn)
{
    struct mail_handover done[OUTBOX_SENDERS_MAX];
    size_t n = 0;

    for (size_t i = 0; i < turn->n; i++) {
        const struct outbox_slot *s = turn->slots[i];
        if (s->state == OUTBOX_SLOT_REPORTED && s->report.fate.result == TRANSPORT_ACCEPTED)
            done[n++] = (struct mail_handover){s->task.message_id, str_of(s->report.provider_id),
                                               s->report.at, str_of(s->task.recipient)};
    }
    return n ? mail_log_hand_over(t, done, n, NULL) : 0;
}

/* A copy that is not tried again, unless it was taken. */
static int write_end(struct store_txn *t, const struct outbox_turn *turn,
                     const struct outbox_slot *s)
{
    const struct transport_fate *f = &s->report.fate;
    bool uncertain = f->result == TRANSPORT_UNCERTAIN;

    if (f->result == TRANSPORT_ACCEPTED || stays(s))
        return 0;
    return refuse(t, turn, &s->task.message_id, str_of(s->task.recipient), MAIL_REJECTED,
                  uncertain ? STR(OUTBOX_CODE_UNCERTAIN) : str_of(f->code), str_of(f->text), NULL);
}

/* Marks the next copy. Where the row is no longer ours, another node answers for it. */
static int mark(struct store_txn *t, const struct outbox_turn *turn, struct outbox_slot *s)
{
    char lease[LEASE_SIZE];
    int64_t changed = 0;

    write_lease(turn, &s->next.log_id, lease);
    int r = store_exec(t, move_sql, &changed,
                       PARAMS(P_ID(&s->next.message_id), P_NODE(turn), P_TEXT(str_of(lease)),
                              P_INT(turn->now + OUTBOX_LEASE_MS)));
    s->has_next = r == 0 && changed == 1;
    return r;
}

/* What follows the copy that a slot had. */
static int follow(struct store_txn *t, struct outbox_turn *turn, struct outbox_slot *s)
{
    const struct transport_fate *fate = &s->report.fate;
    bool found = false;
    int r;

    s->next = s->task;
    s->next.lost = false;
    if (stays(s))
        note(&s->next.attempt, fate);
    if (fate->result == TRANSPORT_TEMPORARY && fate->general)
        return postpone(t, turn, &s->next, true);
    r = choose(t, turn, str_of(s->task.recipient), &s->next, &found);
    if (r)
        return r;
    if (!found)
        return end_attempt(t, turn, &s->next);
    if (turn->leaves)
        return let_go(t, turn, &s->next.message_id);
    s->same_body = true;
    return mark(t, turn, s);
}

/* The copy that was in flight when its node died. */
static int find_lost(struct store_txn *t, struct str lease, struct outbox_task *task)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r;

    if (read_lease(lease, &task->log_id))
        return 0;
    r = store_query(t, lost_sql, &rows, PARAMS(P_ID(&task->log_id)));
    if (r == 0)
        r = store_rows_next(rows);
    if (r < 0)
        return r;
    task->lost = r == 1;
    if (r == 1)
        snprintf(task->recipient, sizeof task->recipient, "%.*s", STR_ARG(store_col_text(rows, 0)));
    return 0;
}

static int drop(struct store_txn *t, const struct due *d)
{
    return store_exec(t, drop_sql, NULL, PARAMS(P_ID(&d->message_id), P_TEXT(str_of(d->lease))));
}

/* What was meant to be looked at only is not sent to anybody. */
static int refuse_sandboxed(struct store_txn *t, const struct outbox_turn *turn,
                            const struct due *d)
{
    int r = refuse(t, turn, &d->message_id, STR(""), MAIL_REJECTED, STR(OUTBOX_CODE_SANDBOX),
                   STR("accepted for the sandbox, before EMAIL_TRANSPORT was changed"), NULL);

    return r ? r : drop(t, d);
}

/* Makes a row ours, with its first copy in flight. */
static int claim(struct store_txn *t, const struct outbox_turn *turn, const struct due *d)
{
    const struct outbox_task *task = &d->slot->next;
    char lease[LEASE_SIZE];
    int64_t changed = 0;

    write_lease(turn, &task->log_id, lease);
    int r = store_exec(t, claim_sql, &changed,
                       PARAMS(P_ID(&d->message_id), P_TEXT(str_of(d->lease)), P_TEXT(str_of(lease)),
                              P_INT(turn->now + OUTBOX_LEASE_MS), P_INT(task->attempt.number)));
    d->slot->has_next = r == 0 && changed == 1;
    return r;
}

/* Begins an attempt at a message that is due. */
static int begin(struct store_txn *t, const struct outbox_turn *turn, const struct due *d)
{
    struct outbox_task *task = &d->slot->next;
    bool found = true;

    *task = (struct outbox_task){.message_id = d->message_id,
                                 .tenant_id = d->tenant_id,
                                 .purpose = outbox_content_purpose(buf_str(&d->slot->next_body)),
                                 .accepted_at = d->created_at,
                                 .attempt.number = d->attempts + 1};
    int r = find_lost(t, str_of(d->lease), task);
    if (r == 0 && d->sandboxed && !turn->sandbox && !task->lost)
        return refuse_sandboxed(t, turn, d);
    if (r == 0 && !task->lost)
        r = choose(t, turn, STR(""), task, &found);
    if (r)
        return r;
    return found ? claim(t, turn, d) : drop(t, d);
}

static int read_due(struct store_rows *rows, struct due *d)
{
    d->message_id = store_col_id(rows, 0);
    d->tenant_id = store_col_id(rows, 1);
    d->sandboxed = str_eq(store_col_text(rows, 2), STR("sandbox"));
    d->attempts = store_col_int(rows, 4);
    snprintf(d->lease, sizeof d->lease, "%.*s", STR_ARG(store_col_text(rows, 5)));
    d->created_at = store_col_int(rows, 6);
    d->slot->same_body = false;
    buf_reset(&d->slot->next_body);
    return buf_add_str(&d->slot->next_body, store_col_blob(rows, 3));
}

/* The messages that are due, as many as there are slots for them. */
static int find_due(struct store_txn *t, const struct outbox_turn *turn, struct due *due, size_t n,
                    size_t *ret_n)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    size_t found = 0;
    int r = store_query(t, due_sql, &rows,
                        PARAMS(P_INT(turn->now), P_INT((int64_t)n), P_INT(turn->sandbox)));

    while (r == 0 && found < n && (r = store_rows_next(rows)) == 1)
        r = read_due(rows, &due[found++]);
    if (r == 0)
        *ret_n = found;
    return r;
}

/* The slots that have nothing to do are filled with messages that are due. */
static int begin_due(struct store_txn *t, const struct outbox_turn *turn)
{
    struct due due[OUTBOX_SENDERS_MAX] = {{0}};
    size_t free = 0, n = 0;
    int r;

    for (size_t i = 0; i < turn->n; i++)
        if (turn->slots[i]->state != OUTBOX_SLOT_WORKING && !turn->slots[i]->has_next)
            due[free++].slot = turn->slots[i];
    r = free ? find_due(t, turn, due, free, &n) : 0;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = begin(t, turn, &due[i]);
    return r;
}

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
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(t, mine_sql, &rows, PARAMS(P_NODE(turn), P_INT(OUTBOX_SENDERS_MAX)));

    while (r == 0 && n < OUTBOX_SENDERS_MAX && (r = store_rows_next(rows)) == 1) {
        ids[n++] = store_col_id(rows, 0);
        r = 0;
    }
    for (size_t i = 0; r == 0 && i < n; i++)
        if (!is_in_hand(turn, &ids[i]))
            r = let_go(t, turn, &ids[i]);
    return r;
}

int outbox_turn_job(struct store_txn *t, void *arg)
{
    struct outbox_turn *turn = arg;
    int r = store_lock(t, STORE_LOCK_MAIL);

    turn->ret_expired = 0;
    for (size_t i = 0; i < turn->n; i++)
        turn->slots[i]->has_next = false;
    if (r == 0)
        r = write_accepted(t, turn);
    for (size_t i = 0; r == 0 && i < turn->n; i++) {
        if (turn->slots[i]->state != OUTBOX_SLOT_REPORTED)
            continue;
        r = write_end(t, turn, turn->slots[i]);
        if (r == 0)
            r = follow(t, turn, turn->slots[i]);
    }
    if (r == 0 && turn->in_doubt)
        r = settle_doubt(t, turn);
    if (r == 0 && turn->claims)
        r = begin_due(t, turn);
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
