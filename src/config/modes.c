#include "config/modes.h"

#include "base/fault.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_MAX_BYTES = 4096, OTHERS = 077, EVERYONE = 07, OWNER = 0700, MODE = 07777 };

struct modes_owner modes_owner(const struct config *c)
{
    struct modes_owner owner = {.uid = geteuid(), .gid = getegid()};
    /* A user that does not exist stops the start later, by name. */
    const struct passwd *entry =
        owner.uid == 0 && *c->run_as_user ? getpwnam(c->run_as_user) : NULL;

    if (entry && entry->pw_uid != 0)
        owner = (struct modes_owner){entry->pw_uid, entry->pw_gid, true};
    return owner;
}

int modes_give(const struct modes_owner *owner, const char *path)
{
    struct stat s;
    int r = 0;

    if (!owner->foreign)
        return 0;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &s))
        r = fault_errno(FAULT_IO, errno, "cannot look at %s", path);
    /* Another name of a file elsewhere, put there by the one whom we give to, stays as it is. */
    else if (s.st_uid == geteuid() &&
             (S_ISDIR(s.st_mode) || (S_ISREG(s.st_mode) && s.st_nlink == 1)) &&
             fchown(fd, owner->uid, owner->gid))
        r = fault_errno(FAULT_IO, errno, "cannot give %s away", path);
    if (fd >= 0)
        close(fd);
    return r;
}

/* By a descriptor that is for no more than naming: closing another would give up SQLite's locks. */
static int look(const char *path, struct stat *ret)
{
    int fd = open(path, O_PATH | O_CLOEXEC);

    if (fd >= 0 && fstat(fd, ret)) {
        close(fd);
        return -1;
    }
    return fd;
}

static void tighten(int fd, const char *key, const char *path, mode_t mode)
{
    char name[40];

    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    if (chmod(name, mode & OWNER))
        log_warn("%s: others have access to %s (mode %04o), and it cannot be taken from them", key,
                 path, (unsigned)mode);
    else
        log_warn("%s: others had access to %s (mode %04o); it is taken from them", key, path,
                 (unsigned)mode);
}

static void check_file(const struct config *c, const char *key, const char *path,
                       struct buf *problems)
{
    struct modes_owner owner = modes_owner(c);
    bool production = c->env == ENV_PRODUCTION;
    struct stat s;
    int fd = look(path, &s);

    if (fd < 0)
        return;
    mode_t mode = s.st_mode & MODE;
    if (S_ISREG(s.st_mode) && (mode & OTHERS)) {
        if (production)
            buf_printf(problems, "%s: others have access to %s (mode %04o); chmod 600 it\n", key,
                       path, (unsigned)mode);
        else if (s.st_uid == owner.uid) /* another's may stand there by a link */
            tighten(fd, key, path, mode);
    }
    if (S_ISREG(s.st_mode) && s.st_uid != owner.uid) {
        if (production)
            buf_printf(problems,
                       "%s: %s belongs to user %u, but user %u is to use it; run as its owner, or "
                       "set RUN_AS_USER\n",
                       key, path, (unsigned)s.st_uid, (unsigned)owner.uid);
        else
            log_warn("%s: %s belongs to user %u, but user %u is to use it", key, path,
                     (unsigned)s.st_uid, (unsigned)owner.uid);
    }
    close(fd);
}

static void check_sqlite(const struct config *c, struct buf *problems)
{
    static const char *const parts[] = {"", "-wal", "-shm", "-journal"};
    static const struct str scheme = STR_INIT("sqlite:");
    struct str url = str_of(c->database_url);
    char path[PATH_MAX_BYTES];

    if (!str_has_prefix(url, scheme) || url.n == scheme.n || url.n >= sizeof path - 16)
        return;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        snprintf(path, sizeof path, "%s%s", c->database_url + scheme.n, parts[i]);
        check_file(c, "DATABASE_URL", path, problems);
    }
}

void modes_check(const struct config *c, struct buf *problems)
{
    char path[PATH_MAX_BYTES];
    int n = snprintf(path, sizeof path, "%s/secrets.env", c->data_dir);

    /* Production takes no secrets from there. */
    if (c->env != ENV_PRODUCTION && n > 0 && (size_t)n < sizeof path)
        check_file(c, "DATA_DIR", path, problems);
    check_sqlite(c, problems);
}

void modes_check_settings(const struct config *c, const char *file, struct buf *problems)
{
    struct stat s;

    if (c->env == ENV_PRODUCTION && stat(file, &s) == 0 && (s.st_mode & EVERYONE))
        buf_printf(problems,
                   "--config: everyone has access to %s (mode %04o), which holds secrets; chmod "
                   "640 it\n",
                   file, (unsigned)(s.st_mode & MODE));
}
