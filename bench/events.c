#include "base/clock.h"
#include "base/encode.h"
#include "base/fault.h"
#include "bench/load.h"
#include "crypto/mac.h"

enum { BODY_MAX = 4096, SIGNATURE_MAX = 200 };

/*
 * What SES publishes of a delivery, with what it repeats of the message. Messages are
 * "m<number>", to a hundred domains.
 */
static int write_body(struct buf *out, uint64_t n, int64_t now)
{
    char at[CLOCK_TEXT_SIZE];
    unsigned long long number = n;

    clock_format(now, at);
    return buf_printf(
        out,
        "{\"eventType\":\"Delivery\",\"mail\":{\"timestamp\":\"%s\",\"source\":"
        "\"Bench <bench@bench.example>\",\"sourceArn\":"
        "\"arn:aws:ses:us-east-1:123456789012:identity/bench.example\","
        "\"sendingAccountId\":\"123456789012\",\"messageId\":\"m%llu\","
        "\"destination\":[\"user%llu@d%llu.example\"],\"headersTruncated\":false,\"headers\":["
        "{\"name\":\"From\",\"value\":\"Bench <bench@bench.example>\"},"
        "{\"name\":\"To\",\"value\":\"user%llu@d%llu.example\"},"
        "{\"name\":\"Subject\",\"value\":\"Your receipt\"},"
        "{\"name\":\"MIME-Version\",\"value\":\"1.0\"}],"
        "\"commonHeaders\":{\"from\":[\"Bench <bench@bench.example>\"],"
        "\"to\":[\"user%llu@d%llu.example\"],\"subject\":\"Your receipt\"},"
        "\"tags\":{\"ses:configuration-set\":[\"bench\"],\"template\":[\"receipt\"]}},"
        "\"delivery\":{\"timestamp\":\"%s\",\"processingTimeMillis\":612,"
        "\"recipients\":[\"user%llu@d%llu.example\"],\"smtpResponse\":"
        "\"250 2.6.0 Message received\",\"reportingMTA\":\"mta.example\"}}",
        at, number, number, number % 100, number, number % 100, number, number % 100, at, number,
        number % 100);
}

static int write_signature(struct buf *out, struct str secret, struct str body, int64_t now)
{
    char seconds[24], hex[HEX_LENGTH(MAC_SIZE) + 1];
    int length = snprintf(seconds, sizeof seconds, "%lld", (long long)(now / 1000));
    const struct str parts[] = {{seconds, (size_t)length}, STR_INIT("."), body};
    uint8_t mac[MAC_SIZE];
    struct mac_key key;
    int r = mac_key_init(secret, &key);

    if (r == 0)
        r = mac_sha256_parts(&key, parts, 3, mac);
    if (r)
        return r;
    hex_encode(mac, sizeof mac, hex);
    return buf_printf(out, "X-Webhook-Signature: t=%s,v1=%s\r\n", seconds, hex);
}

int load_event(struct buf *out, const struct load_options *o, uint64_t n)
{
    _cleanup_buf_ struct buf body = buf_init(BODY_MAX), signature = buf_init(SIGNATURE_MAX);
    int64_t now = clock_now();
    int r = write_body(&body, n, now);

    if (r == 0)
        r = write_signature(&signature, o->lines[0], buf_str(&body), now);
    return r ? r
             : load_post(out, o, STR("/v1/email-monitoring/ses/events"), buf_str(&signature),
                         buf_str(&body));
}
