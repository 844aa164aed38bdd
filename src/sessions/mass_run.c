#include "base/fault.h"
#include "sessions/mass_list.h"

#include <pthread.h>

enum { THREADS_MAX = 8, MESSAGE_MAX = 300 };

/*
 * The list in the order of the ids, so that a chunk touches rows that lie together, handed out
 * chunk by chunk. Chunks hold different users, so they do not wait for each other's rows.
 */
struct mass_run {
    struct sessions *s;
    const struct trail_actor *actor;
    const struct mass_options *options;
    struct mass_entry **entries;
    size_t n, chunk;
    mass_progress *progress;
    void *context;
    pthread_mutex_t lock; /* of what follows */
    size_t next, done;
    int r; /* once it is not 0, no chunk is begun */
    char message[MESSAGE_MAX];
    struct mass_totals totals;
};

struct chunk {
    struct mass_entry **entries;
    size_t n;
    struct uuid ids[MASS_CHUNK];
    struct mass_result results[MASS_CHUNK];
};

static bool take(struct mass_run *run, struct chunk *c)
{
    pthread_mutex_lock(&run->lock);
    size_t left = run->r ? 0 : run->n - run->next;
    c->entries = run->entries + run->next;
    c->n = left < run->chunk ? left : run->chunk;
    run->next += c->n;
    pthread_mutex_unlock(&run->lock);
    for (size_t i = 0; i < c->n; i++)
        c->ids[i] = c->entries[i]->id;
    return c->n > 0;
}

/* Results and entries are both in the order of the ids. */
static void take_results(const struct chunk *c)
{
    for (size_t i = 0; i < c->n; i++) {
        c->entries[i]->state = c->results[i].known ? MASS_DONE : MASS_UNKNOWN;
        c->entries[i]->sessions = c->results[i].sessions;
    }
}

static void add(struct mass_totals *to, const struct mass_totals *from)
{
    to->requested += from->requested;
    to->matched += from->matched;
    to->unknown += from->unknown;
    to->sessions += from->sessions;
    to->users_with_sessions += from->users_with_sessions;
}

static void finish(struct mass_run *run, const struct chunk *c, int r,
                   const struct mass_totals *totals)
{
    pthread_mutex_lock(&run->lock);
    if (r < 0) {
        if (run->r >= 0)
            snprintf(run->message, sizeof run->message, "%s", fault_message());
        run->r = run->r < 0 ? run->r : r;
    } else {
        take_results(c);
        add(&run->totals, totals);
        run->done += c->n;
        if (run->progress && !run->progress(run->done, run->n, run->context) && run->r == 0)
            run->r = MASS_STOPPED;
    }
    pthread_mutex_unlock(&run->lock);
}

static void *work(void *arg)
{
    struct mass_run *run = arg;
    struct chunk *c = calloc(1, sizeof *c);

    if (!c)
        fault_set(FAULT_MEMORY, "no memory for a chunk of users");
    while (c && take(run, c)) {
        struct mass_totals totals = {0};
        int r = mass_revoke(run->s, run->actor, run->options, c->ids, c->n, c->results, &totals);
        finish(run, c, r, &totals);
    }
    if (!c)
        finish(run, NULL, FAULT_MEMORY, NULL);
    free(c);
    return NULL;
}

/* Chunks that share a transaction would only keep others' writes waiting for longer. */
static size_t threads_of(const struct mass_run *run)
{
    bool parallel = store_writes_in_parallel(run->s->store);

    return run->options->threads < 1 || !parallel ? 1 : (size_t)run->options->threads;
}

/* The caller works too; with fewer threads than wanted it only takes longer. */
static void work_together(struct mass_run *run)
{
    size_t chunks = (run->n + run->chunk - 1) / run->chunk;
    size_t wanted = threads_of(run), started = 0;
    pthread_t threads[THREADS_MAX];

    wanted = wanted < chunks ? wanted : chunks;
    wanted = wanted < THREADS_MAX ? wanted : THREADS_MAX;
    while (started + 1 < wanted && pthread_create(&threads[started], NULL, work, run) == 0)
        started++;
    work(run);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}

static size_t chunk_of(size_t n)
{
    size_t chunk = (n + MASS_CHUNKS - 1) / MASS_CHUNKS;

    return chunk < MASS_CHUNK_MIN ? MASS_CHUNK_MIN : chunk < MASS_CHUNK ? chunk : MASS_CHUNK;
}

int mass_list_run(struct sessions *s, const struct trail_actor *actor,
                  const struct mass_options *options, struct mass_list *list,
                  mass_progress *progress, void *context, struct mass_totals *ret_totals)
{
    int64_t lost =
        (int64_t)(mass_list_count(list, MASS_MALFORMED) + mass_list_count(list, MASS_UNKNOWN));
    struct mass_run run = {.s = s,
                           .actor = actor,
                           .options = options,
                           .progress = progress,
                           .context = context,
                           .totals = {.requested = lost, .unknown = lost}};
    int r = mass_list_pending(list, &run.entries, &run.n);

    if (r)
        return r;
    run.chunk = chunk_of(run.n);
    pthread_mutex_init(&run.lock, NULL);
    work_together(&run);
    pthread_mutex_destroy(&run.lock);
    free(run.entries);
    if (run.r < 0)
        return fault_set((enum fault)run.r, "%s", run.message);
    *ret_totals = run.totals;
    return run.r;
}
