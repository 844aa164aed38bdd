#include "base/fault.h"
#include "trail/internal.h"

/*
 * Numbers follow time only as closely as the nodes' clocks agree. A range of time is first narrowed
 * to one of numbers by the index on time, with a day (86,400,000 ms) to spare on either side; then
 * each record's own time decides.
 */
#define WHERE                                                                                      \
    " ($1 = 1 OR tenant_id = $2) AND ($3 = 0 OR actor_id = $4) AND ($5 = '' OR actor = $5)"        \
    " AND ($6 = '' OR action = $6) AND ($7 = 0 OR subject_id = $8) AND ($9 = '' OR subject = $9)"  \
    " AND at >= $10 AND at < $11"                                                                  \
    " AND seq > COALESCE((SELECT seq FROM trail WHERE at < $10 - 86400000"                         \
    " ORDER BY at DESC, seq DESC LIMIT 1), 0)"                                                     \
    " AND seq < COALESCE((SELECT seq FROM trail WHERE at > $11 + 86400000"                         \
    " ORDER BY at, seq LIMIT 1), 9223372036854775807)"

#define NEWEST(condition)                                                                          \
    "SELECT " TRAIL_COLUMNS " FROM trail WHERE " condition WHERE                                   \
    " AND seq < $12 ORDER BY seq DESC LIMIT $13"
#define OLDEST(condition)                                                                          \
    "SELECT " TRAIL_COLUMNS " FROM trail WHERE " condition WHERE                                   \
    " AND seq > $12 ORDER BY seq LIMIT $13"

/* One text for each index that may lead: a condition that may be off does not use one. */
enum lead { LEAD_SUBJECT, LEAD_ACTOR, LEAD_TENANT, LEAD_ACTION, LEAD_NONE, LEADS };

static const char *const newest[LEADS] = {
    [LEAD_SUBJECT] = NEWEST("subject_id = $8 AND"),
    [LEAD_ACTOR] = NEWEST("actor_id = $4 AND"),
    [LEAD_TENANT] = NEWEST("tenant_id = $2 AND"),
    [LEAD_ACTION] = NEWEST("action = $6 AND"),
    [LEAD_NONE] = NEWEST(""),
};

static const char *const oldest[LEADS] = {
    [LEAD_SUBJECT] = OLDEST("subject_id = $8 AND"),
    [LEAD_ACTOR] = OLDEST("actor_id = $4 AND"),
    [LEAD_TENANT] = OLDEST("tenant_id = $2 AND"),
    [LEAD_ACTION] = OLDEST("action = $6 AND"),
    [LEAD_NONE] = OLDEST(""),
};

static enum lead lead_of(const struct trail_filter *f)
{
    if (!uuid_is_nil(&f->subject_id))
        return LEAD_SUBJECT;
    if (!uuid_is_nil(&f->actor_id))
        return LEAD_ACTOR;
    if (!f->all_tenants)
        return LEAD_TENANT;
    return f->action.n ? LEAD_ACTION : LEAD_NONE;
}

static struct uuid field_id(const struct trail_row *row, enum trail_field field)
{
    struct uuid id = {{0}};

    if (row->fields[field].n == sizeof id.b)
        memcpy(id.b, row->fields[field].p, sizeof id.b);
    return id;
}

static struct trail_record record_of(const struct trail_row *row)
{
    return (struct trail_record){
        .seq = row->seq,
        .at = row->at,
        .tenant_id = field_id(row, FIELD_TENANT),
        .actor_id = field_id(row, FIELD_ACTOR_ID),
        .subject_id = field_id(row, FIELD_SUBJECT_ID),
        .request_id = field_id(row, FIELD_REQUEST),
        .actor = row->fields[FIELD_ACTOR],
        .action = row->fields[FIELD_ACTION],
        .subject = row->fields[FIELD_SUBJECT],
        .ip = row->fields[FIELD_IP],
        .detail = row->fields[FIELD_DETAIL],
    };
}

static int each_row(struct store_rows *rows, trail_each *each, void *arg)
{
    int e;

    while ((e = store_rows_next(rows)) == 1) {
        struct trail_row row;
        trail_row_read(rows, &row);
        struct trail_record record = record_of(&row);
        e = each(&record, arg);
        if (e)
            return e;
    }
    return e;
}

static int list(struct store_txn *txn, const char *sql, const struct trail_filter *f, int64_t from,
                int limit, trail_each *each, void *arg)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int e;

    if (limit < 1 || limit > TRAIL_LIST_MAX)
        return fault_set(FAULT_LIMIT, "a page of the trail has 1 to %d records", TRAIL_LIST_MAX);
    /* The texts add and subtract a day. */
    int64_t until = f->until > 0 && f->until < INT64_MAX / 2 ? f->until : INT64_MAX / 2;
    int64_t since = f->since > 0 ? (f->since < until ? f->since : until) : 0;
    e = store_query(txn, sql, &rows,
                    PARAMS(P_INT(f->all_tenants), P_ID(&f->tenant_id),
                           P_INT(!uuid_is_nil(&f->actor_id)), P_ID(&f->actor_id), P_TEXT(f->actor),
                           P_TEXT(f->action), P_INT(!uuid_is_nil(&f->subject_id)),
                           P_ID(&f->subject_id), P_TEXT(f->subject), P_INT(since), P_INT(until),
                           P_INT(from), P_INT(limit)));
    return e ? e : each_row(rows, each, arg);
}

int trail_list(struct store_txn *txn, const struct trail_filter *filter, int64_t before, int limit,
               trail_each *each, void *arg)
{
    return list(txn, newest[lead_of(filter)], filter, before > 0 ? before : INT64_MAX, limit, each,
                arg);
}

int trail_list_from(struct store_txn *txn, const struct trail_filter *filter, int64_t after,
                    int limit, trail_each *each, void *arg)
{
    return list(txn, oldest[lead_of(filter)], filter, after, limit, each, arg);
}

void trail_filter_actor(struct trail_filter *filter, struct str text)
{
    if (uuid_parse(text, &filter->actor_id) != 0)
        filter->actor = text;
}

void trail_filter_subject(struct trail_filter *filter, struct str text)
{
    if (uuid_parse(text, &filter->subject_id) != 0)
        filter->subject = text;
}
