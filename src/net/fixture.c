#include "net/fixture.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { PATIENCE_S = 10 };

static void count(struct peer *p, int *counter)
{
    pthread_mutex_lock(&p->lock);
    ++*counter;
    pthread_cond_broadcast(&p->served);
    pthread_mutex_unlock(&p->lock);
}

void peer_settle(struct peer *p)
{
    pthread_mutex_lock(&p->lock);
    while (p->ended < p->begun)
        pthread_cond_wait(&p->served, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

static void serve_one(struct peer *p, int fd)
{
    struct timeval patience = {.tv_sec = PATIENCE_S};
    struct peer_conn c = {.fd = fd};

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (!p->tls || peer_start_tls(&c, p->tls))
        p->serve(&c, p->context);
    if (c.ssl)
        SSL_shutdown(c.ssl);
    SSL_free(c.ssl);
    close(fd);
}

static void *accept_all(void *context)
{
    struct peer *p = context;
    sigset_t pipe;
    int fd;

    /* OpenSSL writes to clients that have gone; ours are to get by without this. */
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    while ((fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        atomic_fetch_add(&p->connections, 1);
        count(p, &p->begun);
        serve_one(p, fd);
        count(p, &p->ended);
    }
    return NULL;
}

static int listen_anywhere(uint16_t *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&a, n), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    *ret_port = ntohs(a.sin_port);
    return fd;
}

void peer_start(struct peer *p)
{
    p->listener = listen_anywhere(&p->port);
    assert_int_equal(listen(p->listener, 16), 0);
    atomic_store(&p->connections, 0);
    p->begun = p->ended = 0;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->served, NULL);
    assert_int_equal(pthread_create(&p->thread, NULL, accept_all, p), 0);
}

void peer_stop(struct peer *p)
{
    shutdown(p->listener, SHUT_RDWR);
    pthread_join(p->thread, NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->served);
    close(p->listener);
}

uint16_t peer_dead_port(void)
{
    uint16_t port;

    close(listen_anywhere(&port));
    return port;
}

static ssize_t receive(struct peer_conn *c, void *p, size_t n)
{
    return c->ssl ? SSL_read(c->ssl, p, (int)n) : recv(c->fd, p, n, 0);
}

bool peer_read(struct peer_conn *c, void *ret, size_t n)
{
    char *p = ret;

    while (n > 0) {
        ssize_t got = receive(c, p, n);
        if (got <= 0)
            return false;
        p += got;
        n -= (size_t)got;
    }
    return true;
}

bool peer_read_line(struct peer_conn *c, char *ret, size_t size)
{
    size_t n = 0;
    char byte;

    while (peer_read(c, &byte, 1)) {
        if (byte == '\n' && n > 0 && ret[n - 1] == '\r') {
            ret[n - 1] = '\0';
            return true;
        }
        if (n + 1 >= size)
            return false;
        ret[n++] = byte;
    }
    return false;
}

bool peer_write(struct peer_conn *c, const void *p, size_t n)
{
    const char *at = p;

    while (n > 0) {
        ssize_t put = c->ssl ? SSL_write(c->ssl, at, (int)n) : send(c->fd, at, n, MSG_NOSIGNAL);
        if (put <= 0)
            return false;
        at += put;
        n -= (size_t)put;
    }
    return true;
}

bool peer_say(struct peer_conn *c, const char *text)
{
    return peer_write(c, text, strlen(text));
}

void peer_await_end(struct peer_conn *c)
{
    char piece[4096];

    while (receive(c, piece, sizeof piece) > 0)
        continue;
}

bool peer_start_tls(struct peer_conn *c, SSL_CTX *tls)
{
    c->ssl = SSL_new(tls);
    return c->ssl && SSL_set_fd(c->ssl, c->fd) && SSL_accept(c->ssl) == 1;
}

static X509 *certify(EVP_PKEY *key, const char *name, long from, long to)
{
    static atomic_int serial = 1;
    X509 *x = X509_new();

    assert_non_null(x);
    assert_int_equal(X509_set_version(x, X509_VERSION_3), 1);
    ASN1_INTEGER_set(X509_get_serialNumber(x), atomic_fetch_add(&serial, 1));
    X509_gmtime_adj(X509_getm_notBefore(x), from);
    X509_gmtime_adj(X509_getm_notAfter(x), to);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    assert_int_equal(X509_set_pubkey(x, key), 1);
    return x;
}

static void extend(X509 *x, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    assert_non_null(e);
    assert_int_equal(X509_add_ext(x, e, -1), 1);
    X509_EXTENSION_free(e);
}

void authority_init(struct authority *a)
{
    *a = (struct authority){.key = EVP_EC_gen("P-256"), .file = "/tmp/holdfast-ca-XXXXXX"};
    assert_non_null(a->key);
    a->certificate = certify(a->key, "test authority", -3600, 3600);
    X509_set_issuer_name(a->certificate, X509_get_subject_name(a->certificate));
    extend(a->certificate, NID_basic_constraints, "critical,CA:TRUE");
    extend(a->certificate, NID_key_usage, "critical,keyCertSign");
    assert_true(X509_sign(a->certificate, a->key, EVP_sha256()) > 0);
    int fd = mkstemp(a->file);
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, a->certificate), 1);
    assert_int_equal(fclose(f), 0);
}

void authority_release(struct authority *a)
{
    unlink(a->file);
    X509_free(a->certificate);
    EVP_PKEY_free(a->key);
}

SSL_CTX *authority_issue(const struct authority *a, const char *subject, long from, long to)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());

    assert_non_null(key);
    assert_non_null(tls);
    X509 *x = certify(key, "test server", from, to);
    X509_set_issuer_name(x, X509_get_subject_name(a->certificate));
    extend(x, NID_subject_alt_name, subject);
    assert_true(X509_sign(x, a->key, EVP_sha256()) > 0);
    assert_int_equal(SSL_CTX_use_certificate(tls, x), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(tls, key), 1);
    X509_free(x);
    EVP_PKEY_free(key);
    return tls;
}
