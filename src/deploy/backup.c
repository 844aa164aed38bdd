#include "deploy/backup.h"

#include "base/clock.h"
#include "base/fault.h"
#include "deploy/backup_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_PART_MAX = 64 };

int backup_pg(int result, const char *doing)
{
    if (result == 0)
        return 0;
    fault_keep("%s: %s", doing, fault_message());
    if (result < 0)
        return result;
    return result == PG_UNREACHABLE ? BACKUP_UNREACHABLE
           : result == PG_CANCELLED ? BACKUP_CANCELLED
                                    : BACKUP_FAILED;
}

void backup_id8(const struct uuid *id, char ret[BACKUP_ID8_SIZE])
{
    char text[UUID_TEXT_SIZE];

    uuid_format(id, text);
    snprintf(ret, BACKUP_ID8_SIZE, "%s", text + UUID_TEXT - 8);
}

int backup_check_room(const char *directory, int64_t bytes)
{
    int64_t room;
    int r = backup_file_room(directory, &room);

    if (r)
        return r;
    if (room >= bytes)
        return 0;
    fault_keep("%s has room for %lld MB, and the database's tables are %lld MB", directory,
               (long long)(room >> 20), (long long)((bytes + (1 << 20) - 1) >> 20));
    return BACKUP_FAILED;
}

int backup_survey(struct pg *c, const char *doing, struct arena *a, struct survey *ret)
{
    struct survey s;
    int r = survey_begin(c);

    if (r == 0)
        r = survey_postgres(c, a, NULL, NULL, &s);
    if (r == 0)
        r = pg_run(c, "COMMIT");
    if (r)
        return backup_pg(r, doing);
    *ret = s;
    return 0;
}

/* The name of what is backed up: the database's, or the path's as the URL has it. */
static int name_of(const char *url, struct arena *a, const char **ret)
{
    if (!backup_is_sqlite(url)) {
        int r = pg_database_name(a, url, ret);
        return r > 0 ? BACKUP_FAILED : r;
    }
    *ret = arena_str(a, str_of(url + 7)).p;
    return *ret ? 0 : FAULT_MEMORY;
}

/* NAME-20261122T030000Z-1a2b3c4d.dump; of a name only what no shell and no file system minds. */
static const char *file_name(struct arena *a, const struct backup_manifest *m, bool sqlite)
{
    char base[NAME_PART_MAX + 1], id8[BACKUP_ID8_SIZE], at[CLOCK_TEXT_SIZE];
    const char *slash = strrchr(m->database, '/'), *from = slash ? slash + 1 : m->database;
    size_t n = 0;

    for (; from[n] && n < NAME_PART_MAX; n++) {
        bool plain = (from[n] >= 'a' && from[n] <= 'z') || (from[n] >= 'A' && from[n] <= 'Z') ||
                     (from[n] >= '0' && from[n] <= '9') || from[n] == '_' || (n && from[n] == '.');
        base[n] = plain ? from[n] : '_';
    }
    base[n] = '\0';
    backup_id8(&m->id, id8);
    clock_format(m->taken_at, at);
    return arena_printf(a, "%s-%.4s%.2s%.2sT%.2s%.2s%.2sZ-%s.%s", base, at, at + 5, at + 8, at + 11,
                        at + 14, at + 17, id8, sqlite ? "sqlite" : "dump");
}

/* On disk before it is counted as there: what the checksum is of is what a reader will get. */
static int finish(const struct backup_place *place, struct backup_file *f,
                  struct backup_manifest *m)
{
    struct buf json _cleanup_buf_ = buf_init(BACKUP_MANIFEST_MAX);
    int r;

    progress_say(place->progress, "Writing the backup to disk");
    r = backup_file_digest(f->fd, place->progress, place->cancel, m->sha256, &m->bytes);
    if (r)
        return r == BACKUP_FILE_CANCELLED ? BACKUP_CANCELLED : r;
    r = backup_manifest_write(m, &json);
    return r ? r : backup_file_finish(f, buf_str(&json));
}

