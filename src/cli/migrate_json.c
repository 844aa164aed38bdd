/* The commands of holdfast migrate, as JSON. */
#include "base/json.h"
#include "cli/migrate_print.h"

static void text(struct json_writer *w, const char *key, const char *value)
{
    json_key(w, key);
    if (value && *value)
        json_str(w, str_of(value));
    else
        json_nil(w);
}

static void number(struct json_writer *w, const char *key, int64_t value)
{
    json_key(w, key);
    json_int(w, value);
}

static void write_view(struct json_writer *w, const struct migrate_view *view)
{
    json_key(w, "migrations");
    json_array_begin(w);
    for (size_t i = 0; i < view->count; i++) {
        const struct migrate_entry *e = &view->all[i];
        json_object_begin(w);
        text(w, "name", e->name);
        text(w, "state", migrate_state_name(e->state));
        text(w, "checksum", e->file ? e->file->checksum : NULL);
        text(w, "appliedChecksum", e->row ? e->row->checksum : NULL);
        json_key(w, "startedAt");
        json_time(w, e->row ? e->row->started : 0);
        json_key(w, "finishedAt");
        json_time(w, e->row ? e->row->finished : 0);
        text(w, "logs", e->row ? e->row->logs : NULL);
        json_object_end(w);
    }
    json_array_end(w);
    number(w, "pending", (int64_t)view->pending);
}

static void write_plan(struct json_writer *w, const struct migrate_plan *plan)
{
    json_key(w, "plan");
    json_array_begin(w);
    for (size_t i = 0; i < plan->count; i++) {
        const struct migrate_planned *p = &plan->all[i];
        json_object_begin(w);
        text(w, "name", p->file->name);
        number(w, "statements", (int64_t)p->script.count);
        json_key(w, "atomic");
        json_bool(w, p->script.atomic);
        if (!p->script.atomic) {
            number(w, "line", p->script.apart->at.line);
            text(w, "why", p->script.why);
        }
        text(w, "lock", sql_lock_name(p->lock));
        json_object_end(w);
    }
    json_array_end(w);
}

static void write_dangers(struct json_writer *w, const struct migrate_plan *plan)
{
    json_key(w, "dangers");
    json_array_begin(w);
    for (const struct migrate_danger *d = plan->dangers; d; d = d->next) {
        json_object_begin(w);
        text(w, "name", d->file->name);
        number(w, "line", d->line);
        json_key(w, "destroys");
        json_bool(w, d->destroys);
        text(w, "what", d->what);
        text(w, "facts", d->facts);
        json_object_end(w);
    }
    json_array_end(w);
}

static void write_failure(struct json_writer *w, const struct migrate_failure *f)
{
    json_key(w, "failure");
    json_object_begin(w);
    text(w, "sqlstate", f->sqlstate);
    text(w, "message", f->message);
    text(w, "detail", f->detail);
    text(w, "hint", f->hint);
    number(w, "line", f->line);
    number(w, "column", f->column);
    text(w, "statement", f->statement);
    text(w, "blockers", f->blockers);
    json_object_end(w);
}

static void write_result(struct json_writer *w, const struct migrate_result *r)
{
    json_object_begin(w);
    text(w, "name", r->file->name);
    text(w, "fate", migrate_fate_name(r->fate));
    number(w, "ms", r->ms);
    number(w, "attempts", r->attempts);
    number(w, "statements", (int64_t)r->statements_done);
    json_key(w, "locks");
    json_array_begin(w);
    for (size_t i = 0; i < r->held_count; i++) {
        json_object_begin(w);
        text(w, "table", r->held[i].table);
        text(w, "lock", sql_lock_name(r->held[i].lock));
        number(w, "ms", r->held[i].ms);
        json_object_end(w);
    }
    json_array_end(w);
    if (r->failure.message && r->fate != MIGRATE_FATE_APPLIED)
        write_failure(w, &r->failure);
    json_object_end(w);
}

static void write_report(struct json_writer *w, const struct migrate_report *report)
{
    number(w, "applied", (int64_t)report->applied);
    json_key(w, "results");
    json_array_begin(w);
    for (size_t i = 0; i < report->count; i++)
        write_result(w, &report->all[i]);
    json_array_end(w);
    json_key(w, "invalidIndexes");
    json_array_begin(w);
    for (size_t i = 0; i < report->invalid_count; i++) {
        json_object_begin(w);
        text(w, "index", report->invalid[i].name);
        text(w, "table", report->invalid[i].table);
        json_key(w, "before");
        json_bool(w, !report->invalid[i].ours);
        json_object_end(w);
    }
    json_array_end(w);
}

int migrate_print_json(const struct migrate_shown *s, struct buf *out)
{
    struct json_writer w = json_writer(out);

    json_object_begin(&w);
    text(&w, "database", s->place);
    text(&w, "schema", s->schema);
    text(&w, "directory", s->directory);
    if (s->view)
        write_view(&w, s->view);
    if (s->plan) {
        write_plan(&w, s->plan);
        write_dangers(&w, s->plan);
    }
    if (s->report)
        write_report(&w, s->report);
    text(&w, "code", s->outcome > 0 ? migrate_code(s->outcome) : NULL);
    text(&w, "error", s->outcome ? s->error : NULL);
    json_object_end(&w);
    buf_add_char(out, '\n');
    return buf_fault(out);
}
