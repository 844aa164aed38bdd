#include "mail/optout.h"

#include "identity/preferences.h"
#include "identity/user.h"
#include "mail/suppression.h"

enum { MEMORY_MAX = 64 * 1024 };

static const char *const purposes[] = {
    [UNSUBSCRIBE_PRODUCT] = "product",
    [UNSUBSCRIBE_SECURITY] = "security",
    [UNSUBSCRIBE_ALL] = "all",
};

static int suppress(struct store_txn *t, const struct unsubscribe *token, int64_t now,
                    bool *changed)
{
    struct suppression s = {.tenant_id = token->tenant_id,
                            .address = str_of(token->address),
                            .reason = SUPPRESSION_UNSUBSCRIBE,
                            .source = STR("unsubscribe"),
                            .note = STR(""),
                            .created_by = STR("recipient"),
                            .created_at = now};
    int r;

    if (token->purpose == UNSUBSCRIBE_SECURITY)
        return 0;
    r = suppression_add(t, &s);
    *changed = *changed || r == 0;
    return r == SUPPRESSION_EXISTS ? 0 : r;
}

static int change_preferences(struct store_txn *t, const struct unsubscribe *token, int64_t now,
                              struct uuid *user_id, bool *changed)
{
    _cleanup_arena_ struct arena a = arena_init(MEMORY_MAX);
    struct preferences p;
    struct user user;
    int r = user_find_by_email(t, &a, &token->tenant_id, str_of(token->address), &user);

    if (r)
        return r == USER_UNKNOWN ? 0 : r;
    *user_id = user.id;
    r = preferences_get(t, &user.id, &p);
    if (r)
        return r;
    bool security = p.email_security && token->purpose == UNSUBSCRIBE_PRODUCT;
    bool product = p.email_product && token->purpose == UNSUBSCRIBE_SECURITY;
    if (security == p.email_security && product == p.email_product)
        return 0;
    p = (struct preferences){security, product, now};
    r = preferences_put(t, &user.id, &p);
    *changed = *changed || r == 0;
    return r == USER_UNKNOWN ? 0 : r;
}

int optout_apply(struct store_txn *t, const struct trail *trail, const struct trail_actor *actor,
                 const struct unsubscribe *token, int64_t now, bool *ret_changed)
{
    struct uuid user_id = {{0}};
    bool changed = false;
    char detail[64];
    int r = suppress(t, token, now, &changed);

    if (r == 0)
        r = change_preferences(t, token, now, &user_id, &changed);
    if (r == 0 && changed) {
        snprintf(detail, sizeof detail, "{\"purpose\":\"%s\"}", purposes[token->purpose]);
        struct trail_event event = {.action = TRAIL_EMAIL_UNSUBSCRIBE,
                                    .tenant_id = token->tenant_id,
                                    .subject_id = user_id,
                                    .subject = str_of(token->address),
                                    .detail = str_of(detail)};
        r = trail_append(trail, t, actor, &event);
    }
    if (r == 0)
        *ret_changed = changed;
    return r;
}
