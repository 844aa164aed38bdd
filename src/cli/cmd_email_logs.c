/* The log of mail, for people, programs and spreadsheets. */
#include "base/clock.h"
#include "base/fault.h"
#include "cli/email.h"
#include "mail/log_csv.h"

enum { PAGE = 500, TEXT_MAX = 8 << 20, SHOWN = 50, ADDRESS_WIDTH_MAX = 44 };

struct listing {
    struct email_verb v;
    struct mail_log_query query;
    int64_t left; /* to be printed */
    struct mail_log_entry *items;
    size_t n;
};

static int list_job(struct store_txn *t, void *arg)
{
    struct listing *l = arg;

    return mail_log_list(t, &l->v.arena, &l->query, &l->items, &l->n);
}

static int take_filters(struct listing *l)
{
    struct cli *cli = l->v.cli;
    const char *status = cli_value(cli, "status"), *recipient = cli_value(cli, "recipient");
    const char *limit = cli_value(cli, "limit");
    int exit_code = 0;

    l->query.tenant = l->v.tenant;
    l->query.state = MAIL_NO_STATE;
    l->left = cli_has(cli, "csv") ? INT64_MAX : SHOWN;
    if (status && mail_state_parse(str_of(status), &l->query.state))
        return cli_fail(EXIT_USAGE,
                        "--status: \"%s\" is none of queued, sent, delayed, delivered, suppressed, "
                        "rejected, bounced, complained",
                        status);
    if (limit && str_to_i64(str_of(limit), 1, INT64_MAX, &l->left))
        return cli_fail(EXIT_USAGE, "--limit: \"%s\" is not a number from 1 on", limit);
    if (recipient)
        exit_code = email_verb_address(&l->v, recipient, &l->query.recipient);
    if (exit_code == 0)
        exit_code = email_verb_time(&l->v, "since", &l->query.since);
    return exit_code ? exit_code : email_verb_time(&l->v, "until", &l->query.until);
}

/* The column of addresses, by the longest of the page; a very long one sticks out. */
static int address_width(const struct listing *l)
{
    size_t width = 0;

    for (size_t i = 0; i < l->n; i++)
        if (l->items[i].recipient.n > width && l->items[i].recipient.n <= ADDRESS_WIDTH_MAX)
            width = l->items[i].recipient.n;
    return (int)width;
}

static void print_line(const struct mail_log_entry *e, int width, struct buf *out)
{
    char at[CLOCK_TEXT_SIZE];

    clock_format(e->created_at, at);
    buf_printf(out, "%s  %-10.*s  %-*.*s", at, STR_ARG(mail_state_name(e->mark.state)), width,
               STR_ARG(e->recipient));
    buf_add_str(out, STR("  "));
    email_verb_add(out, e->subject);
    if (e->mark.code.n) {
        buf_add_str(out, STR("  ["));
        email_verb_add(out, e->mark.code);
        buf_add_char(out, ']');
    }
    buf_add_char(out, '\n');
}

static void print_json(const struct mail_log_entry *e, struct buf *out)
{
    struct json_writer w = json_writer(out);
    struct email_log_view view = email_log_view(e);

    shape_write(&w, &email_log_shape, &view);
    buf_add_char(out, '\n');
}

static int print_page(struct listing *l)
{
    struct buf out _cleanup_buf_ = buf_init(TEXT_MAX);
    bool csv = cli_has(l->v.cli, "csv"), json = cli_has(l->v.cli, "json");
    int width = address_width(l);

    for (size_t i = 0; i < l->n; i++) {
        if (csv)
            mail_log_csv_line(&l->items[i], &out);
        else if (json)
            print_json(&l->items[i], &out);
        else
            print_line(&l->items[i], width, &out);
    }
    return email_verb_print(&out);
}

static int print_csv_head(void)
{
    struct buf out _cleanup_buf_ = buf_init(TEXT_MAX);

    mail_log_csv_head(&out);
    return email_verb_print(&out);
}

/* On record before the first line leaves, as an export by the API is. */
static int begin_csv(struct listing *l)
{
    struct trail_event event = {.action = TRAIL_MAIL_EXPORT,
                                .tenant_id = l->v.tenant_id,
                                .subject = l->query.recipient,
                                .detail = STR("{\"what\":\"log\",\"format\":\"csv\"}")};
    int r = trail_append_now(l->v.session.trail, &l->v.session.actor, &event);

    return r ? cli_fault("the export could not be recorded", r) : print_csv_head();
}

static int print_all(struct listing *l)
{
    /* The address outlives the pages. */
    struct arena filters = l->v.arena;
    int exit_code = EXIT_DONE;

    l->v.arena = arena_init(TEXT_MAX);
    do {
        l->query.limit = l->left < PAGE ? (size_t)l->left : PAGE;
        int r = store_read(l->v.session.store, list_job, l);
        exit_code = r ? cli_fault("the log could not be read", r) : print_page(l);
        if (exit_code == 0 && l->n)
            l->query.before = l->items[l->n - 1].id;
        l->left -= (int64_t)l->n;
        arena_free(&l->v.arena);
    } while (exit_code == 0 && l->n == l->query.limit && l->left > 0);
    l->v.arena = filters;
    return exit_code;
}

static int email_logs(struct cli *cli)
{
    struct listing l = {{0}};
    int exit_code = email_verb_open(cli, &l.v);

    if (exit_code)
        return exit_code;
    exit_code = take_filters(&l);
    if (exit_code == 0 && cli_has(cli, "csv"))
        exit_code = begin_csv(&l);
    if (exit_code == 0)
        exit_code = print_all(&l);
    email_verb_close(&l.v);
    return exit_code;
}

const struct cli_command cli_email_logs = {
    .name = "email",
    .verb = "logs",
    .summary = "Print what was sent and what became of it, newest first",
    .options = {{"status", 's', "STATUS", "queued, sent, delivered, bounced, ..."},
                {"recipient", 'r', "ADDRESS", "Only to this address."},
                {"since", 'f', "TIME", "Accepted at TIME or after (RFC 3339)."},
                {"until", 'u', "TIME", "Accepted before TIME."},
                {"limit", 'n', "N", "So many at most; 50 by default, with --csv all."},
                EMAIL_TENANT_OPTION,
                {"csv", 0, NULL, "As a table for spreadsheets."},
                {"json", 'j', NULL, "One JSON object a line."},
                CLI_CONFIG_OPTION},
    .run = email_logs,
};
