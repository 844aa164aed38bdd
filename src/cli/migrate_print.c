#include "cli/migrate_print.h"

#include "base/clock.h"
#include "cli/cli.h"

enum { LATEST = 5, BRIEF_MAX = 100 };

static const char red[] = "\033[31m", yellow[] = "\033[33m", green[] = "\033[32m",
                  plain[] = "\033[0m";

static const char *colour_of(const struct migrate_shown *s, enum migrate_state state)
{
    if (!s->colour)
        return "";
    switch (state) {
    case MIGRATE_APPLIED:
        return green;
    case MIGRATE_PENDING:
    case MIGRATE_ROLLED_BACK:
        return yellow;
    case MIGRATE_IS_FAILED:
    case MIGRATE_IS_EDITED:
    case MIGRATE_IS_MISSING:
        break;
    }
    return red;
}

static const char *end_of(const struct migrate_shown *s)
{
    return s->colour ? plain : "";
}

int migrate_print_head(const struct migrate_shown *s, struct buf *out)
{
    return buf_printf(out, "Database    %s, schema %s\nMigrations  %s\n", s->place, s->schema,
                      s->directory);
}

/* The width of the longest name that is shown. */
static int width_of_view(const struct migrate_view *view, size_t from)
{
    size_t width = 0;

    for (size_t i = from; i < view->count; i++) {
        size_t n = str_utf8_length(str_of(view->all[i].name));
        width = n > width ? n : width;
    }
    return (int)width;
}

static void print_time(struct buf *out, int64_t ms)
{
    char text[CLOCK_TEXT_SIZE];

    clock_format(ms, text);
    buf_printf(out, "%.10s %.8s UTC", text, text + 11);
}

/* Lines of a log, each further in. */
static void print_lines(struct buf *out, const char *text)
{
    struct str rest = str_of(text), line;

    while (str_next(&rest, '\n', &line)) {
        buf_add_str(out, STR("      "));
        for (size_t i = 0; i < line.n; i++)
            buf_add_char(out,
                         line.p[i] == '\t' || (unsigned char)line.p[i] >= ' ' ? line.p[i] : ' ');
        buf_add_char(out, '\n');
    }
}

static void print_entry(const struct migrate_shown *s, const struct migrate_entry *e, int width,
                        struct buf *out)
{
    int pad = width - (int)str_utf8_length(str_of(e->name));

    buf_printf(out, "  %s%*s  %s%-11s%s  ", e->name, pad, "", colour_of(s, e->state),
               migrate_state_name(e->state), end_of(s));
    if (e->row && e->state == MIGRATE_APPLIED)
        print_time(out, e->row->finished);
    else if (e->row && e->state == MIGRATE_IS_FAILED) {
        buf_add_str(out, STR("began "));
        print_time(out, e->row->started);
    } else if (e->row && e->state == MIGRATE_ROLLED_BACK) {
        buf_add_str(out, STR("to be applied again; began "));
        print_time(out, e->row->started);
    } else if (e->state == MIGRATE_IS_EDITED)
        buf_add_str(out, STR("since it was applied"));
    else if (e->state == MIGRATE_IS_MISSING)
        buf_add_str(out, STR("applied, and not in the directory"));
    buf_add_char(out, '\n');
    if (e->state == MIGRATE_IS_EDITED && e->file && e->row)
        buf_printf(out, "      the file:      %s\n      what was run:  %s\n", e->file->checksum,
                   e->row->checksum);
    if (e->row && (e->state == MIGRATE_IS_FAILED || e->state == MIGRATE_ROLLED_BACK))
        print_lines(out, e->row->logs);
}

/* Where the list begins: before the latest of those that are applied at its head. */
static size_t first_shown(const struct migrate_view *view)
{
    size_t applied = 0;

    while (applied < view->count && view->all[applied].state == MIGRATE_APPLIED)
        applied++;
    return applied > LATEST ? applied - LATEST : 0;
}

static void print_counts(const struct migrate_view *view, struct buf *out)
{
    const char *comma = "\n";

    for (int state = 0; state <= MIGRATE_IS_MISSING; state++) {
        if (view->counts[state] == 0)
            continue;
        buf_printf(out, "%s%zu %s", comma, view->counts[state],
                   migrate_state_name((enum migrate_state)state));
        comma = ", ";
    }
    buf_add_str(out, view->count ? STR(".\n") : STR("There are no migrations.\n"));
}

