#include "base/uuid.h"

#include "base/clock.h"
#include "base/encode.h"

#include <sodium.h>

struct uuid uuid_new(void)
{
    return uuid_at(clock_now());
}

struct uuid uuid_at(int64_t ms)
{
    uint8_t random[10];

    randombytes_buf(random, sizeof random);
    return uuid_of(ms, random);
}

struct uuid uuid_of(int64_t ms, const uint8_t random[10])
{
    struct uuid u;

    memcpy(u.b + 6, random, 10);
    for (int i = 0; i < 6; i++)
        u.b[i] = (uint8_t)((uint64_t)ms >> (40 - 8 * i));
    u.b[6] = (uint8_t)((u.b[6] & 0x0F) | 0x70);
    u.b[8] = (uint8_t)((u.b[8] & 0x3F) | 0x80);
    return u;
}

int64_t uuid_time(const struct uuid *u)
{
    uint64_t ms = 0;

    for (int i = 0; i < 6; i++)
        ms = ms << 8 | u->b[i];
    return (int64_t)ms;
}

void uuid_format(const struct uuid *u, char ret_text[UUID_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    char *p = ret_text;

    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        *p++ = digits[u->b[i] >> 4];
        *p++ = digits[u->b[i] & 15];
    }
    *p = '\0';
}

int uuid_parse(struct str s, struct uuid *ret)
{
    struct uuid u;
    const char *p = s.p;

    if (s.n != UUID_TEXT)
        return 1;
    for (int i = 0; i < 16; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && *p++ != '-')
            return 1;
        int high = hex_value(p[0]), low = hex_value(p[1]);
        if (high < 0 || low < 0)
            return 1;
        u.b[i] = (uint8_t)(high << 4 | low);
        p += 2;
    }
    *ret = u;
    return 0;
}
