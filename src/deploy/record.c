#include "deploy/record.h"

#include "base/fault.h"
#include "base/json.h"

enum { DETAIL_MAX = 8192 };

/* It begins as running, so that what it came to by now is a change. */
static const char insert_sql[] =
    "INSERT INTO deployments (id, environment, release, previous_release, state, actor, began_at,"
    " ended_at, records, report) VALUES ($1, $2, $3, $4, 'running', $5, $6, $7, $8, $9)"
    " ON CONFLICT (id) DO NOTHING";
/* Each of two that come at once waits for the other, and then sees what it did. */
static const char change_sql[] =
    "UPDATE deployments SET state = $2 WHERE id = $1 AND state <> $2 AND records <= $3";
static const char update_sql[] =
    "UPDATE deployments SET environment = $2, release = $3, previous_release = $4, actor = $5,"
    " began_at = $6, ended_at = $7, records = $8, report = $9 WHERE id = $1 AND records <= $8";

#define COLUMNS "id, environment, release, previous_release, state, actor, began_at, ended_at"
static const char list_sql[] =
    "SELECT " COLUMNS " FROM deployments WHERE id < $1 ORDER BY id DESC LIMIT $2";
static const char list_of_sql[] = "SELECT " COLUMNS " FROM deployments WHERE environment = $3"
                                  " AND id < $1 ORDER BY id DESC LIMIT $2";
static const char find_sql[] = "SELECT " COLUMNS ", report FROM deployments WHERE id = $1";

static const char between_sql[] =
    "SELECT id FROM deployments WHERE id >= $1 AND id <= $2 ORDER BY id LIMIT 2";

/* What the trail says of what it came to; -1: nothing, for nobody did that. */
static const int actions[REPORT_RESULTS] = {
    [REPORT_RUNNING] = -1,
    [REPORT_DIED] = -1,
    [REPORT_DONE] = TRAIL_DEPLOYMENT_DONE,
    [REPORT_FAILED] = TRAIL_DEPLOYMENT_FAILED,
    [REPORT_ROLLED_BACK] = TRAIL_DEPLOYMENT_ROLLED_BACK,
    [REPORT_INCOMPLETE] = TRAIL_DEPLOYMENT_INCOMPLETE,
};

static void put(struct json_writer *w, const char *key, struct str text)
{
    if (text.n == 0)
        return;
    json_key(w, key);
    json_str(w, text);
}

static int append(struct store_txn *t, const struct trail *trail, const struct trail_actor *actor,
                  const struct report *r, enum trail_action action)
{
    struct buf detail _cleanup_buf_ = buf_init(DETAIL_MAX);
    struct json_writer w = json_writer(&detail);
    struct trail_event event = {.action = action, .subject_id = r->id, .subject = r->environment};

    json_object_begin(&w);
    put(&w, "release", r->release);
    put(&w, "previousRelease", r->previous);
    put(&w, "who", r->who);
    if (action != TRAIL_DEPLOYMENT_START)
        put(&w, "why", r->why);
    json_object_end(&w);
    event.detail = buf_str(&detail);
    return buf_fault(&detail) ? buf_fault(&detail) : trail_append(trail, t, actor, &event);
}

int record_put(struct store_txn *t, const struct trail *trail, const struct trail_actor *actor,
               const struct report *r)
{
    struct buf json _cleanup_buf_ = buf_init(REPORT_JSON_MAX);
    int64_t added = 0, changed = 0;
    int result = report_write_json(r, &json);

    if (result)
        return result;
    const struct store_param row[] = {
        P_ID(&r->id),        P_TEXT(r->environment), P_TEXT(r->release),
        P_TEXT(r->previous), P_TEXT(r->who),         P_INT(r->began_at),
        P_INT(r->ended_at),  P_INT(r->records),      P_TEXT(buf_str(&json))};
    result = store_exec(t, insert_sql, &added, row, sizeof row / sizeof *row);
    if (result == 0)
        result = store_exec(
            t, change_sql, &changed,
            PARAMS(P_ID(&r->id), P_TEXT(str_of(report_result_name(r->result))), P_INT(r->records)));
    if (result == 0)
        result = store_exec(t, update_sql, NULL, row, sizeof row / sizeof *row);
    if (result == 0 && added)
        result = append(t, trail, actor, r, TRAIL_DEPLOYMENT_START);
    if (result == 0 && changed && actions[r->result] >= 0)
        result = append(t, trail, actor, r, (enum trail_action)actions[r->result]);
    return result;
}

