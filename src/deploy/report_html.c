/* Reports as a page for people, which needs nothing but itself. */
#include "base/clock.h"
#include "deploy/report.h"
#include "deploy/report_css.h"

enum { TICKS = 4 };

static void escape(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        const char *entity = text.p[i] == '<'    ? "&lt;"
                             : text.p[i] == '>'  ? "&gt;"
                             : text.p[i] == '&'  ? "&amp;"
                             : text.p[i] == '"'  ? "&quot;"
                             : text.p[i] == '\'' ? "&#39;"
                                                 : NULL;
        if (entity)
            buf_add_str(out, str_of(entity));
        else
            buf_add_char(out, text.p[i]);
    }
}

static void put(struct buf *out, const char *markup)
{
    buf_add_str(out, str_of(markup));
}

/* <tag class="class">text</tag>, or nothing where there is no text. */
static void put_text(struct buf *out, const char *tag, const char *class, struct str text)
{
    if (text.n == 0)
        return;
    buf_printf(out, "<%s class=\"%s\">", tag, class);
    escape(out, text);
    buf_printf(out, "</%s>", tag);
}

static void put_duration(struct buf *out, int64_t ms)
{
    char text[REPORT_DURATION_SIZE];

    report_duration(ms, text);
    put(out, text);
}

/* "2026-11-22 14:03:12" */
static void put_time(struct buf *out, int64_t at)
{
    char text[CLOCK_TEXT_SIZE];

    clock_format(at, text);
    buf_printf(out, "<time datetime=\"%s\">%.10s %.8s</time>", text, text, text + 11);
}

static void put_title(struct buf *out, const struct report *r)
{
    escape(out, r->environment);
    put(out, ": ");
    if (r->previous.n) {
        escape(out, r->previous);
        put(out, " &rarr; ");
    }
    escape(out, r->release);
}

static void put_head(struct buf *out, const struct report *r)
{
    put(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
             "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
             "style-src 'unsafe-inline'\">\n"
             "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>");
    put_title(out, r);
    buf_printf(out, " (%s)</title>\n<style>\n", report_result_words(r->result));
    buf_add(out, deploy_report_css, sizeof deploy_report_css);
    put(out, "</style>\n</head>\n<body>\n<main>\n");
}

static void put_summary(struct buf *out, const struct report *r)
{
    buf_printf(out, "<header>\n<span class=\"pill %s\">%s</span>\n<h1>",
               report_result_name(r->result), report_result_words(r->result));
    put_title(out, r);
    put(out, "</h1>\n<p class=\"soft\">");
    put_time(out, r->began_at);
    if (r->ended_at) {
        put(out, " to ");
        put_time(out, r->ended_at);
    }
    put(out, " UTC &middot; ");
    put_duration(out, r->ms);
    if (r->who.n) {
        put(out, " &middot; by ");
        escape(out, r->who);
    }
    put(out, "</p>\n");
    if (r->why.n) {
        put(out, "<p class=\"why\"><b>Why:</b> ");
        escape(out, r->why);
        put(out, "</p>\n");
    }
    put(out, "</header>\n");
}

static void put_left(struct buf *out, const struct report *r)
{
    if (r->n_left == 0)
        return;
    buf_printf(out, "<section class=\"left %s\">\n<h2>%s</h2>\n<ol>\n",
               report_result_name(r->result),
               r->result == REPORT_DONE ? "The release serves; this is left to see to"
                                        : "What a person has to do");
    for (size_t i = 0; i < r->n_left; i++) {
        put(out, "<li>");
        put_text(out, "b", "", r->left[i].title);
        put(out, ": ");
        escape(out, r->left[i].why);
        put_text(out, "div", "hand", r->left[i].by_hand);
        put(out, "</li>\n");
    }
    put(out, "</ol>\n");
    if (r->result == REPORT_INCOMPLETE)
        put(out, "<p class=\"soft\">What is left is tried again by the next deployment or "
                 "rollback of this environment.</p>\n");
    put(out, "</section>\n");
}

