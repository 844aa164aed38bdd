#include "mail/unsubscribe.h"

enum { VERSION = 1 };

/* The address is the only part of a length of its own, and the last: nothing can be shifted. */
struct parts {
    struct str p[2];
};

static struct parts parts_of(const uint8_t *bytes, size_t n)
{
    return (struct parts){{UNSUBSCRIBE_LABEL, {(const char *)bytes, n}}};
}

int unsubscribe_make(const struct mac_ring *keys, const struct uuid *tenant_id,
                     enum unsubscribe_purpose purpose, struct str address,
                     char ret_text[UNSUBSCRIBE_TEXT_SIZE])
{
    uint8_t bytes[UNSUBSCRIBE_BYTES_MAX] = {VERSION, (uint8_t)purpose};
    char normal[EMAIL_ADDRESS_SIZE];
    size_t n;

    if (email_address_normalise(address, normal, &n))
        return UNSUBSCRIBE_ADDRESS;
    memcpy(bytes + 2, tenant_id->b, sizeof tenant_id->b);
    memcpy(bytes + UNSUBSCRIBE_HEAD, normal, n);
    n += UNSUBSCRIBE_HEAD;
    int r = mac_ring_make(keys, parts_of(bytes, n).p, 2, bytes + n);
    if (r)
        return r;
    ret_text[base64url_encode(bytes, n + MAC_SIZE, ret_text)] = '\0';
    return 0;
}

/* Only now, since what is authentic is of our own form but for what a later version may add. */
static int read_token(const uint8_t *bytes, size_t n, struct unsubscribe *ret_token)
{
    struct unsubscribe token = {.purpose = (enum unsubscribe_purpose)bytes[1]};
    struct str address = {(const char *)bytes + UNSUBSCRIBE_HEAD, n - UNSUBSCRIBE_HEAD};
    size_t length;

    if (bytes[0] != VERSION || bytes[1] < UNSUBSCRIBE_PRODUCT || bytes[1] > UNSUBSCRIBE_ALL ||
        email_address_normalise(address, token.address, &length))
        return UNSUBSCRIBE_INVALID;
    memcpy(token.tenant_id.b, bytes + 2, sizeof token.tenant_id.b);
    *ret_token = token;
    return 0;
}

int unsubscribe_check(const struct mac_ring *keys, struct str text, struct unsubscribe *ret_token)
{
    uint8_t bytes[UNSUBSCRIBE_BYTES_MAX];
    size_t n;

    if (base64url_decode(text, sizeof bytes, bytes, &n) || n <= UNSUBSCRIBE_HEAD + MAC_SIZE)
        return UNSUBSCRIBE_INVALID;
    n -= MAC_SIZE;
    int r = mac_ring_check(keys, parts_of(bytes, n).p, 2, bytes + n);
    if (r)
        return r == MAC_FORGED ? UNSUBSCRIBE_INVALID : r;
    return read_token(bytes, n, ret_token);
}
