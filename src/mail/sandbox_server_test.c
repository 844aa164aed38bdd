/* The sandbox's listener over real sockets: bounds, deadlines, a graceful stop. */
#include "mail/sandbox_server.h"

#include "base/clock.h"
#include "base/fault.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static atomic_int taken;
static enum smtp_verdict verdict;

static enum smtp_verdict take(void *context, const struct smtp_message *m)
{
    atomic_fetch_add(&taken, m->n_to == 1 && m->data.n > 0);
    return verdict;
}

static struct sandbox_server *start(struct sandbox_server_options options)
{
    struct sandbox_server *s = NULL;

    atomic_store(&taken, 0);
    verdict = SMTP_KEPT;
    options.take = take;
    int r = sandbox_server_start(&options, &s);
    if (r)
        fail_msg("%s", fault_message());
    return s;
}

static int dial(const struct sandbox_server *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)sandbox_server_port(s)),
                            .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval patience = {10, 0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    size_t n = strlen(text);

    assert_int_equal(send(fd, text, n, MSG_NOSIGNAL), (ssize_t)n);
}

/* Reads until the text ends with the reply. */
static void expect(int fd, const char *reply)
{
    char text[4096];
    size_t n = 0;

    for (;;) {
        ssize_t got = recv(fd, text + n, sizeof text - 1 - n, 0);
        if (got <= 0) {
            text[n] = '\0';
            fail_msg("wanted %s, got %s", reply, text);
        }
        n += (size_t)got;
        text[n] = '\0';
        if (str_has_suffix((struct str){text, n}, str_of(reply)))
            return;
    }
}

/* Nothing but the end comes. */
static void expect_end(int fd)
{
    char byte;

    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
}

#define BEGIN "EHLO me.test\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\nDATA\r\n"

static void test_message(void **state)
{
    struct sandbox_server *s = start((struct sandbox_server_options){.name = "mx.test"});
    int fd = dial(s);

    expect(fd, "220 mx.test ESMTP\r\n");
    say(fd, BEGIN "Hi\r\n.\r\n");
    expect(fd, "250 2.0.0 Kept\r\n");
    assert_int_equal(atomic_load(&taken), 1);
    say(fd, "QUIT\r\n");
    expect(fd, "221 2.0.0 Goodbye\r\n");
    expect_end(fd);
    sandbox_server_stop(s);
}

static void test_try_again(void **state)
{
    struct sandbox_server *s = start((struct sandbox_server_options){.port = 0});
    int fd = dial(s);

    verdict = SMTP_TRY_AGAIN;
    say(fd, BEGIN "Hi\r\n.\r\n");
    expect(fd, "451 4.3.0 It cannot be kept just now\r\n");
    close(fd);
    sandbox_server_stop(s);
}

/* Many commands at once, and their replies only read afterwards. */
static void test_pipelined(void **state)
{
    struct sandbox_server *s = start((struct sandbox_server_options){.connections_max = 2});
    int fd = dial(s);

    say(fd, "EHLO me.test\r\n");
    for (int i = 0; i < 200; i++)
        say(fd, "MAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\nDATA\r\nHi\r\n.\r\n");
    say(fd, "QUIT\r\n");
    char bytes[4096];
    size_t n = 0;
    ssize_t got;
    while ((got = recv(fd, bytes, sizeof bytes, 0)) > 0)
        n += (size_t)got;
    assert_int_equal(got, 0);
    assert_int_equal(atomic_load(&taken), 200);
    assert_true(n > 200 * 100);
    close(fd);
    sandbox_server_stop(s);
}

static void test_too_many(void **state)
{
    struct sandbox_server *s = start((struct sandbox_server_options){.connections_max = 2});
    int a = dial(s), b, c;

    expect(a, "220 localhost ESMTP\r\n");
    b = dial(s);
    expect(b, "220 localhost ESMTP\r\n");
    c = dial(s);
    expect(c, "421 4.3.2 Too many connections\r\n");
    expect_end(c);
    say(a, "QUIT\r\n");
    expect(a, "221 2.0.0 Goodbye\r\n");
    expect_end(a);
    /* Its place is free again once the server has seen its end as well. */
    for (int64_t end = clock_mono() + 10000;;) {
        char reply[4] = "";
        c = dial(s);
        assert_int_equal(recv(c, reply, 3, MSG_WAITALL), 3);
        if (strcmp(reply, "220") == 0)
            break;
        assert_string_equal(reply, "421");
        assert_true(clock_mono() < end);
        close(c);
    }
    close(b);
    close(c);
    sandbox_server_stop(s);
}

static void test_silent(void **state)
{
    struct sandbox_server *s = start((struct sandbox_server_options){.idle_ms = 50});
    int fd = dial(s);

    expect(fd, "421 4.3.2 The time is up\r\n");
    expect_end(fd);
    sandbox_server_stop(s);
}

