#include "deploy/backup_file.h"

#include "base/encode.h"
#include "base/fault.h"
#include "crypto/sha256.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { TRIES = 16, PIECE = 64 * 1024, DIGEST_TEXT = 65, SAY_EACH = 16 << 20 };
#define PARTIAL ".partial"
#define MANIFEST ".json"

typedef char path_text[PATH_MAX];

static int fail(const char *doing, const char *name)
{
    return fault_errno(FAULT_IO, errno, "cannot %s %s", doing, name);
}

static const char *with(path_text ret, const char *name, const char *suffix)
{
    snprintf(ret, PATH_MAX, "%s%s", name, suffix);
    return ret;
}

static int make_directory(const char *directory)
{
    path_text path;
    size_t n = strlen(directory);

    if (n >= sizeof path)
        return fault_set(FAULT_IO, "the directory's name is too long");
    for (size_t i = 1; i <= n; i++) {
        if (directory[i] && directory[i] != '/')
            continue;
        snprintf(path, i + 1, "%s", directory);
        if (mkdir(path, 0700) && errno != EEXIST)
            return fail("make the directory", path);
    }
    return 0;
}

/* Whether the open file is the one of that name. */
static bool is_there(int fd, int directory_fd, const char *name)
{
    struct stat ours, named;

    return fstat(fd, &ours) == 0 && fstatat(directory_fd, name, &named, 0) == 0 &&
           ours.st_ino == named.st_ino;
}

static int open_partial(struct backup_file *f)
{
    path_text name;

    with(name, f->name, PARTIAL);
    for (int i = 0; i < TRIES; i++) {
        f->fd = openat(f->directory_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (f->fd < 0)
            return fail("write", name);
        if (flock(f->fd, LOCK_EX) == 0 && is_there(f->fd, f->directory_fd, name))
            return 0; /* else a sweep met it before its lock, and has removed it */
        close(f->fd);
        f->fd = -1;
    }
    return fault_set(FAULT_IO, "cannot keep %s", name);
}

int backup_file_begin(const char *directory, const char *name, struct backup_file *ret)
{
    struct backup_file f = {directory, name, -1, -1};
    int r = make_directory(directory);

    if (r)
        return r;
    f.directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f.directory_fd < 0)
        return fail("open", directory);
    r = open_partial(&f);
    if (r) {
        close(f.directory_fd);
        return r;
    }
    *ret = f;
    return 0;
}

static int write_all(int fd, struct str s)
{
    while (s.n > 0) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        s = (struct str){s.p + n, s.n - (size_t)n};
    }
    return 0;
}

/* Writes a small file beside, on disk, and puts it in its place. */
static int put(int directory_fd, const char *name, struct str content)
{
    path_text partial;
    int fd, r = 0;

    with(partial, name, PARTIAL);
    fd = openat(directory_fd, partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail("write", partial);
    if (write_all(fd, content) || fsync(fd))
        r = fail("write", partial);
    close(fd);
    if (r == 0 && renameat(directory_fd, partial, directory_fd, name))
        r = fail("rename", partial);
    if (r)
        unlinkat(directory_fd, partial, 0);
    return r;
}

int backup_file_keep(struct backup_file *f)
{
    path_text partial;

    with(partial, f->name, PARTIAL);
    if (fsync(f->fd))
        return fail("write", partial);
    if (fsync(f->directory_fd) || renameat(f->directory_fd, partial, f->directory_fd, f->name))
        return fail("rename", partial);
    if (fsync(f->directory_fd))
        return fail("write", f->directory);
    close(f->fd);
    f->fd = -1;
    return 0;
}

/* The manifest comes first: with the file's own name the backup is there, and whole. */
int backup_file_finish(struct backup_file *f, struct str manifest)
{
    path_text beside;
    int r = put(f->directory_fd, with(beside, f->name, MANIFEST), manifest);

    return r ? r : backup_file_keep(f);
}

static bool exists(int directory_fd, const char *name)
{
    return faccessat(directory_fd, name, F_OK, 0) == 0;
}

/* Removes what stands for a backup that never got its name. */
static void remove_parts(int directory_fd, const char *name)
{
    path_text part;

    unlinkat(directory_fd, with(part, name, MANIFEST PARTIAL), 0);
    if (!exists(directory_fd, name))
        unlinkat(directory_fd, with(part, name, MANIFEST), 0);
    unlinkat(directory_fd, with(part, name, PARTIAL), 0);
}

void backup_file_end(struct backup_file *f)
{
    if (f->fd >= 0) {
        remove_parts(f->directory_fd, f->name);
        close(f->fd);
        f->fd = -1;
    }
    if (f->directory_fd >= 0) {
        close(f->directory_fd);
        f->directory_fd = -1;
    }
}

/*
 * Removes the parts where nobody writes them any more, under the lock that their writer would have.
 * A manifest's own part has none: it goes with its backup's.
 */
static bool remove_left(int directory_fd, const char *partial, const char *name)
{
    int fd = openat(directory_fd, partial, O_RDONLY | O_CLOEXEC);
    bool left = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && is_there(fd, directory_fd, partial);

    if (left)
        remove_parts(directory_fd, name);
    if (fd >= 0)
        close(fd);
    return left;
}

/* Whether the name ends as pattern does, in which 0 stands for a hexadecimal digit. */
static bool ends_like(struct str name, const char *pattern)
{
    size_t n = strlen(pattern);

    if (name.n <= n)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = name.p[name.n - n + i];
        if (pattern[i] == '0' ? hex_value(c) < 0 : c != pattern[i])
            return false;
    }
    return true;
}

