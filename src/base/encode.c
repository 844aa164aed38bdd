#include "base/encode.h"

#include <sodium.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void hex_encode(const void *bytes, size_t n, char *ret_text)
{
    sodium_bin2hex(ret_text, 2 * n + 1, bytes, n);
}

int hex_decode(struct str s, size_t n, void *ret_bytes)
{
    size_t got;

    return s.n != 2 * n || sodium_hex2bin(ret_bytes, n, s.p, s.n, NULL, &got, NULL) || got != n;
}

size_t base64url_encode(const void *bytes, size_t n, char *ret_text)
{
    const uint8_t *b = bytes;
    char *out = ret_text;
    uint32_t bits = 0;
    int held = 0;

    for (size_t i = 0; i < n; i++) {
        bits = bits << 8 | b[i];
        for (held += 8; held >= 6; held -= 6)
            *out++ = alphabet[bits >> (held - 6) & 63];
    }
    if (held)
        *out++ = alphabet[bits << (6 - held) & 63];
    return (size_t)(out - ret_text);
}

/* The value of one character, 64 for one outside the alphabet; branches on classes only. */
static uint32_t sextet(unsigned char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - (uint32_t)'A';
    if (c >= 'a' && c <= 'z')
        return c - (uint32_t)'a' + 26;
    if (c >= '0' && c <= '9')
        return c - (uint32_t)'0' + 52;
    if (c == '-')
        return 62;
    return c == '_' ? 63 : 64;
}

int base64url_decode(struct str s, size_t cap, void *ret_bytes, size_t *ret_n)
{
    uint8_t *out = ret_bytes;
    size_t n = s.n / 4 * 3 + (s.n % 4 ? s.n % 4 - 1 : 0);
    uint32_t bits = 0;
    int held = 0;

    if (s.n % 4 == 1 || n > cap)
        return 1;
    for (size_t i = 0; i < s.n; i++) {
        uint32_t value = sextet((unsigned char)s.p[i]);
        if (value > 63)
            return 1;
        bits = bits << 6 | value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            *out++ = (uint8_t)(bits >> held);
        }
    }
    if (bits & ((1U << held) - 1))
        return 1;
    *ret_n = n;
    return 0;
}
