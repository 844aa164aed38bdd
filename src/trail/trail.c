#include "trail/trail.h"

#include "base/encode.h"
#include "base/fault.h"
#include "crypto/init.h"
#include "trail/internal.h"

static int key_init(const uint8_t secret[TRAIL_SECRET_SIZE], struct trail_key *ret_key)
{
    struct str s = {(const char *)secret, TRAIL_SECRET_SIZE};
    uint8_t id[TRAIL_KEY_ID / 2];
    int e = mac_derive(s, STR("holdfast trail v1"), &ret_key->mac);

    if (!e)
        e = mac_hkdf(s, STR(""), STR("holdfast trail v1 key id"), id, sizeof id);
    if (!e)
        e = sign_key_derive(s, STR("holdfast checkpoint v1"), &ret_key->sign);
    if (!e)
        hex_encode(id, sizeof id, ret_key->id);
    return e;
}

static int keys_init(struct trail *t, const uint8_t active[TRAIL_SECRET_SIZE],
                     const uint8_t (*retired)[TRAIL_SECRET_SIZE], size_t n_retired)
{
    int e = key_init(active, &t->keys[0]);

    t->n = 1;
    for (size_t i = 0; !e && i < n_retired; i++)
        e = key_init(retired[i], &t->keys[t->n++]);
    return e;
}

static int paths_init(struct trail *t, const char *logs_dir)
{
    if (!logs_dir)
        return 0;
    if (asprintf(&t->directory, "%s/trail", logs_dir) < 0)
        t->directory = NULL;
    if (asprintf(&t->path, "%s/trail/checkpoints.jsonl", logs_dir) < 0)
        t->path = NULL;
    return t->directory && t->path ? 0 : fault_set(FAULT_MEMORY, "no memory for the trail");
}

int trail_new(struct store *store, const uint8_t active[TRAIL_SECRET_SIZE],
              const uint8_t (*retired)[TRAIL_SECRET_SIZE], size_t n_retired,
              const struct trail_options *options, struct trail **ret_trail)
{
    struct trail *t;
    int e;

    if (n_retired > TRAIL_RETIRED_MAX)
        return fault_set(FAULT_LIMIT, "more than %d retired trail keys", TRAIL_RETIRED_MAX);
    t = calloc(1, sizeof *t);
    if (!t)
        return fault_set(FAULT_MEMORY, "no memory for the trail");
    t->store = store;
    t->syslog = options->syslog;
    e = keys_init(t, active, retired, n_retired);
    if (!e)
        e = paths_init(t, options->logs_dir);
    if (e) {
        trail_free(t);
        return e;
    }
    *ret_trail = t;
    return 0;
}

void trail_free(struct trail *trail)
{
    if (!trail)
        return;
    free(trail->directory);
    free(trail->path);
    crypto_wipe(trail, sizeof *trail);
    free(trail);
}

const struct trail_key *trail_key_find(const struct trail *trail, struct str id)
{
    for (size_t i = 0; i < trail->n; i++)
        if (str_eq(id, (struct str){trail->keys[i].id, TRAIL_KEY_ID}))
            return &trail->keys[i];
    return NULL;
}

bool trail_key_is_ours(const struct trail *trail, const uint8_t public_key[SIGN_PUBLIC_SIZE])
{
    for (size_t i = 0; i < trail->n; i++)
        if (crypto_memeq(public_key, trail->keys[i].sign.public_key, SIGN_PUBLIC_SIZE))
            return true;
    return false;
}
