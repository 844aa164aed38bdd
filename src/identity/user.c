#include "identity/user.h"

#include "base/fault.h"

#define SELECT_USERS                                                                               \
    "SELECT id, tenant_id, email, role, password_hash, password_changed_at, password_temporary,"   \
    " disabled, locked_at, failed_logins, email_status, " USER_EPOCH(                              \
        "users.id") ", totp_active, created_at, updated_at, locked_until FROM users "

/* A NULL tenant means any. */
#define OF_TENANT " AND tenant_id = coalesce($2, tenant_id)"

static const char find_sql[] = SELECT_USERS "WHERE id = $1" OF_TENANT;
static const char find_email_sql[] = SELECT_USERS "WHERE email = $1" OF_TENANT;

static const char insert_sql[] =
    "INSERT INTO users (id, tenant_id, email, role, password_hash, password_changed_at,"
    " password_temporary, disabled, failed_logins, email_status, totp_active,"
    " totp_last_step, created_at, updated_at)"
    " VALUES ($1, $2, $3, $4, $5, $7, $6, 0, 0, 'ok', 0, 0, $7, $7)"
    " ON CONFLICT (email) DO NOTHING";

#define LIST_REST " AND substr(email, 1, length($2)) = $2 ORDER BY id LIMIT $3"

static const char list_all_sql[] = SELECT_USERS "WHERE id > $1" LIST_REST;
static const char list_tenant_sql[] = SELECT_USERS "WHERE id > $1 AND tenant_id = $4" LIST_REST;

static const char count_all_sql[] = "SELECT count(*) FROM users";
static const char count_tenant_sql[] = "SELECT count(*) FROM users WHERE tenant_id = $1";
static const char count_operators_sql[] =
    "SELECT count(*) FROM users WHERE role = 'operator' AND disabled = 0";

static const struct str email_statuses[] = {
    [EMAIL_OK] = STR_INIT("ok"),
    [EMAIL_INVALID] = STR_INIT("invalid"),
    [EMAIL_UNSUBSCRIBED] = STR_INIT("unsubscribed"),
};

struct str email_status_name(enum email_status status)
{
    return email_statuses[status];
}

int email_status_parse(struct str name, enum email_status *ret_status)
{
    for (size_t i = 0; i < sizeof email_statuses / sizeof *email_statuses; i++) {
        if (str_eq(name, email_statuses[i])) {
            *ret_status = (enum email_status)i;
            return 0;
        }
    }
    return 1;
}

static int read_user(struct store_rows *rows, struct arena *a, struct user *ret_user)
{
    struct user u = {
        .id = store_col_id(rows, 0),
        .tenant_id = store_col_id(rows, 1),
        .email = arena_str(a, store_col_text(rows, 2)),
        .password_hash = arena_str(a, store_col_text(rows, 4)),
        .password_changed_at = store_col_int(rows, 5),
        .password_temporary = store_col_int(rows, 6) != 0,
        .disabled = store_col_int(rows, 7) != 0,
        .locked_at = store_col_int(rows, 8),
        .failed_logins = store_col_int(rows, 9),
        .not_before = store_col_int(rows, 11),
        .mfa_active = store_col_int(rows, 12) != 0,
        .created_at = store_col_int(rows, 13),
        .updated_at = store_col_int(rows, 14),
        .locked_until = store_col_int(rows, 15),
    };

    if (!u.email.p || !u.password_hash.p)
        return FAULT_MEMORY;
    if (role_parse(store_col_text(rows, 3), &u.role) != 0 ||
        email_status_parse(store_col_text(rows, 10), &u.email_status) != 0)
        return fault_set(FAULT_STORE, "a user's role or email_status is unknown here");
    *ret_user = u;
    return 0;
}

static struct store_param tenant_param(const struct uuid *tenant)
{
    return tenant ? P_ID(tenant) : P_NULL;
}

static int find(struct store_txn *t, struct arena *a, const char *sql, struct store_param key,
                const struct uuid *tenant, struct user *ret_user)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(t, sql, &rows, PARAMS(key, tenant_param(tenant)));

    if (r == 0)
        r = store_rows_next(rows);
    if (r <= 0)
        return r < 0 ? r : USER_UNKNOWN;
    return read_user(rows, a, ret_user);
}

int user_find(struct store_txn *t, struct arena *a, const struct uuid *tenant,
              const struct uuid *id, struct user *ret_user)
{
    return find(t, a, find_sql, P_ID(id), tenant, ret_user);
}

int user_find_by_email(struct store_txn *t, struct arena *a, const struct uuid *tenant,
                       struct str email, struct user *ret_user)
{
    return find(t, a, find_email_sql, P_TEXT(email), tenant, ret_user);
}

int user_insert(struct store_txn *t, const struct user_new *user, int64_t now, struct uuid *ret_id)
{
    struct uuid id = uuid_new();
    int64_t changed = 0;
    int r = store_exec(t, insert_sql, &changed,
                       PARAMS(P_ID(&id), P_ID(&user->tenant_id), P_TEXT(user->email),
                              P_TEXT(role_name(user->role)), P_TEXT(user->password_hash),
                              P_INT(user->password_temporary), P_INT(now)));

    if (r == STORE_CONFLICT)
        return fault_set(FAULT_INTERNAL, "two users were given one id");
    if (r != 0)
        return r;
    if (changed == 0)
        return USER_EXISTS;
    *ret_id = id;
    return 0;
}

static int query_list(struct store_txn *t, const struct user_query *query,
                      struct store_rows **ret_rows)
{
    static const struct uuid nil;
    const struct uuid *after = query->after ? query->after : &nil;
    struct str prefix = query->email_prefix.p ? query->email_prefix : STR("");

    if (!query->tenant)
        return store_query(t, list_all_sql, ret_rows,
                           PARAMS(P_ID(after), P_TEXT(prefix), P_INT((int64_t)query->limit)));
    return store_query(
        t, list_tenant_sql, ret_rows,
        PARAMS(P_ID(after), P_TEXT(prefix), P_INT((int64_t)query->limit), P_ID(query->tenant)));
}

int user_list(struct store_txn *t, struct arena *a, const struct user_query *query,
              struct user **ret_users, size_t *ret_n)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct user *users = arena_array(a, query->limit ? query->limit : 1, sizeof *users);
    size_t n = 0;

    if (!users)
        return FAULT_MEMORY;
    int r = query_list(t, query, &rows);
    if (r != 0)
        return r;
    while (n < query->limit && (r = store_rows_next(rows)) > 0) {
        r = read_user(rows, a, &users[n++]);
        if (r != 0)
            return r;
    }
    if (r < 0)
        return r;
    *ret_users = users;
    *ret_n = n;
    return 0;
}

static int count(struct store_txn *t, const char *sql, const struct uuid *tenant,
                 int64_t *ret_count)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct store_param param = tenant_param(tenant);
    int r = store_query(t, sql, &rows, &param, tenant ? 1 : 0);

    if (r == 0)
        r = store_rows_next(rows);
    if (r < 0)
        return r;
    *ret_count = store_col_int(rows, 0);
    return 0;
}

int user_count(struct store_txn *t, const struct uuid *tenant, int64_t *ret_count)
{
    return count(t, tenant ? count_tenant_sql : count_all_sql, tenant, ret_count);
}

int user_count_operators(struct store_txn *t, int64_t *ret_count)
{
    return count(t, count_operators_sql, NULL, ret_count);
}
