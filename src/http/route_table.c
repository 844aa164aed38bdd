#include "http/route_table.h"

#include "base/fault.h"
#include "http/route_check.h"

enum { NO_ROUTE = -1 };

/* A path with its rows. */
struct node {
    struct str path;
    size_t params;
    int32_t rows[HTTP_METHODS]; /* indexes of routes, or NO_ROUTE */
};

struct router {
    const struct route **routes;
    size_t count;
    struct node *nodes; /* those with parameters first, the more particular before the others */
    size_t node_count, with_params;
    int32_t *slots; /* nodes without parameters, by the hash of their path; open addressing */
    size_t slot_mask;
};

static size_t hash_path(struct str path)
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */

    for (size_t i = 0; i < path.n; i++)
        h = (h ^ (unsigned char)path.p[i]) * UINT64_C(1099511628211);
    return (size_t)(h ^ h >> 32);
}

static bool is_param(struct str segment)
{
    return segment.n > 0 && segment.p[0] == ':';
}

/* Whether two patterns match the same paths. */
static bool same_pattern(struct str a, struct str b)
{
    struct str x, y;

    while (route_next_segment(&a, &x)) {
        if (!route_next_segment(&b, &y) || is_param(x) != is_param(y))
            return false;
        if (!is_param(x) && !str_eq(x, y))
            return false;
    }
    return b.n == 0;
}

/* Those with parameters first; among them, a fixed segment goes before a parameter, left to right.
 */
static int compare_nodes(const void *pa, const void *pb)
{
    const struct node *a = pa, *b = pb;
    struct str x, y, rest_a = a->path, rest_b = b->path;

    if ((a->params > 0) != (b->params > 0))
        return a->params > 0 ? -1 : 1;
    while (route_next_segment(&rest_a, &x) && route_next_segment(&rest_b, &y))
        if (is_param(x) != is_param(y))
            return is_param(x) ? 1 : -1;
    return 0;
}

static int add_row(struct router *r, size_t index)
{
    const struct route *route = r->routes[index];
    struct str path = str_of(route->path);
    struct node *node = r->nodes;

    while (node < r->nodes + r->node_count && !same_pattern(node->path, path))
        node++;
    if (node == r->nodes + r->node_count) {
        *node = (struct node){.path = path};
        for (size_t i = 0; i < path.n; i++)
            node->params += path.p[i] == ':';
        for (int m = 0; m < HTTP_METHODS; m++)
            node->rows[m] = NO_ROUTE;
        r->node_count++;
    }
    if (!str_eq(node->path, path))
        return fault_set(FAULT_INTERNAL, "routes %.*s and %s name their parameters differently",
                         STR_ARG(node->path), route->path);
    if (node->rows[route->method] != NO_ROUTE)
        return fault_set(FAULT_INTERNAL, "route %s %s exists twice",
                         http_method_name(route->method), route->path);
    node->rows[route->method] = (int32_t)index;
    return 0;
}

/* Sorts the nodes and fills the slots with those that have no parameter. */
static int index_nodes(struct router *r)
{
    size_t slots = 8;

    if (r->node_count)
        qsort(r->nodes, r->node_count, sizeof *r->nodes, compare_nodes);
    while (r->with_params < r->node_count && r->nodes[r->with_params].params > 0)
        r->with_params++;
    while (slots < 2 * r->node_count)
        slots *= 2;
    r->slots = malloc(slots * sizeof *r->slots);
    if (!r->slots)
        return fault_set(FAULT_MEMORY, "no memory for the routes");
    r->slot_mask = slots - 1;
    for (size_t i = 0; i < slots; i++)
        r->slots[i] = NO_ROUTE;
    for (size_t i = r->with_params; i < r->node_count; i++) {
        size_t slot = hash_path(r->nodes[i].path) & r->slot_mask;
        while (r->slots[slot] != NO_ROUTE)
            slot = (slot + 1) & r->slot_mask;
        r->slots[slot] = (int32_t)i;
    }
    return 0;
}

static int add_tables(struct router *r, const struct route_table *tables, size_t n)
{
    for (size_t t = 0; t < n; t++) {
        for (size_t i = 0; i < tables[t].count; i++) {
            r->routes[r->count] = &tables[t].routes[i];
            int fault = route_check(r->routes[r->count]);
            if (fault == 0)
                fault = add_row(r, r->count);
            if (fault)
                return fault;
            r->count++;
        }
    }
    return index_nodes(r);
}

int router_new(const struct route_table *tables, size_t n, struct router **ret)
{
    struct router *r = calloc(1, sizeof *r);
    size_t rows = 1;

    for (size_t t = 0; t < n; t++)
        rows += tables[t].count;
    if (r) {
        r->routes = calloc(rows, sizeof(const struct route *));
        r->nodes = calloc(rows, sizeof *r->nodes);
    }
    int fault = r && r->routes && r->nodes ? add_tables(r, tables, n)
                                           : fault_set(FAULT_MEMORY, "no memory for the routes");
    if (fault) {
        router_free(r);
        return fault;
    }
    *ret = r;
    return 0;
}

