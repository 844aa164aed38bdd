#include "deploy/product_url.h"

#include "base/buf.h"
#include "base/encode.h"
#include "base/fault.h"

enum { URL_MAX = 8192, SCHEMA_MAX = 63 };

static int refuse(const char *what)
{
    fault_keep("%s", what);
    return PRODUCT_URL_WRONG;
}

/* Parameters that concern Prisma's pool alone. */
static bool is_pool(struct str key)
{
    static const char *const keys[] = {"connection_limit", "pool_timeout", "socket_timeout",
                                       "statement_cache_size"};

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (str_eq(key, str_of(keys[i])))
            return true;
    return false;
}

/* Undoes %XX. */
static int decode(struct arena *a, struct str s, const char **ret)
{
    struct buf out _cleanup_buf_ = buf_init(URL_MAX);

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '%') {
            buf_add_char(&out, s.p[i]);
            continue;
        }
        int high = i + 2 < s.n ? hex_value(s.p[i + 1]) : -1;
        int low = i + 2 < s.n ? hex_value(s.p[i + 2]) : -1;
        if (high < 0 || low < 0 || (high | low) == 0)
            return refuse("the schema in the database's URL is not one");
        buf_add_char(&out, (char)(high << 4 | low));
        i += 2;
    }
    if (out.n == 0 || out.n > SCHEMA_MAX || !str_is_utf8(buf_str(&out)))
        return refuse("the schema in the database's URL is not one");
    *ret = arena_str(a, buf_str(&out)).p;
    return *ret ? 0 : FAULT_MEMORY;
}

/* What there is to say against a parameter; NULL: it is libpq's. */
static const char *against(struct str key, struct str value)
{
    if (str_eq(key, STR("pgbouncer")) && str_eq(value, STR("true")))
        return "the database's URL goes through PgBouncer, which shares sessions and so loses "
               "locks; name the database itself";
    if (str_eq(key, STR("sslaccept")) && str_eq(value, STR("strict")))
        return "sslaccept=strict in the database's URL is Prisma's; write "
               "sslmode=verify-full&sslrootcert=FILE";
    if (str_eq(key, STR("sslidentity")))
        return "sslidentity in the database's URL is Prisma's; write sslcert=FILE&sslkey=FILE";
    return NULL;
}

static int take(struct arena *a, struct str part, struct buf *out, struct product_url *ret)
{
    size_t equals = str_find(part, '=');
    struct str key = {part.p, equals},
               value = {part.p + equals + (equals < part.n), part.n - equals - (equals < part.n)};
    const char *why = against(key, value);

    if (why)
        return refuse(why);
    if (str_eq(key, STR("schema")))
        return decode(a, value, &ret->schema);
    if (is_pool(key) || str_eq(key, STR("pgbouncer")) || str_eq(key, STR("sslaccept")))
        return 0;
    buf_add_char(out, memchr(out->p, '?', out->n) ? '&' : '?');
    return buf_add_str(out, part);
}

int product_url_read(struct arena *a, const char *url, struct product_url *ret)
{
    struct str all = str_of(url), part;
    struct buf out _cleanup_buf_ = buf_secret(URL_MAX);
    struct product_url product = {.schema = "public"};
    size_t query = str_find(all, '?');
    int result = 0;

    if (!str_has_prefix(all, STR("postgresql://")) && !str_has_prefix(all, STR("postgres://")))
        return refuse("the database's URL does not begin with postgresql://");
    if (all.n >= URL_MAX)
        return refuse("the database's URL is too long");
    buf_add(&out, all.p, query);
    struct str rest = {all.p + query + (query < all.n), all.n - query - (query < all.n)};
    while (result == 0 && str_next(&rest, '&', &part))
        if (part.n)
            result = take(a, part, &out, &product);
    if (result)
        return result;
    product.url = arena_str(a, buf_str(&out)).p;
    if (!product.url)
        return FAULT_MEMORY;
    *ret = product;
    return 0;
}
