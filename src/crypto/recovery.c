#include "crypto/recovery.h"

#include "crypto/init.h"

enum { GROUP = 4 };

_Static_assert(RECOVERY_SHOWN_SIZE == RECOVERY_CODE / GROUP * (GROUP + 1), "groups and hyphens");

/* Crockford's base32: no i, l, o, u, so that those can be read as what they look like. */
static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

void recovery_code_new(char ret_code[RECOVERY_SHOWN_SIZE])
{
    uint8_t random[RECOVERY_CODE];
    char *out = ret_code;

    crypto_random(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++) {
        *out++ = alphabet[random[i] & 31];
        if (i % GROUP == GROUP - 1)
            *out++ = '-';
    }
    out[-1] = '\0';
    crypto_wipe(random, sizeof random);
}

/* The alphabet's character for a typed one, '\0' where there is none. */
static char normal(char c)
{
    if (c >= 'A' && c <= 'Z')
        c = (char)(c + ('a' - 'A'));
    if (c == 'o')
        return '0';
    if (c == 'i' || c == 'l')
        return '1';
    return c != '\0' && strchr(alphabet, c) ? c : '\0';
}

int recovery_code_normalise(struct str typed, char ret_code[RECOVERY_CODE_SIZE])
{
    char code[RECOVERY_CODE_SIZE];
    size_t n = 0;

    for (size_t i = 0; i < typed.n; i++) {
        char c = typed.p[i];
        if (c == ' ' || c == '-')
            continue;
        if (n == RECOVERY_CODE || !(code[n++] = normal(c)))
            return 1;
    }
    if (n != RECOVERY_CODE)
        return 1;
    code[n] = '\0';
    memcpy(ret_code, code, sizeof code);
    return 0;
}
