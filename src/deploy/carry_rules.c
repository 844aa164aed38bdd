#include "deploy/carry_rules.h"

#define USERS                                                                                      \
    "id, email, role, password_hash, password_temporary, password_changed_at, disabled,"           \
    " locked_at, locked_until, failed_logins, email_status, totp_secret, totp_active,"             \
    " totp_last_step, updated_at"
#define FAMILIES                                                                                   \
    "id, user_id, generation, rotated_at, issued_at, idle_expires_at, expires_at, revoked_at,"     \
    " revoked_reason"
#define SUPPRESSIONS "tenant_id, address, reason, source, note, created_at, created_by, expires_at"
#define TRAIL                                                                                      \
    "seq, at, tenant_id, actor_id, actor, action, subject_id, subject, ip, request_id, detail,"    \
    " previous, key_id, mac"
#define DEPLOYMENTS                                                                                \
    "id, environment, release, previous_release, state, actor, began_at, ended_at, records, "      \
    "report"

const struct carry_table carry_tables[] = {
    {"trail_head", "id, chain, seq, mac, key_id, seal", "true", false},
    {"trail", TRAIL, "seq >= @head", false},
    {"users", USERS, NULL, false},
    {"recovery_codes", "user_id, code_mac, used_at", NULL, false},
    {"preferences", "user_id, email_security, email_product, updated_at", NULL, false},
    {"families", FAMILIES, NULL, false},
    {"epochs", "user_id, not_before, at, reason", NULL, false},
    {"feed", "seq, at, kind, subject_id, expires_at", NULL, false},
    {"suppressions", SUPPRESSIONS, NULL, false},
    {"suppression_tenants", "tenant_id, address, reason", NULL, false},
    {"soft_bounces", "address, message, at", NULL, false},
    {"deployments", DEPLOYMENTS, NULL, true},
};
const size_t carry_tables_count = sizeof carry_tables / sizeof *carry_tables;
_Static_assert(sizeof carry_tables / sizeof *carry_tables <= CARRY_TABLES_MAX, "too many tables");

#define SAME_USER " WHERE l.id = r.id AND "
#define KNOWN_USER "EXISTS (SELECT 1 FROM restored.users u WHERE u.id = l.user_id)"
#define KNOWN_TENANT                                                                               \
    "(l.tenant_id = @nil OR EXISTS (SELECT 1 FROM restored.tenants t WHERE t.id = l.tenant_id))"
#define SAME_ENTRY "r.address = l.address AND r.tenant_id = l.tenant_id AND r.reason = l.reason"
#define RANK(role) "(CASE " role " WHEN 'member' THEN 0 WHEN 'admin' THEN 1 ELSE 2 END)"
/* On record since the backup, with this account as the subject. */
#define RECORDED(actions)                                                                          \
    "EXISTS (SELECT 1 FROM live.trail t WHERE t.seq > @head AND t.subject_id = l.id"               \
    " AND t.action IN (" actions "))"
#define NEW_PASSWORD "l.password_changed_at > r.password_changed_at"
#define DELETED                                                                                    \
    "(SELECT subject_id FROM live.trail WHERE seq > @head AND action = 'user.delete'"              \
    " AND subject_id IS NOT NULL)"
#define SAME_CODE "l.user_id = r.user_id AND l.code_mac = r.code_mac"
#define ACTIVE_USER                                                                                \
    "EXISTS (SELECT 1 FROM restored.users u WHERE u.id = l.user_id AND u.totp_active = 1)"

