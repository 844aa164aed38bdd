#include "identity/notification.h"

#include "base/fault.h"
#include "identity/reap.h"

/* The body is the text, and where there is a detail: a space, the label, the detail. */
struct kind {
    struct str name;
    const char *title, *text, *label;
    enum notification_mail mail;
};

static const struct kind kinds[NOTIFICATION_KINDS] = {
    [NOTIFICATION_SESSION_REVOKED] = {STR_INIT("session_revoked"), "A session of yours was ended",
                                      "One of your devices was signed out.", "Reason: "},
    [NOTIFICATION_SESSIONS_REVOKED] = {STR_INIT("sessions_revoked"), "Your sessions were ended",
                                       "You were signed out on all devices.", "Reason: "},
    [NOTIFICATION_TOKEN_REUSED] = {STR_INIT("token_reused"), "A stolen session was ended",
                                   "A sign-in of yours was used from two places, so it was ended."
                                   " Change your password unless you know why.",
                                   "Seen from: "},
    [NOTIFICATION_NEW_DEVICE] = {STR_INIT("new_device"), "A sign-in from a new device",
                                 "Your account was used from a device or place not seen before."
                                 " Change your password unless it was you.",
                                 "Seen from: "},
    [NOTIFICATION_PASSWORD_CHANGED] = {STR_INIT("password_changed"), "Your password was changed",
                                       "Your other devices were signed out.", "From: "},
    [NOTIFICATION_PASSWORD_RESET] = {STR_INIT("password_reset"), "Your password was reset",
                                     "An administrator gave you a temporary password.", "Reason: "},
    [NOTIFICATION_EMAIL_CHANGED] = {STR_INIT("email_changed"), "Your address was changed",
                                    "You now sign in with another address.", "New address: "},
    [NOTIFICATION_MFA_ENABLED] = {STR_INIT("mfa_enabled"), "Two-factor sign-in is on",
                                  "Signing in now needs a code from your authenticator app.",
                                  "From: "},
    [NOTIFICATION_MFA_DISABLED] = {STR_INIT("mfa_disabled"), "Two-factor sign-in is off",
                                   "Signing in now needs your password alone.", "Reason: "},
    [NOTIFICATION_RECOVERY_CODE_USED] = {STR_INIT("recovery_code_used"), "A recovery code was used",
                                         "One of your recovery codes was used to sign in.",
                                         "Codes left: "},
    [NOTIFICATION_ACCOUNT_LOCKED] = {STR_INIT("account_locked"), "Your account was locked",
                                     "There were too many failed attempts to sign in."
                                     " It opens again by itself after a quarter of an hour,"
                                     " unless an administrator has locked it.",
                                     "Reason: "},
    [NOTIFICATION_ACCOUNT_UNLOCKED] = {STR_INIT("account_unlocked"), "Your account was unlocked",
                                       "You can sign in again.",
                                       "Reason: ", NOTIFICATION_MAIL_ACCOUNT},
    [NOTIFICATION_ROLE_CHANGED] = {STR_INIT("role_changed"), "Your role was changed",
                                   "An administrator changed what you may do.",
                                   "New role: ", NOTIFICATION_MAIL_ACCOUNT},
    [NOTIFICATION_EMAIL_BOUNCED] = {STR_INIT("email_bounced"), "Mail does not reach you",
                                    "A message to your address came back, so no more are sent."
                                    " Change your address, or your settings once it works again.",
                                    "Reason: ", NOTIFICATION_MAIL_NONE},
    [NOTIFICATION_EMAIL_UNSUBSCRIBED] = {STR_INIT("email_unsubscribed"), "You get no more mail",
                                         "A message to your address was reported as unwanted, so"
                                         " no more are sent.",
                                         "Reason: ", NOTIFICATION_MAIL_NONE},
};

static const char add_sql[] =
    "INSERT INTO notifications (tenant_id, user_id, kind, detail, created_at)"
    " VALUES ($1, $2, $3, $4, $5)";

/* CROSS: SQLite keeps this order of loops, and looks a few up instead of reading all users. */
static const char add_bulk_sql[] =
    "INSERT INTO notifications (tenant_id, user_id, kind, detail, created_at)"
    " SELECT u.tenant_id, u.id, $1, $2, $3 FROM bulk_ids b CROSS JOIN users u WHERE u.id = b.id";

/* Of two that are the same to a letter, it does not matter which goes. */
#define SUCH_A_NOTICE(n) n ".kind = $1 AND " n ".detail = $2 AND " n ".created_at = $3"
static const char remove_bulk_sql[] =
    "DELETE FROM notifications WHERE user_id IN (SELECT id FROM bulk_ids)"
    " AND " SUCH_A_NOTICE(
        "notifications") " AND id = (SELECT max(n.id) FROM notifications n"
                         " WHERE n.user_id = notifications.user_id AND " SUCH_A_NOTICE("n") ")";

