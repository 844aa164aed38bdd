#include "cli/deploy_print.h"

#include "base/clock.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { REDRAW_MS = 100, TITLE = 34, WIDTH = 80, PATH_SIZE = 4200, BAR = 20 };

static int width(void)
{
    struct winsize size;

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : WIDTH;
}

static void print_title(struct deploy_print *p, const char *title)
{
    fprintf(p->to, "%2td/%zu  %-*s", p->step - p->table + 1, p->n, TITLE, title);
}

/* "12.3 s", "2 min 05 s" */
static void print_time(FILE *to, int64_t ms)
{
    if (ms < CLOCK_MINUTE)
        fprintf(to, "%6.1f s", (double)ms / CLOCK_SECOND);
    else
        fprintf(to, "%lld min %02lld s", (long long)(ms / CLOCK_MINUTE),
                (long long)(ms % CLOCK_MINUTE / CLOCK_SECOND));
}

static void print_amount(const struct deploy_print *p, int64_t ms)
{
    int64_t filled = p->done * BAR / p->total;

    fprintf(p->to, "  [%.*s%*s] %3lld %%", (int)filled, "####################", (int)(BAR - filled),
            "", (long long)(p->done * 100 / p->total));
    if (p->done > 0 && ms > CLOCK_SECOND) {
        fprintf(p->to, ", left");
        print_time(p->to, ms * (p->total - p->done) / p->done);
    }
}

/* Draws the line of the step under way anew, within the terminal's width. */
static void draw(struct deploy_print *p)
{
    int64_t now = clock_mono(), ms = now - p->began;
    int left = width() - TITLE - 17;

    p->drawn = now;
    fputs("\r\033[K", p->to);
    print_title(p, p->step->title);
    print_time(p->to, ms);
    if (p->total > 0 && p->done <= p->total)
        print_amount(p, ms);
    else if (*p->last && left > 0)
        fprintf(p->to, "  %.*s", left, p->last);
    fflush(p->to);
}

static void put_log(struct deploy_print *p, const char *line)
{
    char now[CLOCK_TEXT_SIZE];

    if (!p->log)
        return;
    clock_format(clock_now(), now);
    fprintf(p->log, "%s %s\n", now, line);
    fflush(p->log);
}

static void put_repeated(struct deploy_print *p)
{
    if (p->to && !p->terminal && p->repeated)
        fprintf(p->to, "       (%lld more of these)\n", (long long)p->repeated);
    p->repeated = 0;
}

static void say(void *context, const char *line)
{
    struct deploy_print *p = context;
    bool again = p->step && strncmp(p->last, line, DEPLOY_PRINT_LINE - 1) == 0;

    put_log(p, line);
    if (again && !p->terminal) {
        p->repeated++;
        return;
    }
    put_repeated(p);
    snprintf(p->last, sizeof p->last, "%.*s", DEPLOY_PRINT_LINE - 1, line);
    if (!p->to)
        return;
    if (!p->step)
        fprintf(p->to, "%s\n", line);
    else if (p->terminal)
        draw(p);
    else
        fprintf(p->to, "       %s\n", line);
}

static void amount(void *context, int64_t done, int64_t total)
{
    struct deploy_print *p = context;

    p->done = done;
    p->total = total;
    if (p->to && p->terminal && p->step && clock_mono() - p->drawn >= REDRAW_MS)
        draw(p);
}

void deploy_print_init(struct deploy_print *p, FILE *to, const char *directory,
                       const struct step *table, size_t n)
{
    *p = (struct deploy_print){.to = to,
                               .terminal = to && isatty(fileno(to)),
                               .directory = directory,
                               .table = table,
                               .n = n};
    p->progress = (struct progress){.say = say, .amount = amount, .context = p};
}

static void open_log(struct deploy_print *p)
{
    char path[PATH_SIZE];

    if (p->log)
        fclose(p->log);
    snprintf(path, sizeof path, "%.4000s/%02td-%s.log", p->directory, p->step - p->table + 1,
             p->step->name);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    p->log = fd >= 0 ? fdopen(fd, "a") : NULL; /* the journal has what must not be lost */
}

static const char *word_of(enum journal_phase phase)
{
    switch ((int)phase) {
    case JOURNAL_DONE:
        return "ok";
    case JOURNAL_UNDONE:
        return "undone";
    case JOURNAL_SKIPPED:
        return "not needed";
    case JOURNAL_UNDO_FAILED:
        return "COULD NOT BE UNDONE";
    default:
        return "FAILED";
    }
}

static void print_end(struct deploy_print *p, const struct steps_event *e)
{
    put_repeated(p);
    if (p->terminal)
        fputs("\r\033[K", p->to);
    print_title(p, p->step->title);
    if (e->phase == JOURNAL_SKIPPED)
        fprintf(p->to, "%8s", "");
    else
        print_time(p->to, e->ms);
    fprintf(p->to, "  %s\n", word_of(e->phase));
    if (*e->text)
        fprintf(p->to, "       %s\n", e->text);
    fflush(p->to);
}

static void print_begin(struct deploy_print *p, const struct steps_event *e)
{
    if (p->terminal) {
        draw(p);
        return;
    }
    fprintf(p->to, "%2td/%zu  %s%s\n", p->step - p->table + 1, p->n, p->step->title,
            e->phase == JOURNAL_UNDOING ? ": going back" : "");
    fflush(p->to);
}

void deploy_print_event(struct deploy_print *p, const struct steps_event *e)
{
    bool begins = e->phase == JOURNAL_BEGIN || e->phase == JOURNAL_UNDOING;

    p->step = e->step;
    if (begins) {
        p->began = clock_mono();
        p->done = p->total = 0;
        *p->last = '\0';
        open_log(p);
    }
    if (p->to && begins)
        print_begin(p, e);
    else if (p->to)
        print_end(p, e);
}

void deploy_print_end(struct deploy_print *p)
{
    if (p->log)
        fclose(p->log);
    p->log = NULL;
    p->step = NULL;
}
