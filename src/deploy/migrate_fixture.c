#include "deploy/migrate_fixture.h"

#include "deploy/child.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ARENA_MAX = 64 << 20, SAID_MAX = 1 << 20 };

static void hear(void *context, const char *text)
{
    struct scene *s = context;

    buf_printf(&s->said, "%s\n", text);
}

int scene_new(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    void *product;

    assert_non_null(s);
    assert_int_equal(product_new(&product), 0);
    s->product = product;
    snprintf(s->directory, sizeof s->directory, "/tmp/holdfast-migrate.XXXXXX");
    assert_non_null(mkdtemp(s->directory));
    s->a = arena_init(ARENA_MAX);
    s->said = buf_init(SAID_MAX);
    s->progress = (struct progress){.say = hear, .context = s};
    s->options = (struct migrate_options){.url = s->product->url,
                                          .lock_ms = 300,
                                          .turn_ms = 1000,
                                          .backoff_ms = 50,
                                          .retries = 1,
                                          .cancel = &s->cancel,
                                          .progress = &s->progress};
    *state = s;
    return 0;
}

int scene_release(void **state)
{
    struct scene *s = *state;
    void *product = s->product;
    struct child remove = {.argv = (const char *const[]){"rm", "-rf", s->directory, NULL}};

    product_release(&product);
    assert_int_equal(child_run(&remove, NULL), 0);
    arena_free(&s->a);
    buf_free(&s->said);
    free(s);
    return 0;
}

void scene_put(struct scene *s, const char *name, const char *sql)
{
    char path[300];

    snprintf(path, sizeof path, "%s/%s", s->directory, name);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/%s/migration.sql", s->directory, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, sql, strlen(sql)), strlen(sql));
    close(fd);
}

struct migrate *scene_session(struct scene *s, bool locked)
{
    struct migrate *m = NULL;

    if (migrate_open(&s->a, &s->options, &m) || (locked && migrate_lock(m)))
        fail_msg("%s", fault_message());
    return m;
}

void scene_look(struct scene *s, struct migrate *m)
{
    if (migrations_read(&s->a, s->directory, &s->files) ||
        migrate_look(m, &s->a, &s->files, &s->view))
        fail_msg("%s", fault_message());
}

enum migrate_state scene_state(const struct scene *s, const char *name)
{
    for (size_t i = 0; i < s->view.count; i++)
        if (strcmp(s->view.all[i].name, name) == 0)
            return s->view.all[i].state;
    fail_msg("nothing is known of %s", name);
    return MIGRATE_PENDING;
}

int scene_deploy(struct scene *s)
{
    struct migrate *m _cleanup_migrate_ = NULL;
    int result = migrate_open(&s->a, &s->options, &m);

    if (result == 0)
        result = migrate_lock(m);
    if (result)
        return result;
    scene_look(s, m);
    result = migrate_ready(&s->view);
    if (result == 0)
        result = migrate_plan(m, &s->a, &s->files, &s->view, &s->plan);
    return result ? result : migrate_apply(m, &s->a, &s->plan, &s->report);
}

const char *scene_text(struct scene *s, const char *sql)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;

    if (pg_query(s->product->pg, sql, NULL, 0, &rows))
        fail_msg("%s: %s", sql, fault_message());
    return pg_rows_count(rows) ? arena_str(&s->a, str_of(pg_text(rows, 0, 0))).p : "";
}
