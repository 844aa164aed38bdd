#include "mail/webhook_signature.h"

#include "base/encode.h"
#include "base/fault.h"
#include "crypto/init.h"

struct header {
    struct str time; /* as it stands there: that is what was signed */
    int64_t time_ms;
    uint8_t macs[WEBHOOK_SIGNATURES_MAX][MAC_SIZE];
    size_t count;
};

static const int64_t last_second = 253402300799; /* of the year 9999 */

/* Takes prefix away from the front of *s. */
static bool take_prefix(struct str *s, struct str prefix)
{
    if (!str_has_prefix(*s, prefix))
        return false;
    *s = (struct str){s->p + prefix.n, s->n - prefix.n};
    return true;
}

static bool parse_time(struct str part, struct header *h)
{
    uint64_t seconds;

    if (!take_prefix(&part, STR("t=")) || str_has_prefix(part, STR("0")) ||
        str_to_u64(part, (uint64_t)last_second, &seconds))
        return false;
    h->time = part;
    h->time_ms = (int64_t)seconds * 1000;
    return true;
}

static bool parse_header(struct str text, struct header *h)
{
    struct str part;

    if (text.n == 0 || text.n > WEBHOOK_HEADER_MAX || text.p[text.n - 1] == ',' ||
        !str_next(&text, ',', &part) || !parse_time(part, h))
        return false;
    h->count = 0;
    while (str_next(&text, ',', &part)) {
        if (h->count == WEBHOOK_SIGNATURES_MAX || !take_prefix(&part, STR("v1=")) ||
            hex_decode(part, MAC_SIZE, h->macs[h->count]))
            return false;
        h->count++;
    }
    return h->count > 0;
}

static int sign(const struct mac_key *key, struct str time, struct str body,
                uint8_t ret_mac[MAC_SIZE])
{
    const struct str parts[] = {time, STR("."), body};

    return mac_sha256_parts(key, parts, 3, ret_mac);
}

int webhook_signature_verify(const struct mac_key *keys, size_t n, struct str header,
                             struct str body, int64_t now_ms)
{
    unsigned matches = 0;
    struct header h;

    if (!parse_header(header, &h))
        return WEBHOOK_MALFORMED;
    for (size_t i = 0; i < n; i++) {
        uint8_t mac[MAC_SIZE];
        int e = sign(&keys[i], h.time, body, mac);
        if (e)
            return e;
        for (size_t j = 0; j < h.count; j++)
            matches += crypto_memeq(mac, h.macs[j], MAC_SIZE);
        crypto_wipe(mac, sizeof mac);
    }
    if (matches == 0)
        return WEBHOOK_MISMATCH;
    return h.time_ms < now_ms - WEBHOOK_TOLERANCE_MS || h.time_ms > now_ms + WEBHOOK_TOLERANCE_MS
               ? WEBHOOK_STALE
               : 0;
}

int webhook_signature_write(const struct mac_key *keys, size_t n, struct str body, int64_t now_ms,
                            struct buf *ret_header)
{
    char seconds[24], hex[HEX_LENGTH(MAC_SIZE) + 1];
    int length = snprintf(seconds, sizeof seconds, "%lld", (long long)(now_ms / 1000));
    struct str time = {seconds, (size_t)length};
    uint8_t mac[MAC_SIZE];

    buf_add_str(ret_header, STR("t="));
    buf_add_str(ret_header, time);
    for (size_t i = 0; i < n; i++) {
        int e = sign(&keys[i], time, body, mac);
        if (e)
            return e;
        hex_encode(mac, sizeof mac, hex);
        buf_add_str(ret_header, STR(",v1="));
        buf_add_str(ret_header, (struct str){hex, HEX_LENGTH(MAC_SIZE)});
    }
    return buf_fault(ret_header);
}

const char *webhook_outcome_text(int outcome)
{
    switch (outcome) {
    case WEBHOOK_MALFORMED:
        return "the signature header is not t=<unix>,v1=<hex>";
    case WEBHOOK_MISMATCH:
        return "the signature is not that of the body";
    case WEBHOOK_STALE:
        return "the signature's time is not within five minutes of now";
    default:
        return "";
    }
}
