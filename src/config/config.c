#include "config/config.h"

#include "base/fault.h"
#include "config/envfile.h"
#include "config/modes.h"
#include "config/options.h"
#include "config/secrets.h"
#include "config/validate.h"

#include <stdatomic.h>

static _Atomic(struct config *) current;

struct loading {
    struct config *c;
    bool *from_environment; /* an option a value: what the environment gave, the file leaves */
    struct buf *problems;
    const char *file;
    bool secret; /* the file holds one */
};

static int set_from(struct loading *l, struct str key, struct str value, bool environment)
{
    const struct option *o = option_find(key);

    if (!o) {
        if (str_has_prefix(key, STR("HOLDFAST_")))
            buf_printf(l->problems, "%.*s: there is no such option\n", STR_ARG(key));
        return 0;
    }
    bool *taken = &l->from_environment[o - config_options];
    l->secret |= !environment && (o->flags & OPTION_SECRET) && value.n;
    if (*taken && !environment)
        return 0;
    *taken |= environment;
    int r = option_set(o, l->c, value, l->problems);
    return r < 0 ? r : 0;
}

static int visit(void *context, struct str key, struct str value, int line)
{
    return set_from(context, key, value, false);
}

static int load_environment(struct loading *l, char *const *environment)
{
    for (; *environment; environment++) {
        struct str entry = str_of(*environment);
        size_t at = str_find(entry, '=');
        struct str value = {entry.p + at + 1, at < entry.n ? entry.n - at - 1 : 0};
        int r = at < entry.n ? set_from(l, (struct str){entry.p, at}, value, true) : 0;
        if (r)
            return r;
    }
    return 0;
}

static int load_file(struct loading *l, const char *file)
{
    bool implied = !file && l->c->env == ENV_DEVELOPMENT;

    if (!file && !implied)
        return 0;
    int r = envfile_read(file ? file : ".env", visit, l, l->problems);
    if (r == ENVFILE_ABSENT && !implied)
        buf_printf(l->problems, "--config: there is no file %s\n", file);
    if (r == 0 && l->secret && file)
        modes_check_settings(l->c, file, l->problems);
    return r < 0 ? r : 0;
}

static int load_defaults(struct loading *l)
{
    for (size_t i = 0; i < config_option_count; i++) {
        const struct option *o = &config_options[i];
        int r = o->by_default ? option_set(o, l->c, str_of(o->by_default), l->problems) : 0;
        if (r)
            return fault_set(FAULT_INTERNAL, "the default of %s is not valid", o->key);
    }
    return 0;
}

/* Options whose default differs in production, and that neither environment nor file set. */
static int load_production(struct config *c, const struct config *set, struct buf *problems)
{
    for (size_t i = 0; i < config_option_count; i++) {
        const struct option *o = &config_options[i];
        if (!o->production || set->env != ENV_PRODUCTION)
            continue;
        int r = option_set(o, c, str_of(o->production), problems);
        if (r)
            return r;
    }
    return 0;
}

/* One pass over defaults, file and environment; env_known carries the environment's kind. */
static int load_into(struct config *c, const struct config_source *source,
                     const struct config *env_known, struct buf *problems)
{
    bool *taken = calloc(config_option_count, sizeof *taken);
    struct loading l = {c, taken, problems, source->file};

    if (!taken)
        return fault_set(FAULT_MEMORY, "no memory for the configuration");
    int r = load_defaults(&l);
    if (r == 0 && env_known)
        r = load_production(c, env_known, problems);
    if (r == 0)
        r = load_environment(&l, source->environment);
    if (r == 0)
        r = load_file(&l, source->file);
    free(taken);
    return r;
}

static int check(struct config *c, const struct config_source *source, struct buf *problems)
{
    int r = 0;

    if (c->env == ENV_DEVELOPMENT && !source->without_secrets)
        r = secrets_fill(c, problems);
    validate_derive(c, problems);
    if (source->for_server) {
        validate_server(c, problems);
        modes_check(c, problems);
    }
    if (r < 0)
        return r;
    return buf_fault(problems) ? buf_fault(problems) : problems->n ? CONFIG_INVALID : 0;
}

