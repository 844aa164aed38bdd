#include "cli/revoke_report.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FLUSH_BYTES = 64 * 1024, BUFFER_MAX = 1 << 20, LISTED_MAX = 20 };

static const char *state_name(const struct mass_entry *e)
{
    switch (e->state) {
    case MASS_PENDING:
    case MASS_ADDRESS:
        return "not reached";
    case MASS_MALFORMED:
        return "malformed";
    case MASS_DUPLICATE:
        return "duplicate";
    case MASS_UNKNOWN:
        return "unknown";
    case MASS_DONE:
        return e->sessions ? "revoked" : "no active sessions";
    }
    return "";
}

static void write_head(struct json_writer *w, const struct revoke_run *run)
{
    json_key(w, "startedAt");
    json_time(w, run->options.now);
    json_key(w, "finishedAt");
    json_time(w, clock_now());
    json_key(w, "by");
    json_str(w, run->session->actor.label);
    json_key(w, "reason");
    json_str(w, run->options.reason);
    json_key(w, "completed");
    json_bool(w, run->completed);
}

static void write_totals(struct json_writer *w, const struct revoke_run *run,
                         const struct mass_list *list)
{
    json_key(w, "requested");
    json_int(w, run->totals.requested);
    json_key(w, "matched");
    json_int(w, run->totals.matched);
    json_key(w, "unknown");
    json_int(w, run->totals.unknown);
    json_key(w, "duplicates");
    json_int(w, (int64_t)mass_list_count(list, MASS_DUPLICATE));
    json_key(w, "usersWithSessions");
    json_int(w, run->totals.users_with_sessions);
    json_key(w, "revokedSessions");
    json_int(w, run->totals.sessions);
    json_key(w, "dryRun");
    json_bool(w, run->options.dry_run);
}

static bool is_lost(const struct mass_entry *e)
{
    return e->state == MASS_UNKNOWN || e->state == MASS_MALFORMED;
}

static int print_json(const struct revoke_run *run, const struct mass_list *list)
{
    struct buf out _cleanup_buf_ = buf_init(SIZE_MAX / 2);
    struct json_writer w = json_writer(&out);

    json_object_begin(&w);
    write_totals(&w, run, list);
    json_key(&w, "unknownUsers");
    json_array_begin(&w);
    for (size_t i = 0; i < list->n; i++)
        if (is_lost(&list->entries[i]))
            json_str(&w, list->entries[i].text);
    json_array_end(&w);
    if (run->path[0]) {
        json_key(&w, "report");
        json_str(&w, str_of(run->path));
    }
    json_object_end(&w);
    if (buf_fault(&out))
        return cli_fault("cannot print the result", buf_fault(&out));
    fwrite(out.p, 1, out.n, stdout);
    putchar('\n');
    return EXIT_DONE;
}

static void print_lost(const struct mass_list *list)
{
    size_t listed = 0, lost = 0;

    for (size_t i = 0; i < list->n; i++) {
        const struct mass_entry *e = &list->entries[i];
        if (!is_lost(e))
            continue;
        lost++;
        if (listed < LISTED_MAX) {
            fprintf(stderr, "%s: %.*s (entry %zu)\n", state_name(e), STR_ARG(e->text), e->line);
            listed++;
        }
    }
    if (lost > listed)
        fprintf(stderr, "... and %zu more\n", lost - listed);
}

/* Where nobody is known, it is the wrong list or, more likely, the wrong database. */
static int judge(const struct mass_totals *t)
{
    if (t->requested == 0 || t->matched > 0)
        return EXIT_DONE;
    return cli_fail(EXIT_FAILED, "no user of the list is in the database; is it the right one?");
}

