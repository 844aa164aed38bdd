#include "cli/backup_print.h"

#include "base/fault.h"
#include "deploy/restore.h"

int backup_print(const struct buf *text)
{
    if (buf_fault(text))
        return cli_fault("cannot print", buf_fault(text));
    printf("%.*s", STR_ARG(buf_str(text)));
    return fflush(stdout) ? cli_fail(EXIT_FAILED, "standard output cannot be written") : 0;
}

const char *backup_plural(int64_t n)
{
    return n == 1 ? "" : "s";
}

void backup_write_str(struct json_writer *w, const char *key, const char *value)
{
    json_key(w, key);
    json_str(w, str_of(value));
}

void backup_write_int(struct json_writer *w, const char *key, int64_t value)
{
    json_key(w, key);
    json_int(w, value);
}

void backup_write_bool(struct json_writer *w, const char *key, bool value)
{
    json_key(w, key);
    json_bool(w, value);
}

void backup_write(struct json_writer *w, const struct backup *b)
{
    const struct backup_manifest *m = &b->manifest;

    backup_write_str(w, "path", b->path);
    json_key(w, "id");
    json_uuid(w, &m->id);
    json_key(w, "takenAt");
    json_time(w, m->taken_at);
    backup_write_str(w, "database", m->database);
    backup_write_str(w, "serverVersion", m->server);
    backup_write_int(w, "bytes", m->bytes);
    backup_write_str(w, "sha256", m->sha256);
    backup_write_int(w, "tables", (int64_t)m->survey.n_tables);
    backup_write_int(w, "rows", survey_rows(&m->survey));
    json_key(w, "verifiedAt");
    json_time(w, m->verified_at);
    backup_write_str(w, "pinned", m->kept);
}

void backup_write_lines(struct json_writer *w, const char *key, struct str lines)
{
    struct str line;

    json_key(w, key);
    json_array_begin(w);
    while (str_next(&lines, '\n', &line))
        if (line.n)
            json_str(w, line);
    json_array_end(w);
}

const char *backup_holds(struct arena *a, const struct backup_manifest *m)
{
    const char *text = arena_printf(
        a, "%s table%s, %s row%s", product_number(a, (int64_t)m->survey.n_tables),
        backup_plural((int64_t)m->survey.n_tables), product_number(a, survey_rows(&m->survey)),
        backup_plural(survey_rows(&m->survey)));

    return text ? text : "";
}

void backup_print_lines(FILE *to, struct str lines)
{
    struct str line;

    while (str_next(&lines, '\n', &line))
        if (line.n)
            fprintf(to, "  %.*s\n", STR_ARG(line));
}

void backup_recover(struct product_command *c)
{
    bool lifted;

    (void)restore_recover(&c->place, &c->a, &lifted);
}

int backup_with_product(struct cli *cli, int (*run)(struct product_command *c))
{
    struct product_command c;
    int exit_code = product_open(cli, &c);

    if (exit_code)
        return exit_code;
    exit_code = run(&c);
    product_close(&c);
    return exit_code;
}
