#include "cli/deployments.h"

#include "base/clock.h"
#include "base/fault.h"
#include "cli/privileges.h"
#include "deploy/deployment.h"

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

enum { ARENA_MAX = 128 << 20, TIMEOUT_MS = 5000, BEGINNING_MIN = 4 };

/* What only a server needs may be missing here. */
static int configure(struct cli *cli)
{
    struct config_source source = cli_config_source(cli);
    struct config *config;

    source.for_server = false;
    int exit_code = cli_load(&source, &config);
    if (exit_code)
        return exit_code;
    /* Keys may be in memory from here on. */
    int r = privileges_drop("");
    return r ? cli_fault("cannot start", r) : 0;
}

static void open_store(struct deployments *d)
{
    const struct config *c = config_current();
    struct store_options options = {
        .url = c->database_url, .pool = 1, .timeout_ms = TIMEOUT_MS, .statement_ms = TIMEOUT_MS};

    if (!cli_has_store(c))
        return;
    int r = store_open(&options, &d->store);
    if (r)
        fprintf(stderr, "holdfast: only what was deployed from this machine is known: %s\n",
                r == STORE_NEWER ? "the database is of a newer version of Holdfast"
                                 : fault_message());
}

int deployments_open(struct cli *cli, struct deployments *d)
{
    int exit_code = configure(cli);

    if (exit_code)
        return exit_code;
    *d = (struct deployments){.arena = arena_init(ARENA_MAX), .now = clock_now()};
    if ((size_t)snprintf(d->root, sizeof d->root, "%s/deployments", config_current()->logs_dir) >=
        sizeof d->root)
        return cli_fail(EXIT_USAGE, "LOGS_DIR is too long");
    open_store(d);
    return 0;
}

void deployments_close(struct deployments *d)
{
    store_close(d->store);
    arena_free(&d->arena);
}

static int path_of(const struct deployments *d, const char *id, char ret[DEPLOYMENTS_PATH])
{
    if ((size_t)snprintf(ret, DEPLOYMENTS_PATH, "%s/%s", d->root, id) < DEPLOYMENTS_PATH)
        return 0;
    return fault_set(FAULT_LIMIT, "the path of a deployment is too long");
}

static void free_entries(struct dirent **entries, int n)
{
    for (int i = 0; i < n; i++)
        free(entries[i]);
    free(entries);
}

/* What is kept of a report that is listed. Returns 0 or FAULT_MEMORY. */
static int keep(struct arena *a, const struct report *r, struct record *ret)
{
    *ret = (struct record){.id = r->id,
                           .environment = arena_str(a, r->environment),
                           .release = arena_str(a, r->release),
                           .previous = arena_str(a, r->previous),
                           .result = r->result,
                           .who = arena_str(a, r->who),
                           .began_at = r->began_at,
                           .ended_at = r->ended_at};
    return ret->environment.p && ret->release.p && ret->previous.p && ret->who.p ? 0 : FAULT_MEMORY;
}

/* Fills the item. Returns 0, 1 where the directory holds no deployment of the environment, or a
 * fault. */
static int read_item(struct deployments *d, const char *id, struct str environment,
                     struct deployments_item *ret)
{
    struct arena a _cleanup_arena_ = arena_init(REPORT_ARENA);
    char path[DEPLOYMENTS_PATH];
    struct report r;
    int result = path_of(d, id, path);

    *ret = (struct deployments_item){.here = true};
    if (result == 0)
        result = report_read(&a, path, d->now, &r);
    if (result == REPORT_DAMAGED) {
        ret->damaged = true;
        ret->record.environment = ret->record.release = ret->record.who = STR("?");
        uuid_parse(str_of(id), &ret->record.id);
        ret->record.began_at = ret->record.ended_at = uuid_time(&ret->record.id);
        return 0;
    }
    if (result)
        return result == REPORT_NONE ? 1 : result;
    if (environment.n && !str_eq(r.environment, environment))
        return 1;
    return keep(&d->arena, &r, &ret->record);
}

static int list_here(struct deployments *d, struct str environment, size_t limit,
                     struct deployments_item *items, size_t *n)
{
    struct dirent **entries;
    int count = deployment_scan(d->root, &entries), result = count < 0 ? count : 0;

    for (int i = 0; i < count && result >= 0 && *n < limit; i++) {
        result = read_item(d, entries[i]->d_name, environment, &items[*n]);
        if (result == 0)
            (*n)++;
    }
    free_entries(entries, count);
    return result < 0 ? result : 0;
}

struct reading {
    struct deployments *d;
    struct record_query query;
    struct record *records;
    size_t n;
    struct uuid low, high, id;
    struct record record;
};

static int list_job(struct store_txn *t, void *arg)
{
    struct reading *reading = arg;

    return record_list(t, &reading->d->arena, &reading->query, &reading->records, &reading->n);
}

