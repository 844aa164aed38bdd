#include "deploy/supervisor/files.h"

#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_SIZE = 256, PATH_SIZE = 4096, PIECE = 1 << 16 };

static int write_all(int fd, struct str s)
{
    while (s.n) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno != EINTR)
            return errno;
        if (n > 0)
            s = (struct str){s.p + n, s.n - (size_t)n};
    }
    return fsync(fd) ? errno : 0;
}

int files_write(int directory, const char *name, const json_t *value)
{
    char fresh[NAME_SIZE];
    char *text = json_dumps(value, JSON_COMPACT);
    int fd, reason;

    if (!text)
        return fault_set(FAULT_MEMORY, "no memory for %s", name);
    snprintf(fresh, sizeof fresh, "%.200s.new", name);
    fd = openat(directory, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    reason = fd < 0 ? errno : write_all(fd, str_of(text));
    free(text);
    if (fd >= 0)
        close(fd);
    if (reason == 0 && (renameat(directory, fresh, directory, name) || fsync(directory)))
        reason = errno;
    return reason ? fault_errno(FAULT_IO, reason, "cannot write %s", name) : 0;
}

static int read_all(int fd, struct buf *out)
{
    ssize_t n;

    do {
        if (buf_reserve(out, PIECE))
            return FAULT_LIMIT;
        n = read(fd, out->p + out->n, PIECE);
        if (n > 0)
            out->n += (size_t)n;
    } while (n > 0 || (n < 0 && errno == EINTR));
    return n < 0 ? FAULT_IO : 0;
}

int files_read(int directory, const char *name, json_t **ret)
{
    struct buf text _cleanup_buf_ = buf_init(FILES_MAX);
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT)
        return FILES_NONE;
    if (fd < 0)
        return fault_errno(FAULT_IO, errno, "cannot read %s", name);
    int result = read_all(fd, &text);
    close(fd);
    if (result)
        return fault_set(result, "cannot read %s", name);
    json_t *value = json_loadb(text.n ? text.p : "", text.n, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(value)) {
        json_decref(value);
        return fault_set(FAULT_IO, "%s holds no JSON object", name);
    }
    *ret = value;
    return 0;
}

int files_remove(int directory, const char *name)
{
    if (unlinkat(directory, name, 0))
        return errno == ENOENT ? 0 : fault_errno(FAULT_IO, errno, "cannot remove %s", name);
    return fsync(directory) ? fault_errno(FAULT_IO, errno, "cannot sync a directory") : 0;
}

int files_directory(const char *path, int *ret_fd)
{
    char part[PATH_SIZE];
    size_t n = strlen(path);

    if (n >= sizeof part)
        return fault_set(FAULT_IO, "the path is too long: %.100s...", path);
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++)
        if (part[i] == '/' || part[i] == '\0') {
            char end = part[i];
            part[i] = '\0';
            if (mkdir(part, 0700) && errno != EEXIST)
                return fault_errno(FAULT_IO, errno, "cannot make %s", part);
            part[i] = end;
        }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fault_errno(FAULT_IO, errno, "cannot open %s", path);
    *ret_fd = fd;
    return 0;
}

void files_trim(int directory, const char *name, int64_t max)
{
    char old[NAME_SIZE];
    struct stat s;
    int fd = openat(directory, name, O_RDWR | O_CLOEXEC), to = -1;
    ssize_t n = 1;

    if (fd < 0)
        return;
    if (fstat(fd, &s) == 0 && s.st_size > max) {
        snprintf(old, sizeof old, "%.200s.1", name);
        to = openat(directory, old, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        off_t from = s.st_size > 2 * max ? s.st_size - max : 0, end = s.st_size;
        while (to >= 0 && n > 0 && from < end)
            n = sendfile(to, fd, &from, (size_t)(end - from));
        /* A full disk must not keep us from making room on it. */
        if (ftruncate(fd, 0) == 0 && to >= 0)
            close(to);
    }
    close(fd);
}

int files_tail(int directory, const char *name, size_t max, struct buf *out)
{
    struct buf text _cleanup_buf_ = buf_init(max + 2 * PIECE);
    struct stat s;
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return 0;
    bool cut = fstat(fd, &s) == 0 && s.st_size > (off_t)max &&
               lseek(fd, s.st_size - (off_t)max, SEEK_SET) > 0;
    read_all(fd, &text);
    close(fd);
    struct str rest = buf_str(&text);
    size_t line = cut ? str_find(rest, '\n') + 1 : 0;
    return line < rest.n ? buf_add(out, rest.p + line, rest.n - line) : buf_fault(out);
}