int config_load(const struct config_source *source, struct buf *problems, struct config **ret)
{
    struct config *c = calloc(1, sizeof *c), *first = calloc(1, sizeof *first);
    _cleanup_buf_ struct buf ignored = buf_secret(problems->max);
    int r = c && first ? 0 : fault_set(FAULT_MEMORY, "no memory for the configuration");

    /* The first pass finds out which environment this is; defaults depend on it. */
    if (r == 0)
        r = load_into(first, source, NULL, &ignored);
    if (r == 0)
        r = load_into(c, source, first, problems);
    if (r == 0)
        r = check(c, source, problems);
    config_free(first);
    if (r) {
        config_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

void config_free(struct config *c)
{
    if (!c)
        return;
    config_free(c->previous);
    for (size_t i = 0; i < config_option_count; i++) {
        const struct option *o = &config_options[i];
        char **text = o->type == OPTION_TEXT ? option_text(o, c) : NULL;
        if (text && *text) {
            explicit_bzero(*text, strlen(*text));
            free(*text);
        }
    }
    free(c);
}

void config_publish(struct config *c)
{
    atomic_store(&current, c);
}

const struct config *config_current(void)
{
    return atomic_load(&current);
}

static bool differs(const struct option *o, struct config *a, struct config *b)
{
    switch (o->type) {
    case OPTION_TEXT: {
        const char *x = *option_text(o, a), *y = *option_text(o, b);
        return x && y ? strcmp(x, y) != 0 : x != y;
    }
    case OPTION_BOOL:
        return *option_bool(o, a) != *option_bool(o, b);
    case OPTION_INT:
    case OPTION_CHOICE:
        return *option_int(o, a) != *option_int(o, b);
    }
    return false;
}

/* Puts the running value of an option that needs a restart back into the new configuration. */
static int keep(const struct option *o, struct config *fresh, struct config *old)
{
    switch (o->type) {
    case OPTION_TEXT: {
        char **fresh_text = option_text(o, fresh), *text = *option_text(o, old);
        struct buf none = buf_init(0);
        if (text)
            return option_set(o, fresh, str_of(text), &none);
        explicit_bzero(*fresh_text, strlen(*fresh_text));
        free(*fresh_text);
        *fresh_text = NULL;
        return 0;
    }
    case OPTION_BOOL:
        *option_bool(o, fresh) = *option_bool(o, old);
        return 0;
    case OPTION_INT:
    case OPTION_CHOICE:
        *option_int(o, fresh) = *option_int(o, old);
        return 0;
    }
    return 0;
}

int config_reload(const struct config_source *source, struct buf *problems, int *ret_changed)
{
    struct config *old = atomic_load(&current), *fresh;
    int changed = 0, r = config_load(source, problems, &fresh);

    if (r)
        return r;
    for (size_t i = 0; i < config_option_count && r == 0; i++) {
        const struct option *o = &config_options[i];
        if (!differs(o, fresh, old))
            continue;
        if (o->flags & OPTION_RELOAD) {
            changed++;
            continue;
        }
        buf_printf(problems, "%s: the change needs a restart\n", o->key);
        r = keep(o, fresh, old);
    }
    if (r) {
        config_free(fresh);
        return r;
    }
    fresh->previous = old;
    config_publish(fresh);
    *ret_changed = changed;
    return 0;
}

static bool in_range(const struct config_range *range, const struct in6_addr *peer)
{
    int whole = range->bits / 8, rest = range->bits % 8;
    const uint8_t *a = range->address.s6_addr, *b = peer->s6_addr;

    if (memcmp(a, b, (size_t)whole) != 0)
        return false;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

bool config_trusts(const struct config *c, const struct in6_addr *peer)
{
    for (size_t i = 0; i < c->proxy_count; i++)
        if (in_range(&c->proxies[i], peer))
            return true;
    return false;
}
