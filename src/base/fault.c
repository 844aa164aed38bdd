#include "base/fault.h"

#include <stdarg.h>

enum { MESSAGE_MAX = 400 };

static _Thread_local char message[MESSAGE_MAX];

int fault_set(enum fault fault, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return fault;
}

int fault_errno(enum fault fault, int errno_value, const char *format, ...)
{
    va_list args;
    char text[128];

    va_start(args, format);
    int n = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (n >= 0 && n < MESSAGE_MAX)
        snprintf(message + n, sizeof message - (size_t)n, ": %s",
                 strerror_r(errno_value, text, sizeof text));
    return fault;
}

const char *fault_message(void)
{
    return message;
}

const char *fault_name(int fault)
{
    static const char *const names[] = {"none",        "memory", "limit",   "io", "store",
                                        "unavailable", "crypto", "internal"};
    int i = -fault;

    return i >= 0 && i < (int)(sizeof names / sizeof *names) ? names[i] : "unknown";
}
