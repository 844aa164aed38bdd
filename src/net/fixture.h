/*
 * What net's tests share: servers on loopback, each with a thread of its own, and a certificate
 * authority of the test's.
 * Rooms: net's tests only. Threads: the test's; what a server runs, the server's.
 */
#ifndef HOLDFAST_NET_FIXTURE_H
#define HOLDFAST_NET_FIXTURE_H

#include "base/str.h"

#include <openssl/ssl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <cmocka.h>

struct peer_conn {
    int fd;
    SSL *ssl; /* NULL: in the clear */
};

struct peer {
    void (*serve)(struct peer_conn *c, void *context); /* one connection; then it is closed */
    void *context;
    SSL_CTX *tls; /* each connection begins with TLS; NULL: none does */
    int listener;
    uint16_t port;
    atomic_int connections;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t served;
    int begun, ended; /* connections */
};

/* Starts a server at 127.0.0.1 on a free port; p holds serve, context and tls. */
void peer_start(struct peer *p);
/* Waits until the connections that began have ended: before and after this, the test may touch what
 * the server's thread does. */
void peer_settle(struct peer *p);
/* Ends it once the present connection has ended. */
void peer_stop(struct peer *p);

/* A port of 127.0.0.1 where nobody listens. */
uint16_t peer_dead_port(void);

/* Reading waits at most 10 s. Each returns false once the other side is gone. */
bool peer_read_line(struct peer_conn *c, char *ret, size_t size); /* without its CRLF */
bool peer_read(struct peer_conn *c, void *ret, size_t n);
bool peer_write(struct peer_conn *c, const void *p, size_t n);
bool peer_say(struct peer_conn *c, const char *text);
/* Waits until the other side closes. */
void peer_await_end(struct peer_conn *c);
bool peer_start_tls(struct peer_conn *c, SSL_CTX *tls);

/* A certificate authority, and its certificate in a file. */
struct authority {
    EVP_PKEY *key;
    X509 *certificate;
    char file[64];
};

void authority_init(struct authority *a);
void authority_release(struct authority *a);

/* A server's context with a certificate for an address or name ("IP:127.0.0.1"), valid from..to in
 * seconds from now. */
SSL_CTX *authority_issue(const struct authority *a, const char *subject, long from, long to);

#endif
