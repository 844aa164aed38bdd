#include "identity/device.h"

#include "base/buf.h"

#include <arpa/inet.h>

enum { AGENT_MAX = 512, ADDRESS_MAX = 64 };

static const char touch_sql[] =
    "UPDATE devices SET last_seen = CASE WHEN last_seen < $3 THEN $3 ELSE last_seen END"
    " WHERE user_id = $1 AND fingerprint = $2";

#define RETIRED "user_id = $1 AND fingerprint IN ($3, $4, $5, $6, $7, $8, $9, $10)"
_Static_assert(MAC_RETIRED_MAX == 8, "as many fingerprints in RETIRED");

static const char take_over_sql[] =
    "INSERT INTO devices (user_id, fingerprint, first_seen, last_seen)"
    " SELECT user_id, $2, first_seen, $11 FROM devices WHERE " RETIRED
    " ON CONFLICT (user_id, fingerprint) DO NOTHING";

/* The active key may stand among the retired ones, too. */
static const char drop_sql[] = "DELETE FROM devices WHERE " RETIRED " AND fingerprint <> $2";

static const char insert_sql[] =
    "INSERT INTO devices (user_id, fingerprint, first_seen, last_seen) VALUES ($1, $2, $3, $3)"
    " ON CONFLICT (user_id, fingerprint) DO NOTHING";

static const char count_sql[] = "SELECT count(*) FROM devices WHERE user_id = $1";

/* The device just seen stays, even where others were seen in the same millisecond. */
static const char trim_sql[] =
    "DELETE FROM devices WHERE user_id = $1 AND fingerprint NOT IN"
    " (SELECT fingerprint FROM devices WHERE user_id = $1"
    " ORDER BY CASE WHEN fingerprint = $2 THEN 1 ELSE 0 END DESC, last_seen DESC LIMIT $3)";

/* Without digits and dots: a browser that was updated is the same device. */
static size_t strip_versions(struct str agent, char out[AGENT_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < agent.n && n < AGENT_MAX; i++) {
        char c = agent.p[i];
        if (!((c >= '0' && c <= '9') || c == '.'))
            out[n++] = c;
    }
    return n;
}

/* A byte that tells the family, and the network's bytes; or 0 and the text. */
static size_t network(struct str address, char out[1 + ADDRESS_MAX])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    char text[INET6_ADDRSTRLEN];
    uint8_t b[16];

    if (address.n > 0 && address.n < sizeof text && !memchr(address.p, 0, address.n)) {
        memcpy(text, address.p, address.n);
        text[address.n] = 0;
        bool v4 = inet_pton(AF_INET, text, b) == 1;
        if (!v4 && inet_pton(AF_INET6, text, b) == 1) {
            v4 = memcmp(b, mapped, sizeof mapped) == 0;
            if (!v4) {
                out[0] = 6;
                memcpy(out + 1, b, 6);
                return 7;
            }
            memmove(b, b + sizeof mapped, 4);
        }
        if (v4) {
            out[0] = 4;
            memcpy(out + 1, b, 3);
            return 4;
        }
    }
    size_t n = address.n < ADDRESS_MAX ? address.n : ADDRESS_MAX;
    out[0] = 0;
    if (n)
        memcpy(out + 1, address.p, n);
    return 1 + n;
}

int device_fingerprint(const struct mac_key *key, struct str user_agent, struct str address,
                       struct device_fingerprint *ret_fingerprint)
{
    char agent[AGENT_MAX], net[1 + ADDRESS_MAX];
    size_t n_net = network(address, net);
    char length = (char)n_net; /* keeps the parts apart */
    struct str parts[] = {{&length, 1}, {net, n_net}, {agent, strip_versions(user_agent, agent)}};

    return mac_sha256_parts(key, parts, 3, ret_fingerprint->b);
}

int device_fingerprints(const struct mac_ring *ring, struct str user_agent, struct str address,
                        struct device_prints *ret_prints)
{
    struct device_prints prints = {.n = ring->n};
    int r = 0;

    for (size_t i = 0; r == 0 && i < ring->n; i++)
        r = device_fingerprint(&ring->keys[i], user_agent, address, &prints.prints[i]);
    if (r == 0)
        *ret_prints = prints;
    return r;
}

static int count(struct store_txn *t, const struct uuid *user_id, int64_t *ret_count)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(t, count_sql, &rows, PARAMS(P_ID(user_id)));

    if (r == 0)
        r = store_rows_next(rows);
    if (r < 0)
        return r;
    *ret_count = store_col_int(rows, 0);
    return 0;
}

/* Whether the device is known under a retired key; it is known under the active one then. */
static int take_over(struct store_txn *t, const struct uuid *user_id,
                     const struct device_prints *device, int64_t now, int64_t *ret_taken)
{
    enum { FINGERPRINTS = 2 + MAC_RETIRED_MAX };
    struct store_param params[FINGERPRINTS + 1] = {
        P_ID(user_id), P_BLOB(device->prints[0].b, MAC_SIZE), [FINGERPRINTS] = P_INT(now)};

    if (device->n < 2)
        return 0;
    for (size_t i = 0; i < MAC_RETIRED_MAX; i++) {
        size_t at = 1 + i < device->n ? 1 + i : device->n - 1;
        params[2 + i] = P_BLOB(device->prints[at].b, MAC_SIZE);
    }
    int r = store_exec(t, take_over_sql, ret_taken, params, FINGERPRINTS + 1);
    if (r == 0 && *ret_taken)
        r = store_exec(t, drop_sql, NULL, params, FINGERPRINTS);
    return r;
}

int device_seen(struct store_txn *t, const struct uuid *user_id, const struct device_prints *device,
                int64_t now, enum device_novelty *ret_novelty)
{
    struct store_param print = P_BLOB(device->prints[0].b, MAC_SIZE);
    int64_t changed = 0, devices = 0;
    int r = store_exec(t, touch_sql, &changed, PARAMS(P_ID(user_id), print, P_INT(now)));

    if (r == 0 && changed == 0)
        r = take_over(t, user_id, device, now, &changed);
    if (r == 0 && changed == 0) {
        r = store_exec(t, insert_sql, &changed, PARAMS(P_ID(user_id), print, P_INT(now)));
        if (r == 0 && changed == 1)
            r = count(t, user_id, &devices);
    }
    if (r == 0 && devices > DEVICE_KEEP)
        r = store_exec(t, trim_sql, NULL, PARAMS(P_ID(user_id), print, P_INT(DEVICE_KEEP)));
    if (r == 0)
        *ret_novelty = devices == 0 ? DEVICE_KNOWN : devices == 1 ? DEVICE_FIRST : DEVICE_NEW;
    return r;
}
