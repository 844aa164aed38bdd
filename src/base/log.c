#include "base/log.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <unistd.h>

enum {
    LINE_MAX_BYTES = 64 * 1024,
    VALUE_MAX_BYTES = 1024,
    HELD_MAX_BYTES = 4 * 1024 * 1024,
    GATHER_MS = 10,
    LINE_USUAL_BYTES = 512
};

static const char *const level_names[] = {"debug", "info", "warn", "error"};

static atomic_int current_level = LOG_INFO;
static atomic_int current_json = -1; /* -1: not decided yet */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    bool running, stopping;
    uint64_t dropped;
    struct buf held;
} writer = {.lock = PTHREAD_MUTEX_INITIALIZER,
            .wake = PTHREAD_COND_INITIALIZER,
            .held = {.max = HELD_MAX_BYTES}};

void log_configure(enum log_level level, enum log_format format)
{
    atomic_store(&current_level, (int)level);
    atomic_store(&current_json, format == LOG_AUTO ? !isatty(STDERR_FILENO) : format == LOG_JSON);
}

static bool use_json(void)
{
    int json = atomic_load(&current_json);

    return json < 0 ? !isatty(STDERR_FILENO) : json != 0;
}

bool log_enabled(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&current_level, memory_order_relaxed);
}

static void write_all(const char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(STDERR_FILENO, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0 && errno == EAGAIN &&
            poll(&(struct pollfd){STDERR_FILENO, POLLOUT, 0}, 1, -1) > 0)
            continue;
        if (done < 0)
            return; /* there is nowhere left to say so */
        p += done;
        n -= (size_t)done;
    }
}

/* Ends a line that was begun. Returns whether there is one. */
static bool close_line(struct log_line *l)
{
    if (l->text.n == 0)
        return false;
    /* A line over its maximum keeps its whole fields; the room for the end is left free. */
    l->text.max += 2;
    l->text.fault = 0;
    if (l->json)
        buf_add_char(&l->text, '}');
    return buf_add_char(&l->text, '\n') == 0;
}

static void write_dropped(uint64_t dropped)
{
    struct log_line l;

    if (dropped == 0)
        return;
    log_begin(&l, LOG_WARN, "log lines dropped");
    log_field_int(&l, "count", (int64_t)dropped);
    if (close_line(&l))
        write_all(l.text.p, l.text.n);
    buf_free(&l.text);
}

/* Lets a batch gather: a wake-up a line would cost more than the lines do. */
static void gather(void)
{
    const struct timespec t = {0, GATHER_MS * 1000000L};

    nanosleep(&t, NULL);
}

static void *writer_main(void *unused)
{
    struct buf taken = buf_init(HELD_MAX_BYTES);

    pthread_mutex_lock(&writer.lock);
    for (;;) {
        while (writer.held.n == 0 && !writer.stopping)
            pthread_cond_wait(&writer.wake, &writer.lock);
        if (writer.held.n == 0)
            break;
        if (!writer.stopping) {
            pthread_mutex_unlock(&writer.lock);
            gather();
            pthread_mutex_lock(&writer.lock);
        }
        struct buf full = writer.held;
        writer.held = taken;
        uint64_t dropped = writer.dropped;
        writer.dropped = 0;
        pthread_mutex_unlock(&writer.lock);
        write_all(full.p, full.n);
        write_dropped(dropped);
        taken = full;
        buf_reset(&taken);
        pthread_mutex_lock(&writer.lock);
    }
    pthread_mutex_unlock(&writer.lock);
    buf_free(&taken);
    return NULL;
}

int log_start(void)
{
    int error = 0;

    /* Under the lock, so that the thread sees neither an earlier stop nor half a start. */
    pthread_mutex_lock(&writer.lock);
    if (!writer.running) {
        writer.stopping = false;
        error = pthread_create(&writer.thread, NULL, writer_main, NULL);
        writer.running = error == 0;
    }
    pthread_mutex_unlock(&writer.lock);
    return error ? fault_errno(FAULT_INTERNAL, error, "cannot start the log's thread") : 0;
}

void log_stop(void)
{
    pthread_mutex_lock(&writer.lock);
    bool running = writer.running;
    writer.stopping = true;
    writer.running = false;
    pthread_cond_signal(&writer.wake);
    pthread_mutex_unlock(&writer.lock);
    if (running)
        pthread_join(writer.thread, NULL);
    pthread_mutex_lock(&writer.lock);
    buf_free(&writer.held);
    pthread_mutex_unlock(&writer.lock);
}