/* Where the timeline ends, in ms from its beginning: at the end of whatever took longest. */
static int64_t span_of(const struct report *r)
{
    int64_t span = r->ms > 0 ? r->ms : 1;

    for (size_t i = 0; i < r->n_steps; i++) {
        const struct report_run *runs[] = {&r->steps[i].run, &r->steps[i].undo};
        for (size_t k = 0; k < 2; k++) {
            int64_t end = runs[k]->began_at - r->began_at + runs[k]->ms;
            if (runs[k]->began_at && end > span)
                span = end;
        }
    }
    return span;
}

static void put_bar(struct buf *out, const struct report *r, const struct report_run *run,
                    int64_t span, const char *kind)
{
    int64_t from = run->began_at - r->began_at;
    char took[REPORT_DURATION_SIZE];

    if (run->began_at == 0)
        return;
    from = from < 0 ? 0 : from; /* a clock that was put back */
    report_duration(run->ms, took);
    buf_printf(out,
               "<span class=\"bar %s%s\" style=\"left:min(%.2f%%,100%% - 3px);width:%.2f%%\" "
               "title=\"%s\"></span>",
               kind, report_state_name(run->state), 100.0 * (double)from / (double)span,
               100.0 * (double)run->ms / (double)span, took);
}

static const struct {
    const char *class, *mark, *words;
} marks[REPORT_STATES] = {
    [REPORT_STEP_WAITING] = {"waiting", "&middot;", "not begun"},
    [REPORT_STEP_RUNNING] = {"running", "&#9656;", "running"},
    [REPORT_STEP_DONE] = {"done", "&#10003;", "done"},
    [REPORT_STEP_SKIPPED] = {"skipped", "&ndash;", "not needed"},
    [REPORT_STEP_FAILED] = {"failed", "&#10007;", "failed"},
    [REPORT_STEP_INTERRUPTED] = {"interrupted", "!", "interrupted"},
};

static const char *row_class(const struct report_step *step)
{
    if (step->undo.state == REPORT_STEP_DONE)
        return "undone";
    return step->undo.state == REPORT_STEP_WAITING ? marks[step->run.state].class : "stuck";
}

static const char *row_mark(const struct report_step *step)
{
    return step->undo.state == REPORT_STEP_DONE      ? "&#8630;"
           : step->undo.state == REPORT_STEP_WAITING ? marks[step->run.state].mark
                                                     : "&#10007;";
}

static void put_undo(struct buf *out, const struct report_run *undo)
{
    static const char *const words[REPORT_STATES] = {
        [REPORT_STEP_RUNNING] = "being undone",
        [REPORT_STEP_DONE] = "undone",
        [REPORT_STEP_FAILED] = "could not be undone: ",
        [REPORT_STEP_INTERRUPTED] = "undoing it was interrupted",
    };

    if (!words[undo->state])
        return;
    buf_printf(out, "<div class=\"%s\">%s", undo->state == REPORT_STEP_FAILED ? "error" : "back",
               words[undo->state]);
    escape(out, undo->why);
    if (undo->state == REPORT_STEP_DONE) {
        put(out, " in ");
        put_duration(out, undo->ms);
    }
    put(out, "</div>");
}

static void put_step(struct buf *out, const struct report *r, const struct report_step *step,
                     int64_t span)
{
    buf_printf(out, "<tr class=\"%s\"><td class=\"mark\" title=\"%s\">%s</td><td class=\"name\">",
               row_class(step), marks[step->run.state].words, row_mark(step));
    escape(out, step->title);
    put_text(out, "div", "error", step->run.why);
    put_undo(out, &step->undo);
    for (size_t i = 0; i < step->n_facts; i++) {
        put(out, "<span class=\"facts\">");
        escape(out, step->facts[i].label);
        put(out, ": ");
        escape(out, step->facts[i].text);
        put(out, "</span>");
    }
    put(out, "</td><td class=\"line\"><span class=\"track\">");
    put_bar(out, r, &step->run, span, "");
    put_bar(out, r, &step->undo, span, "undo ");
    put(out, "</span></td><td class=\"took\">");
    if (step->run.began_at && step->run.state != REPORT_STEP_INTERRUPTED)
        put_duration(out, step->run.ms);
    else
        put(out, marks[step->run.state].words);
    put(out, "</td></tr>\n");
}

