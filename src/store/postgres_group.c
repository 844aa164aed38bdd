/*
 * Calls of one statement each that wait at the same time travel as one pipeline: one round trip,
 * and for writes one transaction and one sync of the log (group commit). Whoever finds no leader
 * at work leads; what arrives meanwhile is the next group. Where a member fails, all of the group
 * was rolled back, and each runs again by itself. Who waits for long leads as well: a group whose
 * connection died is held up until it is given up.
 *
 * All of it ends within STORE_SINGLE_MS: who is not taken for half of that withdraws, and a group
 * has the other half.
 */
#include "store/postgres.h"

#include "base/clock.h"
#include "base/fault.h"

#include <errno.h>
#include <time.h>

void pg_group_init(struct pg_group *g, bool writing)
{
    *g = (struct pg_group){.writing = writing};
    g->last = &g->first;
    pthread_mutex_init(&g->lock, NULL);
}

void pg_group_release(struct pg_group *g)
{
    pthread_mutex_destroy(&g->lock);
}

/* The id of the row that a statement is about, where its first parameter is one. */
static struct str row_of(const struct store_call *call)
{
    return call->n > 0 && call->params->type == STORE_BLOB ? call->params->s : STR("");
}

static bool is_before(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n > 0 ? memcmp(a.p, b.p, n) : 0;

    return order != 0 ? order < 0 : a.n < b.n;
}

/*
 * All groups take rows in one order. Otherwise two of different nodes could each wait for a row of
 * the other's, and whoever refreshes two sessions on two nodes could bring that about at will.
 */
static void put_in_order(struct pg_member **members, int n)
{
    for (int i = 1; i < n; i++) {
        struct pg_member *m = members[i];
        int at = i;
        for (; at > 0 && is_before(row_of(m->call), row_of(members[at - 1]->call)); at--)
            members[at] = members[at - 1];
        members[at] = m;
    }
}

/* A row that another transaction holds must not keep all who wait from theirs. */
static int send_limits(struct pg_conn *c, bool alone)
{
    int ms = c->statement_ms < PG_GROUP_STATEMENT_MS ? c->statement_ms : PG_GROUP_STATEMENT_MS;
    char statement[16];

    snprintf(statement, sizeof statement, "%d", ms);
    struct store_param values[] = {P_TEXT(alone ? STR(PG_ALONE_LOCK_MS) : STR(PG_GROUP_LOCK_MS)),
                                   P_TEXT(str_of(statement))};
    struct store_call call = {"SELECT set_config('lock_timeout', $1, true),"
                              " set_config('statement_timeout', $2, true)",
                              values, 2};
    return pg_send(c, &call);
}

static int run_together(struct pg_conn *c, struct pg_member **members, int n, bool writing,
                        bool alone)
{
    PGresult *results[PG_GROUP_MAX] = {NULL};
    int r = writing ? send_limits(c, alone) : 0;

    put_in_order(members, n);
    for (int i = 0; i < n && r == 0; i++)
        r = pg_send(c, members[i]->call);
    if (r == 0)
        r = pg_sync(c);
    if (r == 0)
        r = pg_answers(c, results, n);
    for (int i = 0; i < n && r == 0; i++)
        members[i]->result = results[i];
    return r;
}

/* Whether another run can help: where the server refused a group, of each member by itself. */
static enum pg_why why_of(const struct pg_conn *c, bool writing, bool alone)
{
    /* Whether a write took effect is not known once its connection is lost. */
    if (c->why == PG_WHY_LOST && writing)
        return PG_WHY_NONE;
    return alone || c->broken ? c->why : PG_WHY_GROUP;
}

static void run_group(struct pg_store *s, struct pg_member **members, int n, bool writing,
                      bool alone)
{
    struct pg_conn *c;
    enum pg_why why = PG_WHY_NONE;
    int64_t until = clock_mono() + PG_GROUP_RUN_MS;

    if (alone && members[0]->until < until)
        until = members[0]->until;
    int r = pg_pool_borrow(s, until, &c);

    if (r == 0) {
        r = run_together(c, members, n, writing, alone);
        if (r != 0)
            why = why_of(c, writing, alone);
        pg_pool_return(s, c);
    }
    for (int i = 0; i < n && r != 0; i++) {
        members[i]->r = r;
        members[i]->why = why;
        snprintf(members[i]->message, sizeof members[i]->message, "%s",
                 r < 0 ? fault_message() : "");
    }
}

/* Takes the first of those that wait; with the lock held. */
static struct pg_member *take_first(struct pg_group *g)
{
    struct pg_member *m = g->first;

