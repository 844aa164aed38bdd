#include "base/fault.h"

#include <stdarg.h>

enum { MESSAGE_MAX = 400 };

static _Thread_local char message[MESSAGE_MAX];

/* Arguments may point into the message itself: a caller adds to what it was told. */
static void keep(const char *text)
{
    snprintf(message, sizeof message, "%s", text);
}

void fault_keep(const char *format, ...)
{
    char text[MESSAGE_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    keep(text);
}

void fault_keep_errno(int errno_value, const char *format, ...)
{
    char text[MESSAGE_MAX], reason[128];
    va_list args;

    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n >= 0 && n < MESSAGE_MAX)
        snprintf(text + n, sizeof text - (size_t)n, ": %s",
                 strerror_r(errno_value, reason, sizeof reason));
    keep(text);
}

const char *fault_message(void)
{
    return message;
}

const char *fault_name(int fault)
{
    static const char *const names[] = {"none",  "memory",      "limit",  "io",
                                        "store", "unavailable", "crypto", "internal"};

    return fault <= 0 && fault >= FAULT_INTERNAL ? names[-fault] : "unknown";
}
