/* What a killed restore left, read from the catalogue. */
#include "deploy/restore_internal.h"

#include "base/fault.h"

#define COMMENT "holdfast restore "

static const char *const marks[] = {"restoring", "ready", "fenced"};

const char *restore_comment(struct arena *a, enum restore_mark mark, const char *backup,
                            const char *live)
{
    return arena_printf(a, COMMENT "%s %s of %s", marks[mark], backup, live);
}

/* "holdfast restore STAGE BACKUP of DATABASE"; what is not one is as good as none. */
static void read_comment(const char *comment, struct restore_twin *t)
{
    struct str rest = str_of(comment), stage, backup;

    if (!str_has_prefix(rest, STR(COMMENT)))
        return;
    rest = (struct str){rest.p + strlen(COMMENT), rest.n - strlen(COMMENT)};
    if (!str_next(&rest, ' ', &stage) || !str_next(&rest, ' ', &backup) || backup.n != UUID_TEXT)
        return;
    for (int i = 0; i < 3; i++)
        if (str_eq(stage, str_of(marks[i])))
            t->mark = (enum restore_mark)i;
    snprintf(t->backup, sizeof t->backup, "%.*s", STR_ARG(backup));
}

int restore_twins(struct pg *server, struct arena *a, const char *live, struct restore_twin **ret,
                  size_t *ret_n)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    const char *params[] = {live};
    struct restore_twin *twins;
    /* One without a comment was just made, for whichever database. */
    int r = backup_pg(pg_query(server,
                               "SELECT datname, right(datname, 8), coalesce(c, '') FROM"
                               " pg_database d, shobj_description(d.oid, 'pg_database') c"
                               " WHERE datname ~ '^" TWIN_RESTORE "[0-9a-f]{8}$' AND"
                               " (c IS NULL OR right(c, length($1) + 4) = ' of ' || $1)",
                               params, 1, &rows),
                      "the databases");
    if (r)
        return r;
    size_t n = (size_t)pg_rows_count(rows);
    twins = arena_array(a, n, sizeof *twins);
    if (!twins)
        return FAULT_MEMORY;
    for (size_t i = 0; i < n; i++) {
        snprintf(twins[i].name, sizeof twins[i].name, "%s", pg_text(rows, (int)i, 0));
        snprintf(twins[i].id8, sizeof twins[i].id8, "%s", pg_text(rows, (int)i, 1));
        read_comment(pg_text(rows, (int)i, 2), &twins[i]);
    }
    *ret = twins;
    *ret_n = n;
    return 0;
}

int restore_lift(struct pg *server, const char *live, const struct restore_twin *twin)
{
    struct arena a _cleanup_arena_ = arena_init(1 << 16);
    const char *comment = restore_comment(&a, MARK_READY, twin->backup, live);
    const char *names[] = {live, twin->name, comment};

    if (!comment)
        return FAULT_MEMORY;
    return twin_run(server, "the fence could not be lifted",
                    "ALTER DATABASE %1$I ALLOW_CONNECTIONS true;"
                    " COMMENT ON DATABASE %2$I IS %3$L",
                    names, 3);
}

/* Its maker is dead: the lock is ours now. */
static int recover_one(const struct backup_place *place, struct pg *server, const char *live,
                       const struct restore_twin *t, bool *ret_lifted)
{
    if (t->mark == MARK_FENCED) {
        int r = restore_lift(server, live, t);
        if (r == 0)
            progress_say(place->progress,
                         "A killed restore had fenced %s off: it accepts connections again", live);
        *ret_lifted = r == 0;
        return r;
    }
    if (t->mark == MARK_READY)
        return 0; /* a restore of the same backup takes it up; another drops it */
    progress_say(place->progress, "Dropping %s, which a killed restore had not filled", t->name);
    return twin_drop(server, t->name);
}

static int recover_all(const struct backup_place *place, struct pg *server, struct arena *a,
                       const char *live, bool *ret_lifted)
{
    struct restore_twin *twins;
    size_t n;
    int r = restore_twins(server, a, live, &twins, &n);

    for (size_t i = 0; r == 0 && i < n; i++) {
        int locked = twin_lock(server, twins[i].id8);
        if (locked == BACKUP_LOCKED)
            continue; /* its maker lives */
        r = locked ? locked : recover_one(place, server, live, &twins[i], ret_lifted);
        if (r == 0)
            r = twin_unlock(server, twins[i].id8);
    }
    return r;
}

int restore_recover(const struct backup_place *place, struct arena *a, bool *ret_lifted)
{
    struct pg *server _cleanup_pg_ = NULL;
    const char *live;
    bool lifted = false;

    if (backup_is_sqlite(place->url)) {
        *ret_lifted = false;
        return 0;
    }
    int r = backup_pg(pg_database_name(a, place->url, &live), "the database");
    if (r == 0)
        r = twin_open_server(place, "holdfast restore", place->cancel, &server);
    if (r == 0)
        r = recover_all(place, server, a, live, &lifted);
    if (r == 0)
        *ret_lifted = lifted;
    return r;
}
