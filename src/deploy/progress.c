#include "deploy/progress.h"

#include <stdarg.h>
#include <stdio.h>

enum { LINE_SIZE = 1000 };

void progress_say(const struct progress *p, const char *format, ...)
{
    char line[LINE_SIZE];
    va_list args;

    if (!p || !p->say)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    p->say(p->context, line);
}

void progress_amount(const struct progress *p, int64_t done, int64_t total)
{
    if (p && p->amount)
        p->amount(p->context, done, total);
}
