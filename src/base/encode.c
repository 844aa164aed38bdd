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

/*
 * Each character's value plus 1; 0 for those outside the alphabet. Access tokens are decoded at
 * each request, and a branch on a random character's class costs more than all else.
 */
static const uint8_t sextets[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['-'] = 63, ['_'] = 64,
};

/* Reads the 2 to 4 characters of one group: its bytes stand at the top of *ret_bits's 24. */
static bool read_group(const unsigned char *p, size_t n, uint32_t *ret_bits)
{
    uint32_t bits = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t value = sextets[p[i]];
        if (value == 0)
            return false;
        bits |= (value - 1) << (18 - 6 * i);
    }
    *ret_bits = bits;
    return true;
}

int base64url_decode(struct str s, size_t cap, void *ret_bytes, size_t *ret_n)
{
    const unsigned char *p = (const unsigned char *)s.p;
    uint8_t *out = ret_bytes;
    size_t last = s.n % 4, n = s.n / 4 * 3 + (last ? last - 1 : 0);
    uint32_t bits;

    if (last == 1 || n > cap)
        return 1;
    for (size_t i = 0; i + 4 <= s.n; i += 4) {
        if (!read_group(p + i, 4, &bits))
            return 1;
        *out++ = (uint8_t)(bits >> 16);
        *out++ = (uint8_t)(bits >> 8);
        *out++ = (uint8_t)bits;
    }
    if (last) {
        if (!read_group(p + s.n - last, last, &bits) || bits & (last == 2 ? 0xFFFF : 0xFF))
            return 1;
        *out++ = (uint8_t)(bits >> 16);
        if (last == 3)
            *out = (uint8_t)(bits >> 8);
    }
    *ret_n = n;
    return 0;
}

void base64_encode(const void *bytes, size_t n, char *ret_text)
{
    sodium_bin2base64(ret_text, BASE64_LENGTH(n) + 1, bytes, n, sodium_base64_VARIANT_ORIGINAL);
}