int revoke_report_print(const struct revoke_run *run, const struct mass_list *list)
{
    const struct mass_totals *t = &run->totals;

    if (cli_has(run->cli, "json")) {
        int exit_code = print_json(run, list);
        return exit_code ? exit_code : judge(t);
    }
    print_lost(list);
    printf("%s %lld session%s of %lld user%s; %lld of %lld users found, %zu repeated.\n",
           run->options.dry_run ? "Would end" : "Ended", (long long)t->sessions,
           t->sessions == 1 ? "" : "s", (long long)t->users_with_sessions,
           t->users_with_sessions == 1 ? "" : "s", (long long)t->matched, (long long)t->requested,
           mass_list_count(list, MASS_DUPLICATE));
    if (run->path[0])
        printf("Report: %s\n", run->path);
    return judge(t);
}

static int flush(int fd, struct buf *out)
{
    size_t done = 0;

    if (buf_fault(out))
        return buf_fault(out);
    while (done < out->n) {
        ssize_t n = write(fd, out->p + done, out->n - done);
        if (n < 0 && errno != EINTR)
            return fault_errno(FAULT_IO, errno, "cannot write the report");
        done += n > 0 ? (size_t)n : 0;
    }
    buf_reset(out);
    return 0;
}

static int write_users(int fd, struct json_writer *w, const struct mass_list *list)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < list->n; i++) {
        const struct mass_entry *e = &list->entries[i];
        buf_add_char(w->out, i ? ',' : '\n');
        buf_add_char(w->out, '\n');
        w->comma = false;
        json_object_begin(w);
        json_key(w, "user");
        json_str(w, e->text);
        json_key(w, "result");
        json_str(w, str_of(state_name(e)));
        json_key(w, "revokedSessions");
        json_int(w, e->state == MASS_DONE ? e->sessions : 0);
        json_object_end(w);
        if (w->out->n > FLUSH_BYTES)
            r = flush(fd, w->out);
    }
    return r;
}

static int write_all(int fd, const struct revoke_run *run, const struct mass_list *list)
{
    struct buf out _cleanup_buf_ = buf_init(BUFFER_MAX);
    struct json_writer w = json_writer(&out);

    json_object_begin(&w);
    write_head(&w, run);
    write_totals(&w, run, list);
    json_key(&w, "users");
    json_array_begin(&w);
    int r = write_users(fd, &w, list);
    json_array_end(&w);
    json_object_end(&w);
    buf_add_char(&out, '\n');
    if (r == 0)
        r = flush(fd, &out);
    if (r == 0 && fsync(fd))
        r = fault_errno(FAULT_IO, errno, "cannot sync the report");
    return r;
}

/* A time without colons, which some file systems refuse. */
static void make_path(struct revoke_run *run, const char *directory)
{
    char time[CLOCK_TEXT_SIZE];

    clock_format(run->options.now, time);
    for (char *c = time; *c; c++)
        if (*c == ':' || *c == '.')
            *c = '-';
    snprintf(run->path, sizeof run->path, "%s/mass-revoke-%s.json", directory, time);
}

int revoke_report_write(struct revoke_run *run, const struct mass_list *list)
{
    const char *directory = config_current()->logs_dir;
    char temporary[sizeof run->path + 8];

    if (mkdir(directory, 0700) && errno != EEXIST)
        return cli_fail(EXIT_FAILED, "cannot make %s: %s", directory, strerrordesc_np(errno));
    make_path(run, directory);
    snprintf(temporary, sizeof temporary, "%s.XXXXXX", run->path);
    int fd = mkstemp(temporary);
    int r = fd < 0 ? fault_errno(FAULT_IO, errno, "cannot make %s", temporary)
                   : write_all(fd, run, list);
    if (fd >= 0)
        close(fd);
    if (r == 0 && rename(temporary, run->path))
        r = fault_errno(FAULT_IO, errno, "cannot make %s", run->path);
    if (r == 0)
        return EXIT_DONE;
    if (fd >= 0)
        unlink(temporary);
    run->path[0] = '\0';
    return cli_fault("the sessions were ended, but the report could not be written", r);
}