int migrate_print_view(const struct migrate_shown *s, struct buf *out)
{
    size_t from = first_shown(s->view);
    int width = width_of_view(s->view, from);

    buf_add_char(out, '\n');
    if (from)
        buf_printf(out, "  (%zu earlier ones are applied)\n", from);
    for (size_t i = from; i < s->view->count; i++)
        print_entry(s, &s->view->all[i], width, out);
    print_counts(s->view, out);
    return buf_fault(out);
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static void print_planned(const struct migrate_planned *p, struct buf *out)
{
    const struct script *script = &p->script;

    buf_printf(out, "  %s\n      %zu statement%s ", p->file->name, script->count,
               plural(script->count));
    if (script->atomic) {
        buf_add_str(out, STR("in one transaction"));
    } else {
        buf_printf(out, "one by one, as line %d %s: ", script->apart->at.line, script->why);
        sql_brief(script->apart->at.text, BRIEF_MAX, false, out);
    }
    if (p->lock > SQL_ROW_EXCLUSIVE) {
        buf_printf(out, "\n      locks %.*s%s(%s)", STR_ARG(p->locked), p->locked.n ? " " : "",
                   sql_lock_name(p->lock));
    }
    buf_add_char(out, '\n');
}

static void print_dangers(const struct migrate_shown *s, bool destroys, struct buf *out)
{
    for (const struct migrate_danger *d = s->plan->dangers; d; d = d->next) {
        if (d->destroys != destroys)
            continue;
        buf_printf(out, "  %s, line %d\n      %s%s%s", d->file->name, d->line,
                   s->colour && destroys ? red : "", d->what, destroys ? end_of(s) : "");
        if (*d->facts)
            buf_printf(out, " (%s)", d->facts);
        buf_add_char(out, '\n');
    }
}

int migrate_print_plan(const struct migrate_shown *s, struct buf *out)
{
    const struct migrate_plan *plan = s->plan;

    if (plan->count == 0)
        return buf_fault(out);
    buf_add_str(out, STR("\nTo be applied:\n"));
    for (size_t i = 0; i < plan->count; i++)
        print_planned(&plan->all[i], out);
    if (plan->destroying)
        buf_add_str(out, STR("\nWhat it destroys, or stops the product with:\n"));
    print_dangers(s, true, out);
    if (plan->danger_count > plan->destroying)
        buf_add_str(out, STR("\nGood to know:\n"));
    print_dangers(s, false, out);
    return buf_fault(out);
}

int migrate_print_result(const struct migrate_shown *s, const struct migrate_result *r,
                         struct buf *out)
{
    for (size_t i = 0; i < r->held_count; i++)
        if (r->held[i].lock > SQL_ROW_EXCLUSIVE)
            buf_printf(out, "      held %s (%s) for %lld ms\n", r->held[i].table,
                       sql_lock_name(r->held[i].lock), (long long)r->held[i].ms);
    if (r->fate == MIGRATE_FATE_APPLIED || !r->failure.message)
        return buf_fault(out);
    const struct migrate_failure *f = &r->failure;
    buf_printf(out, "\n%s%s: %s%s\n", s->colour ? red : "", r->file->name,
               migrate_fate_name(r->fate), end_of(s));
    if (f->line)
        buf_printf(out, "  %s/%s/migration.sql:%d:%d\n", s->directory, r->file->name, f->line,
                   f->column);
    if (*f->statement)
        buf_printf(out, "  %s\n", f->statement);
    buf_printf(out, "  %s%s%s%s\n", f->message, *f->sqlstate ? " (" : "", f->sqlstate,
               *f->sqlstate ? ")" : "");
    if (*f->detail)
        buf_printf(out, "  %s\n", f->detail);
    if (*f->hint)
        buf_printf(out, "  Hint: %s\n", f->hint);
    if (*f->blockers)
        buf_printf(out, "  In the way: %s\n", f->blockers);
    if (r->fate != MIGRATE_FATE_ROLLED_BACK)
        buf_printf(out,
                   "  See what it left (holdfast migrate status has its log), finish or undo it by "
                   "hand, and say which:\n"
                   "    holdfast migrate resolve --applied %s\n"
                   "    holdfast migrate resolve --rolled-back %s\n",
                   r->file->name, r->file->name);
    return buf_fault(out);
}

int migrate_print_indexes(const struct migrate_shown *s, struct buf *out)
{
    const struct migrate_report *report = s->report;

    if (report->invalid_count)
        buf_add_str(out, STR("\nIndexes that are not valid, so that no query uses them:\n"));
    for (size_t i = 0; i < report->invalid_count; i++)
        buf_printf(out, "  %s on %s%s\n      REINDEX INDEX CONCURRENTLY %s; makes it anew\n",
                   report->invalid[i].name, report->invalid[i].table,
                   report->invalid[i].ours ? "" : ", as before this run", report->invalid[i].name);
    return buf_fault(out);
}
