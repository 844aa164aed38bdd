#include "mail/retention.h"

#include "mail/log.h"
#include "mail/metrics.h"
#include "mail/suppression.h"

struct batch {
    const struct retention_limits *limits;
    int64_t now, removed;
};

static int log_job(struct store_txn *t, void *arg)
{
    struct batch *b = arg;

    return mail_log_reap(t, b->now - b->limits->log_ms, b->limits->batch, &b->removed);
}

/* An hour more than windows reach back, as they begin with a bucket. */
static int figures_job(struct store_txn *t, void *arg)
{
    struct batch *b = arg;

    return mail_metrics_reap(t, b->now - MAIL_FINE_KEPT_MS - CLOCK_HOUR,
                             b->now - MAIL_HOURLY_KEPT_MS - CLOCK_HOUR, b->limits->batch,
                             &b->removed);
}

static int suppression_job(struct store_txn *t, void *arg)
{
    struct batch *b = arg;

    return suppression_reap(t, b->now - RETENTION_EXPIRED_MS, b->now - b->limits->log_ms,
                            b->limits->batch, &b->removed);
}

int retention_run(struct store *store, const struct retention_limits *limits, int64_t now,
                  bool *ret_done)
{
    static store_job *const jobs[] = {log_job, figures_job, suppression_job};
    enum { JOBS = sizeof jobs / sizeof *jobs };
    int64_t until = clock_mono() + limits->budget_ms;
    struct batch b = {.limits = limits, .now = now};
    size_t quiet = 0;
    int r = 0;

    /* In turn, so that much of one kind does not keep the others. */
    for (size_t i = 0; r == 0 && quiet < JOBS && clock_mono() < until; i++) {
        r = store_write(store, jobs[i % JOBS], &b);
        quiet = b.removed ? 0 : quiet + 1;
    }
    if (r == 0)
        *ret_done = quiet == JOBS;
    return r;
}
