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

/*
 * Keeps the message (cut at 399 bytes) for this thread and returns fault. Arguments may point into
 * fault_message().
 */
int fault_set(enum fault fault, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* As fault_set, with ": " and the text of errno_value behind it. */
int fault_errno(enum fault fault, int errno_value, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What this thread's last fault was about; "" where there was none. Valid until the next. */
const char *fault_message(void);

/* The fault's name, such as "unavailable". */
const char *fault_name(int fault);

#endif
