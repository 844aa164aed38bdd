#include "config/options.h"

#include "base/fault.h"

const struct option *option_find(struct str key)
{
    for (size_t i = 0; i < config_option_count; i++)
        if (str_eq(key, str_of(config_options[i].key)))
            return &config_options[i];
    return NULL;
}

static void *field(const struct option *o, struct config *c)
{
    return (char *)c + o->offset;
}

char **option_text(const struct option *o, struct config *c)
{
    return field(o, c);
}

int64_t *option_int(const struct option *o, struct config *c)
{
    return field(o, c);
}

bool *option_bool(const struct option *o, struct config *c)
{
    return field(o, c);
}

static int set_text(const struct option *o, struct config *c, struct str value,
                    struct buf *problems)
{
    char **text = option_text(o, c);

    if (memchr(value.p, '\0', value.n)) {
        buf_printf(problems, "%s: holds a NUL character\n", o->key);
        return 1;
    }
    char *copy = malloc(value.n + 1); /* a view is no string, as strndup takes */
    if (!copy)
        return fault_set(FAULT_MEMORY, "no memory for option %s", o->key);
    memcpy(copy, value.p, value.n);
    copy[value.n] = '\0';
    if (*text)
        explicit_bzero(*text, strlen(*text));
    free(*text);
    *text = copy;
    return 0;
}

static int set_number(const struct option *o, struct config *c, struct str value,
                      struct buf *problems)
{
    if (str_to_i64(value, o->min, o->max, option_int(o, c)) == 0)
        return 0;
    buf_printf(problems, "%s: \"%.*s\" is not a whole number from %lld to %lld\n", o->key,
               STR_ARG(value), (long long)o->min, (long long)o->max);
    return 1;
}

static int set_bool(const struct option *o, struct config *c, struct str value,
                    struct buf *problems)
{
    bool yes = str_eq_ci(value, STR("true")) || str_eq(value, STR("1"));

    if (!yes && !str_eq_ci(value, STR("false")) && !str_eq(value, STR("0"))) {
        buf_printf(problems, "%s: \"%.*s\" is neither true nor false\n", o->key, STR_ARG(value));
        return 1;
    }
    *option_bool(o, c) = yes;
    return 0;
}

static int set_choice(const struct option *o, struct config *c, struct str value,
                      struct buf *problems)
{
    for (int i = 0; o->choices[i]; i++) {
        if (str_eq(value, str_of(o->choices[i]))) {
            *option_int(o, c) = i;
            return 0;
        }
    }
    buf_printf(problems, "%s: \"%.*s\" is none of", o->key, STR_ARG(value));
    for (int i = 0; o->choices[i]; i++)
        buf_printf(problems, "%s %s", i ? "," : "", o->choices[i]);
    buf_add_char(problems, '\n');
    return 1;
}

int option_set(const struct option *o, struct config *c, struct str value, struct buf *problems)
{
    switch (o->type) {
    case OPTION_TEXT:
        return set_text(o, c, value, problems);
    case OPTION_INT:
        return set_number(o, c, value, problems);
    case OPTION_BOOL:
        return set_bool(o, c, value, problems);
    case OPTION_CHOICE:
        return set_choice(o, c, value, problems);
    }
    return fault_set(FAULT_INTERNAL, "option %s has no type", o->key);
}

int config_describe(struct buf *out)
{
    for (size_t i = 0; i < config_option_count; i++) {
        const struct option *o = &config_options[i];
        buf_printf(out, "%s\n    %s\n", o->key, o->help);
        if (o->by_default && *o->by_default)
            buf_printf(out, "    Default: %s", o->by_default);
        if (o->production)
            buf_printf(out, "; in production: %s", o->production);
        if (o->type == OPTION_INT)
            buf_printf(out, "; %lld to %lld", (long long)o->min, (long long)o->max);
        for (int j = 0; o->type == OPTION_CHOICE && o->choices[j]; j++)
            buf_printf(out, "%s %s", j ? "," : "; one of", o->choices[j]);
        if ((o->by_default && *o->by_default) || o->type == OPTION_INT)
            buf_add_char(out, '\n');
        if (o->flags & OPTION_RELOAD)
            buf_printf(out, "    Taken over by SIGHUP.\n");
    }
    return buf_fault(out);
}