#define SELECT_ITEMS                                                                               \
    "SELECT id, kind, detail, created_at, read_at FROM notifications WHERE user_id = $1"

static const char list_sql[] = SELECT_ITEMS " AND id < $2 ORDER BY id DESC LIMIT $3";
static const char list_unread_sql[] =
    SELECT_ITEMS " AND id < $2 AND read_at IS NULL ORDER BY id DESC LIMIT $3";
static const char find_sql[] = SELECT_ITEMS " AND id = $2";

static const char mark_sql[] =
    "UPDATE notifications SET read_at = CASE WHEN $3 = 1 THEN coalesce(read_at, $4) END"
    " WHERE user_id = $1 AND id = $2";

static const char unread_sql[] =
    "SELECT count(*) FROM notifications WHERE user_id = $1 AND read_at IS NULL";

static const char nth_user_sql[] =
    "SELECT id FROM users WHERE id > $1 ORDER BY id LIMIT 1 OFFSET $2";

static const char reap_sql[] =
    "DELETE FROM notifications WHERE user_id > $1 AND user_id <= $2 AND id IN"
    " (SELECT id FROM (SELECT id, row_number() OVER"
    " (PARTITION BY user_id ORDER BY id DESC) AS place FROM notifications"
    " WHERE user_id > $1 AND user_id <= $2) placed WHERE place > $3)";
static const char reap_orphans_sql[] =
    "DELETE FROM notifications WHERE user_id > $1 AND user_id <= $2"
    " AND NOT EXISTS (SELECT 1 FROM users u WHERE u.id = notifications.user_id)";

struct str notification_kind_name(enum notification_kind kind)
{
    return kinds[kind].name;
}

/*
 * What a stranger sent (a user agent) is part of details: cut, and made text. Controls become
 * spaces; where it is not UTF-8, so do all bytes beyond ASCII.
 */
static struct str clean_detail(struct str detail, char out[NOTIFICATION_DETAIL_MAX])
{
    size_t n = detail.n < NOTIFICATION_DETAIL_MAX ? detail.n : NOTIFICATION_DETAIL_MAX;
    bool utf8 = str_is_utf8(detail);

    while (utf8 && n < detail.n && n > 0 && ((unsigned char)detail.p[n] & 0xc0) == 0x80)
        n--;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)detail.p[i];
        out[i] = c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8) ? ' ' : (char)c;
    }
    return (struct str){out, n};
}

int notification_add(struct store_txn *t, const struct uuid *tenant_id, const struct uuid *user_id,
                     enum notification_kind kind, struct str detail, int64_t now)
{
    char clean[NOTIFICATION_DETAIL_MAX];

    return store_exec(t, add_sql, NULL,
                      PARAMS(P_ID(tenant_id), P_ID(user_id), P_TEXT(kinds[kind].name),
                             P_TEXT(clean_detail(detail, clean)), P_INT(now)));
}

int notification_add_bulk(struct store_txn *t, enum notification_kind kind, struct str detail,
                          int64_t now)
{
    char clean[NOTIFICATION_DETAIL_MAX];

    return store_exec(
        t, add_bulk_sql, NULL,
        PARAMS(P_TEXT(kinds[kind].name), P_TEXT(clean_detail(detail, clean)), P_INT(now)));
}

struct many {
    const struct notification_addressee *to;
    struct str kind, detail;
    int64_t now;
};

static void put_notice(const void *rows, size_t i, struct store_param *params)
{
    const struct many *many = rows;

    params[0] = P_ID(&many->to[i].tenant_id);
    params[1] = P_ID(&many->to[i].user_id);
    params[2] = P_TEXT(many->kind);
    params[3] = P_TEXT(many->detail);
    params[4] = P_INT(many->now);
}

int notification_add_many(struct store_txn *t, enum notification_kind kind, struct str detail,
                          int64_t now, const struct notification_addressee *to, size_t n)
{
    char clean[NOTIFICATION_DETAIL_MAX];
    struct many many = {to, kinds[kind].name, clean_detail(detail, clean), now};
    struct store_addition rows = {STORE_INTO("notifications",
                                             "tenant_id, user_id, kind, detail, created_at",
                                             "$1, $2, $3, $4, $5"),
                                  .columns = 5, .put = put_notice, .rows = &many, .n = n};

    return store_add(t, &rows);
}