const struct carry_rule carry_rules[] = {
    /* What cannot be carried is counted before anything is. */
    {"accountsNew", "accounts made since the backup, which are not there", "users.id", "", "",
     "users", CARRY_BOTH, true,
     "SELECT count(*) FROM live.users l WHERE NOT EXISTS"
     " (SELECT 1 FROM restored.users r WHERE r.id = l.id)"},
    {"sessionsNew", "sessions begun since the backup, which are not there", "families.id", "", "",
     "families", CARRY_BOTH, true,
     "SELECT count(*) FROM live.families l WHERE revoked_at IS NULL AND expires_at > @now AND"
     " NOT EXISTS (SELECT 1 FROM restored.families r WHERE r.id = l.id)"},
    {"passwordsUnrecorded", "passwords changed past Holdfast, which are as in the backup",
     "users.id", "", "", "users", CARRY_BOTH, true,
     "SELECT count(*) FROM live.users l JOIN restored.users r ON r.id = l.id WHERE " NEW_PASSWORD
     " AND NOT " RECORDED("'password.change', 'password.reset'")},

    {"accountsDeleted", "accounts deleted", "users.id", "the row, and what is the account's",
     "gone, where the trail records that it was deleted", "trail", CARRY_BOTH, false,
     "DELETE FROM restored.users WHERE id IN " DELETED},
    {NULL, NULL, NULL, NULL, NULL, "trail", CARRY_BOTH, false,
     "DELETE FROM restored.notifications WHERE user_id IN " DELETED},
    {NULL, NULL, NULL, NULL, NULL, "trail", CARRY_BOTH, false,
     "DELETE FROM restored.epochs WHERE user_id IN " DELETED},
    {"accountsDisabled", "accounts disabled", "users.id", "disabled", "disabled", "users",
     CARRY_BOTH, false,
     "UPDATE restored.users AS r SET disabled = 1, updated_at = l.updated_at FROM live.users "
     "l" SAME_USER "l.disabled = 1 AND r.disabled = 0"},
    {"rolesLowered", "roles lowered", "users.id", "role", "the lesser role", "users", CARRY_BOTH,
     false,
     "UPDATE restored.users AS r SET role = l.role, updated_at = l.updated_at FROM live.users "
     "l" SAME_USER RANK("l.role") " < " RANK("r.role")},
    {"accountsLocked", "accounts locked", "users.id", "locked_at, locked_until",
     "locked, and the longer of two locks", "users", CARRY_BOTH, false,
     "UPDATE restored.users AS r SET locked_at = coalesce(r.locked_at, l.locked_at),"
     " locked_until = l.locked_until FROM live.users l" SAME_USER
     "l.locked_at IS NOT NULL AND (r.locked_at IS NULL OR (r.locked_until IS NOT NULL AND"
     " (l.locked_until IS NULL OR l.locked_until > r.locked_until)))"},
    {NULL, NULL, NULL, NULL, NULL, "users", CARRY_BOTH, false,
     "UPDATE restored.users AS r SET failed_logins = l.failed_logins FROM live.users l" SAME_USER
     "l.failed_logins > r.failed_logins"},
    {"passwordsChanged", "passwords changed", "users.id",
     "password_hash, password_temporary, password_changed_at",
     "the later one, where the trail records the change", "users", CARRY_BOTH, false,
     "UPDATE restored.users AS r SET password_hash = l.password_hash,"
     " password_temporary = l.password_temporary, password_changed_at = l.password_changed_at,"
     " updated_at = l.updated_at FROM live.users l" SAME_USER NEW_PASSWORD
     " AND " RECORDED("'password.change', 'password.reset'")},
    {"secondFactors", "second factors set or used", "users.id",
     "totp_secret, totp_active, totp_last_step",
     "active rather than not, and of two the live one: a code works once", "users", CARRY_BOTH,
     false,
     "UPDATE restored.users AS r SET totp_secret = l.totp_secret, totp_active = 1,"
     " totp_last_step = l.totp_last_step, updated_at = l.updated_at FROM live.users l" SAME_USER
     "l.totp_active = 1 AND l.totp_secret IS NOT NULL AND (r.totp_active = 0"
     " OR l.totp_secret IS DISTINCT FROM r.totp_secret OR l.totp_last_step > r.totp_last_step)"},
    {"recoveryCodes", "recovery codes used or replaced", "recovery_codes.user_id, code_mac",
     "the row, used_at", "used; a new set in place of the old one", "recovery_codes", CARRY_BOTH,
     false,
     "UPDATE restored.recovery_codes AS r SET used_at = l.used_at FROM live.recovery_codes l"
     " WHERE " SAME_CODE " AND l.used_at IS NOT NULL AND r.used_at IS NULL"},
    {NULL, NULL, NULL, NULL, NULL, "recovery_codes", CARRY_BOTH, false,
     "DELETE FROM restored.recovery_codes AS r WHERE EXISTS (SELECT 1 FROM live.recovery_codes l"
     " WHERE l.user_id = r.user_id AND " ACTIVE_USER " AND NOT EXISTS (SELECT 1 FROM"
     " restored.recovery_codes o WHERE o.user_id = l.user_id AND o.code_mac = l.code_mac))"
     " AND NOT EXISTS (SELECT 1 FROM live.recovery_codes l WHERE " SAME_CODE ")"},
    {NULL, NULL, NULL, NULL, NULL, "recovery_codes", CARRY_BOTH, false,
     "INSERT INTO restored.recovery_codes (user_id, code_mac, used_at) SELECT user_id, code_mac,"
     " used_at FROM live.recovery_codes l WHERE " ACTIVE_USER
     " ON CONFLICT (user_id, code_mac) DO NOTHING"},
    {"mailEnded", "accounts that are not mailed any more", "users.id", "email_status",
     "the worse state of the same address", "users", CARRY_BOTH, false,
     "UPDATE restored.users AS r SET email_status = l.email_status, updated_at = l.updated_at"
     " FROM live.users l" SAME_USER
     "l.email = r.email AND ((r.email_status = 'ok' AND l.email_status <> 'ok') OR"
     " (r.email_status = 'invalid' AND l.email_status = 'unsubscribed'))"},
    {"preferences", "preferences narrowed", "preferences.user_id", "email_security, email_product",
     "off", "preferences", CARRY_BOTH, false,
     "UPDATE restored.preferences AS r SET"
     " email_security = CASE WHEN l.email_security < r.email_security THEN l.email_security"
     " ELSE r.email_security END, email_product = CASE WHEN l.email_product < r.email_product"
     " THEN l.email_product ELSE r.email_product END, updated_at = l.updated_at"
     " FROM live.preferences l WHERE l.user_id = r.user_id AND"
     " (l.email_security < r.email_security OR l.email_product < r.email_product)"},
    {"preferencesNew", "preferences set", "preferences.user_id", "the row",
     "there, where anything in it is off", "preferences", CARRY_BOTH, false,
     "INSERT INTO restored.preferences (user_id, email_security, email_product, updated_at)"
     " SELECT user_id, email_security, email_product, updated_at FROM live.preferences l WHERE"
     " (email_security = 0 OR email_product = 0) AND " KNOWN_USER
     " ON CONFLICT (user_id) DO NOTHING"},

    {"allEnded", "accounts whose sessions were all ended, as it is not known which had been",
     "epochs.user_id", "the row", "ended", NULL, CARRY_BOTH, false,
     "INSERT INTO restored.epochs (user_id, not_before, at, reason) SELECT id, @now, @now,"
     " 'restored from an old backup' FROM restored.users u WHERE @old = 1 AND NOT EXISTS (SELECT 1"
     " FROM restored.epochs e WHERE e.user_id = u.id AND e.not_before >= @taken)"},
    {"sessionsEnded", "sessions ended", "families.id", "revoked_at, revoked_reason", "ended",
     "families", CARRY_BOTH, false,
     "UPDATE restored.families AS r SET revoked_at = l.revoked_at,"
     " revoked_reason = l.revoked_reason FROM live.families l" SAME_USER
     "l.revoked_at IS NOT NULL AND r.revoked_at IS NULL"},
    {"sessionsEndedByFeed", "sessions ended that only the feed tells of", "families.id",
     "revoked_at, revoked_reason", "ended", "feed", CARRY_BOTH, false,
     "UPDATE restored.families AS r SET revoked_at = f.at, revoked_reason = 'ended before a "
     "restore'"
     " FROM live.feed f WHERE f.kind = 'family' AND f.subject_id = r.id AND r.revoked_at IS NULL"},
    {"sessionsForward", "sessions whose used refresh tokens stay used", "families.id",
     "generation, rotated_at, issued_at, idle_expires_at", "the later generation", "families",
     CARRY_BOTH, false,
     "UPDATE restored.families AS r SET generation = l.generation, rotated_at = l.rotated_at,"
     " idle_expires_at = l.idle_expires_at, issued_at = CASE WHEN l.issued_at > r.issued_at THEN"
     " l.issued_at ELSE r.issued_at END FROM live.families l" SAME_USER
     "(l.generation > r.generation OR (l.generation = r.generation AND"
     " l.issued_at > r.issued_at))"},
    {"epochs", "ends of all of an account's sessions", "epochs.user_id, not_before", "the row",
     "there", "epochs", CARRY_BOTH, false,
     "INSERT INTO restored.epochs (user_id, not_before, at, reason) SELECT user_id, not_before, at,"
     " reason FROM live.epochs l WHERE " KNOWN_USER " ON CONFLICT DO NOTHING"},

    /* Nodes that run go on behind the number that they have read. */
    {"feed", "entries of the revocation feed", "feed.seq", "the row", "there, under its number",
     "feed", CARRY_BOTH, false,
     "INSERT INTO restored.feed (seq, at, kind, subject_id, expires_at) @overriding SELECT seq,"
     " at, kind, subject_id, expires_at FROM live.feed l WHERE NOT EXISTS (SELECT 1 FROM "
     "restored.feed r"
     " WHERE r.seq = l.seq) ORDER BY seq"},
    {NULL, NULL, NULL, NULL, NULL, NULL, CARRY_POSTGRESQL, false,
     "SELECT setval(s, greatest((SELECT coalesce(max(seq), 1) FROM restored.feed), nextval(s)))"
     " FROM CAST(pg_get_serial_sequence(@feed, 'seq') AS regclass) s"},
    {NULL, NULL, NULL, NULL, NULL, "feed", CARRY_BOTH, false,
     "INSERT INTO restored.feed (at, kind, subject_id, expires_at) SELECT l.at, l.kind,"
     " l.subject_id, l.expires_at FROM live.feed l JOIN restored.feed r ON r.seq = l.seq WHERE"
     " (r.at <> l.at OR r.kind <> l.kind OR r.subject_id IS DISTINCT FROM l.subject_id) AND NOT"
     " EXISTS (SELECT 1 FROM restored.feed o WHERE o.at = l.at AND o.kind = l.kind AND"
     " o.subject_id IS NOT DISTINCT FROM l.subject_id) ORDER BY l.seq"},

    {"suppressions", "addresses that are not written to", "suppressions.address, tenant_id, reason",
     "the row", "there", "suppressions", CARRY_BOTH, false,
     "INSERT INTO restored.suppressions (" SUPPRESSIONS ") SELECT " SUPPRESSIONS
     " FROM live.suppressions l WHERE " KNOWN_TENANT
     " ON CONFLICT (address, tenant_id, reason) DO NOTHING"},
    {"suppressionsLonger", "addresses that are not written to for longer",
     "suppressions.address, tenant_id, reason", "expires_at", "the later end, or none",
     "suppressions", CARRY_BOTH, false,
     "UPDATE restored.suppressions AS r SET expires_at = l.expires_at FROM live.suppressions l"
     " WHERE " SAME_ENTRY " AND r.expires_at IS NOT NULL AND (l.expires_at IS NULL OR"
     " l.expires_at > r.expires_at)"},
    {NULL, NULL, NULL, NULL, NULL, "suppression_tenants", CARRY_BOTH, false,
     "INSERT INTO restored.suppression_tenants (tenant_id, address, reason) SELECT tenant_id,"
     " address, reason FROM live.suppression_tenants l WHERE " KNOWN_TENANT
     " ON CONFLICT DO NOTHING"},
    {"softBounces", "soft bounces", "soft_bounces.address, message", "the row", "there",
     "soft_bounces", CARRY_BOTH, false,
     "INSERT INTO restored.soft_bounces (address, message, at) SELECT address, message, at"
     " FROM live.soft_bounces l WHERE true ON CONFLICT DO NOTHING"},

    {"deployments", "records of deployments", "deployments.id", "the row",
     "the one that more records of its journal are in", "deployments", CARRY_BOTH, false,
     "INSERT INTO restored.deployments AS r (" DEPLOYMENTS ") SELECT " DEPLOYMENTS
     " FROM live.deployments l WHERE true ON CONFLICT (id) DO UPDATE SET state = excluded.state,"
     " ended_at = excluded.ended_at, records = excluded.records, report = excluded.report"
     " WHERE excluded.records > r.records"},
};
const size_t carry_rules_count = sizeof carry_rules / sizeof *carry_rules;
_Static_assert(sizeof carry_rules / sizeof *carry_rules <= CARRY_RULES_MAX, "too many rules");

