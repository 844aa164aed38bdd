#include "config/secrets.h"

#include "base/encode.h"
#include "base/fault.h"
#include "config/envfile.h"
#include "config/modes.h"
#include "config/options.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_MAX_BYTES = 4096, JWT_BYTES = 64, ENCRYPTION_BYTES = 32 };

struct fill {
    struct config *c;
    struct buf *problems;
};

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
    uint8_t secret[JWT_BYTES];
    char text[HEX_LENGTH(JWT_BYTES) + 1];

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

/* Writes the secrets beside path and links them there, so that path never holds half of them. */
static int make_file(const char *path)
{
    _cleanup_buf_ struct buf text = buf_secret(1024);
    char temporary[PATH_MAX_BYTES + 8];

    snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
    int fd = mkstemp(temporary);
    if (fd < 0)
        return fault_errno(FAULT_IO, errno, "cannot make %s", temporary);
    buf_printf(&text, "# Made for development. Production sets these in its environment.\n");
    add_secret(&text, "JWT_SECRET", JWT_BYTES);
    add_secret(&text, "ENCRYPTION_KEY", ENCRYPTION_BYTES);
    int r = buf_fault(&text) ? buf_fault(&text) : write_file(fd, temporary, buf_str(&text));
    close(fd);
    if (r == 0 && link(temporary, path) && errno != EEXIST)
        r = fault_errno(FAULT_IO, errno, "cannot make %s", path);
    unlink(temporary);
    return r;
}

/* Root makes them before it becomes RUN_AS_USER, who reads them again and adds the database. */
static int make(const struct config *c, const char *path)
{
    struct modes_owner owner = modes_owner(c);
    bool made = mkdir(c->data_dir, 0700) == 0;

    if (!made && errno != EEXIST)
        return fault_errno(FAULT_IO, errno, "cannot make the directory %s", c->data_dir);
    int r = make_file(path);
    if (r == 0)
        r = modes_give(&owner, path);
    if (r == 0 && made)
        r = modes_give(&owner, c->data_dir);
    return r;
}

int secrets_fill(struct config *c, struct buf *problems)
{
    struct fill f = {c, problems};
    char path[PATH_MAX_BYTES];

    if (c->jwt_secret && c->encryption_key)
        return 0;
    int n = snprintf(path, sizeof path, "%s/secrets.env", c->data_dir);
    if (n < 0 || (size_t)n > sizeof path - 8)
        return fault_set(FAULT_LIMIT, "DATA_DIR is too long");
    int r = envfile_read(path, take, &f, problems);
    if (r == ENVFILE_ABSENT) {
        r = make(c, path);
        if (r == 0)
            r = envfile_read(path, take, &f, problems);
    }
    return r == ENVFILE_INVALID ? CONFIG_INVALID : r;
}