int notification_remove_bulk(struct store_txn *t, enum notification_kind kind, struct str detail,
                             int64_t now)
{
    char clean[NOTIFICATION_DETAIL_MAX];

    return store_exec(
        t, remove_bulk_sql, NULL,
        PARAMS(P_TEXT(kinds[kind].name), P_TEXT(clean_detail(detail, clean)), P_INT(now)));
}

int notification_words(struct arena *a, struct str kind, struct str detail,
                       struct notification_words *ret_words)
{
    for (size_t i = 0; i < NOTIFICATION_KINDS; i++) {
        const struct kind *k = &kinds[i];
        if (!str_eq(k->name, kind))
            continue;
        char *body = arena_printf(a, "%s%s%s%.*s", k->text, detail.n ? " " : "",
                                  detail.n ? k->label : "", STR_ARG(detail));
        if (!body)
            return FAULT_MEMORY;
        *ret_words = (struct notification_words){str_of(k->title), str_of(body), k->mail};
        return 0;
    }
    return NOTIFICATION_UNKNOWN;
}

/* A notice of a kind that a newer release brought is shown by its name. */
static bool render(struct arena *a, struct str name, struct notification *item)
{
    struct notification_words words;

    item->kind = arena_str(a, name);
    if (!item->kind.p)
        return false;
    int r = notification_words(a, item->kind, item->detail, &words);
    if (r < 0)
        return false;
    item->title = r ? item->kind : words.title;
    item->body = r ? item->detail : words.body;
    return true;
}

static int read_item(struct store_rows *rows, struct arena *a, struct notification *ret_item)
{
    struct notification item = {
        .id = store_col_int(rows, 0),
        .detail = arena_str(a, store_col_text(rows, 2)),
        .created_at = store_col_int(rows, 3),
        .read_at = store_col_int(rows, 4),
    };

    if (!item.detail.p || !render(a, store_col_text(rows, 1), &item))
        return FAULT_MEMORY;
    *ret_item = item;
    return 0;
}

int notification_list(struct store_txn *t, struct arena *a, const struct uuid *user_id,
                      const struct notification_query *query, struct notification **ret_items,
                      size_t *ret_n)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct notification *items = arena_array(a, query->limit ? query->limit : 1, sizeof *items);
    size_t n = 0;

    if (!items)
        return FAULT_MEMORY;
    int r = store_query(t, query->unread ? list_unread_sql : list_sql, &rows,
                        PARAMS(P_ID(user_id), P_INT(query->before ? query->before : INT64_MAX),
                               P_INT((int64_t)query->limit)));
    if (r != 0)
        return r;
    while (n < query->limit && (r = store_rows_next(rows)) > 0) {
        r = read_item(rows, a, &items[n++]);
        if (r != 0)
            return r;
    }
    if (r < 0)
        return r;
    *ret_items = items;
    *ret_n = n;
    return 0;
}

int notification_find(struct store_txn *t, struct arena *a, const struct uuid *user_id, int64_t id,
                      struct notification *ret_item)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(t, find_sql, &rows, PARAMS(P_ID(user_id), P_INT(id)));

    if (r == 0)
        r = store_rows_next(rows);
    if (r <= 0)
        return r < 0 ? r : NOTIFICATION_UNKNOWN;
    return read_item(rows, a, ret_item);
}

int notification_mark_read(struct store_txn *t, const struct uuid *user_id, int64_t id, bool read,
                           int64_t now)
{
    int64_t changed = 0;
    int r = store_exec(t, mark_sql, &changed,
                       PARAMS(P_ID(user_id), P_INT(id), P_INT(read), P_INT(now)));

    return r == 0 && changed == 0 ? NOTIFICATION_UNKNOWN : r;
}

int notification_unread(struct store_txn *t, const struct uuid *user_id, int64_t *ret_count)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(t, unread_sql, &rows, PARAMS(P_ID(user_id)));

    if (r == 0)
        r = store_rows_next(rows);
    if (r < 0)
        return r;
    *ret_count = store_col_int(rows, 0);
    return 0;
}

int notification_reap(struct store_txn *t, int64_t keep, int64_t max_users, struct uuid *cursor,
                      int64_t *ret_removed)
{
    struct uuid last;
    bool more = false;
    int64_t removed = 0, orphans = 0;
    int r = reap_last(t, nth_user_sql, cursor, max_users, &last, &more);

    if (r == 0)
        r = store_exec(t, reap_orphans_sql, &orphans, PARAMS(P_ID(cursor), P_ID(&last)));
    if (r == 0)
        r = store_exec(t, reap_sql, &removed, PARAMS(P_ID(cursor), P_ID(&last), P_INT(keep)));
    if (r != 0)
        return r;
    *cursor = more ? last : (struct uuid){{0}};
    if (ret_removed)
        *ret_removed = orphans + removed;
    return 0;
}
