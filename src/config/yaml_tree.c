#include "config/yaml_tree.h"

#include "base/fault.h"

#include <yaml.h>

struct reader {
    yaml_parser_t parser;
    struct arena *a;
    const char *name;
    struct buf *problems;
    int nodes, depth;
};

static int line_of(yaml_mark_t mark)
{
    return (int)mark.line + 1;
}

static int refuse(struct reader *r, int line, const char *what)
{
    buf_printf(r->problems, "%s:%d: %s\n", r->name, line, what);
    return YAML_TREE_INVALID;
}

static int next_event(struct reader *r, yaml_event_t *ret)
{
    if (yaml_parser_parse(&r->parser, ret))
        return 0;
    if (r->parser.error == YAML_MEMORY_ERROR)
        return fault_set(FAULT_MEMORY, "no memory to read %s", r->name);
    return refuse(r, line_of(r->parser.problem_mark),
                  r->parser.problem ? r->parser.problem : "is no YAML");
}

/* Takes the next event, which is to be of this type. */
static int expect(struct reader *r, yaml_event_type_t type, const char *otherwise)
{
    yaml_event_t event;
    int result = next_event(r, &event);

    if (result)
        return result;
    if (event.type != type)
        result = refuse(r, line_of(event.start_mark), otherwise);
    yaml_event_delete(&event);
    return result;
}

static bool is_marked(const yaml_event_t *e)
{
    switch ((int)e->type) {
    case YAML_SCALAR_EVENT:
        return e->data.scalar.anchor || e->data.scalar.tag;
    case YAML_SEQUENCE_START_EVENT:
        return e->data.sequence_start.anchor || e->data.sequence_start.tag;
    case YAML_MAPPING_START_EVENT:
        return e->data.mapping_start.anchor || e->data.mapping_start.tag;
    default:
        return e->type == YAML_ALIAS_EVENT;
    }
}

static int read_text(struct reader *r, const yaml_event_t *e, struct yaml_tree *node)
{
    struct str text = {(const char *)e->data.scalar.value, e->data.scalar.length};

    if (memchr(text.p, 0, text.n))
        return refuse(r, node->line, "holds a NUL");
    node->kind = YAML_TREE_TEXT;
    node->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    node->text = arena_str(r->a, text);
    return node->text.p ? 0 : FAULT_MEMORY;
}

static int read_node(struct reader *r, const yaml_event_t *e, struct yaml_tree **ret);

/* Reads the event and what belongs to it. *ret is NULL where the list or map ends here. */
static int read_next(struct reader *r, yaml_event_type_t end, struct yaml_tree **ret)
{
    yaml_event_t event;
    int result = next_event(r, &event);

    if (result)
        return result;
    *ret = NULL;
    if (event.type != end)
        result = read_node(r, &event, ret);
    yaml_event_delete(&event);
    return result;
}

static int read_list(struct reader *r, struct yaml_tree *list)
{
    struct yaml_tree **last = &list->first;
    int result;

    list->kind = YAML_TREE_LIST;
    while ((result = read_next(r, YAML_SEQUENCE_END_EVENT, last)) == 0 && *last)
        last = &(*last)->next;
    return result;
}

static int check_key(struct reader *r, const struct yaml_tree *map, const struct yaml_tree *key)
{
    char what[128];

    if (key->kind != YAML_TREE_TEXT || key->text.n == 0)
        return refuse(r, key->line, "a key is no word");
    const struct yaml_tree *before = yaml_tree_get(map, key->text);
    if (!before)
        return 0;
    snprintf(what, sizeof what, "%.64s stands twice; the first is in line %d", key->text.p,
             before->line);
    return refuse(r, key->line, what);
}

static int read_map(struct reader *r, struct yaml_tree *map)
{
    struct yaml_tree **last = &map->first, *key, *value;
    int result;

    map->kind = YAML_TREE_MAP;
    while ((result = read_next(r, YAML_MAPPING_END_EVENT, &key)) == 0 && key) {
        result = check_key(r, map, key);
        if (result == 0)
            result = read_next(r, YAML_NO_EVENT, &value);
        if (result)
            return result;
        value->key = key->text;
        value->line = key->line;
        *last = value;
        last = &value->next;
    }
    return result;
}

static int read_node(struct reader *r, const yaml_event_t *e, struct yaml_tree **ret)
{
    struct yaml_tree *node;
    int result, line = line_of(e->start_mark);

    if (is_marked(e))
        return refuse(r, line, "anchors, aliases and tags are not taken");
    if (++r->nodes > YAML_TREE_NODES_MAX || r->depth == YAML_TREE_DEPTH_MAX)
        return refuse(r, line, "too much, or too deeply nested");
    node = arena_alloc(r->a, sizeof *node);
    if (!node)
        return FAULT_MEMORY;
    node->line = line;
    r->depth++;
    if (e->type == YAML_SCALAR_EVENT)
        result = read_text(r, e, node);
    else if (e->type == YAML_SEQUENCE_START_EVENT)
        result = read_list(r, node);
    else
        result = read_map(r, node);
    r->depth--;
    *ret = node;
    return result;
}

static int read_document(struct reader *r, struct yaml_tree **ret)
{
    yaml_event_t event;
    int result = expect(r, YAML_STREAM_START_EVENT, "is no YAML");

    if (result == 0)
        result = next_event(r, &event);
    if (result)
        return result;
    bool empty = event.type == YAML_STREAM_END_EVENT;
    yaml_event_delete(&event);
    if (empty) {
        *ret = arena_alloc(r->a, sizeof **ret);
        if (*ret)
            **ret = (struct yaml_tree){.kind = YAML_TREE_MAP, .line = 1};
        return *ret ? 0 : FAULT_MEMORY;
    }
    result = read_next(r, YAML_NO_EVENT, ret);
    if (result == 0 && (!*ret || (*ret)->kind != YAML_TREE_MAP))
        result = refuse(r, *ret ? (*ret)->line : 1, "is no map of keys and values");
    if (result == 0)
        result = expect(r, YAML_DOCUMENT_END_EVENT, "is no YAML");
    if (result == 0)
        result = expect(r, YAML_STREAM_END_EVENT, "a second document begins");
    return result;
}

int yaml_tree_read(struct arena *a, const char *name, struct str text, struct buf *problems,
                   struct yaml_tree **ret)
{
    struct reader r = {.a = a, .name = name, .problems = problems};
    struct yaml_tree *tree = NULL;
    int result;

    if (text.n > YAML_TREE_BYTES_MAX)
        return refuse(&r, 1, "is larger than 1 MiB");
    if (!yaml_parser_initialize(&r.parser))
        return fault_set(FAULT_MEMORY, "no memory to read %s", name);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)(text.n ? text.p : ""), text.n);
    result = read_document(&r, &tree);
    yaml_parser_delete(&r.parser);
    if (result == 0)
        *ret = tree;
    return result;
}

const struct yaml_tree *yaml_tree_get(const struct yaml_tree *map, struct str key)
{
    for (const struct yaml_tree *e = map->first; e; e = e->next)
        if (str_eq(e->key, key))
            return e;
    return NULL;
}
