#include "net/aws_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct aws_peer_row *find(const struct aws_peer_row *rows, const char *request)
{
    while (rows->request && strncmp(request, rows->request, strlen(rows->request)) != 0)
        rows++;
    return rows;
}

/* Head, an empty line, body. */
static bool read_request(struct peer_conn *c, char *ret)
{
    char line[20000];
    size_t n = 0, body = 0;

    for (;;) {
        if (!peer_read_line(c, line, sizeof line))
            return false;
        if (strncmp(line, "Content-Length: ", 16) == 0)
            body = strtoul(line + 16, NULL, 10);
        n += (size_t)snprintf(ret + n, AWS_PEER_REQUEST_SIZE - n, "%s\n", line);
        if (n >= AWS_PEER_REQUEST_SIZE)
            return false;
        if (!line[0])
            break;
    }
    if (body >= AWS_PEER_REQUEST_SIZE - n || !peer_read(c, ret + n, body))
        return false;
    ret[n + body] = '\0';
    return true;
}

static void answer(struct peer_conn *c, const struct aws_peer_row *row)
{
    const char *body = row->body ? row->body : "";
    int status = row->request ? row->status : 404;
    char head[4096];

    if (status < 0)
        peer_await_end(c);
    if (status <= 0)
        return;
    snprintf(head, sizeof head, "HTTP/1.1 %d Answer\r\n%sContent-Length: %zu\r\n\r\n", status,
             row->headers ? row->headers : "", strlen(body));
    if (peer_say(c, head))
        peer_say(c, body);
}

static void serve(struct peer_conn *c, void *context)
{
    struct aws_peer *p = context;
    char *request = calloc(1, AWS_PEER_REQUEST_SIZE);
    const struct aws_peer_row *row = NULL;

    if (request && read_request(c, request)) {
        pthread_mutex_lock(&p->lock);
        if (p->n < AWS_PEER_REQUESTS_MAX)
            memcpy(p->requests[p->n], request, AWS_PEER_REQUEST_SIZE);
        p->n++;
        row = find(p->rows, request);
        pthread_cond_broadcast(&p->changed);
        while (p->held)
            pthread_cond_wait(&p->changed, &p->lock);
        pthread_mutex_unlock(&p->lock);
    }
    free(request);
    if (row)
        answer(c, row);
}

struct aws_peer *aws_peer_start(const struct aws_peer_row *rows)
{
    struct aws_peer *p = calloc(1, sizeof *p);

    assert_non_null(p);
    p->rows = rows;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    p->peer = (struct peer){.serve = serve, .context = p};
    peer_start(&p->peer);
    snprintf(p->origin, sizeof p->origin, "http://127.0.0.1:%d", p->peer.port);
    return p;
}

void aws_peer_stop(struct aws_peer *p)
{
    peer_stop(&p->peer);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void aws_peer_answer(struct aws_peer *p, const struct aws_peer_row *rows)
{
    pthread_mutex_lock(&p->lock);
    p->rows = rows;
    p->n = 0;
    pthread_mutex_unlock(&p->lock);
}

void aws_peer_hold(struct aws_peer *p, bool held)
{
    pthread_mutex_lock(&p->lock);
    p->held = held;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

void aws_peer_await(struct aws_peer *p, size_t n)
{
    pthread_mutex_lock(&p->lock);
    while (p->n < n)
        pthread_cond_wait(&p->changed, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

size_t aws_peer_count(struct aws_peer *p)
{
    pthread_mutex_lock(&p->lock);
    size_t n = p->n;
    pthread_mutex_unlock(&p->lock);
    return n;
}

const char *aws_peer_request(struct aws_peer *p, size_t i)
{
    assert_true(i < aws_peer_count(p) && i < AWS_PEER_REQUESTS_MAX);
    return p->requests[i];
}

struct aws_options aws_peer_options(const struct aws_peer *p)
{
    return (struct aws_options){.region = STR("eu-west-1"),
                                .endpoint = str_of(p->origin),
                                .sources = {.key_id = STR("AKIDEXAMPLE"),
                                            .secret = STR("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEX")},
                                .timeout_ms = 5000};
}
