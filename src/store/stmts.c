#include "store/internal.h"

#include "base/fault.h"

static size_t slot_of(const struct store_stmts *c, const char *sql, uint64_t types)
{
    uint64_t h = ((uint64_t)(uintptr_t)sql ^ types) * 0x9E3779B97F4A7C15u;

    return (size_t)(h >> 32) & (c->cap - 1);
}

struct store_stmt *store_stmts_find(const struct store_stmts *c, const char *sql, uint64_t types)
{
    if (!c->cap)
        return NULL;
    for (size_t i = slot_of(c, sql, types); c->slots[i]; i = (i + 1) & (c->cap - 1)) {
        struct store_stmt *st = c->slots[i];
        if (st->address == sql && st->types == types && strcmp(st->text, sql) == 0)
            return st;
    }
    return NULL;
}

static void put(struct store_stmts *c, struct store_stmt *st)
{
    size_t i = slot_of(c, st->address, st->types);

    while (c->slots[i])
        i = (i + 1) & (c->cap - 1);
    c->slots[i] = st;
}

static int grow(struct store_stmts *c)
{
    struct store_stmts larger = {.cap = c->cap ? c->cap * 2 : 32, .n = c->n};

    larger.slots = calloc(larger.cap, sizeof *larger.slots);
    if (!larger.slots)
        return fault_set(FAULT_MEMORY, "no memory for prepared statements");
    for (size_t i = 0; i < c->cap; i++)
        if (c->slots[i])
            put(&larger, c->slots[i]);
    free(c->slots);
    *c = larger;
    return 0;
}

int store_stmts_add(struct store_stmts *c, struct store_stmt *st)
{
    int r;

    if (c->n >= STORE_STATEMENTS_MAX)
        return 1;
    if (c->n * 2 >= c->cap && (r = grow(c)) != 0)
        return r;
    put(c, st);
    c->n++;
    return 0;
}

void store_stmts_free(struct store_stmts *c, void (*finish)(void *handle))
{
    for (size_t i = 0; i < c->cap; i++) {
        if (!c->slots[i])
            continue;
        if (finish)
            finish(c->slots[i]->handle);
        store_stmt_free(c->slots[i]);
    }
    free(c->slots);
    *c = (struct store_stmts){0};
}

struct store_stmt *store_stmt_new(const char *sql, uint64_t types)
{
    struct store_stmt *st = calloc(1, sizeof *st);

    if (!st)
        return NULL;
    st->address = sql;
    st->types = types;
    st->text = strdup(sql);
    if (!st->text) {
        free(st);
        return NULL;
    }
    return st;
}

void store_stmt_free(struct store_stmt *st)
{
    if (!st)
        return;
    free(st->text);
    free(st);
}
