/* Reports and the directory of their deployment. */
#include "base/fault.h"
#include "deploy/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

/* The id by which the directory is called. */
static int id_of(const char *directory, struct uuid *ret)
{
    struct str path = str_of(directory), name = {NULL, 0}, part;

    while (str_next(&path, '/', &part))
        if (part.n)
            name = part;
    return uuid_parse(name, ret);
}

int report_read(struct arena *a, const char *directory, int64_t now, struct report *ret)
{
    struct uuid id;
    struct journal *j;

    if (id_of(directory, &id))
        return REPORT_NONE;
    /* Before it is read: one that ends in between is then read to its end. */
    int held = journal_is_held(directory);
    if (held < 0)
        return held;
    int result = journal_look(directory, &j);
    if (result)
        return result == JOURNAL_NONE      ? REPORT_NONE
               : result == JOURNAL_DAMAGED ? REPORT_DAMAGED
                                           : result;
    result = report_make(a, j, &id, held == JOURNAL_HELD, now, ret);
    journal_close(j);
    return result;
}

static int write_bytes(int fd, struct str bytes)
{
    size_t done = 0;

    while (done < bytes.n) {
        ssize_t n = write(fd, bytes.p + done, bytes.n - done);
        if (n < 0 && errno != EINTR)
            return fault_errno(FAULT_IO, errno, "cannot write the report");
        done += n > 0 ? (size_t)n : 0;
    }
    if (fchmod(fd, 0600) || fsync(fd))
        return fault_errno(FAULT_IO, errno, "cannot write the report to the disk");
    return 0;
}

/* Whole under its name, or not at all. */
static int write_file(const char *directory, const char *name, struct str bytes)
{
    char path[PATH_SIZE], temporary[PATH_SIZE + 16];

    if ((size_t)snprintf(path, sizeof path, "%s/%s", directory, name) >= sizeof path)
        return fault_set(FAULT_LIMIT, "the path of the report is too long");
    snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
    int fd = mkstemp(temporary);
    if (fd < 0)
        return fault_errno(FAULT_IO, errno, "cannot make %s", path);
    int result = write_bytes(fd, bytes);
    close(fd);
    if (result == 0 && rename(temporary, path))
        result = fault_errno(FAULT_IO, errno, "cannot make %s", path);
    if (result)
        unlink(temporary);
    return result;
}

static int sync_directory(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result =
        fd < 0 || fsync(fd) ? fault_errno(FAULT_IO, errno, "cannot sync %s", directory) : 0;

    if (fd >= 0)
        close(fd);
    return result;
}

int report_keep(const struct report *r, const char *directory)
{
    struct buf json _cleanup_buf_ = buf_init(REPORT_JSON_MAX),
                    html _cleanup_buf_ = buf_init(REPORT_HTML_MAX);
    int result = report_write_json(r, &json);

    if (result == 0)
        result = buf_add_char(&json, '\n');
    if (result == 0)
        result = report_write_html(r, &html);
    if (result == 0)
        result = write_file(directory, "report.json", buf_str(&json));
    if (result == 0)
        result = write_file(directory, "report.html", buf_str(&html));
    return result ? result : sync_directory(directory);
}
