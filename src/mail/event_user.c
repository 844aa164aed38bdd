#include "base/fault.h"
#include "identity/notification.h"
#include "identity/preferences.h"
#include "identity/user.h"
#include "mail/event_work.h"
#include "sessions/feed.h"
#include "sessions/sessions.h"

/* The addresses of the accepted events with this action. */
static int fill_addresses(struct mail_work *w, enum mail_action action, size_t *ret_n)
{
    struct str *addresses = arena_array(w->a, w->n + 1, sizeof *addresses);
    size_t n = 0;

    if (!addresses)
        return FAULT_MEMORY;
    for (size_t i = 0; i < w->n; i++)
        if (w->items[i].accepted && w->items[i].event->action == action)
            addresses[n++] = w->items[i].event->recipient;
    *ret_n = n;
    return n ? store_bulk_texts(w->t, addresses, n) : 0;
}

/* Adds those whose state changes: who is known to be out of reach is not told again. */
static int change_status(struct mail_work *w, enum email_status status, struct uuid *ids, size_t *n)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = user_worsen_email_status_bulk(w->t, status, w->now, &rows);

    while (r == 0 && (r = store_rows_next(rows)) == 1) {
        ids[(*n)++] = store_col_id(rows, 0);
        r = 0;
    }
    return r;
}

/* Those of the accepted events with this action; they are added to ids. */
static int tell(struct mail_work *w, enum mail_action action, enum email_status status,
                enum notification_kind kind, struct uuid *ids, size_t *n)
{
    size_t addresses = 0, before = *n;
    int r = fill_addresses(w, action, &addresses);

    if (r == 0 && addresses)
        r = change_status(w, status, ids, n);
    if (r || *n == before)
        return r;
    r = store_bulk_ids(w->t, ids + before, *n - before);
    if (r == 0)
        r = preferences_refuse_bulk(w->t, w->now);
    return r ? r : notification_add_bulk(w->t, kind, STR(""), w->now);
}

static int feed(struct mail_work *w, const struct uuid *ids, size_t n)
{
    int r = n ? store_bulk_ids(w->t, ids, n) : 0;

    return n == 0 || r ? r : feed_users_bulk(w->t, w->now, session_access_horizon(w->now));
}

int mail_act_on_users(struct mail_work *w)
{
    /* An address is one user's, and a user changes for a complaint and for a bounce at most. */
    struct uuid *ids = arena_array(w->a, 2 * w->n + 1, sizeof *ids);
    size_t complained = 0, n = 0;
    int r = ids ? tell(w, MAIL_ACTION_UNSUBSCRIBE, EMAIL_UNSUBSCRIBED,
                       NOTIFICATION_EMAIL_UNSUBSCRIBED, ids, &n)
                : FAULT_MEMORY;

    complained = n;
    if (r == 0)
        r = tell(w, MAIL_ACTION_INVALIDATE, EMAIL_INVALID, NOTIFICATION_EMAIL_BOUNCED, ids, &n);
    if (r == 0)
        r = feed(w, ids, n);
    w->result.unsubscribed = (int64_t)complained;
    w->result.invalidated = (int64_t)(n - complained);
    return r;
}
