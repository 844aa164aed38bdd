#include "deploy/conf.h"

#include "base/fault.h"
#include "config/yaml_tree.h"
#include "deploy/conf_fields.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 128, VALUE_MAX = 64 * 1024 };

struct reader {
    struct arena *a;
    const char *file;
    char *const *environment;
    struct buf *problems;
    bool problem;   /* there is one */
    bool expand;    /* "${NAME}" is to be looked up */
    int fault;      /* the first; reading goes on, and this is returned at the end */
    const char *of; /* "environments.prod" */
};

static void __attribute__((format(printf, 4, 5)))
report(struct reader *r, int line, const char *path, const char *format, ...)
{
    char what[256];
    va_list args;

    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    buf_printf(r->problems, "%s:%d: %s%s%.96s: %s\n", r->file, line, r->of,
               *path && *r->of ? "." : "", path, what);
    r->problem = true;
}

static void *allocate(struct reader *r, size_t count, size_t size)
{
    void *p = arena_array(r->a, count, size);

    if (!p)
        r->fault = FAULT_MEMORY;
    return p;
}

static const char *look_up(const struct reader *r, struct str name)
{
    for (char *const *e = r->environment; e && *e; e++)
        if (strncmp(*e, name.p, name.n) == 0 && (*e)[name.n] == '=')
            return *e + name.n + 1;
    return NULL;
}

/* Appends the variable that rest begins with behind "${", and moves rest past it. */
static bool add_variable(struct reader *r, const struct yaml_tree *node, const char *path,
                         struct str *rest, struct buf *out)
{
    size_t end = str_find(*rest, '}');
    struct str name = {rest->p, end};

    if (end == rest->n || end == 0) {
        report(r, node->line, path, "${ is not closed by }");
        return false;
    }
    const char *value = r->expand ? look_up(r, name) : NULL;
    if (!value) {
        if (r->expand)
            report(r, node->line, path, "the environment variable %.*s is not set", STR_ARG(name));
        return false;
    }
    buf_add_str(out, str_of(value));
    *rest = (struct str){rest->p + end + 1, rest->n - end - 1};
    return true;
}

/* The text with its variables in place. NULL where there is a problem, which is reported, and where
 * it has variables that are not to be looked up. */
static const char *expand(struct reader *r, const struct yaml_tree *node, const char *path)
{
    struct buf out _cleanup_buf_ = buf_secret(VALUE_MAX);
    struct str rest = node->text;

    if (node->kind != YAML_TREE_TEXT) {
        report(r, node->line, path, "is to be one value");
        return NULL;
    }
    while (rest.n) {
        const char *at = memmem(rest.p, rest.n, "${", 2);
        size_t plain = at ? (size_t)(at - rest.p) : rest.n;
        buf_add(&out, rest.p, plain);
        rest = (struct str){rest.p + plain, rest.n - plain};
        if (!at)
            break;
        rest = (struct str){rest.p + 2, rest.n - 2};
        if (!add_variable(r, node, path, &rest, &out))
            return NULL;
    }
    if (buf_fault(&out)) {
        report(r, node->line, path, "is longer than 64 KiB");
        return NULL;
    }
    const char *text = arena_str(r->a, buf_str(&out)).p;
    if (!text)
        r->fault = FAULT_MEMORY;
    return text;
}

static void set_number(struct reader *r, const struct conf_field *f, int line, struct str text,
                       int64_t *ret)
{
    if (str_to_i64(text, f->min, f->max, ret))
        report(r, line, f->path, "takes a number from %lld to %lld", (long long)f->min,
               (long long)f->max);
}

static const struct {
    const char *name;
    int64_t ms;
} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};

static void set_duration(struct reader *r, const struct conf_field *f, int line, struct str text,
                         int64_t *ret)
{
    size_t digits = 0;
    uint64_t n;

    while (digits < text.n && text.p[digits] >= '0' && text.p[digits] <= '9')
        digits++;
    struct str unit = {text.p + digits, text.n - digits};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (!str_eq(unit, str_of(units[i].name)) ||
            str_to_u64((struct str){text.p, digits}, INT32_MAX, &n))
            continue;
        int64_t ms = (int64_t)n * units[i].ms;
        if (ms >= f->min && ms <= f->max) {
            *ret = ms;
            return;
        }
    }
    report(r, line, f->path, "takes a duration such as 5s, from %lldms to %llds", (long long)f->min,
           (long long)f->max / 1000);
}

static void set_switch(struct reader *r, const struct conf_field *f, int line, struct str text,
                       bool *ret)
{
    if (str_eq(text, STR("true")) || str_eq(text, STR("false")))
        *ret = text.n == 4;
    else
        report(r, line, f->path, "is to be true or false");
}

