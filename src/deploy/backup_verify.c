#include "deploy/backup_verify.h"

#include "base/clock.h"
#include "base/fault.h"
#include "deploy/backup_sqlite.h"
#include "deploy/backup_tools.h"
#include "deploy/twin.h"

#include <unistd.h>

struct verifying {
    const struct backup_place *place;
    const struct backup_verify *options;
    struct arena *a;
    struct buf *findings;
    struct backup *backup;
};

static int judge(struct verifying *v, const struct survey *found)
{
    size_t n = survey_compare(&v->backup->manifest.survey, found, v->findings);

    if (n == 0)
        return 0;
    fault_keep("%s does not restore to what was backed up: %zu difference%s", v->backup->path, n,
               n == 1 ? "" : "s");
    return BACKUP_DAMAGED;
}

static int compare(struct verifying *v, const char *database)
{
    struct pg *c _cleanup_pg_ = NULL;
    struct survey found;
    int r = twin_open(v->place, database, "holdfast verify", v->place->cancel, &c);

    if (r == 0)
        r = backup_survey(c, "the restored database", v->a, &found);
    return r ? r : judge(v, &found);
}

static int fill_and_compare(struct verifying *v, const char *database)
{
    int r;

    progress_say(v->place->progress, "Restoring into the scratch database %s", database);
    r = backup_tool_restore(v->place, database, v->backup->path, true, v->a);
    if (r)
        return r;
    progress_say(v->place->progress, "Comparing %zu tables", v->backup->manifest.survey.n_tables);
    r = compare(v, database);
    return r == 0 && v->options->use ? v->options->use(v->options->context, database) : r;
}

/* It is dropped even if we were told to stop: by a connection that does not know of it. */
static void drop(struct verifying *v, const char *database)
{
    struct pg *server _cleanup_pg_ = NULL;

    if (twin_open_server(v->place, "holdfast verify", NULL, &server) || twin_drop(server, database))
        progress_say(v->place->progress, "%s stays until the next run: %s", database,
                     fault_message());
}

static int in_scratch(struct verifying *v, struct pg *server)
{
    struct uuid id = uuid_new();
    char id8[BACKUP_ID8_SIZE], name[TWIN_NAME_SIZE], why[400];
    const char *live;
    int r = backup_pg(pg_database_name(v->a, v->place->url, &live), "the database");

    backup_id8(&id, id8);
    snprintf(name, sizeof name, TWIN_SCRATCH "%s", id8);
    if (r == 0)
        r = twin_lock(server, id8);
    if (r)
        return r;
    r = twin_create(server, live, &v->backup->manifest, name);
    if (r == 0)
        r = fill_and_compare(v, name);
    snprintf(why, sizeof why, "%s", fault_message());
    drop(v, name);
    fault_keep("%s", why);
    return r;
}

static int verify_postgres(struct verifying *v)
{
    struct pg *server _cleanup_pg_ = NULL;
    size_t swept = 0;
    int r = twin_open_server(v->place, "holdfast verify", v->place->cancel, &server);

    if (r == 0)
        r = twin_sweep(server, &swept);
    if (swept)
        progress_say(v->place->progress,
                     "Dropped %zu scratch database%s that a killed run had left", swept,
                     swept == 1 ? "" : "s");
    return r ? r : in_scratch(v, server);
}

static int verify_sqlite(struct verifying *v)
{
    const char *path = v->backup->path;
    struct survey found;
    sqlite3 *db;
    int r = backup_sqlite_open(path, SQLITE_OPEN_READONLY, &db);

    if (r)
        return r;
    r = backup_sqlite_check(db, path);
    if (r == 0)
        r = survey_sqlite(db, v->a, &found);
    sqlite3_close(db);
    return r ? r : judge(v, &found);
}

static int verify_restored(struct verifying *v)
{
    bool sqlite = strcmp(v->backup->manifest.engine, "sqlite") == 0;

    if (sqlite)
        return verify_sqlite(v);
    if (!backup_is_sqlite(v->place->url))
        return verify_postgres(v);
    fault_keep("%s is of PostgreSQL, and the database that is set is SQLite", v->backup->path);
    return BACKUP_FAILED;
}

/* The verdict is for later readers; that it cannot be kept makes it no other. */
static void keep_verdict(struct verifying *v, int r)
{
    struct buf json _cleanup_buf_ = buf_init(BACKUP_MANIFEST_MAX);
    struct backup_manifest *m = &v->backup->manifest;
    char why[400];

    if ((r && r != BACKUP_DAMAGED) || (r == 0 && v->options->quick))
        return;
    snprintf(why, sizeof why, "%s", r ? fault_message() : "");
    m->damage = arena_str(v->a, str_of(why)).p;
    m->verified_at = r ? m->verified_at : clock_now();
    if (backup_manifest_write(m, &json) || backup_file_remark(v->backup->path, buf_str(&json)))
        progress_say(v->place->progress, "The verdict could not be kept: %s", fault_message());
    fault_keep("%s", why);
}

int backup_verify(const struct backup_place *place, const struct backup_verify *options,
                  struct arena *a, struct buf *findings, struct backup_verified *ret)
{
    struct backup_verified done = {0};
    struct verifying v = {place, options, a, findings, &done.backup};
    int64_t began = clock_mono();
    int fd, r = backup_open(options->path, a, &done.backup);

    if (r)
        return r;
    progress_say(place->progress, "Reading %s", options->path);
    r = backup_check_file(place, &done.backup, &fd);
    if (r == 0) {
        close(fd);
        if (!options->quick)
            r = verify_restored(&v);
    }
    keep_verdict(&v, r);
    if (r)
        return r;
    done.restore_ms = options->quick ? 0 : clock_mono() - began;
    *ret = done;
    return 0;
}