static int take(const struct backup_place *place, const char *directory, struct arena *a,
                struct backup_manifest *m)
{
    bool sqlite = backup_is_sqlite(place->url);
    struct backup_file f;
    int r = backup_file_begin(directory, m->file, &f);

    if (r)
        return r;
    r = sqlite ? backup_take_sqlite(place, &f, a, m) : backup_take_postgres(place, &f, a, m);
    if (r == 0)
        r = finish(place, &f, m);
    backup_file_end(&f);
    return r;
}

int backup_create(const struct backup_place *place, const char *directory, const char *kept,
                  struct arena *a, struct backup *ret)
{
    struct backup_manifest m = {.id = uuid_new(),
                                .taken_at = clock_now(),
                                .engine = backup_is_sqlite(place->url) ? "sqlite" : "postgresql",
                                .kept = kept ? kept : ""};
    int r = name_of(place->url, a, &m.database);

    if (r)
        return r;
    m.file = file_name(a, &m, backup_is_sqlite(place->url));
    const char *path = arena_printf(a, "%s/%s", directory, m.file);
    if (!m.file || !path)
        return FAULT_MEMORY;
    backup_file_sweep(directory);
    r = take(place, directory, a, &m);
    if (r)
        return r;
    *ret = (struct backup){path, m};
    return 0;
}

int backup_open(const char *path, struct arena *a, struct backup *ret)
{
    struct buf json _cleanup_buf_ = buf_init(BACKUP_MANIFEST_MAX);
    const char *beside = arena_printf(a, "%s%s", path, BACKUP_MANIFEST_SUFFIX);
    struct backup b = {.path = arena_str(a, str_of(path)).p};

    if (!beside || !b.path)
        return FAULT_MEMORY;
    if (access(beside, F_OK) && errno == ENOENT)
        return fault_set(FAULT_IO,
                         "there is no manifest %s: either there is no such backup, or it was moved "
                         "without it",
                         beside);
    int r = backup_file_read(beside, &json);
    if (r == 0)
        r = backup_manifest_read(buf_str(&json), a, &b.manifest);
    if (r > 0) {
        fault_keep("the manifest %s cannot be read: %s", beside, fault_message());
        return BACKUP_DAMAGED;
    }
    if (r == 0)
        *ret = b;
    return r;
}

/* Says which of the two it is: cut short, or changed. */
static int compare(const struct backup *b, const char *digest, int64_t bytes)
{
    const struct backup_manifest *m = &b->manifest;

    if (bytes < m->bytes)
        fault_keep("%s is cut short: it has %lld bytes of %lld", b->path, (long long)bytes,
                   (long long)m->bytes);
    else if (bytes > m->bytes)
        fault_keep("%s is longer than it was written: %lld bytes instead of %lld", b->path,
                   (long long)bytes, (long long)m->bytes);
    else if (strcmp(digest, m->sha256) != 0)
        fault_keep("%s was changed since it was written: its SHA-256 is %.16s..., and was %.16s...",
                   b->path, digest, m->sha256);
    else
        return 0;
    return BACKUP_DAMAGED;
}

int backup_check_file(const struct backup_place *place, const struct backup *b, int *ret_fd)
{
    char digest[BACKUP_DIGEST_SIZE] = "";
    struct stat st;
    int64_t bytes = 0;
    int fd = open(b->path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return fault_errno(FAULT_IO, errno, "cannot read %s", b->path);
    int r = 0;
    if (fstat(fd, &st) == 0 && st.st_size == b->manifest.bytes)
        r = backup_file_digest(fd, place->progress, place->cancel, digest, &bytes);
    else
        bytes = st.st_size;
    if (r == BACKUP_FILE_CANCELLED)
        r = BACKUP_CANCELLED;
    if (r == 0)
        r = compare(b, digest, bytes);
    if (r)
        close(fd);
    else
        *ret_fd = fd;
    return r;
}