void router_free(struct router *r)
{
    if (!r)
        return;
    free(r->routes);
    free(r->nodes);
    free(r->slots);
    free(r);
}

size_t router_count(const struct router *r)
{
    return r->count;
}

const struct route *router_route(const struct router *r, size_t i)
{
    return r->routes[i];
}

/* Whether a decoded segment may be a parameter. */
static bool is_value(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7F || s.p[i] == '/')
            return false;
    return s.n > 0 && !str_eq(s, STR(".")) && !str_eq(s, STR("..")) && str_is_utf8(s);
}

/* Returns 0, 1 where the segment is no value of a parameter, or FAULT_MEMORY. */
static int take_param(struct str segment, struct arena *arena, struct str *ret)
{
    struct str value = segment;

    if (str_find(segment, '%') < segment.n) {
        int r = percent_decode(segment, false, arena, &value);
        if (r)
            return r;
    }
    if (!is_value(value))
        return 1;
    *ret = value;
    return 0;
}

/* Returns 0 with the parameters, 1 where the path is another, or FAULT_MEMORY. */
static int match_node(const struct node *node, struct str path, struct arena *arena,
                      struct str params[ROUTE_PARAMS_MAX])
{
    struct str pattern = node->path, want, have;
    size_t n = 0;

    while (route_next_segment(&pattern, &want)) {
        if (!route_next_segment(&path, &have))
            return 1;
        if (!is_param(want)) {
            if (!str_eq(want, have))
                return 1;
            continue;
        }
        int r = take_param(have, arena, &params[n]);
        if (r)
            return r;
        n++;
    }
    return path.n == 0 ? 0 : 1;
}

/* What a lookup has come to so far. */
struct lookup {
    const struct router *router;
    enum http_method method;
    unsigned methods;
    struct route_match match; /* route is NULL until there is one */
};

/* Notes a node whose path matches. */
static void note(struct lookup *l, const struct node *node,
                 const struct str params[ROUTE_PARAMS_MAX])
{
    enum http_method method = l->method == HTTP_HEAD ? HTTP_GET : l->method;

    l->methods |= 1U << HTTP_OPTIONS;
    for (int m = 0; m < HTTP_METHODS; m++)
        if (node->rows[m] != NO_ROUTE)
            l->methods |= 1U << m;
    if (node->rows[HTTP_GET] != NO_ROUTE)
        l->methods |= 1U << HTTP_HEAD;
    if (l->match.route || node->rows[method] == NO_ROUTE)
        return;
    l->match.index = (size_t)node->rows[method];
    l->match.route = l->router->routes[l->match.index];
    for (size_t i = 0; i < node->params; i++)
        l->match.params[i] = params[i];
}

static void find_fixed(struct lookup *l, struct str path)
{
    const struct router *r = l->router;

    for (size_t slot = hash_path(path) & r->slot_mask; r->slots[slot] != NO_ROUTE;
         slot = (slot + 1) & r->slot_mask) {
        const struct node *node = &r->nodes[r->slots[slot]];
        if (str_eq(node->path, path)) {
            note(l, node, NULL);
            return;
        }
    }
}

static int find_with_params(struct lookup *l, struct str path, struct arena *arena)
{
    for (size_t i = 0; i < l->router->with_params && !l->match.route; i++) {
        struct str params[ROUTE_PARAMS_MAX];
        int r = match_node(&l->router->nodes[i], path, arena, params);
        if (r < 0)
            return r;
        if (r == 0)
            note(l, &l->router->nodes[i], params);
    }
    return 0;
}

int router_find(const struct router *router, enum http_method method, struct str path,
                struct arena *arena, struct route_match *ret_match, unsigned *ret_methods)
{
    struct lookup l = {.router = router, .method = method};

    if (path.n == 0 || path.p[0] != '/')
        return ROUTER_NO_PATH;
    find_fixed(&l, path);
    int r = find_with_params(&l, path, arena);
    if (r)
        return r;
    if (l.match.route) {
        *ret_match = l.match;
        return 0;
    }
    if (l.methods == 0)
        return ROUTER_NO_PATH;
    *ret_methods = l.methods;
    return ROUTER_OTHER_METHODS;
}

void router_write_methods(struct buf *out, unsigned methods)
{
    const char *separator = "";

    for (int m = 0; m < HTTP_METHODS; m++) {
        if (!(methods >> m & 1))
            continue;
        buf_printf(out, "%s%s", separator, http_method_name((enum http_method)m));
        separator = ", ";
    }
}