static void submit(const char *p, size_t n)
{
    pthread_mutex_lock(&writer.lock);
    if (!writer.running) {
        write_all(p, n);
    } else if (n > HELD_MAX_BYTES - writer.held.n) {
        writer.dropped++; /* asked beforehand: a fault would replace the one being logged */
    } else if (buf_add(&writer.held, p, n)) {
        writer.held.fault = 0;
        writer.dropped++;
    } else if (writer.held.n == n) {
        pthread_cond_signal(&writer.wake);
    }
    pthread_mutex_unlock(&writer.lock);
}

static void add_quoted(struct log_line *l, struct str s)
{
    struct json_writer w = json_writer(&l->text);

    if (s.n > VALUE_MAX_BYTES)
        s.n = VALUE_MAX_BYTES;
    json_str(&w, s);
}

/* Whether s can stand in a person's line as it is: no control character reaches the terminal. */
static bool is_plain(struct str s, char least)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < least || s.p[i] == '"' || s.p[i] == 0x7F)
            return false;
    return s.n > 0 && s.n <= VALUE_MAX_BYTES;
}

void log_begin(struct log_line *l, enum log_level level, const char *event)
{
    char now[CLOCK_TEXT_SIZE];

    *l = (struct log_line){.level = level, .json = use_json(), .text = buf_init(LINE_MAX_BYTES)};
    if (!log_enabled(level))
        return;
    clock_format(clock_now(), now);
    buf_reserve(&l->text, LINE_USUAL_BYTES);
    if (l->json)
        buf_printf(&l->text, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":", now,
                   level_names[level]);
    else
        buf_printf(&l->text, "%.8s %-5s ", now + 11, level_names[level]);
    if (!l->json && is_plain(str_of(event), ' '))
        buf_add_str(&l->text, str_of(event));
    else
        add_quoted(l, str_of(event));
}

static void add_key(struct log_line *l, const char *key)
{
    buf_add_str(&l->text, l->json ? STR(",\"") : STR(" "));
    buf_add_str(&l->text, str_of(key));
    buf_add_str(&l->text, l->json ? STR("\":") : STR("="));
}

/*
 * Whether fields are to be added: not to a line that was not begun (the level may change at any
 * time), nor behind a field that found no room.
 */
static bool is_open(const struct log_line *l)
{
    return l->text.n > 0 && !buf_fault(&l->text);
}

/* Takes back a field that found no room, so that the line keeps whole ones. */
static void close_field(struct log_line *l, size_t before)
{
    if (buf_fault(&l->text))
        l->text.n = before;
}

void log_field_str(struct log_line *l, const char *key, struct str value)
{
    size_t before = l->text.n;

    if (!is_open(l))
        return;
    add_key(l, key);
    if (!l->json && is_plain(value, '!'))
        buf_add_str(&l->text, value);
    else
        add_quoted(l, value);
    close_field(l, before);
}

void log_field_int(struct log_line *l, const char *key, int64_t value)
{
    size_t before = l->text.n;

    if (!is_open(l))
        return;
    add_key(l, key);
    buf_add_int(&l->text, value);
    close_field(l, before);
}

void log_field_uuid(struct log_line *l, const char *key, const struct uuid *value)
{
    char text[UUID_TEXT_SIZE];

    uuid_format(value, text);
    log_field_str(l, key, (struct str){text, UUID_TEXT});
}

void log_end(struct log_line *l)
{
    if (close_line(l))
        submit(l->text.p, l->text.n);
    buf_free(&l->text);
}

void log_message(enum log_level level, const char *format, ...)
{
    struct log_line l;
    char message[1024];
    va_list args;

    if (!log_enabled(level))
        return;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    log_begin(&l, level, message);
    log_end(&l);
}

void log_fault_of(const char *doing, int fault, const struct uuid *id)
{
    struct log_line l;

    log_begin(&l, LOG_ERROR, doing);
    log_field_str(&l, "fault", str_of(fault_name(fault)));
    log_field_str(&l, "detail", str_of(fault_message()));
    if (id)
        log_field_uuid(&l, "id", id);
    log_end(&l);
}

void log_fault(const char *doing, int fault)
{
    log_fault_of(doing, fault, NULL);
}
