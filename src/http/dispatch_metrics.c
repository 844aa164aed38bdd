#include "base/clock.h"
#include "base/log.h"
#include "http/dispatch_internal.h"

static const int statuses[DISPATCH_STATUSES] = {200, 201, 202, 204, 301, 304, 400, 401,
                                                403, 404, 405, 408, 409, 413, 414, 415,
                                                417, 422, 429, 431, 500, 501, 503, 505};

static size_t status_index(int status)
{
    size_t i = 0;

    while (i < DISPATCH_STATUSES && statuses[i] != status)
        i++;
    return i;
}

static void log_request(const struct http_request *r, const struct http_reply *reply,
                        int64_t took_us, uint64_t body_bytes)
{
    const struct call *call = r->app;
    enum log_level level = reply->status >= 500 && reply->status != 503 ? LOG_ERROR : LOG_INFO;
    struct log_line l;

    if (!log_enabled(level))
        return;
    log_begin(&l, level, "request");
    log_field_str(&l, "method", str_of(http_method_name(r->method)));
    log_field_str(&l, "path", r->path);
    log_field_int(&l, "status", reply->status);
    log_field_int(&l, "us", took_us);
    log_field_int(&l, "bytes", (int64_t)body_bytes);
    if (call && call->client_ip.n)
        log_field_str(&l, "ip", call->client_ip);
    if (call && call->who.present)
        log_field_uuid(&l, "user", &call->who.user_id);
    log_field_uuid(&l, "id", &r->id);
    log_end(&l);
}

void dispatch_done(struct dispatch *d, const struct http_request *r, const struct http_reply *reply,
                   uint64_t body_bytes)
{
    size_t route = r ? r->route : d->routes;
    struct dispatch_metrics *m = &d->metrics[route < d->routes ? route : d->routes];

    metric_add(&m->by_status[status_index(reply->status)], 1);
    if (!r)
        return;
    int64_t took_us = clock_mono_us() - r->started_us;
    metric_observe_us(&m->time, took_us);
    log_request(r, reply, took_us, body_bytes);
}

static void write_labels(struct dispatch *d, size_t i, struct buf *out)
{
    buf_reset(out);
    if (i == d->routes) {
        buf_add_str(out, STR("method=\"\",route=\"\""));
        return;
    }
    const struct route *route = router_route(d->router, i);
    buf_printf(out, "method=\"%s\",route=\"%s\"", http_method_name(route->method), route->path);
}

static void write_counts(struct dispatch *d, size_t i, struct buf *labels, struct buf *out)
{
    size_t n = labels->n;

    for (size_t s = 0; s <= DISPATCH_STATUSES; s++) {
        uint64_t value = metric_value(&d->metrics[i].by_status[s]);
        if (value == 0)
            continue;
        labels->n = n;
        if (s < DISPATCH_STATUSES)
            buf_printf(labels, ",status=\"%d\"", statuses[s]);
        else
            buf_add_str(labels, STR(",status=\"other\""));
        const char *text = buf_cstr(labels);
        metric_write(out, "holdfast_http_requests_total", text ? text : "", value);
    }
    labels->n = n;
}

static bool is_used(struct dispatch *d, size_t i)
{
    for (size_t s = 0; s <= DISPATCH_STATUSES; s++)
        if (metric_value(&d->metrics[i].by_status[s]))
            return true;
    return false;
}

void dispatch_write_metrics(struct dispatch *d, struct buf *out)
{
    struct buf labels _cleanup_buf_ = buf_init(1024);

    metric_write_head(out, "holdfast_http_requests_total", "counter",
                      "Requests by route and status; an empty route is what matched none.");
    for (size_t i = 0; i <= d->routes; i++) {
        write_labels(d, i, &labels);
        write_counts(d, i, &labels, out);
    }
    metric_write_head(out, "holdfast_http_request_seconds", "histogram",
                      "Time from a request's first byte to its reply.");
    for (size_t i = 0; i <= d->routes; i++) {
        if (!is_used(d, i))
            continue;
        write_labels(d, i, &labels);
        const char *text = buf_cstr(&labels);
        metric_write_histogram(out, "holdfast_http_request_seconds", text ? text : "",
                               &d->metrics[i].time);
    }
}