/* One who is never silent is dismissed as well. */
static void test_endless(void **state)
{
    struct sandbox_server *s = start((struct sandbox_server_options){.session_ms = 200});
    int fd = dial(s);
    char text[4096];
    bool dismissed = false;

    for (int64_t end = clock_mono() + 10000; !dismissed;) {
        send(fd, "NOOP\r\n", 6, MSG_NOSIGNAL);
        ssize_t n = recv(fd, text, sizeof text - 1, 0);
        assert_true(n > 0 && clock_mono() < end);
        text[n] = '\0';
        dismissed = strstr(text, "421 4.3.2 The time is up\r\n") != NULL;
    }
    close(fd);
    sandbox_server_stop(s);
}

/* The reply arrives though much was sent that nobody read. */
static void test_reply_before_reset(void **state)
{
    struct sandbox_server *s = start((struct sandbox_server_options){.port = 0});
    char much[64 * 1024];
    int fd = dial(s);

    expect(fd, "220 localhost ESMTP\r\n");
    memset(much, 'x', sizeof much);
    memcpy(much, BEGIN "\n", strlen(BEGIN) + 1);
    assert_true(send(fd, much, sizeof much, MSG_NOSIGNAL) > 0);
    expect(fd, "521 5.5.2 A CR or LF stands alone: lines end in CRLF\r\n");
    close(fd);
    sandbox_server_stop(s);
}

static void *stop(void *s)
{
    sandbox_server_stop(s);
    return NULL;
}

static void test_graceful_stop(void **state)
{
    struct sandbox_server *s = start((struct sandbox_server_options){.drain_ms = 10000});
    int idle = dial(s), busy = dial(s);
    pthread_t thread;

    expect(idle, "220 localhost ESMTP\r\n");
    expect(busy, "220 localhost ESMTP\r\n");
    say(busy, BEGIN);
    expect(busy, "354 End the message with <CRLF>.<CRLF>\r\n");
    assert_int_equal(pthread_create(&thread, NULL, stop, s), 0);
    expect(idle, "421 4.3.2 The server stops\r\n");
    expect_end(idle);
    say(busy, "Hi\r\n.\r\n");
    expect(busy, "250 2.0.0 Kept\r\n421 4.3.2 The server stops\r\n");
    expect_end(busy);
    pthread_join(thread, NULL);
    assert_int_equal(atomic_load(&taken), 1);
}

/* One who does not end a message does not hold up the stop. */
static void test_stop_in_time(void **state)
{
    struct sandbox_server *s = start((struct sandbox_server_options){.drain_ms = 50});
    int busy = dial(s);
    pthread_t thread;

    say(busy, BEGIN);
    expect(busy, "354 End the message with <CRLF>.<CRLF>\r\n");
    assert_int_equal(pthread_create(&thread, NULL, stop, s), 0);
    expect(busy, "421 4.3.2 The server stops\r\n");
    expect_end(busy);
    pthread_join(thread, NULL);
    assert_int_equal(atomic_load(&taken), 0);
}

static void test_port_taken(void **state)
{
    struct sandbox_server *s = start((struct sandbox_server_options){.port = 0}), *other = NULL;
    struct sandbox_server_options options = {.port = sandbox_server_port(s), .take = take};

    assert_int_equal(sandbox_server_start(&options, &other), FAULT_IO);
    assert_null(other);
    options.host = "host.invalid";
    assert_int_equal(sandbox_server_start(&options, &other), FAULT_IO);
    sandbox_server_stop(s);
    sandbox_server_stop(NULL);
}

enum { CLIENTS = 16, MESSAGES = 10 };

static void *send_many(void *server)
{
    int fd = dial(server);
    char bytes[512];
    ssize_t got;

    say(fd, "EHLO me.test\r\n");
    for (int i = 0; i < MESSAGES; i++)
        say(fd, "MAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\nDATA\r\nHi\r\n.\r\n");
    say(fd, "QUIT\r\n");
    do {
        got = recv(fd, bytes, sizeof bytes, 0);
    } while (got > 0);
    close(fd);
    return NULL;
}

static void test_many_clients(void **state)
{
    struct sandbox_server *s = start((struct sandbox_server_options){.port = 0});
    pthread_t threads[CLIENTS];

    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_many, s), 0);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&taken), CLIENTS * MESSAGES);
    sandbox_server_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message),       cmocka_unit_test(test_try_again),
        cmocka_unit_test(test_pipelined),     cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_silent),        cmocka_unit_test(test_endless),
        cmocka_unit_test(test_graceful_stop), cmocka_unit_test(test_stop_in_time),
        cmocka_unit_test(test_port_taken),    cmocka_unit_test(test_reply_before_reset),
        cmocka_unit_test(test_many_clients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
