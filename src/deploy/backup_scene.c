#include "deploy/backup_scene.h"

#include "crypto/init.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ARENA_MAX = 256 << 20, SAID_MAX = 1 << 20 };

static void keep_line(void *context, const char *line)
{
    struct scene *s = context;

    buf_printf(&s->said, "%s\n", line);
}

/* Of each kind of thing that a dump holds. */
static const char schema[] =
    "CREATE TABLE customers (id bigserial PRIMARY KEY, name varchar(80) NOT NULL UNIQUE,"
    " kind varchar CHECK (kind IN ('a', 'b')) DEFAULT 'a');"
    "CREATE TABLE \"Odd name\" (n int, \"Q\"\"\" text);"
    "CREATE TABLE parts (id int, at date) PARTITION BY RANGE (at);"
    "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');"
    "CREATE TYPE mood AS ENUM ('good', 'bad');"
    "CREATE VIEW good AS SELECT * FROM customers WHERE kind IN ('a', 'b');"
    "CREATE MATERIALIZED VIEW seen AS SELECT count(*) FROM customers;"
    "CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n';"
    "CREATE INDEX by_kind ON customers (kind) WHERE kind <> 'b';"
    "CREATE SEQUENCE down INCREMENT -1; SELECT nextval('down'), nextval('down');"
    "CREATE SEQUENCE unused START 500;"
    "INSERT INTO customers (name) SELECT 'customer ' || i FROM generate_series(1, 1000) i;"
    "INSERT INTO \"Odd name\" SELECT i, repeat('x', 100) FROM generate_series(1, 50) i;"
    "INSERT INTO parts SELECT i, '2026-03-01' FROM generate_series(1, 20) i";

int scene_new(void **state)
{
    struct scene *s = calloc(1, sizeof *s);

    assert_non_null(s);
    assert_int_equal(crypto_init(), 0);
    product_new((void **)&s->p);
    snprintf(s->directory, sizeof s->directory, "/tmp/holdfast-backup.XXXXXX");
    assert_non_null(mkdtemp(s->directory));
    s->a = arena_init(ARENA_MAX);
    s->said = buf_init(SAID_MAX);
    s->progress = (struct progress){.say = keep_line, .context = s};
    s->place = (struct backup_place){.url = s->p->url, .progress = &s->progress};
    product_run(s->p, schema);
    *state = s;
    return 0;
}

/* What restores set aside. */
static void drop_others(struct scene *s)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;

    if (!s->p->pg || pg_query(s->p->pg,
                              "SELECT format('DROP DATABASE %I', datname) FROM pg_database WHERE"
                              " starts_with(datname, current_database() || '_failed_')",
                              NULL, 0, &rows))
        return;
    for (int i = 0; i < pg_rows_count(rows); i++)
        product_admin(pg_text(rows, i, 0));
}

int scene_release(void **state)
{
    struct scene *s = *state;
    char command[96];

    drop_others(s);
    snprintf(command, sizeof command, "rm -rf '%s'", s->directory);
    assert_int_equal(system(command), 0);
    product_release((void **)&s->p);
    arena_free(&s->a);
    buf_free(&s->said);
    free(s);
    return 0;
}

struct backup scene_backup(struct scene *s)
{
    struct backup b;

    if (backup_create(&s->place, s->directory, NULL, &s->a, &b))
        fail_msg("%s", fault_message());
    return b;
}

int scene_files(struct scene *s, const char *suffix)
{
    DIR *d = opendir(s->directory);
    struct dirent *e;
    int n = 0;

    assert_non_null(d);
    while ((e = readdir(d)))
        n += e->d_name[0] != '.' && str_has_suffix(str_of(e->d_name), str_of(suffix));
    closedir(d);
    return n;
}

int64_t scene_databases(struct scene *s, const char *pattern)
{
    return product_number(s->p, arena_printf(&s->a,
                                             "SELECT count(*) FROM pg_database WHERE datname LIKE"
                                             " '%s'",
                                             pattern));
}

void scene_reconnect(struct scene *s)
{
    struct pg_options options = {.url = s->p->url, .name = "test"};

    pg_close(s->p->pg);
    s->p->pg = NULL;
    if (pg_open(&options, &s->p->pg))
        fail_msg("%s", fault_message());
}

bool scene_said(const struct scene *s, const char *text)
{
    return s->said.p && memmem(s->said.p, s->said.n, text, strlen(text));
}
