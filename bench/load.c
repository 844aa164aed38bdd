/*
 * The benchmark's load generator: one thread, keep-alive, no pipelining; checks every status.
 * docs/BENCHMARKS.md is made of its results; bench/run calls it.
 */
#include "bench/load.h"

#include "base/fault.h"
#include "bench/socket.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>

enum {
    SPARE_DESCRIPTORS = 32,
    CONNECTIONS_MAX = 1000000,
    PREPARED_MAX = 1000000,
    INPUT_MAX = 64 * 1024 * 1024
};

static const char usage[] =
    "usage: load me|refresh|login|events|emails|idle --port PORT [option ...]\n"
    "  me       GET --path with a bearer token of --input (one a line), or without any\n"
    "  refresh  each connection rotates its own refresh token of --input (one a line)\n"
    "  login    POST /auth/login with --input's lines \"email password\"\n"
    "  events   each tells of another message's delivery, signed by the secret in --input\n"
    "  emails   each sends another message by POST /v1/emails with --input's token\n"
    "  idle     one GET each, then hold; reports memory a connection of --pid and its children\n"
    "\n"
    "  --port PORT          of the server on 127.0.0.1\n"
    "  --connections N      (64)\n"
    "  --duration SECONDS   that are measured, or for which idle holds (5)\n"
    "  --warmup SECONDS     before them, of the same load (1)\n"
    "  --sources N          addresses of 127.0.0.0/8 to connect from, at most 200 (1)\n"
    "  --path PATH          (/auth/me)\n"
    "  --input FILE         tokens, credentials or the secret\n"
    "  --first N            number of the first message of events and emails (1)\n"
    "  --prepared N         events that are made and signed before the clock starts (0)\n"
    "  --output FILE        where refresh leaves each connection's last token\n"
    "  --pid PID            the server's first process, for idle\n"
    "\n"
    "Writes one line of JSON. Exit codes: 0; 1 where any request failed; 2 for wrong usage.\n";

static const struct option long_options[] = {
    {"port", required_argument, NULL, 'p'},
    {"connections", required_argument, NULL, 'c'},
    {"duration", required_argument, NULL, 'd'},
    {"warmup", required_argument, NULL, 'w'},
    {"sources", required_argument, NULL, 's'},
    {"path", required_argument, NULL, 'u'},
    {"input", required_argument, NULL, 'i'},
    {"output", required_argument, NULL, 'o'},
    {"pid", required_argument, NULL, 'P'},
    {"first", required_argument, NULL, 'f'},
    {"prepared", required_argument, NULL, 'r'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int write_head(struct buf *out, const struct load_options *o, const char *method,
                      struct str path)
{
    return buf_printf(out, "%s %.*s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n", method, STR_ARG(path),
                      o->port);
}

int load_get(struct buf *out, const struct load_options *o, struct str token)
{
    write_head(out, o, "GET", o->path);
    if (token.n > 0)
        buf_printf(out, "Authorization: Bearer %.*s\r\n", STR_ARG(token));
    return buf_add_str(out, STR("\r\n"));
}

int load_post(struct buf *out, const struct load_options *o, struct str path, struct str header,
              struct str body)
{
    write_head(out, o, "POST", path);
    buf_add_str(out, header);
    return buf_printf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%.*s",
                      body.n, STR_ARG(body));
}

static int read_file(const char *path, struct buf *out)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return fault_errno(FAULT_IO, errno, "%s", path);
    char bytes[8192];
    int r = 0;
    for (size_t n; r == 0 && (n = fread(bytes, 1, sizeof bytes, f)) > 0;)
        r = buf_add(out, bytes, n);
    if (r == 0 && ferror(f))
        r = fault_set(FAULT_IO, "%s: cannot be read", path);
    fclose(f);
    return r;
}