/* The word at the head of a text, and what stands for it; NULL where it is none. */
static const char *word_at(const struct carry_words *w, const char *at, size_t *ret_length,
                           char number[24])
{
    const struct {
        const char *word, *text;
        int64_t value;
    } words[] = {
        {"live.", w->live, 0},    {"restored.", w->restored, 0}, {"@nil", w->nil, 0},
        {"@feed", w->feed, 0},    {"@now", NULL, w->now},        {"@overriding", w->overriding, 0},
        {"@head", NULL, w->head}, {"@taken", NULL, w->taken},    {"@old", NULL, w->old}};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!str_has_prefix(str_of(at), str_of(words[i].word)))
            continue;
        *ret_length = strlen(words[i].word);
        snprintf(number, 24, "%lld", (long long)words[i].value);
        return words[i].text ? words[i].text : number;
    }
    return NULL;
}

const char *carry_expand(const struct carry_words *words, const char *sql, struct buf *out)
{
    char number[24];

    buf_reset(out);
    while (*sql) {
        size_t length = 1;
        const char *text =
            *sql == 'l' || *sql == 'r' || *sql == '@' ? word_at(words, sql, &length, number) : NULL;
        if (text)
            buf_add_str(out, str_of(text));
        else
            buf_add_char(out, *sql);
        sql += length;
    }
    return buf_cstr(out);
}
