#include "deploy/targets/common.h"

#include "base/clock.h"
#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_MS = 100 };

int target_look(const struct target *t, const char *doing)
{
    if (t->cancel && atomic_load(t->cancel))
        return target_fail(TARGET_CANCELLED, "interrupted while waiting for %s", doing);
    if (t->deadline && clock_mono() >= t->deadline)
        return target_fail(TARGET_TIMEOUT, "waited in vain for %s", doing);
    return 0;
}

int target_pause(const struct target *t, int64_t ms, const char *doing)
{
    int64_t end = clock_mono() + ms;
    int r;

    while ((r = target_look(t, doing)) == 0 && clock_mono() < end) {
        int64_t left = end - clock_mono();
        int64_t piece = left > LOOK_MS ? LOOK_MS : left;
        struct timespec wait = {.tv_nsec = (long)piece * 1000000};
        if (piece > 0)
            nanosleep(&wait, NULL);
    }
    return r;
}

int64_t target_left(const struct target *t, int64_t max_ms)
{
    int64_t left = t->deadline ? t->deadline - clock_mono() : max_ms;

    if (left > max_ms)
        left = max_ms;
    return left > 1 ? left : 1;
}

const char *target_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

int64_t target_number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

const char *target_format(const struct target *t, int *fault, const char *format, ...)
{
    char *line = NULL;
    va_list args;

    va_start(args, format);
    int n = vasprintf(&line, format, args);
    va_end(args);
    const char *copy = n < 0 ? NULL : arena_str(t->a, (struct str){line, (size_t)n}).p;
    if (n >= 0)
        free(line);
    if (!copy && *fault == 0)
        *fault = fault_set(FAULT_MEMORY, "no memory for a deployment");
    return copy ? copy : "";
}

const char *target_release(const struct target *t, const char *image)
{
    const char *digest = strchr(image, '@'), *slash = strrchr(image, '/');
    const char *tag = strrchr(slash ? slash : image, ':');

    return arena_str(t->a, str_of(digest ? digest + 1 : tag ? tag + 1 : "")).p;
}

const char *target_image(const struct target *t)
{
    bool digest = str_has_prefix(str_of(t->release), STR("sha256:"));

    return arena_printf(t->a, "%s%c%s", t->environment->target.image, digest ? '@' : ':',
                        t->release);
}

int target_note(const struct target *t, const char *name, const char *value)
{
    json_t *data = t->note ? json_pack("{s:s}", name, value) : NULL;

    if (!t->note)
        return 0;
    return data ? t->note(t->context, data)
                : fault_set(FAULT_MEMORY, "no memory for a deployment's journal");
}

FILE *target_evidence(const struct target *t, const char *name)
{
    char path[4096], when[CLOCK_TEXT_SIZE];

    snprintf(path, sizeof path, "%s/%s", t->logs, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "a");
    if (!file) {
        progress_say(t->progress, "Cannot write %s: %s", path, strerrordesc_np(errno));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    clock_format(clock_now(), when);
    fprintf(file, "== %s, deployment %s\n", when, t->id);
    return file;
}

void target_evidence_add(FILE *file, const struct buf *printed)
{
    if (printed->n > 0)
        fwrite(printed->p, 1, printed->n, file);
}

static int take_out(void *context, const char *p, size_t n)
{
    return child_into_buf(&((struct target_run *)context)->out, p, n);
}

static int take_err(void *context, const char *p, size_t n)
{
    return child_into_buf(&((struct target_run *)context)->err, p, n);
}

/* The last line of text, without spaces at its ends. */
static struct str last_line(struct str text)
{
    while (text.n > 0 && (unsigned char)text.p[text.n - 1] <= ' ')
        text.n--;
    size_t begin = text.n;
    while (begin > 0 && text.p[begin - 1] != '\n')
        begin--;
    return (struct str){text.p + begin, text.n - begin};
}

static int outcome_of(int r, struct str errors)
{
    switch (r) {
    case CHILD_FAILED:
        if (errors.n)
            fault_keep("%s: %.*s", fault_message(), STR_ARG(str_cut(errors, 300)));
        return TARGET_FAILED;
    case CHILD_MISSING:
        return TARGET_UNREACHABLE;
    case CHILD_TIMEOUT:
        return TARGET_TIMEOUT;
    case CHILD_CANCELLED:
        return TARGET_CANCELLED;
    default:
        return r;
    }
}

int target_run(const struct target *t, struct target_run *run)
{
    struct child c = {.argv = run->argv,
                      .environment = run->environment,
                      .directory = run->directory,
                      .input = run->input,
                      .out = take_out,
                      .err = take_err,
                      .context = run,
                      .cancel = t->cancel};
    int r = target_look(t, run->argv[0]);

    buf_free(&run->out);
    buf_free(&run->err);
    run->out = buf_secret(TARGET_OUT_MAX);
    run->err = buf_secret(TARGET_ERR_MAX);
    if (r)
        return r;
    if (run->timeout_ms || t->deadline)
        c.timeout_ms = target_left(t, run->timeout_ms ? run->timeout_ms : INT32_MAX);
    r = child_run(&c, NULL);
    return r ? outcome_of(r, last_line(buf_str(&run->err))) : 0;
}

void target_run_free(struct target_run *run)
{
    buf_free(&run->out);
    buf_free(&run->err);
}
