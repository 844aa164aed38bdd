/* The backups of a directory: listed, and thinned out. */
#include "deploy/backup.h"

#include "base/clock.h"
#include "base/fault.h"
#include "deploy/backup_file.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

enum { LIST_MAX = 10000, NAME_SIZE = 256, LIST_ARENA = 1 << 30 };

static int by_time(const void *a, const void *b)
{
    int64_t x = ((const struct backup_entry *)a)->backup.manifest.taken_at,
            y = ((const struct backup_entry *)b)->backup.manifest.taken_at;

    return (x < y) - (x > y);
}

static void look(struct backup_entry *e)
{
    const struct backup_manifest *m = &e->backup.manifest;
    struct stat st;

    e->note = m->damage;
    e->there = stat(e->backup.path, &st) == 0 && st.st_size == m->bytes;
    if (!e->there)
        e->note = errno == ENOENT ? "the file is missing" : "the file has another size";
}

/* Takes a name of the directory for a backup's manifest, where it is one. */
static int take(struct arena *a, const char *directory, struct str name, struct backup_entry *ret)
{
    const char *path = arena_printf(a, "%s/%.*s", directory, (int)name.n, name.p);
    struct backup_entry e = {0};
    int r = path ? backup_open(path, a, &e.backup) : FAULT_MEMORY;

    if (r == FAULT_MEMORY)
        return r;
    if (r || !str_eq(str_of(e.backup.manifest.file), name))
        return 1; /* another program's, or unreadable: nothing of ours to count */
    errno = 0;
    look(&e);
    *ret = e;
    return 0;
}

static int read_all(DIR *d, const char *directory, struct arena *a, struct backup_entry *entries,
                    size_t *ret_n)
{
    struct dirent *e;
    size_t n = 0;

    while ((e = readdir(d)) && n < LIST_MAX) {
        struct str name = str_of(e->d_name);
        if (!str_has_suffix(name, STR(BACKUP_MANIFEST_SUFFIX)) || e->d_name[0] == '.')
            continue;
        name.n -= strlen(BACKUP_MANIFEST_SUFFIX);
        int r = take(a, directory, name, &entries[n]);
        if (r < 0)
            return r;
        n += r == 0;
    }
    *ret_n = n;
    return 0;
}

int backup_list(const char *directory, struct arena *a, struct backup_entry **ret, size_t *ret_n)
{
    DIR *d = opendir(directory);
    struct backup_entry *entries = arena_array(a, LIST_MAX, sizeof *entries);
    size_t n = 0;
    int r = 0;

    if (!d && errno != ENOENT)
        return fault_errno(FAULT_IO, errno, "cannot read %s", directory);
    if (!entries)
        r = FAULT_MEMORY;
    if (d && r == 0)
        r = read_all(d, directory, a, entries, &n);
    if (d)
        closedir(d);
    if (r)
        return r;
    qsort(entries, n, sizeof *entries, by_time);
    *ret = entries;
    *ret_n = n;
    return 0;
}

/* Those that can be restored from, as far as is known without reading them. */
static bool is_whole(const struct backup_entry *e)
{
    return e->there && !*e->backup.manifest.damage;
}

struct thinning {
    int64_t keep, keep_days, now;
    size_t whole;       /* met so far, newest first */
    bool verified_seen; /* the newest that was verified has been met */
};

static bool may_go(struct thinning *t, const struct backup_entry *e)
{
    const struct backup_manifest *m = &e->backup.manifest;
    bool newest = is_whole(e) && t->whole == 0;
    bool verified = is_whole(e) && m->verified_at && !t->verified_seen;
    bool many = t->keep && (int64_t)t->whole >= t->keep;
    bool old = t->keep_days && t->now - m->taken_at > t->keep_days * CLOCK_DAY;

    t->whole += is_whole(e);
    t->verified_seen |= verified;
    return !newest && !verified && !*m->kept && (many || old);
}

int backup_thin_out(const char *directory, const char *database, int64_t keep, int64_t keep_days,
                    int64_t now, size_t *ret_removed)
{
    struct arena a _cleanup_arena_ = arena_init(LIST_ARENA);
    struct thinning t = {.keep = keep, .keep_days = keep_days, .now = now};
    struct backup_entry *entries;
    size_t n, removed = 0;
    int r = backup_list(directory, &a, &entries, &n);

    for (size_t i = 0; r == 0 && i < n; i++) {
        const struct backup_manifest *m = &entries[i].backup.manifest;
        if (strcmp(m->database, database) != 0 || !may_go(&t, &entries[i]))
            continue;
        r = backup_file_remove(directory, m->file);
        removed += r == 0;
    }
    if (r == 0)
        *ret_removed = removed;
    return r;
}

int backup_let_go(struct backup *b)
{
    struct buf json _cleanup_buf_ = buf_init(BACKUP_MANIFEST_MAX);
    int r;

    b->manifest.kept = "";
    r = backup_manifest_write(&b->manifest, &json);
    return r ? r : backup_file_remark(b->path, buf_str(&json));
}
