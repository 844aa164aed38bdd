/* Addresses that are not written to, from the command line. */
#include "base/clock.h"
#include "base/fault.h"
#include "cli/email.h"
#include "mail/suppression_csv.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { PAGE = 500, TEXT_MAX = 8 << 20, PIECE = 64 * 1024, DETAIL_MAX = 2048 };

struct listing {
    struct email_verb *v;
    struct arena page;
    struct suppression_query query;
    struct suppression after;
    char last[256];
    struct suppression *items;
    size_t n;
};

static int list_job(struct store_txn *t, void *arg)
{
    struct listing *l = arg;

    return suppression_list(t, &l->page, &l->query, &l->items, &l->n);
}

static void print_line(const struct suppression *s, struct buf *out)
{
    char until[CLOCK_TEXT_SIZE] = "for good", tenant[UUID_TEXT_SIZE] = "everywhere";

    if (s->expires_at)
        clock_format(s->expires_at, until);
    if (!uuid_is_nil(&s->tenant_id))
        uuid_format(&s->tenant_id, tenant);
    buf_printf(out, "%-40.*s  %-12.*s  %-24s  %s\n", STR_ARG(s->address),
               STR_ARG(suppression_reason_name(s->reason)), until, tenant);
}

static void print_json(const struct suppression *s, struct buf *out)
{
    struct json_writer w = json_writer(out);
    struct suppression_view view = suppression_view(s);

    shape_write(&w, &email_suppression_shape, &view);
    buf_add_char(out, '\n');
}

static int print_page(const struct listing *l, bool csv)
{
    struct buf out _cleanup_buf_ = buf_init(TEXT_MAX);

    for (size_t i = 0; i < l->n; i++) {
        if (csv)
            suppression_csv_line(&l->items[i], &out);
        else if (cli_has(l->v->cli, "json"))
            print_json(&l->items[i], &out);
        else
            print_line(&l->items[i], &out);
    }
    return email_verb_print(&out);
}

static void keep_last(struct listing *l)
{
    const struct suppression *s = &l->items[l->n - 1];
    size_t n = s->address.n < sizeof l->last ? s->address.n : sizeof l->last;

    memcpy(l->last, s->address.p, n);
    l->after = (struct suppression){
        .tenant_id = s->tenant_id, .reason = s->reason, .address = {l->last, n}};
    l->query.after = &l->after;
}

static int print_all(struct email_verb *v, struct str address, bool csv)
{
    struct listing l = {.v = v,
                        .page = arena_init(TEXT_MAX),
                        .query = {.tenant = v->tenant,
                                  .address = address,
                                  .reason = -1,
                                  .valid_at = v->now,
                                  .limit = PAGE,
                                  .by_operator = true}};
    int exit_code = EXIT_DONE;

    do {
        int r = store_read(v->session.store, list_job, &l);
        exit_code = r ? cli_fault("the list could not be read", r) : print_page(&l, csv);
        if (exit_code == 0 && l.n)
            keep_last(&l);
        arena_free(&l.page);
    } while (exit_code == 0 && l.n == PAGE);
    return exit_code;
}

static int list(struct email_verb *v, const char *word)
{
    struct str address = STR("");
    int exit_code = word ? email_verb_address(v, word, &address) : 0;

    return exit_code ? exit_code : print_all(v, address, false);
}

static int export_all(struct email_verb *v, const char *word)
{
    struct buf out _cleanup_buf_ = buf_init(TEXT_MAX);
    struct trail_event event = {.action = TRAIL_MAIL_EXPORT,
                                .tenant_id = v->tenant_id,
                                .detail = STR("{\"what\":\"suppressions\",\"format\":\"csv\"}")};

    if (word)
        return cli_fail(EXIT_USAGE, "export takes no argument; redirect its output to a file");
    int r = trail_append_now(v->session.trail, &v->session.actor, &event);
    if (r)
        return cli_fault("the export could not be recorded", r);
    suppression_csv_head(&out);
    int exit_code = email_verb_print(&out);
    return exit_code ? exit_code : print_all(v, STR(""), true);
}

struct changing {
    struct email_verb *v;
    struct suppression entry;
    struct suppression_removal removal;
    unsigned reasons;
    struct suppression_import *import;
    struct suppression_import_result result;
};

static int record(struct store_txn *t, const struct changing *c, enum trail_action action,
                  const char *detail)
{
    struct trail_event event = {.action = action,
                                .tenant_id = c->v->tenant_id,
                                .subject = c->entry.address,
                                .detail = str_of(detail)};

    return trail_append(c->v->session.trail, t, &c->v->session.actor, &event);
}

