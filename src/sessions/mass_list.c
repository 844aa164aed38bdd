#include "sessions/mass_list.h"

#include "base/fault.h"
#include "identity/email_address.h"

void mass_list_free(struct mass_list *list)
{
    free(list->entries);
    *list = (struct mass_list){0};
}

static int grow(struct mass_list *list)
{
    size_t cap = list->cap ? list->cap * 2 : 64;
    struct mass_entry *entries;

    if (list->n >= MASS_LIST_MAX)
        return fault_set(FAULT_LIMIT, "a list holds more than %d users", MASS_LIST_MAX);
    entries = realloc(list->entries, cap * sizeof *entries);
    if (!entries)
        return fault_set(FAULT_MEMORY, "no memory for a list of %zu users", cap);
    list->entries = entries;
    list->cap = cap;
    return 0;
}

static enum mass_entry_state classify(struct str text, struct uuid *ret_id)
{
    char address[EMAIL_ADDRESS_SIZE];
    size_t n;

    if (uuid_parse(text, ret_id) == 0)
        return MASS_PENDING;
    return email_address_normalise(text, address, &n) ? MASS_MALFORMED : MASS_ADDRESS;
}

int mass_list_add(struct mass_list *list, struct str text, size_t line)
{
    struct mass_entry e = {.text = str_trim(text), .line = line};

    e.state = classify(e.text, &e.id);
    if (list->n == list->cap) {
        int r = grow(list);
        if (r)
            return r;
    }
    list->entries[list->n++] = e;
    return 0;
}

int mass_list_read(struct mass_list *list, struct str file)
{
    struct str line;
    int r = 0;

    if (str_has_prefix(file, STR("\xEF\xBB\xBF")))
        file = (struct str){file.p + 3, file.n - 3};
    for (size_t number = 1; r == 0 && str_next(&file, '\n', &line); number++) {
        if (str_has_suffix(line, STR("\r")))
            line.n--;
        line = str_trim((struct str){line.p, str_find(line, '#')});
        if (line.n)
            r = mass_list_add(list, line, number);
    }
    return r;
}

int mass_list_split(struct mass_list *list, struct str commas)
{
    struct str part;
    int r = 0;

    for (size_t number = 1; r == 0 && str_next(&commas, ',', &part); number++)
        if (str_trim(part).n)
            r = mass_list_add(list, part, number);
    return r;
}

size_t mass_list_count(const struct mass_list *list, enum mass_entry_state state)
{
    size_t count = 0;

    for (size_t i = 0; i < list->n; i++)
        count += list->entries[i].state == state;
    return count;
}

enum { ADDRESSES = 50000 };

/* Addresses that are resolved together. */
struct address_chunk {
    struct mass_entry *entries[ADDRESSES];
    struct str addresses[ADDRESSES];
    struct uuid ids[ADDRESSES];
    char texts[ADDRESSES][EMAIL_ADDRESS_SIZE];
    size_t n;
};

static int resolve_chunk(struct sessions *s, const struct uuid *tenant, struct address_chunk *c)
{
    int r = c->n ? mass_resolve(s, tenant, c->addresses, c->n, c->ids) : 0;

    for (size_t i = 0; r == 0 && i < c->n; i++) {
        c->entries[i]->id = c->ids[i];
        c->entries[i]->state = uuid_is_nil(&c->ids[i]) ? MASS_UNKNOWN : MASS_PENDING;
    }
    c->n = 0;
    return r;
}

static int resolve_addresses(struct sessions *s, const struct uuid *tenant, struct mass_list *list)
{
    struct address_chunk *c = malloc(sizeof *c);
    int r = c ? 0 : fault_set(FAULT_MEMORY, "no memory to look addresses up");

    if (c)
        c->n = 0;
    for (size_t i = 0; r == 0 && i < list->n; i++) {
        struct mass_entry *e = &list->entries[i];
        size_t length;
        if (e->state != MASS_ADDRESS || email_address_normalise(e->text, c->texts[c->n], &length))
            continue;
        c->addresses[c->n] = (struct str){c->texts[c->n], length};
        c->entries[c->n++] = e;
        if (c->n == ADDRESSES)
            r = resolve_chunk(s, tenant, c);
    }
    if (r == 0)
        r = resolve_chunk(s, tenant, c);
    free(c);
    return r;
}

static int by_id_then_line(const void *a, const void *b)
{
    const struct mass_entry *x = *(struct mass_entry *const *)a;
    const struct mass_entry *y = *(struct mass_entry *const *)b;
    int order = memcmp(&x->id, &y->id, sizeof x->id);

    return order ? order : (x > y) - (x < y);
}

int mass_list_pending(struct mass_list *list, struct mass_entry ***ret_sorted, size_t *ret_n)
{
    struct mass_entry **sorted = malloc((list->n + 1) * sizeof(*sorted));
    size_t n = 0;

    if (!sorted)
        return fault_set(FAULT_MEMORY, "no memory for a list of %zu users", list->n);
    for (size_t i = 0; i < list->n; i++)
        if (list->entries[i].state == MASS_PENDING)
            sorted[n++] = &list->entries[i];
    qsort(sorted, n, sizeof(*sorted), by_id_then_line);
    *ret_sorted = sorted;
    *ret_n = n;
    return 0;
}

/* The first entry of a user stays; later ones are repetitions. */
static int mark_duplicates(struct mass_list *list)
{
    struct mass_entry **sorted;
    size_t n;
    int r = mass_list_pending(list, &sorted, &n);

    if (r)
        return r;
    for (size_t i = 1; i < n; i++)
        if (uuid_eq(&sorted[i]->id, &sorted[i - 1]->id))
            sorted[i]->state = MASS_DUPLICATE;
    free(sorted);
    return 0;
}

int mass_list_resolve(struct sessions *s, const struct uuid *tenant, struct mass_list *list)
{
    int r = mass_list_count(list, MASS_ADDRESS) ? resolve_addresses(s, tenant, list) : 0;

    return r ? r : mark_duplicates(list);
}
