#include "base/clock.h"
#include "base/fault.h"
#include "cli/cli.h"
#include "trail/checkpoint.h"
#include "trail/export.h"
#include "trail/verify.h"

#include <unistd.h>

enum { TEXT_MAX = 64 * 1024 };

static void print_finding(const struct trail_finding *finding, void *arg)
{
    struct buf text _cleanup_buf_ = buf_init(TEXT_MAX);

    if (trail_finding_format(finding, &text) == 0)
        fprintf(stderr, "%.*s\n", STR_ARG(buf_str(&text)));
}

static int print_report(struct cli *cli, const struct trail_report *report)
{
    struct buf text _cleanup_buf_ = buf_init(TEXT_MAX);
    struct json_writer w = json_writer(&text);

    if (cli_has(cli, "json")) {
        json_object_begin(&w);
        json_key(&w, "intact");
        json_bool(&w, report->intact);
        json_key(&w, "records");
        json_int(&w, report->records);
        json_key(&w, "head");
        json_int(&w, report->head);
        json_key(&w, "checkpoints");
        json_int(&w, report->checkpoints);
        for (int kind = 0; kind < FINDING_KINDS; kind++) {
            if (report->findings[kind] == 0)
                continue;
            json_key(&w, trail_finding_name((enum trail_finding_kind)kind));
            json_int(&w, report->findings[kind]);
        }
        json_object_end(&w);
        buf_add_char(&text, '\n');
    } else {
        trail_report_format(report, &text);
    }
    printf("%.*s", STR_ARG(buf_str(&text)));
    return report->intact ? EXIT_DONE : EXIT_FAILED;
}

/* The checkpoints to hold the chain against: those named, or our own where there are any. */
static const char *checkpoints(struct cli *cli, const struct trail *trail)
{
    const char *named = cli_value(cli, "against"), *own = trail_checkpoint_path(trail);

    if (named)
        return named;
    return own && access(own, R_OK) == 0 ? own : NULL;
}

static int verify(struct cli *cli)
{
    struct cli_session session;
    struct trail_report report;
    int exit_code = cli_open(cli, &session);

    if (exit_code)
        return exit_code;
    struct trail_verify_options options = {.against = checkpoints(cli, session.trail),
                                           .found = print_finding};
    int r = trail_verify(session.trail, &options, &report);
    exit_code = r ? cli_fail(EXIT_UNREACHABLE, "the trail could not be read: %s", fault_message())
                  : print_report(cli, &report);
    cli_close(&session);
    return exit_code;
}

static int take_time(struct cli *cli, const char *name, int64_t *ret)
{
    const char *text = cli_value(cli, name);

    if (text && clock_parse(str_of(text), ret))
        return cli_fail(EXIT_USAGE, "--%s: \"%s\" is not a time such as 2026-01-31T12:00:00Z", name,
                        text);
    return 0;
}

/* On record before the first line leaves; a trail that cannot be continued is exported yet. */
static void record_export(const struct cli_session *session)
{
    struct trail_event event = {.action = TRAIL_TRAIL_EXPORT};

    if (trail_append_now(session->trail, &session->actor, &event))
        fprintf(stderr, "holdfast: the export is not on record: %s\n", fault_message());
}

static int export_records(struct cli *cli)
{
    struct trail_filter filter = {.all_tenants = true};
    enum trail_format format = TRAIL_JSONL;
    const char *text = cli_value(cli, "format");
    struct cli_session session;
    int64_t count;
    int exit_code = take_time(cli, "since", &filter.since);

    if (exit_code == 0)
        exit_code = take_time(cli, "until", &filter.until);
    if (exit_code == 0 && text && trail_format_parse(str_of(text), &format))
        exit_code = cli_fail(EXIT_USAGE, "--format: \"%s\" is neither jsonl nor csv", text);
    if (exit_code == 0)
        exit_code = cli_open(cli, &session);
    if (exit_code)
        return exit_code;
    record_export(&session);
    int r = trail_export(session.trail, format, &filter, trail_sink_file, stdout, &count);
    if (r == 0 && fflush(stdout))
        r = fault_set(FAULT_IO, "standard output cannot be written");
    exit_code = r ? cli_fault("the trail could not be exported", r) : EXIT_DONE;
    if (r == 0 && isatty(STDERR_FILENO))
        fprintf(stderr, "%lld records\n", (long long)count);
    cli_close(&session);
    return exit_code;
}

const struct cli_command cli_trail_verify = {
    .name = "trail",
    .verb = "verify",
    .summary = "Verify the audit trail and name what was tampered with",
    .description = "Without --against the checkpoints under LOGS_DIR are taken, where there are "
                   "any; keep copies of\nthem elsewhere. Exit status 1 means tampering, 3 that "
                   "the trail could not be read.\n",
    .options = {{"against", 'a', "FILE", "Hold the trail against the checkpoints in FILE."},
                CLI_JSON_OPTION,
                CLI_CONFIG_OPTION},
    .run = verify,
};

const struct cli_command cli_trail_export = {
    .name = "trail",
    .verb = "export",
    .summary = "Print the audit trail, oldest record first",
    .options = {{"format", 'f', "FORMAT", "jsonl (default) or csv."},
                {"since", 's', "TIME", "Only records from TIME on (RFC 3339)."},
                {"until", 'u', "TIME", "Only records before TIME."},
                CLI_CONFIG_OPTION},
    .run = export_records,
};