struct putting {
    const struct trail *trail;
    const struct trail_actor *actor;
    const struct report *r;
};

static int put_job(struct store_txn *t, void *arg)
{
    const struct putting *p = arg;

    return record_put(t, p->trail, p->actor, p->r);
}

int record_put_now(struct store *s, const struct trail *trail, const struct trail_actor *actor,
                   const struct report *r)
{
    struct putting p = {trail, actor, r};

    return store_write(s, put_job, &p);
}

static int read_row(struct store_rows *rows, struct arena *a, struct record *ret)
{
    *ret = (struct record){.id = store_col_id(rows, 0),
                           .environment = arena_str(a, store_col_text(rows, 1)),
                           .release = arena_str(a, store_col_text(rows, 2)),
                           .previous = arena_str(a, store_col_text(rows, 3)),
                           .who = arena_str(a, store_col_text(rows, 5)),
                           .began_at = store_col_int(rows, 6),
                           .ended_at = store_col_int(rows, 7)};
    if (report_result_parse(store_col_text(rows, 4), &ret->result))
        return fault_set(FAULT_STORE, "a deployment is in no known state");
    return ret->environment.p && ret->release.p && ret->previous.p && ret->who.p ? 0 : FAULT_MEMORY;
}

int record_list(struct store_txn *t, struct arena *a, const struct record_query *query,
                struct record **ret_items, size_t *ret_n)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct record *items = arena_array(a, query->limit + 1, sizeof *items);
    struct uuid below = query->before;
    size_t n = 0;
    int result = items ? 0 : FAULT_MEMORY;

    if (uuid_is_nil(&below))
        memset(below.b, 0xff, sizeof below.b);
    const struct store_param params[] = {P_ID(&below), P_INT((int64_t)query->limit),
                                         P_TEXT(query->environment)};
    if (result == 0 && query->environment.n)
        result = store_query(t, list_of_sql, &rows, params, 3);
    else if (result == 0)
        result = store_query(t, list_sql, &rows, params, 2);
    while (result == 0 && n < query->limit && (result = store_rows_next(rows)) == 1)
        result = read_row(rows, a, &items[n++]);
    if (result)
        return result;
    *ret_items = items;
    *ret_n = n;
    return 0;
}

int record_find_between(struct store_txn *t, const struct uuid *low, const struct uuid *high,
                        struct uuid *ret)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct uuid id;
    int result = store_query(t, between_sql, &rows, PARAMS(P_ID(low), P_ID(high)));

    if (result == 0)
        result = store_rows_next(rows);
    if (result <= 0)
        return result < 0 ? result : RECORD_UNKNOWN;
    id = store_col_id(rows, 0);
    result = store_rows_next(rows);
    if (result == 0)
        *ret = id;
    return result == 1 ? RECORD_AMBIGUOUS : result;
}

int record_find(struct store_txn *t, struct arena *a, const struct uuid *id, struct record *ret)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct record record;
    int result = store_query(t, find_sql, &rows, PARAMS(P_ID(id)));

    if (result == 0)
        result = store_rows_next(rows);
    if (result <= 0)
        return result < 0 ? result : RECORD_UNKNOWN;
    result = read_row(rows, a, &record);
    record.report = arena_str(a, store_col_text(rows, 8));
    if (result == 0 && !record.report.p)
        result = FAULT_MEMORY;
    if (result == 0)
        *ret = record;
    return result;
}
