#include "identity/tenant.h"

#include "base/fault.h"

#define COLUMNS "SELECT id, name, created_at FROM tenants "

static const char insert_sql[] = "INSERT INTO tenants (id, name, created_at) VALUES ($1, $2, $3)";
static const char find_sql[] = COLUMNS "WHERE id = $1";
static const char find_name_sql[] = COLUMNS "WHERE name = $1 ORDER BY created_at, id LIMIT 1";

/* The trail tells which tenants were registered: only registering one is recorded so. */
static const char made_name_sql[] =
    COLUMNS "WHERE name = $1 AND NOT EXISTS (SELECT 1 FROM trail WHERE trail.tenant_id = tenants.id"
            " AND trail.action = 'tenant.create') ORDER BY created_at, id LIMIT 1";

/* C0 controls and DEL; C1 controls are U+0080 to U+009F: 0xC2 and a byte below 0xA0. */
static bool has_control(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c == 0x7f)
            return true;
        if (c == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xa0)
            return true;
    }
    return false;
}

bool tenant_name_valid(struct str name)
{
    return name.n > 0 && str_is_utf8(name) && str_utf8_length(name) <= TENANT_NAME_MAX &&
           name.p[0] != ' ' && name.p[name.n - 1] != ' ' && !has_control(name);
}

int tenant_insert(struct store_txn *t, struct str name, int64_t now, struct uuid *ret_id)
{
    struct uuid id = uuid_new();
    int r = store_exec(t, insert_sql, NULL, PARAMS(P_ID(&id), P_TEXT(name), P_INT(now)));

    if (r == STORE_CONFLICT)
        return fault_set(FAULT_INTERNAL, "two tenants were given one id");
    if (r == 0)
        *ret_id = id;
    return r;
}

static int find(struct store_txn *t, struct arena *a, const char *sql, struct store_param key,
                struct tenant *ret_tenant)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(t, sql, &rows, &key, 1);

    if (r != 0)
        return r;
    r = store_rows_next(rows);
    if (r <= 0)
        return r < 0 ? r : TENANT_UNKNOWN;
    struct tenant found = {.id = store_col_id(rows, 0), .created_at = store_col_int(rows, 2)};
    found.name = arena_str(a, store_col_text(rows, 1));
    if (!found.name.p)
        return FAULT_MEMORY;
    *ret_tenant = found;
    return 0;
}

int tenant_find(struct store_txn *t, struct arena *a, const struct uuid *id,
                struct tenant *ret_tenant)
{
    return find(t, a, find_sql, P_ID(id), ret_tenant);
}

int tenant_find_by_name(struct store_txn *t, struct arena *a, struct str name,
                        struct tenant *ret_tenant)
{
    return find(t, a, find_name_sql, P_TEXT(name), ret_tenant);
}

int tenant_find_or_insert(struct store_txn *t, struct arena *a, struct str name_or_id, int64_t now,
                          struct tenant *ret_tenant)
{
    struct uuid id;

    if (uuid_parse(name_or_id, &id) == 0)
        return tenant_find(t, a, &id, ret_tenant);
    int r = find(t, a, made_name_sql, P_TEXT(name_or_id), ret_tenant);
    if (r != TENANT_UNKNOWN)
        return r;
    r = tenant_find_by_name(t, a, name_or_id, ret_tenant);
    if (r != TENANT_UNKNOWN)
        return r ? r : TENANT_REGISTERED;
    r = tenant_insert(t, name_or_id, now, &id);
    return r != 0 ? r : tenant_find(t, a, &id, ret_tenant);
}
