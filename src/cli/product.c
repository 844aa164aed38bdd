#include "cli/product.h"

#include "base/clock.h"
#include "base/fault.h"
#include "deploy/product_url.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { ARENA_MAX = 1 << 30, SHOW_EACH_MS = 100, LATER_MS = 2000 };

static atomic_int cancelled, held;

/* The second ends us at once, but for the moment in which that would leave things half done. */
static void on_signal(int number)
{
    if (atomic_exchange(&cancelled, 1) == 0 || atomic_load(&held))
        return;
    signal(number, SIG_DFL);
    raise(number);
}

void product_hold(bool hold)
{
    atomic_store(&held, hold);
}

int product_settings(struct cli *cli)
{
    struct config_source source = {
        .file = cli_value(cli, "config"), .environment = environ, .without_secrets = true};
    struct config *config;

    return cli_load(&source, &config);
}

/* The lines are of the same kind on a terminal and in a log; amounts are for a terminal alone. */
static void say(void *context, const char *line)
{
    struct product_command *c = context;

    product_end_line(c);
    fprintf(stderr, "%s\n", line);
    c->line_began = clock_mono();
}

/* What is left is guessed once there is something to guess from. */
static void amount(void *context, int64_t done, int64_t total)
{
    struct product_command *c = context;
    int64_t now = clock_mono(), took = now - c->line_began;
    struct arena a _cleanup_arena_ = arena_init(1 << 16);

    if (!c->terminal || (now - c->shown_at < SHOW_EACH_MS && done != total))
        return;
    c->shown_at = now;
    if (total <= 0)
        fprintf(stderr, "\r  %s\033[K", product_size(&a, done));
    else if (total < (1 << 20)) /* no bytes: tables */
        fprintf(stderr, "\r  %lld of %lld\033[K", (long long)done, (long long)total);
    else
        fprintf(stderr, "\r  %3lld %%  %s of %s%s%s\033[K", (long long)(done * 100 / total),
                product_size(&a, done), product_size(&a, total),
                took > LATER_MS && done > 0 && done < total ? ", about " : "",
                took > LATER_MS && done > 0 && done < total
                    ? arena_printf(&a, "%s left", product_time(&a, took * (total - done) / done))
                    : "");
}

void product_end_line(struct product_command *c)
{
    if (c->shown_at)
        fprintf(stderr, "\r\033[K");
    c->shown_at = 0;
}

static int take_url(struct product_command *c)
{
    const struct config *config = config_current();
    const char *url =
        *config->product_database_url ? config->product_database_url : config->database_url;
    const char *key = *config->product_database_url ? "PRODUCT_DATABASE_URL" : "DATABASE_URL";
    struct product_url product;

    c->place.url = url;
    if (backup_is_sqlite(url))
        return url[strlen("sqlite:")] ? 0 : cli_fail(EXIT_USAGE, "%s: names no file", key);
    if (!str_has_prefix(str_of(url), STR("postgres")))
        return cli_fail(EXIT_USAGE, "%s: begins with neither sqlite: nor postgresql://", key);
    if (product_url_read(&c->a, url, &product))
        return cli_fail(EXIT_USAGE, "%s: %s", key, fault_message());
    c->place.url = product.url;
    return 0;
}

int product_open(struct cli *cli, struct product_command *ret)
{
    struct sigaction action = {.sa_handler = on_signal};
    int exit_code = product_settings(cli);

    if (exit_code)
        return exit_code;
    *ret = (struct product_command){.cli = cli, .a = arena_init(ARENA_MAX), .began = clock_mono()};
    ret->quiet = cli_has(cli, "json");
    ret->terminal = !ret->quiet && isatty(STDERR_FILENO);
    ret->progress = (struct progress){.say = say, .amount = amount, .context = ret};
    ret->place.progress = ret->quiet ? NULL : &ret->progress;
    ret->place.cancel = &cancelled;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    exit_code = take_url(ret);
    if (exit_code)
        product_close(ret);
    return exit_code;
}

void product_close(struct product_command *c)
{
    product_end_line(c);
    arena_free(&c->a);
}

int product_fail(struct product_command *c, const char *doing, int result)
{
    static const enum cli_exit exits[] = {
        [BACKUP_FAILED] = EXIT_FAILED,      [BACKUP_UNREACHABLE] = EXIT_UNREACHABLE,
        [BACKUP_CANCELLED] = EXIT_FAILED,   [BACKUP_DAMAGED] = EXIT_FAILED,
        [BACKUP_WRITTEN] = EXIT_FAILED,     [BACKUP_LOCKED] = EXIT_LOCKED,
        [BACKUP_UNDONE] = EXIT_ROLLED_BACK, [BACKUP_STUCK] = EXIT_INCOMPLETE,
    };

    product_end_line(c);
    return cli_fail(result > 0 ? exits[result] : EXIT_FAILED, "%s: %s", doing, fault_message());
}

const char *product_size(struct arena *a, int64_t bytes)
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    double n = (double)bytes;
    int unit = 0;
    const char *text;

    while (n >= 1000 && unit < 4) {
        n /= 1000;
        unit++;
    }
    text = unit ? arena_printf(a, "%.1f %s", n, units[unit])
                : arena_printf(a, "%lld %s", (long long)bytes, bytes == 1 ? "byte" : "bytes");
    return text ? text : "?";
}

const char *product_number(struct arena *a, int64_t n)
{
    struct buf b _cleanup_buf_ = buf_init(64);
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)n);

    for (int i = 0; i < length; i++) {
        if (i && digits[i - 1] != '-' && (length - i) % 3 == 0)
            buf_add_char(&b, ',');
        buf_add_char(&b, digits[i]);
    }
    const char *text = arena_str(a, buf_str(&b)).p;
    return text ? text : "?";
}

const char *product_time(struct arena *a, int64_t ms)
{
    int64_t s = (ms + CLOCK_SECOND / 2) / CLOCK_SECOND;
    const char *text;

    if (ms < CLOCK_SECOND)
        text = arena_printf(a, "%lld ms", (long long)ms);
    else if (ms < CLOCK_MINUTE)
        text = arena_printf(a, "%lld.%lld s", (long long)(ms / 1000), (long long)(ms % 1000 / 100));
    else if (ms < CLOCK_HOUR)
        text = arena_printf(a, "%lld min %lld s", (long long)(s / 60), (long long)(s % 60));
    else
        text =
            arena_printf(a, "%lld h %lld min", (long long)(s / 3600), (long long)(s % 3600 / 60));
    return text ? text : "?";
}

int product_confirm(struct product_command *c, const char *question)
{
    char answer[8];

    if (cli_has(c->cli, "yes"))
        return 0;
    product_end_line(c);
    fprintf(stderr, "%s [y/N] ", question);
    fflush(stderr);
    if (fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
        return 0;
    return cli_fail(EXIT_FAILED, "nothing was changed; --yes answers for you");
}
