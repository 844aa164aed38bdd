/*
 * The one place that reads clocks.
 * Rooms: any. Threads: any. Units: milliseconds of UTC since 1970, or of the monotonic clock.
 */
#ifndef HOLDFAST_CLOCK_H
#define HOLDFAST_CLOCK_H

#include "base/str.h"

enum {
    CLOCK_SECOND = 1000,
    CLOCK_MINUTE = 60 * CLOCK_SECOND,
    CLOCK_HOUR = 60 * CLOCK_MINUTE,
    CLOCK_DAY = 24 * CLOCK_HOUR
};

/* Milliseconds of UTC since 1970-01-01, shifted by clock_shift. */
int64_t clock_now(void);

/* Milliseconds and microseconds for durations; never goes back. */
int64_t clock_mono(void);
int64_t clock_mono_us(void);

/* Shifts clock_now by ms for the whole process: tests travel in time with it. */
void clock_shift(int64_t ms);

/* Length of an RFC 3339 time with milliseconds, and its buffer with the NUL. */
enum { CLOCK_TEXT = 24, CLOCK_TEXT_SIZE = CLOCK_TEXT + 1 };

/*
 * Writes ms as "2026-01-02T03:04:05.678Z" (RFC 3339, section 5.6). What lies outside the years
 * 0000 to 9999 is written as the nearest time inside them.
 */
void clock_format(int64_t ms, char ret_text[CLOCK_TEXT_SIZE]);

/*
 * Reads an RFC 3339 time with "Z" or an offset and at most nine digits of fraction (cut to ms).
 * Returns 0, or 1 where s is not one, is a leap second, or lies outside the years 0000 to 9999 in
 * UTC (*ret_ms untouched).
 */
int clock_parse(struct str s, int64_t *ret_ms);

#endif
