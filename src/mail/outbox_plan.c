#include "base/fault.h"
#include "crypto/init.h"
#include "mail/outbox_content.h"
#include "mail/outbox_work.h"

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

static void end_candidate(struct outbox_work *w, const struct outbox_unit *u,
                          struct outbox_candidate *c, const struct mail_settlement *what)
{
    struct outbox_ending *e = &w->endings[w->n_endings++];

    c->settled = true;
    *e = (struct outbox_ending){*what, u};
    e->what.log_id = c->is.log_id;
}

void outbox_work_refuse(struct outbox_work *w, struct outbox_unit *u, struct outbox_candidate *c,
                        enum mail_state state, struct str code, struct str detail)
{
    struct mail_settlement what = {
        .state = state, .code = code, .detail = detail, .at = w->turn->now};

    end_candidate(w, u, c, &what);
}

static void refuse_all(struct outbox_work *w, struct outbox_unit *u, struct str code,
                       struct str detail)
{
    for (struct outbox_candidate *c = u->candidates; c < u->end; c++)
        if (!c->settled)
            outbox_work_refuse(w, u, c, MAIL_REJECTED, code, detail);
}

static struct outbox_candidate *find(const struct outbox_unit *u, const struct uuid *log_id)
{
    for (struct outbox_candidate *c = u->candidates; c < u->end; c++)
        if (uuid_eq(&c->is.log_id, log_id))
            return c;
    return NULL;
}

/* Whether a copy's fate leaves it queued. */
static bool stays(const struct outbox_slot *s)
{
    enum transport_result result = s->report.fate.result;

    return result == TRANSPORT_TEMPORARY ||
           (result == TRANSPORT_UNCERTAIN && s->task.purpose == UNSUBSCRIBE_SECURITY);
}

/* Notes what an attempt that did not end the copy says. */
static void note(struct outbox_attempt *a, const struct transport_fate *f)
{
    snprintf(a->error, sizeof a->error, "%s%s%s", f->code, *f->code && *f->text ? " " : "",
             f->text);
    if (f->retry_after_ms > a->retry_after_ms)
        a->retry_after_ms = f->retry_after_ms;
}

static void end_copy(struct outbox_work *w, const struct outbox_slot *s, struct outbox_candidate *c)
{
    const struct transport_fate *f = &s->report.fate;
    struct mail_settlement what = {
        .state = MAIL_REJECTED,
        .code = f->result == TRANSPORT_UNCERTAIN ? STR(OUTBOX_CODE_UNCERTAIN) : str_of(f->code),
        .detail = str_of(f->text),
        .at = w->turn->now};

    if (f->result == TRANSPORT_ACCEPTED) {
        what.state = MAIL_SENT;
        what.provider_id = str_of(s->report.provider_id);
        what.at = s->report.at;
    }
    /* Also where another node answers for the message by now. */
    end_candidate(w, NULL, c, &what);
}

void outbox_take_report(struct outbox_work *w, struct outbox_unit *u)
{
    struct outbox_slot *s = u->slot;
    struct outbox_candidate *c = find(u, &s->task.log_id);
    const struct transport_fate *f = &s->report.fate;

    s->next = s->task;
    s->next.lost = false;
    if (stays(s))
        note(&s->next.attempt, f);
    else if (c)
        end_copy(w, s, c);
    u->looks = f->result != TRANSPORT_TEMPORARY || !f->general;
    while (u->from < u->end && str_compare(u->from->is.address, str_of(s->task.recipient)) <= 0)
        u->from++;
}

void outbox_take_due(struct outbox_work *w, struct outbox_unit *u)
{
    const struct outbox_row *row = u->row;
    struct outbox_task *task = &u->slot->next;
    struct uuid lost, place;
    struct outbox_candidate *from = NULL;

    *task = (struct outbox_task){.message_id = row->message_id,
                                 .tenant_id = row->tenant_id,
                                 .purpose = outbox_content_purpose(buf_str(&u->slot->next_body)),
                                 .accepted_at = row->created_at,
                                 .rank = row->rank,
                                 .attempt.number = row->attempts + 1};
    /* The copy that was in flight when its node died. */
    if (outbox_lease_read(str_of(row->lease), &lost) == 0)
        u->next = find(u, &lost);
    task->lost = u->next != NULL;
    u->looks = !task->lost;
    /* In the middle of its attempt; from its beginning where that copy is no longer queued. */
    if (outbox_place_read(str_of(row->lease), &place) == 0) {
        memcpy(task->attempt.error, row->error, sizeof row->error);
        from = find(u, &place);
    }
    if (from)
        u->from = from;
    /* What was meant to be looked at only is not sent to anybody. */
    if (row->sandboxed && !w->turn->sandbox && !task->lost) {
        refuse_all(w, u, STR(OUTBOX_CODE_SANDBOX),
                   STR("accepted for the sandbox, before EMAIL_TRANSPORT was changed"));
        u->looks = false;
    }
}

