/* Where a database is, taken from its URL. */
#include "deploy/pg.h"

#include "base/buf.h"
#include "base/fault.h"

#include <libpq-fe.h>

enum { IDENTIFIER_MAX = 1024 };

static int parse(const char *url, PQconninfoOption **ret)
{
    char *error = NULL;

    *ret = PQconninfoParse(url, &error);
    if (*ret)
        return 0;
    /* What libpq quotes may be the password. */
    fault_keep("the database's URL is not one: %.*s", error ? (int)strcspn(error, "\"") : 9,
               error ? error : "no memory");
    PQfreemem(error);
    return PG_REFUSED;
}

static const char *value_of(const PQconninfoOption *options, const char *key)
{
    for (; options->keyword; options++)
        if (strcmp(options->keyword, key) == 0)
            return options->val;
    return NULL;
}

static size_t count(const PQconninfoOption *options)
{
    size_t n = 0;

    while (options[n].keyword)
        n++;
    return n;
}

int pg_environment(struct arena *a, const char *url, const char *database, const char *const **ret)
{
    PQconninfoOption *options;
    size_t n = 0;
    int result = parse(url, &options);

    if (result)
        return result;
    const char **all = arena_array(a, count(options) + 2, sizeof *all);
    for (const PQconninfoOption *o = options; all && o->keyword; o++) {
        const char *value = database && strcmp(o->keyword, "dbname") == 0 ? database : o->val;
        if (o->envvar && value && !(all[n++] = arena_printf(a, "%s=%s", o->envvar, value)))
            all = NULL;
    }
    PQconninfoFree(options);
    if (!all)
        return FAULT_MEMORY;
    *ret = all;
    return 0;
}

/* Runs over the parsed URL and gives a text, NULL without memory. */
static int make(struct arena *a, const char *url,
                const char *(*text)(struct arena *a, const PQconninfoOption *options),
                const char **ret)
{
    PQconninfoOption *options;
    int result = parse(url, &options);

    if (result)
        return result;
    const char *made = text(a, options);
    PQconninfoFree(options);
    if (!made)
        return FAULT_MEMORY;
    *ret = made;
    return 0;
}

static const char *database_of(const PQconninfoOption *options)
{
    const char *database = value_of(options, "dbname"), *user = value_of(options, "user");

    return database ? database : user ? user : "";
}

static const char *name_text(struct arena *a, const PQconninfoOption *options)
{
    return arena_printf(a, "%s", database_of(options));
}

static const char *place_text(struct arena *a, const PQconninfoOption *options)
{
    const char *user = value_of(options, "user"), *host = value_of(options, "host"),
               *address = value_of(options, "hostaddr"), *port = value_of(options, "port");

    return arena_printf(a, "%s%s%s:%s/%s", user ? user : "", user ? "@" : "",
                        host      ? host
                        : address ? address
                                  : "localhost",
                        port ? port : "5432", database_of(options));
}

int pg_database_name(struct arena *a, const char *url, const char **ret)
{
    return make(a, url, name_text, ret);
}

int pg_describe(struct arena *a, const char *url, const char **ret)
{
    return make(a, url, place_text, ret);
}

const char *pg_identifier(struct arena *a, const char *name)
{
    struct buf b _cleanup_buf_ = buf_init(IDENTIFIER_MAX);

    buf_add_char(&b, '"');
    for (; *name; name++) {
        if (*name == '"')
            buf_add_char(&b, '"');
        buf_add_char(&b, *name);
    }
    buf_add_char(&b, '"');
    return buf_fault(&b) ? NULL : arena_str(a, buf_str(&b)).p;
}
