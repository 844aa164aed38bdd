#include "mail/unsubscribe.h"

#include "base/fault.h"
#include "crypto/init.h"

enum { VERSION = 1 };

static const struct str label = STR_INIT("holdfast unsubscribe v1");

int unsubscribe_keys_init(struct str active, const struct str *retired, size_t n_retired,
                          struct unsubscribe_keys *ret_keys)
{
    struct unsubscribe_keys keys = {.n = 1 + n_retired};

    if (n_retired >= UNSUBSCRIBE_KEYS_MAX)
        return fault_set(FAULT_LIMIT, "more than %d retired secrets", UNSUBSCRIBE_KEYS_MAX - 1);
    int r = mac_derive(active, label, &keys.ring[0]);
    for (size_t i = 0; r == 0 && i < n_retired; i++)
        r = mac_derive(retired[i], label, &keys.ring[1 + i]);
    if (r == 0)
        *ret_keys = keys;
    crypto_wipe(&keys, sizeof keys);
    return r;
}

void unsubscribe_keys_release(struct unsubscribe_keys *keys)
{
    crypto_wipe(keys, sizeof *keys);
}

/* The address is the only part of a length of its own, and the last: nothing can be shifted. */
static int compute(const struct mac_key *key, const uint8_t *bytes, size_t n,
                   uint8_t ret_mac[MAC_SIZE])
{
    const struct str parts[] = {label, {(const char *)bytes, n}};

    return mac_sha256_parts(key, parts, 2, ret_mac);
}

int unsubscribe_make(const struct unsubscribe_keys *keys, const struct uuid *tenant_id,
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
    int r = compute(&keys->ring[0], bytes, n, bytes + n);
    if (r)
        return r;
    ret_text[base64url_encode(bytes, n + MAC_SIZE, ret_text)] = '\0';
    return 0;
}

/* Every key is tried whatever those before it said. */
static int authenticate(const struct unsubscribe_keys *keys, const uint8_t *bytes, size_t n)
{
    uint8_t mac[MAC_SIZE];
    bool authentic = false;

    for (size_t i = 0; i < keys->n; i++) {
        int r = compute(&keys->ring[i], bytes, n, mac);
        if (r)
            return r;
        authentic |= crypto_memeq(mac, bytes + n, MAC_SIZE);
    }
    crypto_wipe(mac, sizeof mac);
    return authentic ? 0 : UNSUBSCRIBE_INVALID;
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

int unsubscribe_check(const struct unsubscribe_keys *keys, struct str text,
                      struct unsubscribe *ret_token)
{
    uint8_t bytes[UNSUBSCRIBE_BYTES_MAX];
    size_t n;

    if (base64url_decode(text, sizeof bytes, bytes, &n) || n <= UNSUBSCRIBE_HEAD + MAC_SIZE)
        return UNSUBSCRIBE_INVALID;
    int r = authenticate(keys, bytes, n - MAC_SIZE);
    return r ? r : read_token(bytes, n - MAC_SIZE, ret_token);
}