static int split_lines(struct str text, struct load_options *o)
{
    size_t n = 0;
    struct str rest = text, line;
    while (str_next(&rest, '\n', &line))
        n += line.n > 0;
    o->lines = calloc(n ? n : 1, sizeof *o->lines);
    if (!o->lines)
        return fault_set(FAULT_MEMORY, "%zu lines", n);
    while (str_next(&text, '\n', &line))
        if (line.n > 0)
            o->lines[o->line_count++] = line;
    return 0;
}

/* Returns 0, or 1 where the value is none. */
static int set_number(struct load_options *o, int option, const char *text)
{
    const uint64_t max = option == 'p'   ? UINT16_MAX
                         : option == 's' ? 200
                         : option == 'c' ? CONNECTIONS_MAX
                         : option == 'P' ? INT32_MAX
                         : option == 'f' ? INT64_MAX
                         : option == 'r' ? PREPARED_MAX
                                         : 86400;
    uint64_t v;
    if (str_to_u64(str_of(text), max, &v) || (v == 0 && option != 'w'))
        return 1;
    if (option == 'p')
        o->port = (uint16_t)v;
    else if (option == 's')
        o->sources = (unsigned)v;
    else if (option == 'c')
        o->connections = v;
    else if (option == 'P')
        o->pid = (int)v;
    else if (option == 'f')
        o->first = v;
    else if (option == 'r')
        o->prepared = v;
    else if (option == 'd')
        o->duration_us = (int64_t)v * 1000000;
    else
        o->warmup_us = (int64_t)v * 1000000;
    return 0;
}

static int set_mode(struct load_options *o, const char *name)
{
    static const char *const names[] = {"me", "refresh", "login", "events", "emails", "idle"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!str_eq(str_of(name), str_of(names[i])))
            continue;
        o->mode = (enum load_mode)i;
        o->mode_name = names[i];
        return 0;
    }
    return 1;
}

/* Returns 0, or 1 for wrong usage. */
static int read_options(int argc, char **argv, struct load_options *o, const char **ret_input)
{
    *o = (struct load_options){.connections = 64,
                               .sources = 1,
                               .first = 1,
                               .duration_us = 5000000,
                               .warmup_us = 1000000,
                               .path = STR("/auth/me")};
    *ret_input = NULL;
    for (int c; (c = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        if (c == 'u')
            o->path = str_of(optarg);
        else if (c == 'i')
            *ret_input = optarg;
        else if (c == 'o')
            o->output = optarg;
        else if (c == '?' || c == 'h' || set_number(o, c, optarg))
            return 1;
    }
    if (optind + 1 != argc || set_mode(o, argv[optind]) || o->port == 0)
        return 1;
    if (o->mode == LOAD_IDLE && o->pid == 0)
        return 1;
    return o->mode != LOAD_ME && o->mode != LOAD_IDLE && !*ret_input;
}

static int run(struct load_options *o, const char *input, struct buf *out)
{
    _cleanup_buf_ struct buf text = buf_init(INPUT_MAX);
    int r = input ? read_file(input, &text) : 0;
    if (r == 0)
        r = split_lines(buf_str(&text), o);
    if (r == 0)
        r = socket_allow(o->connections + SPARE_DESCRIPTORS);
    if (r == 0 && input && o->line_count < (o->mode == LOAD_REFRESH ? o->connections : 1))
        r = fault_set(FAULT_LIMIT, "%s: %zu lines are too few", input, o->line_count);
    if (r == 0)
        r = o->mode == LOAD_IDLE ? idle_run(o, out) : drive_run(o, out);
    free(o->lines);
    return r;
}

int main(int argc, char **argv)
{
    struct load_options o;
    const char *input;
    if (read_options(argc, argv, &o, &input)) {
        fputs(usage, stderr);
        return 2;
    }
    _cleanup_buf_ struct buf out = buf_init(64 * 1024);
    int r = run(&o, input, &out);
    if (r < 0) {
        fprintf(stderr, "load: %s\n", fault_message());
        return 1;
    }
    printf("%.*s\n", STR_ARG(buf_str(&out)));
    return r;
}
