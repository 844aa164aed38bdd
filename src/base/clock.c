#include "base/clock.h"

#include <stdatomic.h>

static _Atomic int64_t shift;

static int64_t read_us(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_now(void)
{
    return read_us(CLOCK_REALTIME) / 1000 + atomic_load_explicit(&shift, memory_order_relaxed);
}

int64_t clock_mono(void)
{
    return read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

void clock_shift(int64_t ms)
{
    atomic_fetch_add(&shift, ms);
}

/* The years 0000 to 9999, which four digits can write. */
static const int64_t first_ms = -62167219200000, last_ms = 253402300799999;

/* The text of a whole second up to its '.', kept for the next call of the same second. */
static const char *format_second(time_t seconds)
{
    static _Thread_local time_t cached = -1;
    static _Thread_local char text[CLOCK_TEXT_SIZE];
    struct tm tm;

    if (seconds == cached && *text)
        return text;
    gmtime_r(&seconds, &tm);
    unsigned year = (unsigned)(tm.tm_year + 1900) % 10000;
    snprintf(text, sizeof text, "%04u-%02u-%02uT%02u:%02u:%02u.", year,
             (unsigned)(tm.tm_mon + 1) % 100, (unsigned)tm.tm_mday % 100,
             (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
    cached = seconds;
    return text;
}

void clock_format(int64_t ms, char ret_text[CLOCK_TEXT_SIZE])
{
    ms = ms < first_ms ? first_ms : ms;
    ms = ms > last_ms ? last_ms : ms;
    time_t seconds = (time_t)(ms >= 0 ? ms / 1000 : (ms - 999) / 1000);
    unsigned rest = (unsigned)(ms - (int64_t)seconds * 1000);

    memcpy(ret_text, format_second(seconds), CLOCK_TEXT - 4);
    ret_text[CLOCK_TEXT - 4] = (char)('0' + rest / 100);
    ret_text[CLOCK_TEXT - 3] = (char)('0' + rest / 10 % 10);
    ret_text[CLOCK_TEXT - 2] = (char)('0' + rest % 10);
    ret_text[CLOCK_TEXT - 1] = 'Z';
    ret_text[CLOCK_TEXT] = '\0';
}

/* Takes n digits from *s into *ret. */
static int take_number(struct str *s, size_t n, int *ret)
{
    uint64_t v;

    if (s->n < n || str_to_u64((struct str){s->p, n}, 9999, &v))
        return 1;
    *ret = (int)v;
    *s = (struct str){s->p + n, s->n - n};
    return 0;
}

static int take_char(struct str *s, char c)
{
    if (s->n == 0 || s->p[0] != c)
        return 1;
    *s = (struct str){s->p + 1, s->n - 1};
    return 0;
}

static int take_fraction(struct str *s, int *ret_ms)
{
    int digits = 0, ms = 0;

    *ret_ms = 0;
    if (take_char(s, '.'))
        return 0;
    for (; s->n && s->p[0] >= '0' && s->p[0] <= '9'; digits++) {
        if (digits < 3)
            ms = ms * 10 + (s->p[0] - '0');
        take_char(s, s->p[0]);
    }
    for (int i = digits; i < 3; i++)
        ms *= 10;
    *ret_ms = ms;
    return digits == 0 || digits > 9;
}

static int take_offset(struct str *s, int64_t *ret_ms)
{
    int hours, minutes;

    if (s->n == 0)
        return 1;
    char sign = s->p[0];
    take_char(s, sign);
    if (sign == 'Z' || sign == 'z') {
        *ret_ms = 0;
        return 0;
    }
    if ((sign != '+' && sign != '-') || take_number(s, 2, &hours) || take_char(s, ':') ||
        take_number(s, 2, &minutes) || hours > 23 || minutes > 59)
        return 1;
    int64_t ms = (hours * 60 + minutes) * (int64_t)CLOCK_MINUTE;
    *ret_ms = sign == '-' ? -ms : ms;
    return 0;
}

int clock_parse(struct str s, int64_t *ret_ms)
{
    static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day, hour, minute, second, ms;
    int64_t offset;

    if (take_number(&s, 4, &year) || take_char(&s, '-') || take_number(&s, 2, &month) ||
        take_char(&s, '-') || take_number(&s, 2, &day) ||
        (take_char(&s, 'T') && take_char(&s, 't')) || take_number(&s, 2, &hour) ||
        take_char(&s, ':') || take_number(&s, 2, &minute) || take_char(&s, ':') ||
        take_number(&s, 2, &second) || take_fraction(&s, &ms) || take_offset(&s, &offset) || s.n)
        return 1;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (month < 1 || month > 12 || day < 1 || day > days[month - 1] ||
        (month == 2 && day == 29 && !leap) || hour > 23 || minute > 59 || second > 59)
        return 1;
    struct tm tm = {.tm_year = year - 1900,
                    .tm_mon = month - 1,
                    .tm_mday = day,
                    .tm_hour = hour,
                    .tm_min = minute,
                    .tm_sec = second};
    int64_t at = (int64_t)timegm(&tm) * 1000 + ms - offset;
    if (at < first_ms || at > last_ms)
        return 1;
    *ret_ms = at;
    return 0;
}
