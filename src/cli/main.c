/* Finds the command, parses its options by its table, prints help, runs. */
#include "base/fault.h"
#include "base/product.h"
#include "cli/cli.h"
#include "crypto/init.h"
#include "deploy/conf.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <unistd.h>

const struct cli_command *const cli_commands[] = {
    &cli_serve,           &cli_users_add,      &cli_users_list,         &cli_users_disable,
    &cli_users_enable,    &cli_users_unlock,   &cli_users_set_role,     &cli_users_reset_password,
    &cli_revoke_sessions, &cli_trail_verify,   &cli_trail_export,       &cli_email_health,
    &cli_email_metrics,   &cli_email_logs,     &cli_email_suppressions, &cli_email_simulate,
    &cli_email_setup,     &cli_backup_create,  &cli_backup_verify,      &cli_backup_restore,
    &cli_backup_list,     &cli_migrate_status, &cli_migrate_deploy,     &cli_migrate_resolve,
    &cli_deploy,          &cli_rollback,       &cli_deployments_list,   &cli_deployments_show,
    &cli_supervise,
};
const size_t cli_commands_count = sizeof cli_commands / sizeof *cli_commands;

static bool same(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static void print_usage(FILE *to, const struct cli_command *c)
{
    fprintf(to, "holdfast %s", c->name);
    if (c->verb)
        fprintf(to, " %s", c->verb);
    if (c->words)
        fprintf(to, " %s", c->words);
}

static void print_overview(FILE *to)
{
    fprintf(to, "%s\n\n", PRODUCT_TAGLINE);
    for (size_t i = 0; i < PRODUCT_PARTS; i++)
        fprintf(to, "%s: %s.\n", product_parts[i].name, product_parts[i].what);
    fprintf(to, "\nUsage: holdfast COMMAND [OPTION...]\n\nCommands:\n");
    for (size_t i = 0; i < cli_commands_count; i++) {
        const struct cli_command *c = cli_commands[i];
        char name[64];
        snprintf(name, sizeof name, "%s%s%s", c->name, c->verb ? " " : "", c->verb ? c->verb : "");
        fprintf(to, "  %-22s %s\n", name, c->summary);
    }
    fprintf(to, "\n\"holdfast COMMAND --help\" tells more of each; \"holdfast --version\" the "
                "version.\nSettings come from the environment: \"holdfast serve --help\" lists "
                "them.\n");
}

static void print_group(FILE *to, const char *name)
{
    fprintf(to, "Usage: holdfast %s VERB [OPTION...]\n\nVerbs:\n", name);
    for (size_t i = 0; i < cli_commands_count; i++)
        if (same(cli_commands[i]->name, name))
            fprintf(to, "  %-16s %s\n", cli_commands[i]->verb, cli_commands[i]->summary);
}

/* The keys of holdfast.yml: each with its help and its default. */
static void print_conf(void)
{
    struct buf keys _cleanup_buf_ = buf_init(64 * 1024);
    struct str rest, line, key, by_default;

    conf_describe(&keys);
    rest = buf_str(&keys);
    printf("\nKeys of an environment in holdfast.yml, and of a route under notify:\n\n");
    while (str_next(&rest, '\n', &line)) {
        if (!str_next(&line, '\t', &key) || !str_next(&line, '\t', &by_default))
            continue;
        printf("%.*s\n    %.*s\n", STR_ARG(key), STR_ARG(line));
        if (by_default.n)
            printf("    Default: %.*s\n", STR_ARG(by_default));
    }
}

static void print_help(const struct cli_command *c)
{
    printf("Usage: ");
    print_usage(stdout, c);
    printf(" [OPTION...]\n\n%s.\n", c->summary);
    if (c->description)
        printf("\n%s", c->description);
    printf("\nOptions:\n");
    for (const struct cli_option *o = c->options; o->name; o++) {
        char text[64];
        snprintf(text, sizeof text, "--%s%s%s", o->name, o->value ? " " : "",
                 o->value ? o->value : "");
        if (o->letter)
            printf("  -%c, %-32s %s\n", o->letter, text, o->help);
        else
            printf("      %-32s %s\n", text, o->help);
    }
    printf("  -h, %-32s %s\n", "--help", "Print this page.");
    printf("\nExit status: 0 done; 1 failed or findings; 2 wrong usage or configuration; "
           "3 out of reach%s.\n",
           c == &cli_deploy || c == &cli_rollback
               ? "; 4 failed and\nrolled back; 5 could not be rolled back, a person is needed; 6 "
                 "another deploys"
               : "");
    if (c == &cli_deploy)
        print_conf();
    if (c == &cli_serve) {
        struct buf options = buf_init(64 * 1024);
        config_describe(&options);
        printf("\nSettings (environment, or KEY=VALUE lines of --config):\n\n%.*s",
               STR_ARG(buf_str(&options)));
        buf_free(&options);
    }
}

int cli_fail(enum cli_exit exit_code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("holdfast: ", stderr);
    /* clang-tidy 14 does not see the va_start: NOLINTNEXTLINE(clang-analyzer-valist.*) */
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return (int)exit_code;
}

int cli_fault(const char *doing, int fault)
{
    return cli_fail(fault == FAULT_UNAVAILABLE ? EXIT_UNREACHABLE : EXIT_FAILED, "%s: %s", doing,
                    fault_message());
}

static int option_index(const struct cli *cli, const char *name)
{
    const struct cli_option *o = cli->command->options;

    for (int i = 0; o[i].name; i++)
        if (same(o[i].name, name))
            return i;
    return -1;
}

const char *cli_value(const struct cli *cli, const char *name)
{
    int i = option_index(cli, name);

    return i < 0 ? NULL : cli->values[i];
}

bool cli_has(const struct cli *cli, const char *name)
{
    return cli_value(cli, name) != NULL;
}

enum { HELP = 1000 };

/* getopt's tables of a command; values are 1 + the option's index. */
static void make_tables(const struct cli_command *c, struct option *longs, char *shorts)
{
    int n = 0;

    *shorts++ = ':';
    for (const struct cli_option *o = c->options; o->name; o++, n++) {
        longs[n] =
            (struct option){o->name, o->value ? required_argument : no_argument, NULL, 1 + n};
        if (!o->letter)
            continue;
        *shorts++ = o->letter;
        if (o->value)
            *shorts++ = ':';
    }
    longs[n++] = (struct option){"help", no_argument, NULL, HELP};
    longs[n] = (struct option){0};
    *shorts++ = 'h';
    *shorts = '\0';
}

static int by_letter(const struct cli_command *c, int letter)
{
    for (int i = 0; c->options[i].name; i++)
        if (c->options[i].letter == letter)
            return i;
    return -1;
}

static int wrong(const struct cli_command *c, const char *what, const char *which)
{
    fprintf(stderr, "holdfast: %s%s\nTry: ", what, which);
    print_usage(stderr, c);
    fputs(" --help\n", stderr);
    return EXIT_USAGE;
}

/* Parses argv[0..argc). Returns -1 to run, or an exit code. */
static int parse(struct cli *cli, int argc, char **argv)
{
    struct option longs[CLI_OPTIONS_MAX + 2];
    char shorts[2 * CLI_OPTIONS_MAX + 4];
    int got;

    make_tables(cli->command, longs, shorts);
    opterr = 0;
    while ((got = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        if (got == HELP || got == 'h') {
            print_help(cli->command);
            return EXIT_DONE;
        }
        if (got == ':')
            return wrong(cli->command, "a value is missing after ", argv[optind - 1]);
        if (got == '?')
            return wrong(cli->command, "there is no such option: ", argv[optind - 1]);
        int i = got <= CLI_OPTIONS_MAX ? got - 1 : by_letter(cli->command, got);
        cli->values[i] = optarg ? optarg : "";
    }
    for (; optind < argc; optind++) {
        if (cli->word_count == cli->command->words_max)
            return wrong(cli->command, "one argument too many: ", argv[optind]);
        cli->words[cli->word_count++] = argv[optind];
    }
    if (cli->word_count < cli->command->words_min)
        return wrong(cli->command, "missing: ", cli->command->words);
    return -1;
}

/* The command that argv names; *ret_words says how many of its words do. */
static const struct cli_command *find(int argc, char **argv, int *ret_words, bool *ret_group)
{
    *ret_group = false;
    for (size_t i = 0; i < cli_commands_count; i++) {
        const struct cli_command *c = cli_commands[i];
        if (!same(c->name, argv[1]))
            continue;
        *ret_group = c->verb != NULL;
        if (c->verb && (argc < 3 || !same(c->verb, argv[2])))
            continue;
        *ret_words = c->verb ? 2 : 1;
        return c;
    }
    return NULL;
}

static int no_command(int argc, char **argv, bool group)
{
    bool help = argc < 3 || same(argv[2], "--help") || same(argv[2], "-h");

    if (!group) {
        fprintf(stderr, "holdfast: there is no command %s\n\n", argv[1]);
        print_overview(stderr);
        return EXIT_USAGE;
    }
    if (!help)
        fprintf(stderr, "holdfast: %s has no verb %s\n\n", argv[1], argv[2]);
    print_group(help ? stdout : stderr, argv[1]);
    return help && argc >= 3 ? EXIT_DONE : EXIT_USAGE;
}

/* A file that took the place of a standard stream that is closed would get what is printed. */
static int keep_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            return EXIT_FAILED;
    return 0;
}

int main(int argc, char **argv)
{
    struct cli cli = {0};
    bool group;
    int words;

    if (keep_standard_streams())
        return EXIT_FAILED;
    if (argc < 2 || same(argv[1], "--help") || same(argv[1], "-h") || same(argv[1], "help")) {
        print_overview(argc < 2 ? stderr : stdout);
        return argc < 2 ? EXIT_USAGE : EXIT_DONE;
    }
    if (same(argv[1], "--version")) {
        printf("holdfast %s\n", HOLDFAST_VERSION);
        return EXIT_DONE;
    }
    cli.command = find(argc, argv, &words, &group);
    if (!cli.command)
        return no_command(argc, argv, group);
    int r = parse(&cli, argc - words, argv + words);
    if (r >= 0)
        return r;
    r = crypto_init();
    return r ? cli_fault("cannot start", r) : cli.command->run(&cli);
}
