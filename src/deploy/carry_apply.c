/* The rules and the trail, in statements that both engines take. */
#include "base/clock.h"
#include "base/fault.h"
#include "deploy/carry_internal.h"

/* Housekeeping keeps what was ended for thirty days: with a day for clocks that differ. */
static const int64_t kept_ms = 29 * (int64_t)CLOCK_DAY;

struct carrying carry_begin(struct carry *c, enum carry_engine engine, bool fenced)
{
    int64_t now = clock_now();

    return (struct carrying){
        .c = c,
        .engine = engine,
        .fenced = fenced,
        .words = {.now = now,
                  .taken = c->manifest->taken_at,
                  .old = c->manifest->taken_at < now - kept_ms},
        .sql = buf_init(CARRY_SQL_MAX),
        .text = buf_init(CARRY_SQL_MAX),
    };
}

/* Each call did what it saw. What is counted alone was by the first: which of it came in between
 * cannot be told from rows that are merely not known to be older. */
static void add_report(struct carry_report *total, const struct carry_report *now)
{
    struct carry_report before = *total;

    *total = *now;
    if (before.installations == 0)
        return;
    for (size_t i = 0; i < carry_rules_count; i++)
        total->rows[i] = before.rows[i] + (carry_rules[i].counts ? 0 : now->rows[i]);
    total->accounts_restricted += before.accounts_restricted;
    total->trail_breaks += before.trail_breaks;
    total->trail_from = before.trail_from;
    if (now->trail == CARRY_TRAIL_SAME)
        total->trail = before.trail;
}

void carry_end(struct carrying *g, int result, int64_t ms)
{
    g->report.ms = ms;
    if (result == 0)
        add_report(&g->c->report, &g->report);
    buf_free(&g->sql);
    buf_free(&g->text);
}

int carry_check_schema(const char *which, int64_t version)
{
    if (version >= CARRY_SCHEMA_MIN)
        return 0;
    fault_keep("the carry-over needs Holdfast's tables of version %d or later, and those of %s are "
               "of version %lld: restore by hand, as the manual tells",
               CARRY_SCHEMA_MIN, which, (long long)version);
    return BACKUP_FAILED;
}

int carry_run(struct carrying *g, const char *sql, int64_t *ret_changed)
{
    int64_t changed = 0;
    const char *text = carry_expand(&g->words, sql, &g->sql);

    if (!text)
        return buf_fault(&g->sql);
    int r = g->run(g, text, &changed);
    if (r == 0 && ret_changed)
        *ret_changed = changed;
    return r;
}

int carry_number(struct carrying *g, const char *sql, int64_t *ret)
{
    const char *text = carry_expand(&g->words, sql, &g->sql);

    return text ? g->number(g, text, ret) : buf_fault(&g->sql);
}

static size_t table_of(const char *name)
{
    size_t i = 0;

    while (strcmp(carry_tables[i].name, name) != 0)
        i++;
    return i;
}

static bool applies(const struct carrying *g, const struct carry_rule *rule)
{
    if (rule->engine != CARRY_BOTH && rule->engine != g->engine)
        return false;
    return !rule->table || g->came[table_of(rule->table)] > 0;
}

static int apply_rules(struct carrying *g)
{
    struct carry_report *report = &g->report;
    int r = 0;

    for (size_t i = 0; r == 0 && i < carry_rules_count; i++) {
        const struct carry_rule *rule = &carry_rules[i];
        int64_t n = 0;
        if (!applies(g, rule))
            continue;
        r = rule->counts ? carry_number(g, rule->sql, &n) : carry_run(g, rule->sql, &n);
        if (r == 0 && rule->name)
            report->rows[i] += n;
    }
    return r;
}

int carry_find_head(struct carrying *g)
{
    return carry_number(g, "SELECT coalesce(max(seq), 0) FROM restored.trail_head", &g->words.head);
}

/* Whether the two rows are the same record: its MAC covers it and, by the one before, all that
 * precede it. */
static const char same_record[] =
    "SELECT count(*) FROM live.trail l JOIN restored.trail r ON r.seq = l.seq AND r.mac = l.mac"
    " JOIN restored.trail_head h ON h.seq = r.seq AND h.mac = r.mac"
    " JOIN live.trail_head o ON o.chain = h.chain"
    " WHERE NOT EXISTS (SELECT 1 FROM restored.trail b WHERE b.seq > h.seq)";
