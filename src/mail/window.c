#include "mail/window.h"

#include "mail/moves.h"

static const int64_t day = CLOCK_DAY;

int mail_duration_parse(struct str text, int64_t max_ms, int64_t *ret_ms)
{
    int64_t unit = 0, n;

    if (text.n < 2)
        return 1;
    switch (text.p[text.n - 1]) {
    case 'm':
        unit = CLOCK_MINUTE;
        break;
    case 'h':
        unit = CLOCK_HOUR;
        break;
    case 'd':
        unit = CLOCK_DAY;
        break;
    default:
        return 1;
    }
    if (str_to_i64((struct str){text.p, text.n - 1}, 1, max_ms / unit, &n))
        return 1;
    *ret_ms = n * unit;
    return 0;
}

static int wrong(struct mail_window_error *ret, const char *field, const char *text)
{
    *ret = (struct mail_window_error){field, text};
    return MAIL_WINDOW_INVALID;
}

/* From when to when. */
static int read_range(const struct mail_window_request *q, int64_t now, int64_t *ret_since,
                      int64_t *ret_until, struct mail_window_error *ret_error)
{
    int64_t length = day, until = q->until ? q->until : now, since = q->since;

    if (q->window.n && q->since && q->until)
        return wrong(ret_error, "window", "since and until say how long already");
    if (q->window.n && mail_duration_parse(q->window, MAIL_HOURLY_KEPT_MS, &length))
        return wrong(ret_error, "window", "is no length such as 90m, 24h or 7d, of 731d at most");
    if (since && q->window.n)
        until = since + length;
    if (!since)
        since = until - length;
    if (since < 0 || since > now)
        return wrong(ret_error, q->since ? "since" : "until", "nothing was sent then");
    if (until <= since)
        return wrong(ret_error, "until", "is not after since");
    if (until - since > MAIL_HOURLY_KEPT_MS)
        return wrong(ret_error, "since", "is more than 731 days before the end");
    *ret_since = since;
    *ret_until = until;
    return 0;
}

static int64_t bucket_for(int64_t length)
{
    if (length <= 2 * (int64_t)CLOCK_HOUR)
        return MAIL_BUCKET_MS;
    return length <= 8 * day ? CLOCK_HOUR : CLOCK_DAY;
}

static int read_bucket(struct str text, int64_t since, int64_t until, int64_t now, int64_t *ret,
                       struct mail_window_error *ret_error)
{
    bool kept = since >= now - MAIL_FINE_KEPT_MS;
    int64_t bucket = bucket_for(until - since);

    if (!kept && bucket < CLOCK_HOUR)
        bucket = CLOCK_HOUR;
    if (text.n && (mail_duration_parse(text, 31 * day, &bucket) ||
                   (bucket < CLOCK_HOUR ? bucket % MAIL_BUCKET_MS || CLOCK_HOUR % bucket
                                        : bucket % CLOCK_HOUR)))
        return wrong(ret_error, "bucket",
                     "is none of 5m, 10m, 15m, 20m, 30m, and not whole hours or days up to 31d");
    if (!kept && bucket < CLOCK_HOUR)
        return wrong(ret_error, "bucket", "is of less than an hour, for the last 8 days only");
    if ((until - since) / bucket + 2 > MAIL_POINTS_MAX)
        return wrong(ret_error, "bucket", "gives more than 1000 points");
    *ret = bucket;
    return 0;
}

int mail_window_read(const struct mail_window_request *q, const struct uuid *tenant, int64_t now,
                     struct mail_window *ret_window, int64_t *ret_bucket,
                     struct mail_window_error *ret_error)
{
    int64_t since, until, bucket = 0;
    int r = read_range(q, now, &since, &until, ret_error);

    if (r == 0 && ret_bucket)
        r = read_bucket(q->bucket, since, until, now, &bucket, ret_error);
    if (r)
        return r;
    *ret_window = mail_window(tenant, since, until, bucket, now);
    if (ret_bucket)
        *ret_bucket = bucket;
    return 0;
}