static int add_job(struct store_txn *t, void *arg)
{
    struct changing *c = arg;
    char detail[DETAIL_MAX];
    int r = suppression_add(t, &c->entry);

    snprintf(detail, sizeof detail, "{\"reason\":\"%.*s\"}",
             STR_ARG(suppression_reason_name(c->entry.reason)));
    return r ? r : record(t, c, TRAIL_MAIL_SUPPRESS, detail);
}

static int take_reason(const struct email_verb *v, enum suppression_reason *ret_reason)
{
    const char *reason = cli_value(v->cli, "reason");

    if (reason && suppression_reason_parse(str_of(reason), ret_reason))
        return cli_fail(EXIT_USAGE,
                        "--reason: \"%s\" is none of bounce, complaint, soft_bounces, unsubscribe, "
                        "manual, provider",
                        reason);
    return 0;
}

static int take_entry(struct email_verb *v, struct suppression *s)
{
    const char *note = cli_value(v->cli, "note");

    *s = (struct suppression){.tenant_id = v->tenant_id,
                              .reason = SUPPRESSION_MANUAL,
                              .source = STR("cli"),
                              .note = str_of(note ? note : ""),
                              .created_by = v->session.actor.label,
                              .created_at = v->now};
    if (s->note.n > SUPPRESSION_NOTE_MAX || !str_is_utf8(s->note))
        return cli_fail(EXIT_USAGE, "--note: is longer than %d bytes, or not UTF-8",
                        SUPPRESSION_NOTE_MAX);
    int exit_code = take_reason(v, &s->reason);
    if (exit_code == 0)
        exit_code = email_verb_time(v, "expires", &s->expires_at);
    if (exit_code == 0 && s->expires_at && s->expires_at <= v->now)
        exit_code = cli_fail(EXIT_USAGE, "--expires: is over already");
    return exit_code;
}

static int add(struct email_verb *v, const char *word)
{
    struct changing c = {.v = v};
    int exit_code = take_entry(v, &c.entry);

    if (exit_code == 0 && !word)
        exit_code = cli_fail(EXIT_USAGE, "add takes an address");
    if (exit_code == 0)
        exit_code = email_verb_address(v, word, &c.entry.address);
    if (exit_code)
        return exit_code;
    int r = store_write(v->session.store, add_job, &c);
    if (r == SUPPRESSION_EXISTS)
        return cli_fail(EXIT_FAILED, "%s is suppressed for this reason at least as long already",
                        word);
    return r ? cli_fault("the address could not be added", r) : EXIT_DONE;
}

static int remove_job(struct store_txn *t, void *arg)
{
    struct changing *c = arg;
    struct buf detail _cleanup_buf_ = buf_init(DETAIL_MAX);
    struct json_writer w = json_writer(&detail);
    int r = suppression_remove(t, &c->removal, &c->reasons);

    if (r)
        return r;
    json_object_begin(&w);
    json_key(&w, "reasons");
    suppression_reasons_write(&w, c->reasons);
    json_object_end(&w);
    const char *text = buf_cstr(&detail);
    return text ? record(t, c, TRAIL_MAIL_UNSUPPRESS, text) : buf_fault(&detail);
}

static int tell_not_removed(const struct changing *c, const char *word, int r)
{
    char text[SUPPRESSION_REASONS_SIZE];

    if (r == SUPPRESSION_UNKNOWN)
        return cli_fail(EXIT_FAILED, "%s is not suppressed", word);
    if (r != SUPPRESSION_WISHED)
        return cli_fault("the address could not be removed", r);
    suppression_reasons_print(c->reasons, text);
    return cli_fail(EXIT_FAILED,
                    "%s does not want this mail (%s); nothing was removed: name with --reason what "
                    "is to be lifted",
                    word, text);
}

static int remove_one(struct email_verb *v, const char *word)
{
    struct changing c = {.v = v};
    enum suppression_reason reason = SUPPRESSION_MANUAL;
    int exit_code = word ? email_verb_address(v, word, &c.entry.address)
                         : cli_fail(EXIT_USAGE, "remove takes an address");

    if (exit_code == 0)
        exit_code = take_reason(v, &reason);
    if (exit_code)
        return exit_code;
    c.removal =
        (struct suppression_removal){.tenant = v->tenant,
                                     .address = c.entry.address,
                                     .reason = cli_value(v->cli, "reason") ? (int)reason : -1,
                                     .now = v->now,
                                     .by_operator = true};
    int r = store_write(v->session.store, remove_job, &c);
    return r ? tell_not_removed(&c, word, r) : EXIT_DONE;
}

