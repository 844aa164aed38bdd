#include "config/fixture.h"

#include <stdlib.h>
#include <unistd.h>

enum { ASSIGNMENTS_MAX = 8 };

int fixture_init(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    snprintf(f->place, sizeof f->place, "/tmp/holdfast-config.XXXXXX");
    assert_non_null(mkdtemp(f->place));
    assert_int_equal(chdir(f->place), 0);
    snprintf(f->file, sizeof f->file, "%s/settings", f->place);
    snprintf(f->data_dir, sizeof f->data_dir, "DATA_DIR=%s/data", f->place);
    f->problems = buf_init(64 * 1024);
    *state = f;
    return 0;
}

int fixture_release(void **state)
{
    struct fixture *f = *state;
    char command[100];

    config_free(f->config);
    buf_free(&f->problems);
    snprintf(command, sizeof command, "rm -rf '%s'", f->place);
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

void fixture_write(struct fixture *f, const char *text)
{
    FILE *file = fopen(f->file, "w");

    assert_non_null(file);
    assert_int_equal(fputs(text, file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
}

int fixture_load(struct fixture *f, const char *file, int for_server, ...)
{
    char *environment[ASSIGNMENTS_MAX + 2] = {f->data_dir};
    va_list args;

    va_start(args, for_server);
    for (int i = 1; i <= ASSIGNMENTS_MAX && (environment[i] = va_arg(args, char *)); i++)
        ;
    va_end(args);
    struct config_source source = {file, environment, for_server != 0};
    config_free(f->config);
    f->config = NULL;
    buf_reset(&f->problems);
    return config_load(&source, &f->problems, &f->config);
}

const char *fixture_problems(struct fixture *f)
{
    return buf_cstr(&f->problems);
}

int fixture_problem_count(struct fixture *f)
{
    struct str rest = buf_str(&f->problems), line;
    int n = 0;

    while (str_next(&rest, '\n', &line))
        n++;
    return n;
}