static int compare_items(const void *a, const void *b)
{
    const struct deployments_item *x = a, *y = b;

    return memcmp(y->record.id.b, x->record.id.b, sizeof x->record.id.b);
}

/* Adds those of the store that are not here; what is here is known better here. */
static void merge(struct deployments_item *items, size_t *n, const struct reading *reading)
{
    size_t here = *n;

    for (size_t i = 0; i < reading->n; i++) {
        bool known = false;
        for (size_t k = 0; k < here; k++)
            known = known || uuid_eq(&items[k].record.id, &reading->records[i].id);
        if (!known)
            items[(*n)++] = (struct deployments_item){.record = reading->records[i]};
    }
    qsort(items, *n, sizeof *items, compare_items);
}

int deployments_list(struct deployments *d, struct str environment, size_t limit,
                     struct deployments_item **ret, size_t *ret_n)
{
    struct deployments_item *items = arena_array(&d->arena, 2 * limit + 1, sizeof *items);
    struct reading reading = {.d = d, .query = {.environment = environment, .limit = limit}};
    size_t n = 0;
    int result = items ? list_here(d, environment, limit, items, &n) : FAULT_MEMORY;

    if (result == 0 && d->store)
        result = store_read(d->store, list_job, &reading);
    if (result)
        return result;
    merge(items, &n, &reading);
    *ret = items;
    *ret_n = n < limit ? n : limit;
    return 0;
}

/* The least and the greatest id that begins so. Returns 0 or DEPLOYMENTS_NO_ID. */
static int bounds_of(struct str beginning, struct uuid *ret_low, struct uuid *ret_high)
{
    char low[UUID_TEXT_SIZE] = "00000000-0000-0000-0000-000000000000";
    char high[UUID_TEXT_SIZE] = "ffffffff-ffff-ffff-ffff-ffffffffffff";

    if (beginning.n < BEGINNING_MIN || beginning.n > UUID_TEXT)
        return DEPLOYMENTS_NO_ID;
    memcpy(low, beginning.p, beginning.n);
    memcpy(high, beginning.p, beginning.n);
    return uuid_parse(str_of(low), ret_low) || uuid_parse(str_of(high), ret_high)
               ? DEPLOYMENTS_NO_ID
               : 0;
}

/* The only one here between the two. Returns 0, an outcome or a fault. */
static int find_here(const struct deployments *d, const struct reading *reading, struct uuid *ret)
{
    struct dirent **entries;
    int n = deployment_scan(d->root, &entries), found = 0;

    for (int i = 0; i < n; i++) {
        struct uuid id;
        uuid_parse(str_of(entries[i]->d_name), &id);
        if (memcmp(id.b, reading->low.b, sizeof id.b) >= 0 &&
            memcmp(id.b, reading->high.b, sizeof id.b) <= 0 && ++found)
            *ret = id;
    }
    free_entries(entries, n);
    return n < 0 ? n : found == 0 ? DEPLOYMENTS_UNKNOWN : found == 1 ? 0 : DEPLOYMENTS_AMBIGUOUS;
}

static int find_job(struct store_txn *t, void *arg)
{
    struct reading *reading = arg;
    int result = record_find_between(t, &reading->low, &reading->high, &reading->id);

    return result ? result : record_find(t, &reading->d->arena, &reading->id, &reading->record);
}

static int find_in_store(struct deployments *d, struct reading *reading, struct report *ret)
{
    int result = d->store ? store_read(d->store, find_job, reading) : RECORD_UNKNOWN;

    if (result > 0)
        return result == RECORD_AMBIGUOUS ? DEPLOYMENTS_AMBIGUOUS : DEPLOYMENTS_UNKNOWN;
    if (result == 0)
        result = report_parse(&d->arena, reading->record.report, ret);
    return result == REPORT_INVALID ? fault_set(FAULT_STORE, "the report in the store is none")
                                    : result;
}

int deployments_find(struct deployments *d, const char *beginning, struct report *ret,
                     char path[DEPLOYMENTS_PATH])
{
    struct reading reading = {.d = d};
    char id[UUID_TEXT_SIZE];
    int result = bounds_of(str_of(beginning), &reading.low, &reading.high);

    if (result)
        return result;
    path[0] = '\0';
    result = find_here(d, &reading, &reading.id);
    if (result == DEPLOYMENTS_UNKNOWN)
        return find_in_store(d, &reading, ret);
    if (result)
        return result;
    uuid_format(&reading.id, id);
    result = path_of(d, id, path);
    if (result == 0)
        result = report_read(&d->arena, path, d->now, ret);
    return result == REPORT_NONE      ? DEPLOYMENTS_UNKNOWN
           : result == REPORT_DAMAGED ? DEPLOYMENTS_DAMAGED
                                      : result;
}
