/*
 * Makes a deployment's journal and reports, and puts it into the store, for tests that need one
 * without deploying.
 *
 *   deployment_record journal DIRECTORY    writes the journal from standard input: a JSON array of
 *                                          {"step", "phase", "data", "after"}; after is how many
 *                                          ms later than the record before, the first one's as
 *                                          many ms from now. Then report.json and report.html.
 *   deployment_record journal DIRECTORY N  the same, and holds the journal until standard output
 *                                          is closed or N seconds are over
 *   deployment_record put DIRECTORY...     puts them into the store of the environment's settings
 *
 * A directory is LOGS/deployments/ID, of which the last part is made.
 */
#include "base/clock.h"
#include "base/fault.h"
#include "cli/cli.h"
#include "crypto/init.h"
#include "deploy/record.h"

#include <poll.h>
#include <unistd.h>

enum { INPUT_MAX = 16 << 20 };

static int fail(const char *what, int result)
{
    fprintf(stderr, "%s: %d (%s)\n", what, result, fault_message());
    return 1;
}

static int read_input(struct buf *out)
{
    size_t n = 1;

    while (n > 0) {
        if (buf_reserve(out, 1 << 16))
            return buf_fault(out);
        n = fread(out->p + out->n, 1, 1 << 16, stdin);
        out->n += n;
    }
    return 0;
}

static int phase_of(const char *name, enum journal_phase *ret)
{
    for (int i = JOURNAL_BEGIN; i <= JOURNAL_END; i++)
        if (strcmp(journal_phase_name((enum journal_phase)i), name) == 0) {
            *ret = (enum journal_phase)i;
            return 0;
        }
    return 1;
}

static int write_records(struct journal *j, const json_t *records)
{
    size_t i;
    json_t *row;
    int result = 0;

    json_array_foreach(records, i, row)
    {
        const char *step, *phase_name;
        enum journal_phase phase;
        json_int_t after = 0;
        json_t *data = NULL;
        if (json_unpack(row, "{s:s, s:s, s?I, s?o}", "step", &step, "phase", &phase_name, "after",
                        &after, "data", &data) ||
            phase_of(phase_name, &phase))
            return fail("a record is not well-formed", (int)i);
        clock_shift(after);
        if (result == 0)
            result = journal_write(j, step, phase, json_incref(data));
    }
    return result ? fail("cannot write the journal", result) : 0;
}

static int report(const char *directory)
{
    struct arena a _cleanup_arena_ = arena_init(REPORT_ARENA);
    struct report r;
    int result = report_read(&a, directory, clock_now(), &r);

    if (result == 0)
        result = report_keep(&r, directory);
    return result ? fail("cannot report", result) : 0;
}

static int make(const char *directory, int64_t hold_s)
{
    struct buf text _cleanup_buf_ = buf_init(INPUT_MAX);
    struct pollfd closed = {.fd = STDOUT_FILENO};
    struct journal *j;
    int result = read_input(&text);
    json_t *records = result ? NULL : json_loadb(text.p, text.n, 0, NULL);

    if (!json_is_array(records))
        return fail("standard input is no JSON array", result);
    result = journal_create(directory, &j);
    if (result)
        return fail("cannot make the journal", result);
    result = write_records(j, records);
    json_decref(records);
    if (result == 0 && hold_s) {
        result = report(directory);
        puts("held");
        fflush(stdout);
        poll(&closed, 1, (int)hold_s * 1000);
    }
    journal_close(j);
    return result || hold_s ? result : report(directory);
}

static int put_one(const struct cli_session *session, const char *directory)
{
    struct arena a _cleanup_arena_ = arena_init(REPORT_ARENA);
    struct report r;
    int result = report_read(&a, directory, clock_now(), &r);

    if (result == 0)
        result = record_put_now(session->store, session->trail, &session->actor, &r);
    return result ? fail(directory, result) : 0;
}

static int put(int n, char **directories)
{
    static const struct cli_command command = {.name = "put"};
    struct cli cli = {.command = &command};
    struct cli_session session;
    int result = crypto_init();

    if (result == 0)
        result = cli_open(&cli, &session);
    if (result)
        return fail("cannot open the store", result);
    for (int i = 0; result == 0 && i < n; i++)
        result = put_one(&session, directories[i]);
    cli_close(&session);
    return result;
}

int main(int argc, char **argv)
{
    bool journal = argc >= 3 && argc <= 4 && strcmp(argv[1], "journal") == 0;
    int64_t hold_s = 0;

    if (argc >= 3 && strcmp(argv[1], "put") == 0)
        return put(argc - 2, argv + 2);
    if (!journal || (argc == 4 && str_to_i64(str_of(argv[3]), 1, 600, &hold_s))) {
        fputs("usage: deployment_record journal DIRECTORY [SECONDS]\n"
              "       deployment_record put DIRECTORY...\n",
              stderr);
        return 2;
    }
    return make(argv[2], hold_s);
}
