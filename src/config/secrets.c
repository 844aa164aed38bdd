#include "config/secrets.h"

#include "base/encode.h"
#include "base/fault.h"
#include "base/log.h"
#include "config/envfile.h"
#include "config/modes.h"
#include "config/options.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_MAX_BYTES = 4096, BYTES_MAX = 64, FILE_MAX = 1024 * 1024 };

/* What development makes for itself. The file of an earlier version may lack some. */
static const struct made {
    const char *key;
    size_t bytes;
    bool needed; /* without it nothing starts */
} made[] = {
    {"JWT_SECRET", 64, true},
    {"ENCRYPTION_KEY", 32, true},
    {"SES_WEBHOOK_SECRET", 32, false},
};
enum { MADE = sizeof made / sizeof *made };

struct fill {
    struct config *c;
    struct buf *problems;
};

static const char *value_of(struct config *c, const char *key)
{
    return *option_text(option_find(str_of(key)), c);
}

static bool lacks(struct config *c, bool needed)
{
    for (size_t i = 0; i < MADE; i++)
        if ((made[i].needed || !needed) && !value_of(c, made[i].key))
            return true;
    return false;
}

static int take(void *context, struct str key, struct str value, int line)
{
    struct fill *f = context;
    const struct option *o = option_find(key);

    if (!o || o->type != OPTION_TEXT || *option_text(o, f->c))
        return 0;
    int r = option_set(o, f->c, value, f->problems);
    return r < 0 ? r : 0;
}

static void add_secret(struct buf *out, const char *key, size_t bytes)
{
    uint8_t secret[BYTES_MAX];
    char text[HEX_LENGTH(BYTES_MAX) + 1];

    randombytes_buf(secret, bytes);
    hex_encode(secret, bytes, text);
    buf_printf(out, "%s=%s\n", key, text);
    explicit_bzero(secret, sizeof secret);
    explicit_bzero(text, sizeof text);
}

static int write_file(int fd, const char *path, struct str text)
{
    while (text.n) {
        ssize_t n = write(fd, text.p, text.n);
        if (n < 0 && errno != EINTR)
            return fault_errno(FAULT_IO, errno, "cannot write %s", path);
        if (n > 0)
            text = (struct str){text.p + n, text.n - (size_t)n};
    }
    return fsync(fd) ? fault_errno(FAULT_IO, errno, "cannot sync %s", path) : 0;
}

/* What is there, as it is, and whose it is; nothing where there is no file. */
static int read_present(const char *path, struct modes_owner *owner, struct buf *out)
{
    struct stat s;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), r = 0;

    if (fd < 0)
        return errno == ENOENT ? 0 : fault_errno(FAULT_IO, errno, "cannot complete %s", path);
    if (fstat(fd, &s))
        r = fault_errno(FAULT_IO, errno, "cannot look at %s", path);
    else if (!S_ISREG(s.st_mode))
        r = fault_set(FAULT_IO, "cannot complete %s: it is no file", path);
    else
        r = envfile_load(path, fd, out);
    close(fd);
    if (r == 0)
        *owner = (struct modes_owner){s.st_uid, s.st_gid, s.st_uid != geteuid()};
    if (r == 0 && out->n && out->p[out->n - 1] != '\n')
        buf_add_char(out, '\n');
    return r ? r : buf_fault(out);
}

static void add_missing(struct config *c, struct buf *out)
{
    if (out->n == 0)
        buf_printf(out, "# Made for development. Production sets these in its environment.\n");
    for (size_t i = 0; i < MADE; i++)
        if (!value_of(c, made[i].key))
            add_secret(out, made[i].key, made[i].bytes);
}

/* Puts a whole file in the place of the one that is there, or of none: never half of one. */
static int replace(const char *path, const struct modes_owner *owner, struct str text)
{
    char fresh[PATH_MAX_BYTES + 8];

    snprintf(fresh, sizeof fresh, "%s.new", path);
    unlink(fresh); /* of one that died here; the lock is ours */
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return fault_errno(FAULT_IO, errno, "cannot make %s", fresh);
    int r = write_file(fd, fresh, text);
    if (r == 0 && owner->foreign && fchown(fd, owner->uid, owner->gid))
        r = fault_errno(FAULT_IO, errno, "cannot give %s away", fresh);
    close(fd);
    if (r == 0 && rename(fresh, path))
        r = fault_errno(FAULT_IO, errno, "cannot make %s", path);
    if (r)
        unlink(fresh);
    return r;
}

/*
 * Adds what the file lacks, under a lock: who comes second finds what the first has made. Root
 * makes it before it becomes RUN_AS_USER, who reads it again and adds the database.
 */
static int complete(struct fill *f, int directory, const char *path)
{
    _cleanup_buf_ struct buf text = buf_secret(FILE_MAX);
    struct modes_owner owner = modes_owner(f->c);

    if (flock(directory, LOCK_EX))
        return fault_errno(FAULT_IO, errno, "cannot lock %s", f->c->data_dir);
    int r = envfile_read(path, take, f, f->problems);
    if (r < 0 || r == ENVFILE_INVALID || !lacks(f->c, false))
        return r == ENVFILE_ABSENT ? 0 : r;
    r = read_present(path, &owner, &text);
    if (r)
        return r;
    add_missing(f->c, &text);
    r = buf_fault(&text) ? buf_fault(&text) : replace(path, &owner, buf_str(&text));
    if (r == 0 && fsync(directory))
        r = fault_errno(FAULT_IO, errno, "cannot sync %s", f->c->data_dir);
    return r ? r : envfile_read(path, take, f, f->problems);
}

static int open_directory(const struct config *c, int *ret_fd)
{
    struct modes_owner owner = modes_owner(c);
    bool fresh = mkdir(c->data_dir, 0700) == 0;

    if (!fresh && errno != EEXIST)
        return fault_errno(FAULT_IO, errno, "cannot make the directory %s", c->data_dir);
    int r = fresh ? modes_give(&owner, c->data_dir) : 0;
    int fd = r ? -1 : open(c->data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r == 0 && fd < 0)
        r = fault_errno(FAULT_IO, errno, "cannot open the directory %s", c->data_dir);
    if (r == 0)
        *ret_fd = fd;
    return r;
}

static int fill_from(struct fill *f, const char *path)
{
    int fd, r = envfile_read(path, take, f, f->problems);

    if ((r && r != ENVFILE_ABSENT) || !lacks(f->c, false))
        return r == ENVFILE_ABSENT ? 0 : r;
    r = open_directory(f->c, &fd);
    if (r)
        return r;
    r = complete(f, fd, path);
    close(fd); /* and with it the lock */
    return r;
}

int secrets_fill(struct config *c, struct buf *problems)
{
    struct fill f = {c, problems};
    char path[PATH_MAX_BYTES];

    if (!lacks(c, false))
        return 0;
    int n = snprintf(path, sizeof path, "%s/secrets.env", c->data_dir);
    if (n < 0 || (size_t)n >= sizeof path)
        return fault_set(FAULT_LIMIT, "DATA_DIR is too long");
    int r = fill_from(&f, path);
    if (r == FAULT_IO && !lacks(c, true)) {
        log_warn("SES_WEBHOOK_SECRET is not set and none can be kept: %s", fault_message());
        return 0;
    }
    return r == ENVFILE_INVALID ? CONFIG_INVALID : r;
}