static void set_choice(struct reader *r, const struct conf_field *f, int line, struct str text,
                       int64_t *ret)
{
    struct buf all _cleanup_buf_ = buf_init(200);

    for (int64_t i = 0; f->choices[i]; i++) {
        if (str_eq(text, str_of(f->choices[i]))) {
            *ret = i;
            return;
        }
        buf_printf(&all, "%s%s", i ? ", " : "", f->choices[i]);
    }
    report(r, line, f->path, "is to be one of %s", buf_cstr(&all));
}

static void set_text(struct reader *r, const struct conf_field *f, int line, const char *text,
                     const char **ret)
{
    struct str s = str_of(text);
    bool url = str_has_prefix(s, STR("https://")) || str_has_prefix(s, STR("http://"));

    if (f->type == CONF_URL && !url)
        report(r, line, f->path, "is to begin with https:// or http://");
    else if (s.n == 0 && (f->flags & CONF_NEEDED))
        report(r, line, f->path, "is empty");
    else if (str_has_control(s))
        report(r, line, f->path, "holds a control character");
    else
        *ret = text;
}

/* A text value of any type but the lists. */
static void set_value(struct reader *r, const struct conf_field *f, int line, const char *text,
                      void *at)
{
    if (f->type == CONF_NUMBER)
        set_number(r, f, line, str_of(text), at);
    else if (f->type == CONF_DURATION)
        set_duration(r, f, line, str_of(text), at);
    else if (f->type == CONF_SWITCH)
        set_switch(r, f, line, str_of(text), at);
    else if (f->type == CONF_CHOICE)
        set_choice(r, f, line, str_of(text), at);
    else
        set_text(r, f, line, text, at);
}

static size_t count(const struct yaml_tree *list)
{
    size_t n = 0;

    for (const struct yaml_tree *e = list->first; e; e = e->next)
        n++;
    return n;
}

static void set_words(struct reader *r, const struct conf_field *f, const struct yaml_tree *node,
                      struct conf_words *ret)
{
    bool list = node->kind == YAML_TREE_LIST;
    const struct yaml_tree *e = list ? node->first : node;
    size_t n = list ? count(node) : 1;
    const char **items = allocate(r, n + 1, sizeof *items);

    if (node->kind == YAML_TREE_MAP || n == 0) {
        report(r, node->line, f->path, "is to be a list of words");
        return;
    }
    for (size_t i = 0; items && i < n; i++, e = e->next) {
        items[i] = expand(r, e, f->path);
        if (!items[i])
            return;
    }
    *ret = (struct conf_words){items, n};
}

static void set_commands(struct reader *r, const struct conf_field *f, const struct yaml_tree *node,
                         struct conf_commands *ret)
{
    size_t n = count(node), i = 0;
    struct conf_words *items = allocate(r, n, sizeof *items);

    if (node->kind != YAML_TREE_LIST)
        report(r, node->line, f->path, "is to be a list of commands, each a list of words");
    for (const struct yaml_tree *e = node->first; items && e; e = e->next, i++) {
        if (e->kind == YAML_TREE_LIST)
            set_words(r, f, e, &items[i]);
        else
            report(r, e->line, f->path, "a command is a list of words, such as [npm, run, smoke]");
    }
    *ret = (struct conf_commands){items, n};
}

static void bind(struct reader *r, const struct conf_field *f, const struct yaml_tree *node,
                 void *into)
{
    void *at = (char *)into + f->offset;

    if (f->type == CONF_WORDS) {
        set_words(r, f, node, at);
    } else if (f->type == CONF_COMMANDS) {
        set_commands(r, f, node, at);
    } else {
        const char *text = expand(r, node, f->path);
        if (text)
            set_value(r, f, node->line, text, at);
    }
}

struct table {
    const struct conf_field *fields;
    size_t n;
};

static const struct conf_field *find(const struct table *t, const char *path)
{
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->fields[i].path, path) == 0)
            return &t->fields[i];
    return NULL;
}

static bool is_group(const struct table *t, const char *path)
{
    size_t n = strlen(path);

    for (size_t i = 0; i < t->n; i++)
        if (strncmp(t->fields[i].path, path, n) == 0 && t->fields[i].path[n] == '.')
            return true;
    return false;
}

static void read_group(struct reader *r, const struct table *t, const struct yaml_tree *map,
                       const char *prefix, void *into)
{
    char path[PATH_SIZE];

    if (map->kind != YAML_TREE_MAP) {
        report(r, map->line, prefix, "is to hold keys and values");
        return;
    }
    for (const struct yaml_tree *e = map->first; e; e = e->next) {
        snprintf(path, sizeof path, "%s%s%.64s", prefix, *prefix ? "." : "", e->key.p);
        const struct conf_field *f = find(t, path);
        if (f)
            bind(r, f, e, into);
        else if (!*prefix && is_group(t, path))
            read_group(r, t, e, path, into);
        else
            report(r, e->line, path, "there is no such key");
    }
}

