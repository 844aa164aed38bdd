/*
 * Lets mail_interop.py drive the mail room.
 *
 * mail_interop mime: reads messages from standard input, each seven fields (sender's name and
 * address, recipient's name, subject, text, html, the value of X-Test), each field as its length in
 * decimal, a newline and so many bytes; answers each with its outcome, a space, a length, a newline
 * and the message, or the field that is refused.
 *
 * mail_interop sandbox DIRECTORY: listens for SMTP on a free port, prints it, and answers the lines
 * "list START LIMIT", "search KIND TEXT", "get ID", "remove ID" and "clear" with a line of JSON, or
 * "unknown".
 */
#include "base/fault.h"
#include "crypto/init.h"
#include "mail/mailhog.h"
#include "mail/mime.h"
#include "mail/sandbox_server.h"

enum { FIELDS = 7, FIELD_MAX = 1 << 20, JSON_MAX = 256 << 20 };

static int fail(const char *doing)
{
    fprintf(stderr, "mail_interop: %s: %s\n", doing, fault_message());
    return 1;
}

/* Returns whether there was a field; its bytes are freed by the caller. */
static bool read_field(char **ret_bytes, struct str *ret)
{
    char line[32];
    uint64_t n;

    if (!fgets(line, sizeof line, stdin))
        return false;
    if (str_to_u64((struct str){line, str_find(str_of(line), '\n')}, FIELD_MAX, &n))
        return false;
    *ret_bytes = malloc(n + 1);
    if (!*ret_bytes || fread(*ret_bytes, 1, n, stdin) != n)
        return false;
    *ret = (struct str){*ret_bytes, n};
    return true;
}

static void answer(const struct str f[FIELDS])
{
    struct mime_address to = {f[2], STR("to@example.com")};
    struct mime_header header = {STR("X-Test"), f[6]};
    struct mime_message m = {
        .from = {f[0], f[1]},
        .to = &to,
        .n_to = 1,
        .subject = f[3],
        .text = f[4],
        .html = f[5],
        .date = INT64_C(1700000000000),
        .message_id = STR("1@example.org"),
        .unsubscribe_url = STR("https://example.org/u/token"),
        .headers = &header,
        .n_headers = f[6].n > 0,
    };
    struct buf out = buf_init(MIME_MESSAGE_MAX);
    struct mime_problem problem = {""};
    int r = mime_write(&m, &out, &problem);
    struct str said = r ? str_of(problem.field) : buf_str(&out);

    printf("%d %zu\n", r, said.n);
    fwrite(said.p, 1, said.n, stdout);
    fflush(stdout);
    buf_free(&out);
}

static int run_mime(void)
{
    for (;;) {
        char *bytes[FIELDS] = {NULL};
        struct str fields[FIELDS];
        int n = 0;
        while (n < FIELDS && read_field(&bytes[n], &fields[n]))
            n++;
        if (n == FIELDS)
            answer(fields);
        for (int i = 0; i < FIELDS; i++)
            free(bytes[i]);
        if (n < FIELDS)
            return n > 0;
    }
}

struct asking {
    struct str verb, rest;
    struct arena arena;
    struct buf out;
};

static int list(struct store_txn *t, struct asking *a)
{
    struct str start, limit;
    struct sandbox_page page;
    uint64_t from = 0, n = 0;

    str_next(&a->rest, ' ', &start);
    str_next(&a->rest, ' ', &limit);
    str_to_u64(start, 1000, &from);
    str_to_u64(limit, 1000, &n);
    int r = sandbox_list(t, &a->arena, (int64_t)from, (int64_t)n, &page);
    return r ? r : mailhog_write_page(&page, &a->out);
}

static int search(struct store_txn *t, struct asking *a)
{
    struct str name;
    struct sandbox_page page;
    enum sandbox_kind kind = SANDBOX_CONTAINING;

    str_next(&a->rest, ' ', &name);
    sandbox_kind_parse(name, &kind);
    int r = sandbox_search(t, &a->arena, kind, a->rest, 0, MAILHOG_LIMIT, &page);
    return r ? r : mailhog_write_page(&page, &a->out);
}

static int job(struct store_txn *t, void *arg)
{
    struct asking *a = arg;
    struct uuid id = {{0}};
    struct sandbox_message m;

    if (str_eq(a->verb, STR("list")))
        return list(t, a);
    if (str_eq(a->verb, STR("search")))
        return search(t, a);
    if (str_eq(a->verb, STR("clear")))
        return sandbox_clear(t);
    if (uuid_parse(a->rest, &id))
        return SANDBOX_UNKNOWN;
    if (str_eq(a->verb, STR("remove")))
        return sandbox_remove(t, &id);
    int r = sandbox_find(t, &a->arena, &id, &m);
    return r ? r : mailhog_write_message(&m, &a->out);
}

static int converse(struct store *s)
{
    char line[1000];

    while (fgets(line, sizeof line, stdin)) {
        struct asking a = {.rest = {line, str_find(str_of(line), '\n')},
                           .arena = arena_init(JSON_MAX),
                           .out = buf_init(JSON_MAX)};
        str_next(&a.rest, ' ', &a.verb);
        int r = store_write(s, job, &a);
        if (r < 0)
            return fail(line);
        printf("%s\n", r ? "unknown" : a.out.n ? buf_cstr(&a.out) : "{}");
        fflush(stdout);
        buf_free(&a.out);
        arena_free(&a.arena);
    }
    return 0;
}

static int run_sandbox(const char *directory)
{
    char url[512];
    struct store_options options = {.url = url, .pool = 2, .timeout_ms = 10000};
    struct sandbox_box box = {.keep = SANDBOX_KEEP};
    struct sandbox_server_options server = {.take = sandbox_receive, .context = &box};
    struct sandbox_server *s;

    snprintf(url, sizeof url, "sqlite:%s/sandbox.db", directory);
    if (store_open(&options, &box.store))
        return fail("cannot open the store");
    if (sandbox_server_start(&server, &s))
        return fail("cannot start");
    printf("%d\n", sandbox_server_port(s));
    fflush(stdout);
    int r = converse(box.store);
    sandbox_server_stop(s);
    store_close(box.store);
    return r;
}

int main(int argc, char **argv)
{
    if (crypto_init())
        return fail("cannot start");
    if (argc == 2 && strcmp(argv[1], "mime") == 0)
        return run_mime();
    if (argc == 3 && strcmp(argv[1], "sandbox") == 0)
        return run_sandbox(argv[2]);
    fprintf(stderr, "usage: mail_interop mime | sandbox DIRECTORY\n");
    return 2;
}
