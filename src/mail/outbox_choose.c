#include "base/fault.h"
#include "mail/outbox_work.h"
#include "mail/suppression.h"

/* A candidate who is asked about, with their tenant. */
struct question {
    const struct outbox_task *task;
    struct outbox_candidate *candidate;
};

static int compare(const void *a, const void *b)
{
    const struct question *x = a, *y = b;
    int c = memcmp(&x->task->tenant_id, &y->task->tenant_id, sizeof(struct uuid));

    return c ? c : str_compare(x->candidate->is.address, y->candidate->is.address);
}

/* At most SUPPRESSION_FIND_MAX, of one tenant. */
static int ask_some(struct outbox_work *w, const struct question *questions, size_t n)
{
    struct str addresses[SUPPRESSION_FIND_MAX] = {{0}};
    struct suppression_hit hits[SUPPRESSION_FIND_MAX];

    for (size_t i = 0; i < n; i++)
        addresses[i] = questions[i].candidate->is.address;
    int r = suppression_find(w->t, &questions->task->tenant_id, addresses, n, w->turn->now, hits);
    for (size_t i = 0; r == 0 && i < n; i++) {
        bool security = questions[i].task->purpose == UNSUBSCRIBE_SECURITY;
        questions[i].candidate->asked = true;
        questions[i].candidate->obstacle = suppression_stops(&hits[i], security)
                                               ? suppression_reason_name(hits[i].reason)
                                               : STR("");
    }
    return r;
}

static int ask(struct outbox_work *w, struct question *questions, size_t n)
{
    int r = 0;

    if (n)
        qsort(questions, n, sizeof *questions, compare);
    for (size_t i = 0, k; r == 0 && i < n; i = k) {
        for (k = i + 1; k < n && k - i < SUPPRESSION_FIND_MAX; k++)
            if (!uuid_eq(&questions[k].task->tenant_id, &questions[i].task->tenant_id))
                break;
        r = ask_some(w, questions + i, k - i);
    }
    return r;
}

/* Moves on past those that must not go, as far as is known. Returns where to ask further. */
static struct outbox_candidate *pass_over(struct outbox_work *w, struct outbox_unit *u)
{
    struct outbox_candidate *c = u->from;

    for (; c < u->end && (c->settled || (c->asked && c->obstacle.n)); c++)
        if (!c->settled)
            outbox_work_refuse(w, u, c, MAIL_SUPPRESSED, c->obstacle, STR(""));
    u->from = c;
    if (c < u->end && !c->asked)
        return c;
    u->looks = false;
    u->next = c < u->end ? c : NULL;
    return NULL;
}

/* Of each unit that looks, the first `width` candidates. */
static size_t gather(struct outbox_work *w, size_t width, struct question *questions)
{
    size_t n = 0;

    for (size_t i = 0; i < w->n; i++) {
        struct outbox_unit *u = &w->units[i];
        struct outbox_candidate *c = u->looks ? pass_over(w, u) : NULL;
        for (size_t k = 0; c && k < width && c + k < u->end; k++)
            questions[n++] = (struct question){&u->slot->next, c + k};
    }
    return n;
}

/* Mostly the first is the one; where it is not, all others are asked about at once. */
int outbox_choose(struct outbox_work *w)
{
    size_t most = w->n * MAIL_RECIPIENTS_MAX, n;
    struct question *questions = arena_array(&w->a, most + 1, sizeof *questions);
    int r = questions ? 0 : FAULT_MEMORY;

    for (size_t width = 1; r == 0; width = MAIL_RECIPIENTS_MAX) {
        n = gather(w, width, questions);
        if (n == 0)
            break;
        r = ask(w, questions, n);
    }
    return r;
}
