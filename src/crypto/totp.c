#include "crypto/totp.h"

#include "base/fault.h"
#include "crypto/init.h"

#include <liboath/oath.h>

_Static_assert(TOTP_SECRET_TEXT_SIZE == TOTP_SECRET_SIZE * 8 / 5 + 1, "base32 without padding");

void totp_secret_new(uint8_t ret_secret[TOTP_SECRET_SIZE])
{
    crypto_random(ret_secret, TOTP_SECRET_SIZE);
}

int totp_secret_format(const uint8_t secret[TOTP_SECRET_SIZE], char ret_text[TOTP_SECRET_TEXT_SIZE])
{
    char *text;
    size_t n;

    if (oath_base32_encode((const char *)secret, TOTP_SECRET_SIZE, &text, &n) != OATH_OK)
        return fault_set(FAULT_MEMORY, "no memory for a TOTP secret's text");
    memcpy(ret_text, text, TOTP_SECRET_TEXT_SIZE);
    crypto_wipe(text, n);
    free(text);
    return 0;
}

/* All but RFC 3986's unreserved characters (section 2.3). */
static void add_encoded(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            (c != '\0' && strchr("-._~", c)))
            buf_add_char(out, (char)c);
        else
            buf_printf(out, "%%%02X", c);
    }
}

int totp_uri(const uint8_t secret[TOTP_SECRET_SIZE], struct str issuer, struct str account,
             struct buf *ret_uri)
{
    char text[TOTP_SECRET_TEXT_SIZE];
    int e = totp_secret_format(secret, text);

    if (e)
        return e;
    buf_add_str(ret_uri, STR("otpauth://totp/"));
    add_encoded(ret_uri, issuer);
    buf_add_char(ret_uri, ':');
    add_encoded(ret_uri, account);
    buf_printf(ret_uri, "?secret=%s&issuer=", text);
    add_encoded(ret_uri, issuer);
    buf_printf(ret_uri, "&algorithm=SHA1&digits=%d&period=%d", TOTP_DIGITS, TOTP_STEP_MS / 1000);
    crypto_wipe(text, sizeof text);
    return buf_fault(ret_uri);
}

/* Whether code is the step's; a fault where it cannot be computed. */
static int compare(const uint8_t secret[TOTP_SECRET_SIZE], struct str code, int64_t step,
                   bool *ret_equal)
{
    char expected[TOTP_DIGITS + 1];

    if (oath_hotp_generate((const char *)secret, TOTP_SECRET_SIZE, (uint64_t)step, TOTP_DIGITS,
                           false, OATH_HOTP_DYNAMIC_TRUNCATION, expected) != OATH_OK)
        return fault_set(FAULT_CRYPTO, "cannot compute a TOTP code");
    *ret_equal = crypto_memeq(expected, code.p, TOTP_DIGITS);
    crypto_wipe(expected, sizeof expected);
    return 0;
}

int totp_verify(const uint8_t secret[TOTP_SECRET_SIZE], struct str code, int64_t now_ms,
                int64_t last_step, int64_t *ret_step)
{
    int64_t now_step = now_ms / TOTP_STEP_MS, found = -1;

    if (code.n != TOTP_DIGITS || now_ms < 0)
        return TOTP_WRONG;
    /* Every step of the window is compared, so that time does not tell which one it was. */
    for (int64_t step = now_step - TOTP_WINDOW; step <= now_step + TOTP_WINDOW; step++) {
        bool equal = false;
        int e = compare(secret, code, step, &equal);
        if (e)
            return e;
        if (equal && step > last_step && found < 0)
            found = step;
    }
    if (found < 0)
        return TOTP_WRONG;
    *ret_step = found;
    return 0;
}
