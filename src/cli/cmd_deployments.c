/* What was deployed: the list, and one of them. */
#include "base/fault.h"
#include "base/json.h"
#include "cli/deployments.h"

#include <unistd.h>

enum { TEXT_MAX = 16 << 20, SHOWN = 20 };

static bool wants_colour(void)
{
    const char *none = getenv("NO_COLOR"), *terminal = getenv("TERM");

    return isatty(STDOUT_FILENO) && !(none && *none) && terminal && strcmp(terminal, "dumb") != 0;
}

static int print(const struct buf *out)
{
    if (buf_fault(out))
        return cli_fault("cannot print", buf_fault(out));
    if (fwrite(out->p, 1, out->n, stdout) != out->n || fflush(stdout))
        return cli_fail(EXIT_FAILED, "standard output cannot be written");
    return EXIT_DONE;
}

/* Empty is null, as in reports. */
static void put(struct json_writer *w, const char *key, struct str text)
{
    json_key(w, key);
    if (text.n)
        json_str(w, text);
    else
        json_nil(w);
}

static void write_item(struct json_writer *w, const struct deployments_item *item, int64_t now)
{
    const struct record *r = &item->record;
    int64_t until = r->ended_at ? r->ended_at : now;

    json_object_begin(w);
    json_key(w, "id");
    json_uuid(w, &r->id);
    put(w, "environment", item->damaged ? STR("") : r->environment);
    put(w, "release", item->damaged ? STR("") : r->release);
    put(w, "previousRelease", r->previous);
    put(w, "result", item->damaged ? STR("damaged") : str_of(report_result_name(r->result)));
    put(w, "who", item->damaged ? STR("") : r->who);
    json_key(w, "beganAt");
    json_time(w, r->began_at);
    json_key(w, "endedAt");
    json_time(w, r->ended_at);
    json_key(w, "durationMs");
    json_int(w, until > r->began_at ? until - r->began_at : 0);
    json_key(w, "here");
    json_bool(w, item->here);
    json_object_end(w);
}

static int print_list(struct cli *cli, const struct deployments *d,
                      const struct deployments_item *items, size_t n)
{
    struct buf out _cleanup_buf_ = buf_init(TEXT_MAX);
    struct json_writer w = json_writer(&out);

    if (cli_has(cli, "json")) {
        json_object_begin(&w);
        json_key(&w, "items");
        json_array_begin(&w);
        for (size_t i = 0; i < n; i++)
            write_item(&w, &items[i], d->now);
        json_array_end(&w);
        json_object_end(&w);
        buf_add_char(&out, '\n');
    } else {
        deployments_print_list(items, n, d->now, wants_colour(), &out);
    }
    return print(&out);
}

static int list(struct cli *cli)
{
    const char *text = cli_value(cli, "limit");
    struct deployments_item *items;
    struct deployments d;
    uint64_t limit = SHOWN;
    size_t n;

    if (text && (str_to_u64(str_of(text), DEPLOYMENTS_MAX, &limit) || limit == 0))
        return cli_fail(EXIT_USAGE, "--limit: \"%s\" is not a number from 1 to %d", text,
                        DEPLOYMENTS_MAX);
    int exit_code = deployments_open(cli, &d);
    if (exit_code)
        return exit_code;
    int r = deployments_list(&d, str_of(cli_value(cli, "env")), (size_t)limit, &items, &n);
    exit_code =
        r ? cli_fault("the deployments could not be read", r) : print_list(cli, &d, items, n);
    deployments_close(&d);
    return exit_code;
}

static int explain(int outcome, const char *id)
{
    switch ((enum deployments_outcome)outcome) {
    case DEPLOYMENTS_UNKNOWN:
        return cli_fail(EXIT_FAILED, "there is no deployment %s", id);
    case DEPLOYMENTS_AMBIGUOUS:
        return cli_fail(EXIT_USAGE, "several deployments begin with %s", id);
    case DEPLOYMENTS_NO_ID:
        return cli_fail(EXIT_USAGE,
                        "\"%s\" is no id of a deployment, nor the first 4 characters of one or "
                        "more; \"holdfast deployments list\" shows them",
                        id);
    case DEPLOYMENTS_DAMAGED:
        break;
    }
    return cli_fail(EXIT_FAILED, "the deployment %s cannot be read: %s", id, fault_message());
}

static int show(struct cli *cli)
{
    struct buf out _cleanup_buf_ = buf_init(TEXT_MAX);
    char path[DEPLOYMENTS_PATH];
    struct deployments d;
    struct report r;
    int exit_code = deployments_open(cli, &d);

    if (exit_code)
        return exit_code;
    int result = deployments_find(&d, cli->words[0], &r, path);
    if (result == 0 && cli_has(cli, "json")) {
        report_write_json(&r, &out);
        buf_add_char(&out, '\n');
    } else if (result == 0) {
        deployments_print(&r, path, wants_colour(), &out);
    }
    exit_code = result == 0  ? print(&out)
                : result > 0 ? explain(result, cli->words[0])
                             : cli_fault("the deployment could not be read", result);
    deployments_close(&d);
    return exit_code;
}

const struct cli_command cli_deployments_list = {
    .name = "deployments",
    .verb = "list",
    .summary = "List what was deployed, newest first",
    .description = "From the journals under LOGS_DIR/deployments, which need no database, and "
                   "from the database what\nwas deployed from other machines.\n",
    .options = {{"env", 'e', "ENV", "Only of this environment."},
                {"limit", 'n', "N", "So many at most; 20 by default."},
                CLI_JSON_OPTION,
                CLI_CONFIG_OPTION},
    .run = list,
};

const struct cli_command cli_deployments_show = {
    .name = "deployments",
    .verb = "show",
    .words = "ID",
    .words_min = 1,
    .words_max = 1,
    .summary = "Tell what a deployment did, and what is left to do",
    .description = "ID may be the beginning of one, of 4 characters or more.\n",
    .options = {CLI_JSON_OPTION, CLI_CONFIG_OPTION},
    .run = show,
};
