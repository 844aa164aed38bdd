/* Deployments for people, on a terminal. */
#include "base/clock.h"
#include "cli/deployments.h"

enum { ID_SHOWN = 13, NAME_MAX_WIDTH = 30, TITLE_WIDTH = 36, STATE_WIDTH = 13 };

static const char red[] = "\033[31m", green[] = "\033[32m", yellow[] = "\033[33m",
                  blue[] = "\033[36m", dim[] = "\033[2m", bold[] = "\033[1m";

struct printer {
    struct buf *out;
    bool colour;
};

static void paint(const struct printer *p, const char *colour)
{
    if (p->colour)
        buf_add_str(p->out, str_of(colour));
}

static void unpaint(const struct printer *p)
{
    paint(p, "\033[0m");
}

/* The text, cut or filled up with spaces to the width in characters. */
static void put_wide(const struct printer *p, struct str text, size_t width)
{
    size_t n = str_utf8_length(text);

    buf_add_str(p->out, text);
    for (; n < width; n++)
        buf_add_char(p->out, ' ');
}

static void put_painted(const struct printer *p, const char *colour, struct str text, size_t width)
{
    paint(p, colour);
    put_wide(p, text, width);
    unpaint(p);
}

/* "2026-11-22 14:03:12" */
static void format_time(int64_t at, char ret[CLOCK_TEXT_SIZE])
{
    clock_format(at, ret);
    ret[10] = ' ';
    ret[19] = '\0';
}

static const char *const result_colours[REPORT_RESULTS] = {
    [REPORT_RUNNING] = blue, [REPORT_DIED] = yellow,        [REPORT_DONE] = green,
    [REPORT_FAILED] = red,   [REPORT_ROLLED_BACK] = yellow, [REPORT_INCOMPLETE] = red,
};

static struct str result_of(const struct deployments_item *item)
{
    return item->damaged ? STR("damaged") : str_of(report_result_words(item->record.result));
}

struct widths {
    size_t environment, release, result, who;
};

static void widen(size_t *width, struct str text)
{
    size_t n = str_utf8_length(text);

    if (n > *width && n <= NAME_MAX_WIDTH)
        *width = n;
}

static void put_item(const struct printer *p, const struct deployments_item *item,
                     const struct widths *w, int64_t now)
{
    const struct record *r = &item->record;
    char id[UUID_TEXT_SIZE], began[CLOCK_TEXT_SIZE], took[REPORT_DURATION_SIZE];
    int64_t until = r->ended_at ? r->ended_at : now;

    uuid_format(&r->id, id);
    format_time(r->began_at, began);
    report_duration(until > r->began_at ? until - r->began_at : 0, took);
    buf_printf(p->out, "%.*s  %.16s  ", ID_SHOWN, id, began);
    put_wide(p, r->environment, w->environment + 2);
    put_wide(p, r->release, w->release + 2);
    put_painted(p, item->damaged ? red : result_colours[r->result], result_of(item), w->result);
    buf_printf(p->out, "  %12s  ", item->damaged ? "" : took);
    buf_add_str(p->out, r->who);
    if (!item->here)
        put_painted(p, dim, STR("  (elsewhere)"), 0);
    buf_add_char(p->out, '\n');
}

void deployments_print_list(const struct deployments_item *items, size_t n, int64_t now,
                            bool colour, struct buf *out)
{
    struct printer p = {out, colour};
    struct widths w = {strlen("ENVIRONMENT"), strlen("RELEASE"), strlen("RESULT"), 0};

    if (n == 0) {
        buf_printf(out, "Nothing was deployed yet.\n");
        return;
    }
    for (size_t i = 0; i < n; i++) {
        widen(&w.environment, items[i].record.environment);
        widen(&w.release, items[i].record.release);
        widen(&w.result, result_of(&items[i]));
    }
    paint(&p, bold);
    buf_printf(out, "%-*s  %-16s  ", ID_SHOWN, "ID", "BEGAN (UTC)");
    put_wide(&p, STR("ENVIRONMENT"), w.environment + 2);
    put_wide(&p, STR("RELEASE"), w.release + 2);
    put_wide(&p, STR("RESULT"), w.result);
    buf_printf(out, "  %12s  %s", "TOOK", "WHO");
    unpaint(&p);
    buf_add_char(out, '\n');
    for (size_t i = 0; i < n; i++)
        put_item(&p, &items[i], &w, now);
}

static void put_head(const struct printer *p, const struct report *r)
{
    char id[UUID_TEXT_SIZE], began[CLOCK_TEXT_SIZE], ended[CLOCK_TEXT_SIZE],
        took[REPORT_DURATION_SIZE];

    uuid_format(&r->id, id);
    format_time(r->began_at, began);
    format_time(r->ended_at, ended);
    report_duration(r->ms, took);
    paint(p, bold);
    buf_printf(p->out, "%.*s: ", STR_ARG(r->environment));
    if (r->previous.n)
        buf_printf(p->out, "%.*s -> ", STR_ARG(r->previous));
    buf_printf(p->out, "%.*s", STR_ARG(r->release));
    unpaint(p);
    buf_add_str(p->out, STR(", "));
    put_painted(p, result_colours[r->result], str_of(report_result_words(r->result)), 0);
    buf_printf(p->out, " %s %s\n", r->result == REPORT_RUNNING ? "for" : "after", took);
    paint(p, dim);
    buf_printf(p->out, "%s%s%s UTC", began, r->ended_at ? " to " : "", r->ended_at ? ended : "");
    if (r->who.n)
        buf_printf(p->out, ", by %.*s", STR_ARG(r->who));
    buf_printf(p->out, "\n%s", id);
    unpaint(p);
    buf_add_char(p->out, '\n');
}