static const char ends_within[] =
    "SELECT count(*) FROM restored.trail r JOIN live.trail_head o ON o.seq = r.seq AND"
    " o.mac = r.mac JOIN restored.trail_head h ON h.chain = o.chain";
static const char broken_links[] =
    "SELECT count(*) FROM (SELECT seq, previous, lag(seq) OVER (ORDER BY seq) AS seq_before,"
    " lag(mac) OVER (ORDER BY seq) AS mac_before FROM live.trail WHERE seq >= @head) t"
    " WHERE seq > @head AND seq > 1 AND (seq_before IS DISTINCT FROM seq - 1 OR"
    " mac_before IS DISTINCT FROM previous)";

/* Where the restored trail ends in the live one, if it does. */
static int relate_trails(struct carrying *g, int64_t last)
{
    struct carry_report *report = &g->report;
    int64_t head = g->words.head, same = 0, stray = 0;
    int r;

    report->trail_from = report->trail_to = head;
    if (head == 0) {
        r = carry_number(g, "SELECT count(*) FROM restored.trail", &stray);
        report->trail = stray ? CARRY_TRAIL_PARTED : last ? CARRY_TRAIL_EXTENDED : CARRY_TRAIL_NONE;
        return r;
    }
    r = carry_number(g, last < head && last > 0 ? ends_within : same_record, &same);
    if (last == 0)
        report->trail = CARRY_TRAIL_SHORT;
    else if (!same)
        report->trail = CARRY_TRAIL_PARTED;
    else
        report->trail = last < head    ? CARRY_TRAIL_SHORT
                        : last == head ? CARRY_TRAIL_SAME
                                       : CARRY_TRAIL_EXTENDED;
    return r;
}

static int append_trail(struct carrying *g, int64_t last)
{
    struct carry_report *report = &g->report;
    const struct carry_table *head = &carry_tables[table_of("trail_head")],
                             *trail = &carry_tables[table_of("trail")];
    int r = carry_number(g, broken_links, &report->trail_breaks);

    buf_reset(&g->text);
    buf_printf(&g->text,
               "INSERT INTO restored.trail (%s) SELECT %s FROM live.trail WHERE seq > @head"
               " ORDER BY seq",
               trail->columns, trail->columns);
    if (r == 0 && !(r = buf_fault(&g->text)))
        r = carry_run(g, buf_cstr(&g->text), NULL);
    if (r == 0)
        r = carry_run(g, "DELETE FROM restored.trail_head", NULL);
    buf_reset(&g->text);
    buf_printf(&g->text, "INSERT INTO restored.trail_head (%s) SELECT %s FROM live.trail_head",
               head->columns, head->columns);
    if (r == 0 && !(r = buf_fault(&g->text)))
        r = carry_run(g, buf_cstr(&g->text), NULL);
    report->trail_to = last;
    return r;
}

static int carry_trail(struct carrying *g)
{
    int64_t last = 0;
    int r = carry_number(g, "SELECT coalesce(max(seq), 0) FROM live.trail_head", &last);

    if (r == 0)
        r = relate_trails(g, last);
    if (r)
        return r;
    if (g->report.trail == CARRY_TRAIL_PARTED && !g->c->accept_trail_break) {
        fault_keep(
            "the backup's trail, which ends at record %lld, is not the beginning of the live "
            "one, which ends at record %lld: one of them is of another history",
            (long long)g->words.head, (long long)last);
        return BACKUP_FAILED;
    }
    return g->report.trail == CARRY_TRAIL_EXTENDED ? append_trail(g, last) : 0;
}

int carry_apply(struct carrying *g)
{
    int r = carry_trail(g);

    if (r == 0)
        r = apply_rules(g);
    return r ? r : carry_tell_nodes(g);
}

int carry_tell_nodes(struct carrying *g)
{
    return g->fenced ? carry_run(g,
                                 "INSERT INTO restored.feed (at, kind, subject_id, expires_at)"
                                 " VALUES (@now, 'all', NULL, @now + 86400000)",
                                 NULL)
                     : 0;
}
