#include "deploy/targets/compose.h"

/*
 * Both programs print their configuration with two spaces an indent and keys in plain. It is not
 * read as YAML, because the older one prints aliases.
 */

/* The rest of a line that begins so; NULL view where it does not. */
static struct str behind(struct str line, const char *begin)
{
    struct str b = str_of(begin);

    return str_has_prefix(line, b) ? (struct str){line.p + b.n, line.n - b.n} : (struct str){0};
}

static struct str unquoted(struct str value)
{
    value = str_trim(value);
    bool quoted = value.n >= 2 && (value.p[0] == '\'' || value.p[0] == '"') &&
                  value.p[value.n - 1] == value.p[0];
    return quoted ? (struct str){value.p + 1, value.n - 2} : value;
}

/* Whether a line is the key of that name at the indent of services. */
static bool is_key(struct str line, struct str name)
{
    struct str key = behind(line, "  ");

    if (!key.p || key.n < 2 || key.p[key.n - 1] != ':')
        return false;
    key.n--;
    return str_eq(unquoted(key), name);
}

struct str compose_config_name(struct str text)
{
    struct str line;

    while (str_next(&text, '\n', &line)) {
        struct str name = behind(line, "name:");
        if (name.p)
            return unquoted(name);
    }
    return (struct str){0};
}

struct str compose_config_image(struct str text, struct str service)
{
    bool services = false, own = false;
    struct str line;

    while (str_next(&text, '\n', &line)) {
        bool top = line.n > 0 && line.p[0] != ' ';
        bool second = line.n > 2 && line.p[0] == ' ' && line.p[2] != ' ';
        if (top)
            services = str_eq(line, STR("services:"));
        if (top || second)
            own = services && is_key(line, service);
        struct str image = behind(line, "    image:");
        if (own && image.p)
            return unquoted(image);
    }
    return (struct str){0};
}
