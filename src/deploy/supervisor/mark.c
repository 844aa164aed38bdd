#include "deploy/supervisor/mark.h"

#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BOOT = 36, STAT_SIZE = 1024, START_FIELD = 22 };

static ssize_t read_small(const char *path, char *ret, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return -1;
    do
        n = read(fd, ret, size - 1);
    while (n < 0 && errno == EINTR);
    close(fd);
    if (n >= 0)
        ret[n] = '\0';
    return n;
}

/* The field of /proc/PID/stat (proc(5)); the name of the program, the second, may hold anything. */
static struct str start_of(const char *stat)
{
    const char *behind = strrchr(stat, ')');
    struct str rest = str_of(behind ? behind + 2 : ""), part = {"", 0};

    for (int field = 3; field <= START_FIELD; field++)
        if (!str_next(&rest, ' ', &part))
            return (struct str){"", 0};
    return part;
}

int mark_of(pid_t pid, struct mark *ret)
{
    char path[64], boot[BOOT + 2], stat[STAT_SIZE];

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (pid <= 0 || read_small(path, stat, sizeof stat) <= 0 ||
        read_small("/proc/sys/kernel/random/boot_id", boot, sizeof boot) < BOOT)
        return 1;
    struct str start = start_of(stat);
    if (start.n == 0 || start.n > 20)
        return 1;
    ret->pid = pid;
    snprintf(ret->start, sizeof ret->start, "%.*s %.*s", BOOT, boot, STR_ARG(start));
    return 0;
}

int mark_open(const struct mark *m)
{
    struct mark now;
    int fd = m->pid > 0 ? (int)syscall(SYS_pidfd_open, m->pid, 0) : -1;

    if (fd < 0)
        return -1;
    if (mark_of(m->pid, &now) == 0 && strcmp(now.start, m->start) == 0)
        return fd;
    close(fd);
    return -1;
}

int mark_put(json_t *object, const struct mark *m)
{
    return json_object_set_new(object, "pid", json_integer(m->pid)) ||
           json_object_set_new(object, "start", json_string(m->start));
}

struct mark mark_get(const json_t *object)
{
    struct mark m = {.pid = (pid_t)json_integer_value(json_object_get(object, "pid"))};
    const char *start = json_string_value(json_object_get(object, "start"));

    if (start)
        snprintf(m.start, sizeof m.start, "%s", start);
    else
        m.pid = 0;
    return m;
}