static int import_job(struct store_txn *t, void *arg)
{
    struct changing *c = arg;
    char detail[DETAIL_MAX];
    struct suppression_importer by = {
        .tenant_id = c->v->tenant_id, .created_by = c->v->session.actor.label, .now = c->v->now};
    int r = suppression_import_apply(t, c->import, &by, &c->result);

    snprintf(detail, sizeof detail,
             "{\"lines\":%lld,\"added\":%lld,\"existing\":%lld,\"duplicates\":%lld}",
             (long long)c->result.lines, (long long)c->result.added, (long long)c->result.existing,
             (long long)c->result.duplicates);
    return r ? r : record(t, c, TRAIL_MAIL_IMPORT, detail);
}

static int read_file(const char *path, struct suppression_import *import)
{
    bool standard = strcmp(path, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    char piece[PIECE];
    ssize_t n = 0;
    int r = 0;

    if (fd < 0)
        return cli_fail(EXIT_USAGE, "cannot read %s: %s", path, strerrordesc_np(errno));
    while (r == 0 && (n = read(fd, piece, sizeof piece)) > 0)
        r = suppression_import_feed(import, (struct str){piece, (size_t)n});
    int error = errno;
    if (!standard)
        close(fd);
    if (n < 0)
        return cli_fail(EXIT_USAGE, "cannot read %s: %s", path, strerrordesc_np(error));
    if (r == 0)
        r = suppression_import_finish(import);
    return r ? cli_fault("cannot read the list", r) : 0;
}

static int refuse(const struct suppression_import *import)
{
    size_t n;
    int64_t total;
    const struct suppression_mistake *mistakes = suppression_import_mistakes(import, &n, &total);

    for (size_t i = 0; i < n; i++)
        fprintf(stderr, "line %lld: %s\n", (long long)mistakes[i].line, mistakes[i].text);
    if (total > (int64_t)n)
        fprintf(stderr, "... and %lld more\n", (long long)(total - (int64_t)n));
    return total ? cli_fail(EXIT_FAILED, "nothing was taken") : 0;
}

static int take_list(struct changing *c, const char *path)
{
    int exit_code = read_file(path, c->import);

    if (exit_code == 0)
        exit_code = refuse(c->import);
    if (exit_code)
        return exit_code;
    int r = store_write(c->v->session.store, import_job, c);
    if (r)
        return cli_fault("the list could not be taken", r);
    printf("%lld lines: %lld added, %lld suppressed already, %lld named again.\n",
           (long long)c->result.lines, (long long)c->result.added, (long long)c->result.existing,
           (long long)c->result.duplicates);
    return EXIT_DONE;
}

static int import_list(struct email_verb *v, const char *word)
{
    struct changing c = {.v = v};

    if (!word)
        return cli_fail(EXIT_USAGE, "import takes a file, or - for standard input");
    int r = suppression_import_new(&c.import);
    int exit_code = r ? cli_fault("cannot start", r) : take_list(&c, word);
    suppression_import_free(c.import);
    return exit_code;
}

static const struct {
    const char *name;
    int (*run)(struct email_verb *v, const char *word);
} actions[] = {{"list", list},
               {"add", add},
               {"remove", remove_one},
               {"import", import_list},
               {"export", export_all}};

static int email_suppressions(struct cli *cli)
{
    const char *word = cli->word_count > 1 ? cli->words[1] : NULL;
    struct email_verb v;

    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        if (strcmp(cli->words[0], actions[i].name) != 0)
            continue;
        int exit_code = email_verb_open(cli, &v);
        if (exit_code)
            return exit_code;
        exit_code = actions[i].run(&v, word);
        email_verb_close(&v);
        return exit_code;
    }
    return cli_fail(EXIT_USAGE, "\"%s\" is none of list, add, remove, import, export",
                    cli->words[0]);
}

const struct cli_command cli_email_suppressions = {
    .name = "email",
    .verb = "suppressions",
    .words = "ACTION [WHAT]",
    .words_min = 1,
    .words_max = 2,
    .summary = "List, add or remove addresses that are not written to",
    .description =
        "ACTION is list [ADDRESS], add ADDRESS, remove ADDRESS, import FILE (\"-\": standard "
        "input)\nor export. An address has an entry for each reason; remove takes all of them, but "
        "for who\nunsubscribed or complained: --reason has to name that. Without --tenant entries "
        "hold for the\nwhole installation, and what is removed is of any. Files are CSV (address, "
        "reason, expires_at,\nnote); one with a mistake is not taken at all.\n",
    .options = {EMAIL_TENANT_OPTION,
                {"reason", 'r', "REASON",
                 "add, remove: bounce, complaint, unsubscribe, ...; manual."},
                {"expires", 'e', "TIME", "add: until when (RFC 3339); never by default."},
                {"note", 'n', "TEXT", "add: for people."},
                {"json", 'j', NULL, "list: one JSON object a line."},
                CLI_CONFIG_OPTION},
    .run = email_suppressions,
};