static const struct {
    const char *words, *colour;
} states[REPORT_STATES] = {
    [REPORT_STEP_WAITING] = {"not begun", dim}, [REPORT_STEP_RUNNING] = {"running", blue},
    [REPORT_STEP_DONE] = {"done", green},       [REPORT_STEP_SKIPPED] = {"not needed", dim},
    [REPORT_STEP_FAILED] = {"failed", red},     [REPORT_STEP_INTERRUPTED] = {"interrupted", yellow},
};

/* A line beneath a step. */
static void put_below(const struct printer *p, const char *colour, struct str label,
                      struct str text)
{
    if (text.n == 0)
        return;
    buf_printf(p->out, "%*s", STATE_WIDTH + 4, "");
    paint(p, colour);
    if (label.n)
        buf_printf(p->out, "%.*s: ", STR_ARG(label));
    buf_add_str(p->out, text);
    unpaint(p);
    buf_add_char(p->out, '\n');
}

static void put_undo(const struct printer *p, const struct report_run *undo)
{
    char took[REPORT_DURATION_SIZE];

    report_duration(undo->ms, took);
    if (undo->state == REPORT_STEP_DONE)
        buf_printf(p->out, "   undone in %s", took);
    else if (undo->state == REPORT_STEP_RUNNING)
        buf_printf(p->out, "   being undone");
    else if (undo->state == REPORT_STEP_INTERRUPTED)
        put_painted(p, red, STR("   undoing it was interrupted"), 0);
    else if (undo->state == REPORT_STEP_FAILED)
        put_painted(p, red, STR("   could not be undone"), 0);
}

static void put_step(const struct printer *p, const struct report_step *step)
{
    enum report_state state = step->run.state;
    char took[REPORT_DURATION_SIZE] = "";

    if (step->run.began_at && state != REPORT_STEP_INTERRUPTED)
        report_duration(step->run.ms, took);
    buf_add_str(p->out, STR("  "));
    put_painted(p, states[state].colour, str_of(states[state].words), STATE_WIDTH);
    buf_add_str(p->out, STR("  "));
    if (step->run.began_at) {
        put_wide(p, step->title, TITLE_WIDTH);
        buf_printf(p->out, "  %12s", took);
    } else {
        put_painted(p, dim, step->title, 0);
    }
    put_undo(p, &step->undo);
    buf_add_char(p->out, '\n');
    put_below(p, red, STR(""), step->run.why);
    put_below(p, red, STR(""), step->undo.why);
    for (size_t i = 0; i < step->n_facts; i++)
        put_below(p, dim, step->facts[i].label, step->facts[i].text);
}

static void put_title(const struct printer *p, const char *title)
{
    buf_add_char(p->out, '\n');
    put_painted(p, bold, str_of(title), 0);
    buf_add_char(p->out, '\n');
}

static void put_answers(const struct printer *p, const struct report *r)
{
    static const struct {
        const char *words, *colour;
    } verdicts[] = {[VERIFY_PASSED] = {"passed", green},
                    [VERIFY_FAILED] = {"failed", red},
                    [VERIFY_NOT_ASKED] = {"not asked", dim}};

    if (r->n_answers == 0)
        return;
    put_title(p, "Verified from outside");
    for (size_t i = 0; i < r->n_answers; i++) {
        const struct report_answer *answer = &r->answers[i];
        buf_add_str(p->out, STR("  "));
        put_painted(p, verdicts[answer->verdict].colour, str_of(verdicts[answer->verdict].words),
                    STATE_WIDTH);
        buf_printf(p->out, "  %.*s\n", STR_ARG(answer->title));
        put_below(p, red, STR(""), answer->why);
    }
}

static void put_left(const struct printer *p, const struct report *r)
{
    if (r->n_left == 0)
        return;
    put_title(p, r->result == REPORT_DONE ? "The release serves; this is left to see to"
                                          : "What a person has to do");
    for (size_t i = 0; i < r->n_left; i++) {
        const struct report_left *left = &r->left[i];
        buf_printf(p->out, "  %zu. %.*s: %.*s\n", i + 1, STR_ARG(left->title), STR_ARG(left->why));
        if (left->by_hand.n)
            buf_printf(p->out, "     %.*s\n", STR_ARG(left->by_hand));
    }
    if (r->result == REPORT_INCOMPLETE)
        buf_printf(p->out, "  The next deployment or rollback of %.*s tries it again.\n",
                   STR_ARG(r->environment));
}

static void put_path(struct buf *out, const char *path)
{
    if (*path)
        buf_printf(out, "\nIts journal, logs and report: %s/\n", path);
    else
        buf_printf(out, "\nIt was deployed from another machine, where its logs are.\n");
}

void deployments_print_end(const struct report *r, const char *path, bool colour, struct buf *out)
{
    struct printer p = {out, colour};

    put_head(&p, r);
    if (r->why.n)
        buf_printf(out, "\nWhy: %.*s\n", STR_ARG(r->why));
    put_left(&p, r);
    put_path(out, path);
}

void deployments_print(const struct report *r, const char *path, bool colour, struct buf *out)
{
    struct printer p = {out, colour};

    put_head(&p, r);
    if (r->why.n)
        buf_printf(out, "\nWhy: %.*s\n", STR_ARG(r->why));
    put_left(&p, r);
    put_title(&p, "Steps");
    for (size_t i = 0; i < r->n_steps; i++)
        put_step(&p, &r->steps[i]);
    put_answers(&p, r);
    put_path(out, path);
}
