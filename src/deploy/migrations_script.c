/* A file of SQL as a whole: whether all of it runs in one transaction. */
#include "deploy/migrations.h"

#include "base/fault.h"

static int refuse(const char *name, const char *what)
{
    char text[300];

    snprintf(text, sizeof text, "%s", what);
    fault_keep("%s: %s", name, text);
    return MIGRATIONS_WRONG;
}

static int count_statements(const char *name, struct str sql, size_t *ret)
{
    struct sql_splitter s = sql_splitter(sql);
    struct sql_statement statement;
    size_t count = 0;
    int result;

    while ((result = sql_split_next(&s, &statement)) == 0)
        if (++count > MIGRATION_STATEMENTS_MAX)
            return refuse(name, "holds more than 100000 statements");
    if (result == SQL_SPLIT_REFUSED)
        return refuse(name, fault_message());
    *ret = count;
    return 0;
}

/* BEGIN first and COMMIT last, and neither in between: the file is one transaction as it is. */
static bool is_framed(const struct script_statement *all, size_t count)
{
    if (count < 2 || !all[0].class.begins || !all[count - 1].class.ends)
        return false;
    for (size_t i = 1; i + 1 < count; i++)
        if (all[i].class.frame != SQL_INSIDE)
            return false;
    return true;
}

/* The statement of the file that makes an enumeration, among those before i. */
static bool makes_type(const struct script_statement *all, size_t i, struct str type)
{
    while (i-- > 0) {
        struct sql_cursor c = sql_cursor(all[i].at.text);
        if (sql_take(&c, "CREATE TYPE") && str_eq(sql_take_name(&c), type))
            return true;
    }
    return false;
}

/* Whether a later statement holds the value, which the server refuses before a commit. */
static bool is_used(const struct script *s, size_t i)
{
    struct str value = s->all[i].class.enum_value;

    for (size_t j = i + 1; j < s->count; j++)
        if (memmem(s->all[j].at.text.p, s->all[j].at.text.n, value.p, value.n))
            return true;
    return false;
}

static const char *why_apart(const struct script *s, size_t i)
{
    const struct sql_class *class = &s->all[i].class;

    if (class->frame == SQL_OUTSIDE)
        return "cannot run in a transaction";
    if (class->frame == SQL_OWN)
        return "begins or ends a transaction of its own, or may";
    if (class->enum_value.n && is_used(s, i) && !makes_type(s->all, i, class->enum_type))
        return "adds a value that the file uses, which takes a commit in between";
    return NULL;
}

int script_read(struct arena *a, const char *name, struct str sql, struct script *ret)
{
    struct sql_splitter splitter = sql_splitter(sql);
    struct script s = {.atomic = true};
    size_t count;
    int result = count_statements(name, sql, &count);

    if (result)
        return result;
    struct script_statement *all = arena_array(a, count ? count : 1, sizeof *all);
    if (!all)
        return FAULT_MEMORY;
    for (size_t i = 0; i < count; i++) {
        sql_split_next(&splitter, &all[i].at);
        sql_classify(all[i].at.text, &all[i].class);
    }
    bool framed = is_framed(all, count);
    s.all = all + framed;
    s.count = count - (framed ? 2 : 0);
    for (size_t i = 0; i < s.count && s.atomic; i++) {
        if (!(s.why = why_apart(&s, i)))
            continue;
        s.atomic = false;
        s.apart = &s.all[i];
    }
    *ret = s;
    return 0;
}