static bool any_left(const struct outbox_unit *u)
{
    for (const struct outbox_candidate *c = u->candidates; c < u->end; c++)
        if (!c->settled)
            return true;
    return false;
}

/* Nobody took it for so long that nobody will. */
static int expire(struct outbox_work *w, struct outbox_unit *u)
{
    const struct outbox_attempt *a = &u->slot->next.attempt;
    const char *detail = arena_printf(&w->a, "given up after %lld attempts; the last: %s",
                                      (long long)a->number, a->error);

    if (!detail)
        return FAULT_MEMORY;
    refuse_all(w, u, STR(OUTBOX_CODE_EXPIRED), str_of(detail));
    u->expired = u->step.ends = true;
    return 0;
}

/* An attempt is over: what is still queued waits for the next one. */
static int postpone(struct outbox_work *w, struct outbox_unit *u, bool general)
{
    const struct outbox_task *task = &u->slot->next;
    const struct outbox_attempt *a = &task->attempt;
    int64_t now = w->turn->now;
    int64_t delay = jitter(general ? w->turn->pause_ms : outbox_delay(a->number));

    if (delay < a->retry_after_ms)
        delay = a->retry_after_ms < OUTBOX_RETRY_MAX_MS ? a->retry_after_ms : OUTBOX_RETRY_MAX_MS;
    if (now + delay >= task->accepted_at + OUTBOX_GIVE_UP_MS)
        return expire(w, u);
    u->step.next_at = now + delay;
    /* What is no fault of the message does not lengthen its waits. */
    u->step.attempts = general ? a->number - 1 : a->number;
    /* A copy: the slot may be given to another message in this very turn. */
    u->step.error = arena_str(&w->a, str_of(a->error)).p;
    return u->step.error ? 0 : FAULT_MEMORY;
}

/* Any node may go on with it at once, as the same attempt. */
int outbox_let_go(struct outbox_work *w, struct outbox_unit *u)
{
    const struct outbox_attempt *a = &u->slot->next.attempt;

    u->step.flies = false;
    u->step.attempts = a->number - 1;
    u->step.next_at = w->turn->now;
    outbox_place_write(&u->next->is.log_id, u->step.lease);
    if (!*a->error)
        return 0;
    u->step.error = arena_str(&w->a, str_of(a->error)).p;
    return u->step.error ? 0 : FAULT_MEMORY;
}

/* Marks the next copy. */
static void go_on(struct outbox_work *w, struct outbox_unit *u)
{
    const struct outbox_turn *turn = w->turn;
    struct outbox_task *task = &u->slot->next;
    const struct outbox_recipient *to = &u->next->is;

    u->step.flies = true;
    u->step.attempts = task->attempt.number;
    u->step.next_at = turn->now + OUTBOX_LEASE_MS;
    outbox_lease_write(turn->node, &to->log_id, u->step.lease);
    task->copies++;
    task->log_id = to->log_id;
    snprintf(task->recipient, sizeof task->recipient, "%.*s", STR_ARG(to->address));
    snprintf(task->template_name, sizeof task->template_name, "%.*s", STR_ARG(to->template_name));
}

int outbox_plan(struct outbox_work *w, struct outbox_unit *u)
{
    const struct transport_fate *f = &u->slot->report.fate;
    bool general = !u->row && f->result == TRANSPORT_TEMPORARY && f->general;

    u->step.message_id = u->slot->next.message_id;
    u->step.held_by = str_of(u->row ? u->row->lease : w->turn->node);
    if (u->next && w->turn->leaves && !u->row)
        return outbox_let_go(w, u);
    if (u->next) {
        go_on(w, u);
        return 0;
    }
    if (!u->row && (general || any_left(u)))
        return postpone(w, u, general);
    u->step.ends = true;
    return 0;
}
