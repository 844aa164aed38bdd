/*
 * The log: one line an event on standard error, JSON or for people by whether it is a terminal.
 * Rooms: any. Threads: any. A line is written by a thread of the log's own once log_start has
 * run, so no caller waits for the terminal or the disk; lines past the buffer's 4 MiB are counted
 * and the count is logged. Secrets never go in here: callers log ids and digests.
 */
#ifndef HOLDFAST_LOG_H
#define HOLDFAST_LOG_H

#include "base/buf.h"
#include "base/uuid.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

enum log_format { LOG_AUTO, LOG_JSON, LOG_HUMAN };

/* Sets what is written; callable at any time. The default is LOG_INFO and LOG_AUTO. */
void log_configure(enum log_level level, enum log_format format);

/* Starts the writing thread. Returns 0 or a fault; without it lines are written at once. */
int log_start(void);

/* Writes what is held and stops the thread. */
void log_stop(void);

/* Whether a line of this level would be written. */
bool log_enabled(enum log_level level);

/* A line under construction; begin, add fields, end. Fields keep their order. */
struct log_line {
    enum log_level level;
    bool json;
    struct buf text;
};

void log_begin(struct log_line *l, enum log_level level, const char *event);
void log_field_str(struct log_line *l, const char *key, struct str value);
void log_field_int(struct log_line *l, const char *key, int64_t value);
void log_field_uuid(struct log_line *l, const char *key, const struct uuid *value);
void log_end(struct log_line *l);

/* A line with only a message. */
void log_message(enum log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define log_debug(...) log_message(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_message(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_message(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_message(LOG_ERROR, __VA_ARGS__)

/* Logs a fault with what it was about, at the edge that met it. */
void log_fault(const char *doing, int fault);

/* The same with the id of the request that it befell, as in the line of the request itself. */
void log_fault_of(const char *doing, int fault, const struct uuid *id);

#endif