static void set_defaults(struct reader *r, const struct table *t, void *into)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->fields[i].by_default)
            set_value(r, &t->fields[i], 0, t->fields[i].by_default,
                      (char *)into + t->fields[i].offset);
}

/* The node of a path of one or two keys, or NULL. */
static const struct yaml_tree *given(const struct yaml_tree *map, const char *path)
{
    struct str rest = str_of(path), key;

    while (map && map->kind == YAML_TREE_MAP && str_next(&rest, '.', &key))
        map = yaml_tree_get(map, key);
    return rest.n ? NULL : map;
}

/* Which keys are missing, and which belong to another kind of target. */
static void check_keys(struct reader *r, const struct table *t, const struct yaml_tree *map,
                       const struct conf_environment *e)
{
    bool known = e->target.kind >= 0;
    unsigned kind = known ? 1U << e->target.kind : 0;

    for (size_t i = 0; i < t->n; i++) {
        const struct conf_field *f = &t->fields[i];
        const struct yaml_tree *node = given(map, f->path);
        bool takes = f->kinds == 0 || (f->kinds & kind);
        if (node && !takes && known)
            report(r, node->line, f->path, "is not for a target of the kind %s",
                   target_id_name((enum target_id)e->target.kind));
        else if (!node && takes && (f->flags & CONF_NEEDED))
            report(r, map->line, f->path, "is missing");
    }
}

static void check_values(struct reader *r, const struct yaml_tree *map,
                         const struct conf_environment *e)
{
    const struct yaml_tree *node = given(map, "database.url");
    struct str url = str_of(e->database.url);

    if (node && url.n && !str_has_prefix(url, STR("postgresql://")) &&
        !str_has_prefix(url, STR("postgres://")) && !str_has_prefix(url, STR("sqlite:")))
        report(r, node->line, "database.url", "is neither postgresql://… nor sqlite:PATH");
    if (e->verify.token && !e->verify.url)
        report(r, given(map, "verify.token")->line, "verify.token", "verify.url is missing");
    if (e->verify.login_url && !e->verify.login_email)
        report(r, given(map, "verify.login_url")->line, "verify.login_url",
               "verify.login_email is missing");
}

static void read_environment(struct reader *r, const struct yaml_tree *map, const char *wanted,
                             struct conf_environment *ret)
{
    const struct table t = {conf_environment_fields, conf_environment_fields_count};

    *ret = (struct conf_environment){.name = map->key.p, .line = map->line, .target.kind = -1};
    r->of = arena_printf(r->a, "environments.%.64s", map->key.p);
    if (!r->of) {
        r->of = "";
        r->fault = FAULT_MEMORY;
    }
    r->expand = wanted && str_eq(map->key, str_of(wanted));
    set_defaults(r, &t, ret);
    read_group(r, &t, map, "", ret);
    if (map->kind == YAML_TREE_MAP) {
        check_keys(r, &t, map, ret);
        check_values(r, map, ret);
    }
}

static void read_route(struct reader *r, const struct yaml_tree *map, struct conf_route *ret)
{
    const struct table t = {conf_route_fields, conf_route_fields_count};

    *ret = (struct conf_route){.name = map->key.p, .line = map->line};
    r->of = arena_printf(r->a, "notify.%.64s", map->key.p);
    if (!r->of) {
        r->of = "";
        r->fault = FAULT_MEMORY;
    }
    set_defaults(r, &t, ret);
    read_group(r, &t, map, "", ret);
    const struct yaml_tree *url = given(map, "pagerduty_url");
    if (map->kind == YAML_TREE_MAP && count(map) - (url ? 1 : 0) != 1)
        report(r, map->line, "", "takes one of slack, webhook, pagerduty and email");
    else if (url && !given(map, "pagerduty"))
        report(r, url->line, "pagerduty_url", "pagerduty is missing");
}

/* The entries of a map of maps, or none where it is missing. */
static const struct yaml_tree *section(struct reader *r, const struct yaml_tree *top,
                                       const char *name, size_t *ret_n)
{
    const struct yaml_tree *map = yaml_tree_get(top, str_of(name));

    r->of = name;
    *ret_n = map ? count(map) : 0;
    if (map && map->kind != YAML_TREE_MAP) {
        report(r, map->line, "", "is to hold names");
        *ret_n = 0;
    }
    return *ret_n ? map->first : NULL;
}

