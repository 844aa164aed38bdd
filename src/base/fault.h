/*
 * Faults: what went wrong that no caller can mend.
 *
 * A function that can fail returns int: 0 is success; a negative value is one of these faults,
 * forwarded unchanged and logged once at the edge; a positive value is an outcome that the
 * function's header lists and its caller handles. What a fault was about is kept for the thread
 * that met it. Outputs come last, are named ret_, and are untouched unless 0 is returned.
 * Rooms: any. Threads: the message is the calling thread's own.
 */
#ifndef HOLDFAST_FAULT_H
#define HOLDFAST_FAULT_H

enum fault {
    FAULT_MEMORY = -1,      /* an allocation failed, or an arena reached its cap */
    FAULT_LIMIT = -2,       /* a declared maximum was reached */
    FAULT_IO = -3,          /* a file or socket call failed */
    FAULT_STORE = -4,       /* the store refused a statement: a defect of ours or of its schema */
    FAULT_UNAVAILABLE = -5, /* the store is out of reach just now: the edge answers 503 */
    FAULT_CRYPTO = -6,      /* a cryptographic library call failed */
    FAULT_INTERNAL = -7     /* anything else that must not happen */
};

/* Keep the message for this thread: what fault_set and fault_errno do first. */
void fault_keep(const char *format, ...) __attribute__((format(printf, 1, 2)));
void fault_keep_errno(int errno_value, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static inline int fault_code(enum fault fault)
{
    return fault;
}

/*
 * Keeps the message (cut at 399 bytes) for this thread and returns fault. Arguments may point into
 * fault_message(). A macro, so that a reader of the code, man or analyzer, knows what is returned.
 */
#define fault_set(fault, ...) (fault_keep(__VA_ARGS__), fault_code(fault))

/* As fault_set, with ": " and the text of errno_value behind it. */
#define fault_errno(fault, errno_value, ...)                                                       \
    (fault_keep_errno(errno_value, __VA_ARGS__), fault_code(fault))

/* What this thread's last fault was about; "" where there was none. Valid until the next. */
const char *fault_message(void);

/* The fault's name, such as "unavailable". */
const char *fault_name(int fault);

#endif
