#include "bench/memory.h"

#include "base/fault.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

enum { DEPTH_MAX = 4 };

static int add_process(pid_t pid, struct memory *sum)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return fault_errno(FAULT_IO, errno, "%s", path);
    while (fgets(line, sizeof line, f)) {
        if (str_has_prefix(str_of(line), STR("Rss:")))
            sum->rss += strtoull(line + 4, NULL, 10) * 1024;
        else if (str_has_prefix(str_of(line), STR("Pss:")))
            sum->pss += strtoull(line + 4, NULL, 10) * 1024;
    }
    fclose(f);
    sum->processes++;
    return 0;
}

/* 0 where the process is gone. */
static pid_t parent_of(pid_t pid)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    /* The name, in parentheses, may hold anything. */
    const char *after = fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
    fclose(f);
    /* ") S 123": the state is one letter. */
    return after && strlen(after) > 4 ? (pid_t)strtol(after + 4, NULL, 10) : 0;
}

static int add_tree(pid_t root, int depth, struct memory *sum)
{
    int r = add_process(root, sum);
    if (r || depth == DEPTH_MAX)
        return r;
    DIR *proc = opendir("/proc");
    if (!proc)
        return fault_errno(FAULT_IO, errno, "/proc");
    for (struct dirent *e; !r && (e = readdir(proc));) {
        uint64_t pid;
        if (str_to_u64(str_of(e->d_name), INT32_MAX, &pid) == 0 && parent_of((pid_t)pid) == root)
            r = add_tree((pid_t)pid, depth + 1, sum);
    }
    closedir(proc);
    return r;
}

int memory_of(pid_t root, struct memory *ret)
{
    struct memory sum = {0};
    int r = add_tree(root, 0, &sum);
    if (r == 0)
        *ret = sum;
    return r;
}