static void read_environments(struct reader *r, const struct yaml_tree *top, const char *wanted,
                              struct conf *ret)
{
    const struct yaml_tree *e = section(r, top, "environments", &ret->n_environments);

    ret->environments = allocate(r, ret->n_environments, sizeof *ret->environments);
    for (size_t i = 0; ret->environments && e; e = e->next, i++)
        read_environment(r, e, wanted, &ret->environments[i]);
}

static bool notifies(const struct conf *c, const char *wanted, const char *route)
{
    const struct conf_environment *e = wanted ? conf_environment(c, wanted) : NULL;

    for (size_t i = 0; e && i < e->notify.n; i++)
        if (strcmp(e->notify.items[i], route) == 0)
            return true;
    return false;
}

static void read_routes(struct reader *r, const struct yaml_tree *top, const char *wanted,
                        struct conf *ret)
{
    const struct yaml_tree *e = section(r, top, "notify", &ret->n_routes);

    ret->routes = allocate(r, ret->n_routes, sizeof *ret->routes);
    for (size_t i = 0; ret->routes && e; e = e->next, i++) {
        r->expand = notifies(ret, wanted, e->key.p);
        read_route(r, e, &ret->routes[i]);
    }
}

/* What reads well alone, and not together. */
static void check_fences(struct reader *r, const struct conf *c)
{
    for (size_t i = 0; i < c->n_environments; i++) {
        const struct conf_environment *e = &c->environments[i];
        r->of = arena_printf(r->a, "environments.%.64s", e->name);
        if (e->database.fence && e->migrations.command.n)
            report(
                r, e->line, "database.fence",
                "keeps out the writes of migrations.command too: only one of the two is possible");
    }
}

/* That what an environment notifies is there. */
static void check_routes(struct reader *r, const struct conf *c)
{
    for (size_t i = 0; i < c->n_environments; i++) {
        const struct conf_environment *e = &c->environments[i];
        r->of = arena_printf(r->a, "environments.%.64s", e->name);
        for (size_t k = 0; k < e->notify.n; k++)
            if (!conf_route(c, e->notify.items[k]))
                report(r, e->line, "notify", "there is no route %.64s under notify",
                       e->notify.items[k]);
    }
}

static void check_top(struct reader *r, const struct yaml_tree *top)
{
    r->of = "";
    for (const struct yaml_tree *e = top->first; e; e = e->next)
        if (!str_eq(e->key, STR("environments")) && !str_eq(e->key, STR("notify")))
            report(r, e->line, e->key.p, "there is no such key");
}

int conf_read(struct arena *a, const char *file, struct str text, const char *wanted,
              char *const *environment, struct buf *problems, struct conf *ret)
{
    struct reader r = {.a = a, .file = file, .environment = environment, .problems = problems};
    struct yaml_tree *top;
    struct conf c = {0};
    int result = yaml_tree_read(a, file, text, problems, &top);

    if (result)
        return result == YAML_TREE_INVALID ? CONF_INVALID : result;
    check_top(&r, top);
    read_environments(&r, top, wanted, &c);
    if (r.fault == 0)
        read_routes(&r, top, wanted, &c);
    if (r.fault)
        return r.fault;
    check_routes(&r, &c);
    check_fences(&r, &c);
    if (r.problem)
        return CONF_INVALID;
    *ret = c;
    return 0;
}

static int refuse_file(const char *file, int reason, struct buf *problems)
{
    buf_printf(problems, "%s: %s\n", file, strerrordesc_np(reason));
    return CONF_INVALID;
}

int conf_load(struct arena *a, const char *file, const char *wanted, char *const *environment,
              struct buf *problems, struct conf *ret)
{
    struct buf text _cleanup_buf_ = buf_init(YAML_TREE_BYTES_MAX + 1);
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t n = 0;

    if (fd < 0)
        return refuse_file(file, errno, problems);
    do
        text.n += (size_t)n;
    while (text.n < text.max && buf_reserve(&text, 1) == 0 &&
           (n = read(fd, text.p + text.n, text.cap - text.n)) > 0);
    int reason = errno;
    close(fd);
    if (n < 0)
        return refuse_file(file, reason, problems);
    return buf_fault(&text)
               ? buf_fault(&text)
               : conf_read(a, file, buf_str(&text), wanted, environment, problems, ret);
}

const struct conf_environment *conf_environment(const struct conf *c, const char *name)
{
    for (size_t i = 0; i < c->n_environments; i++)
        if (strcmp(c->environments[i].name, name) == 0)
            return &c->environments[i];
    return NULL;
}

const struct conf_route *conf_route(const struct conf *c, const char *name)
{
    for (size_t i = 0; i < c->n_routes; i++)
        if (strcmp(c->routes[i].name, name) == 0)
            return &c->routes[i];
    return NULL;
}