int backup_file_sweep(const char *directory)
{
    static const char *const ours[] = {"-00000000T000000Z-00000000.dump" PARTIAL,
                                       "-00000000T000000Z-00000000.sqlite" PARTIAL,
                                       "_failed_00000000" PARTIAL};
    DIR *d = opendir(directory);
    struct dirent *e;
    int n = 0;

    while (d && (e = readdir(d))) {
        struct str name = str_of(e->d_name);
        path_text own;
        if (!ends_like(name, ours[0]) && !ends_like(name, ours[1]) && !ends_like(name, ours[2]))
            continue;
        snprintf(own, sizeof own, "%.*s", (int)(name.n - strlen(PARTIAL)), name.p);
        n += remove_left(dirfd(d), e->d_name, own);
    }
    if (d)
        closedir(d);
    return n;
}

/* Opens the directory that a path is in; *ret_name gets the rest. */
static int open_parent(const char *path, const char **ret_name)
{
    path_text parent;
    const char *slash = strrchr(path, '/');
    int n = slash ? (int)(slash - path) : 0;

    snprintf(parent, sizeof parent, "%.*s", n, path);
    *ret_name = slash ? slash + 1 : path;
    return open(n ? parent : slash ? "/" : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int backup_file_remark(const char *path, struct str manifest)
{
    path_text beside;
    const char *name;
    int fd = open_parent(path, &name);

    if (fd < 0)
        return fail("open the directory of", path);
    int r = put(fd, with(beside, name, MANIFEST), manifest);
    if (r == 0 && fsync(fd))
        r = fail("write", beside);
    close(fd);
    return r;
}

/* The file goes first: a manifest alone is no backup, a file alone would look like one. */
int backup_file_remove(const char *directory, const char *name)
{
    path_text manifest;
    char path[PATH_MAX - sizeof MANIFEST];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    with(manifest, path, MANIFEST);
    if (unlink(path) && errno != ENOENT)
        return fail("remove", path);
    if (unlink(manifest) && errno != ENOENT)
        return fail("remove", manifest);
    return 0;
}

int backup_file_room(const char *directory, int64_t *ret)
{
    struct statvfs disk;
    path_text path;

    snprintf(path, sizeof path, "%s", directory);
    while (statvfs(path, &disk)) {
        char *slash = strrchr(path, '/');
        if (errno != ENOENT)
            return fail("look at the disk of", path);
        if (slash == path || strcmp(path, ".") == 0)
            return fail("look at the disk of", directory);
        snprintf(slash ? slash : path, 2, "%s", slash ? "" : ".");
    }
    *ret = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
    return 0;
}

/* Adds the file from its beginning, piece by piece. */
static int add_all(struct sha256_stream *s, int fd, int64_t total, const struct progress *progress,
                   const atomic_int *cancel)
{
    char piece[PIECE];
    int64_t done = 0;
    ssize_t n;

    while ((n = pread(fd, piece, sizeof piece, done)) > 0) {
        if (cancel && atomic_load(cancel)) {
            fault_keep("interrupted");
            return BACKUP_FILE_CANCELLED;
        }
        int r = sha256_add(s, (struct str){piece, (size_t)n});
        if (r)
            return r;
        done += n;
        if (done % SAY_EACH == 0 || done == total)
            progress_amount(progress, done, total);
    }
    return n < 0 ? fault_errno(FAULT_IO, errno, "cannot read the backup") : 0;
}

int backup_file_digest(int fd, const struct progress *progress, const atomic_int *cancel,
                       char ret_digest[DIGEST_TEXT], int64_t *ret_bytes)
{
    struct sha256_stream s;
    uint8_t digest[SHA256_SIZE];
    struct stat st;
    int r = sha256_begin(&s);

    if (r)
        return r;
    if (fstat(fd, &st))
        return fault_errno(FAULT_IO, errno, "cannot read the backup");
    r = add_all(&s, fd, st.st_size, progress, cancel);
    if (r == 0)
        r = sha256_end(&s, digest);
    if (r)
        return r;
    hex_encode(digest, sizeof digest, ret_digest);
    *ret_bytes = st.st_size;
    return 0;
}

int backup_file_read(const char *path, struct buf *out)
{
    char piece[4096];
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC), r = 0;

    if (fd < 0)
        return fail("read", path);
    while (r == 0 && (n = read(fd, piece, sizeof piece)) != 0)
        r = n < 0 ? fail("read", path) : buf_add(out, piece, (size_t)n);
    close(fd);
    return r;
}