    if (m)
        g->first = m->next;
    if (!g->first)
        g->last = &g->first;
    return m;
}

/* The next group: the leader, and who waits. */
static int gather(struct pg_group *g, struct pg_member *leader, struct pg_member **members)
{
    int n = 0;

    members[n++] = leader;
    pthread_mutex_lock(&g->lock);
    while (g->first && n < PG_GROUP_MAX)
        members[n++] = take_first(g);
    pthread_mutex_unlock(&g->lock);
    return n;
}

/* From here on the member is its owner's again. */
static void finish(struct pg_member *m)
{
    m->done = true;
    sem_post(&m->moved);
}

/* Runs self's group, then hands over to the first of those that wait. */
static void lead(struct pg_store *s, struct pg_group *g, struct pg_member *self)
{
    struct pg_member *members[PG_GROUP_MAX], *next;
    int n = gather(g, self, members);

    run_group(s, members, n, g->writing, false);
    for (int i = 0; i < n; i++)
        if (members[i] != self)
            finish(members[i]);
    pthread_mutex_lock(&g->lock);
    next = take_first(g);
    g->leaders -= !next;
    pthread_mutex_unlock(&g->lock);
    if (next)
        sem_post(&next->moved);
}

/* Returns whether self is to lead; else it waits. */
static bool enter(struct pg_group *g, struct pg_member *self)
{
    pthread_mutex_lock(&g->lock);
    bool leading = g->leaders == 0;
    if (leading) {
        g->leaders++;
    } else {
        *g->last = self;
        g->last = &self->next;
    }
    pthread_mutex_unlock(&g->lock);
    return leading;
}

/* Takes self out of those that wait, where nobody else has; with the lock held. */
static bool take_out(struct pg_group *g, const struct pg_member *self)
{
    struct pg_member **link = &g->first;

    while (*link && *link != self)
        link = &(*link)->next;
    if (!*link)
        return false;
    *link = self->next;
    if (!self->next)
        g->last = link;
    return true;
}

/* Whether self, which nobody has taken for so long, leads beside whoever is held up. */
static bool overtake(struct pg_group *g, const struct pg_member *self)
{
    pthread_mutex_lock(&g->lock);
    bool leading = g->leaders < PG_GROUP_LEADERS && take_out(g, self);
    g->leaders += leading;
    pthread_mutex_unlock(&g->lock);
    return leading;
}

/* Whether self gives up before anything of it was sent. */
static bool withdraw(struct pg_group *g, struct pg_member *self)
{
    pthread_mutex_lock(&g->lock);
    bool out = take_out(g, self);
    pthread_mutex_unlock(&g->lock);
    if (out) {
        self->done = true;
        self->r = FAULT_UNAVAILABLE;
        snprintf(self->message, sizeof self->message, "postgresql: no connection in time");
    }
    return out;
}

/* Until self has run, is to lead, or has waited for too long. */
static void wait_to_move(struct pg_group *g, struct pg_member *self)
{
    int64_t last = self->until - PG_GROUP_RUN_MS, next = clock_mono() + PG_GROUP_STALL_MS;
    struct timespec until = pg_timespec(next);

    while (sem_clockwait(&self->moved, CLOCK_MONOTONIC, &until) != 0) {
        if (errno != ETIMEDOUT)
            continue; /* a signal came */
        if (overtake(g, self) || (next >= last && withdraw(g, self)))
            return;
        next += PG_GROUP_STALL_MS;
        until = pg_timespec(next);
    }
}

static void join(struct pg_store *s, struct pg_group *g, struct pg_member *self)
{
    sem_init(&self->moved, 0, 0);
    if (!enter(g, self))
        wait_to_move(g, self);
    if (!self->done)
        lead(s, g, self);
    sem_destroy(&self->moved);
}

int pg_group_run(struct pg_store *s, struct pg_group *g, const struct store_call *call,
                 PGresult **ret)
{
    struct pg_member self = {.call = call, .until = clock_mono() + STORE_SINGLE_MS};
    struct pg_member *alone[] = {&self};

    join(s, g, &self);
    for (int tries = 1; self.r != 0 && self.why != PG_WHY_NONE && tries < PG_RETRIES; tries++) {
        if (clock_mono() >= self.until)
            break;
        if (self.why == PG_WHY_SERIAL)
            pg_nap(tries);
        self.r = 0;
        run_group(s, alone, 1, g->writing, true);
    }
    if (self.r < 0)
        return fault_set(self.r, "%s", self.message);
    if (self.r == 0)
        *ret = self.result;
    return self.r;
}
