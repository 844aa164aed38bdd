#include "http/exchange.h"

#include "base/fault.h"

/* A buffer that grew past this is given back between requests. */
enum { KEEP_MAX = 8192 };

int exchange_new(struct loop *loop, const struct http_options *options, struct exchange **ret)
{
    struct exchange *x = calloc(1, sizeof *x + options->headers_max * sizeof *x->headers);

    if (!x)
        return fault_set(FAULT_MEMORY, "no memory for a request");
    x->loop = loop;
    x->arena = arena_init(options->arena_max);
    x->head_bytes = buf_secret(options->request_line_max + options->header_bytes_max + 16);
    x->body = buf_secret(0);
    x->reply.headers = buf_secret(64 * 1024);
    x->reply.body = buf_secret(options->reply_max);
    x->inflow.data = buf_secret(STREAM_WINDOW);
    x->outflow.data = buf_init(STREAM_WINDOW * 2);
    pthread_mutex_init(&x->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&x->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    *ret = x;
    return 0;
}

void exchange_free(struct exchange *x)
{
    arena_free(&x->arena);
    buf_free(&x->head_bytes);
    buf_free(&x->body);
    buf_free(&x->reply.headers);
    buf_free(&x->reply.body);
    buf_free(&x->inflow.data);
    buf_free(&x->outflow.data);
    pthread_mutex_destroy(&x->lock);
    pthread_cond_destroy(&x->changed);
    free(x);
}

/* Passwords and tokens pass through here: what was used is overwritten. */
static void reuse(struct buf *b)
{
    if (b->cap > KEEP_MAX)
        buf_free(b);
    else if (b->n)
        explicit_bzero(b->p, b->n);
    buf_reset(b);
}

void exchange_reset(struct exchange *x)
{
    arena_free(&x->arena);
    reuse(&x->head_bytes);
    reuse(&x->body);
    reuse(&x->reply.headers);
    reuse(&x->reply.body);
    buf_free(&x->inflow.data);
    buf_free(&x->outflow.data);
    x->request = (struct http_request){.arena = NULL};
    x->reply = (struct http_reply){.headers = x->reply.headers, .body = x->reply.body};
    x->plan = (struct http_plan){.lane = LANE_EVENT};
    x->head = (struct h1_head){.headers = x->headers};
    x->chunks = (struct h1_chunks){.state = 0};
    x->inflow = (struct http_body){.data = x->inflow.data};
    x->outflow = (struct http_stream){.exchange = x, .data = x->outflow.data};
    x->conn = NULL;
    x->body_left = x->body_bytes = 0;
    x->understood = x->body_ended = x->body_failed = x->on_lane = false;
    x->stream_open = x->close_after = x->gone = false;
    x->lane = LANE_EVENT;
}

/* Views of text that is not part of the head (the "/" of an absolute form) stay as they are. */
static struct str moved(struct str s, const char *from, size_t n, const char *to)
{
    uintptr_t at = (uintptr_t)s.p, base = (uintptr_t)from;

    return at >= base && at <= base + n ? (struct str){to + (at - base), s.n} : s;
}

int exchange_adopt_head(struct exchange *x, const char *p)
{
    struct h1_head *h = &x->head;
    size_t n = h->length;

    int r = buf_add(&x->head_bytes, p, n);
    if (r)
        return r;
    const char *to = x->head_bytes.p;
    h->target = moved(h->target, p, n, to);
    h->path = moved(h->path, p, n, to);
    h->query = moved(h->query, p, n, to);
    h->host = moved(h->host, p, n, to);
    for (size_t i = 0; i < h->header_count; i++) {
        h->headers[i].name = moved(h->headers[i].name, p, n, to);
        h->headers[i].value = moved(h->headers[i].value, p, n, to);
    }
    x->request.method = h->method;
    x->request.target = h->target;
    x->request.path = h->path;
    x->request.query = h->query;
    x->request.host = h->host;
    x->request.headers = h->headers;
    x->request.header_count = h->header_count;
    x->request.arena = &x->arena;
    x->body_left = h->content_length;
    x->body_ended = !exchange_has_body(x);
    x->understood = true;
    return 0;
}
