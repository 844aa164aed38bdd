/*
 * Preloaded into a program that deploys, it kills it at one write of its journal:
 *
 *   DIE_AT=N   at the N-th write; DIE_WHEN=before: before it is written, so that what the step has
 *              done is not on record; else behind it, once it is on disk
 *
 * The binary that is tested is the one that is shipped; programs that it starts are let be.
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int written;

static bool is_journal(int fd)
{
    static const char name[] = "/journal.jsonl";
    char link[64], path[4096];

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path);
    size_t length = sizeof name - 1;
    return n > (ssize_t)length && memcmp(path + n - length, name, length) == 0;
}

static int wanted(void)
{
    const char *text = getenv("DIE_AT");

    return text ? (int)strtol(text, NULL, 10) : 0;
}

static bool is_before(void)
{
    const char *text = getenv("DIE_WHEN");

    return text && strcmp(text, "before") == 0;
}

static void die(void)
{
    kill(getpid(), SIGKILL);
}

ssize_t write(int fd, const void *p, size_t n)
{
    static ssize_t (*real)(int, const void *, size_t);

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "write");
    if (is_journal(fd) && ++written == wanted() && is_before())
        die();
    return real(fd, p, n);
}

int fdatasync(int fd)
{
    static int (*real)(int);

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "fdatasync");
    int result = real(fd);
    if (is_journal(fd) && written == wanted() && !is_before())
        die();
    return result;
}