/* Whole units, at least a quarter of the line apart. */
static void put_ticks(struct buf *out, int64_t span)
{
    static const int steps[] = {1, 2, 5, 10, 15, 30};
    static const struct {
        int64_t ms;
        const char *name;
    } units[] = {{CLOCK_SECOND, "s"}, {CLOCK_MINUTE, "min"}, {CLOCK_HOUR, "h"}};
    enum { STEPS = sizeof steps / sizeof *steps, ALL = 3 * STEPS };
    int k = 0;

    while (k < ALL - 1 && TICKS * steps[k % STEPS] * units[k / STEPS].ms < span)
        k++;
    int64_t step = steps[k % STEPS] * units[k / STEPS].ms;
    put(out, "<span class=\"ticks\"><span>0</span>");
    for (int i = 1; i < TICKS && i * step < span; i++)
        buf_printf(out, "<span style=\"left:%.2f%%\">%d %s</span>",
                   100.0 * (double)(i * step) / (double)span, i * steps[k % STEPS],
                   units[k / STEPS].name);
    put(out, "</span>");
}

static void put_steps(struct buf *out, const struct report *r)
{
    int64_t span = span_of(r);
    bool undone = false;

    put(out, "<section>\n<h2>Steps</h2>\n<table>\n<thead><tr><th class=\"mark\"></th>"
             "<th class=\"name\">Step</th><th class=\"line\">");
    put_ticks(out, span);
    put(out, "</th><th class=\"took\">Took</th></tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < r->n_steps; i++) {
        put_step(out, r, &r->steps[i], span);
        undone = undone || r->steps[i].undo.began_at;
    }
    put(out, "</tbody>\n</table>\n");
    if (undone)
        put(out, "<p class=\"soft key\"><i class=\"bar\"></i>done<i class=\"bar failed\"></i>failed"
                 "<i class=\"bar undo\"></i>being undone</p>\n");
    put(out, "</section>\n");
}

static void put_answers(struct buf *out, const struct report *r)
{
    static const char *const signs[] = {
        [VERIFY_PASSED] = "&#10003;", [VERIFY_FAILED] = "&#10007;", [VERIFY_NOT_ASKED] = "&ndash;"};

    if (r->n_answers == 0)
        return;
    put(out, "<section>\n<h2>Verification from outside</h2>\n<ul class=\"checks\">\n");
    for (size_t i = 0; i < r->n_answers; i++) {
        const struct report_answer *answer = &r->answers[i];
        buf_printf(out, "<li class=\"%s\"><b>%s</b>", report_verdict_name(answer->verdict),
                   signs[answer->verdict]);
        escape(out, answer->title);
        if (answer->verdict == VERIFY_NOT_ASKED)
            put(out, " (not asked)");
        if (answer->why.n) {
            put(out, ": <span class=\"error\">");
            escape(out, answer->why);
            put(out, "</span>");
        }
        put(out, "</li>\n");
    }
    put(out, "</ul>\n</section>\n");
}

static void put_option(struct buf *out, struct str label, struct str text)
{
    if (text.n == 0)
        return;
    put(out, "<dt>");
    escape(out, label);
    put(out, "</dt><dd>");
    escape(out, text);
    put(out, "</dd>\n");
}

static void put_options(struct buf *out, const struct report *r)
{
    char id[UUID_TEXT_SIZE];

    uuid_format(&r->id, id);
    put(out, "<section>\n<h2>Deployment</h2>\n<dl class=\"options\">\n");
    put_option(out, STR("id"), str_of(id));
    put_option(out, STR("Holdfast"), r->version);
    for (size_t i = 0; i < r->n_options; i++)
        put_option(out, r->options[i].label, r->options[i].text);
    put(out, "</dl>\n</section>\n");
}

int report_write_html(const struct report *r, struct buf *out)
{
    put_head(out, r);
    put_summary(out, r);
    put_left(out, r);
    put_steps(out, r);
    put_answers(out, r);
    put_options(out, r);
    put(out, "</main>\n</body>\n</html>\n");
    return buf_fault(out);
}
