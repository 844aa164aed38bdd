#include "config/envfile.h"

#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { FILE_MAX_BYTES = 1 << 20 };

static bool is_key(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
        if (!letter && !(i > 0 && c >= '0' && c <= '9'))
            return false;
    }
    return s.n > 0;
}

/* Reads a double-quoted value into out. Returns 0, 1 where it is malformed, or a fault. */
static int unquote(struct str s, struct buf *out)
{
    for (size_t i = 1; i < s.n; i++) {
        char c = s.p[i];
        if (c == '"')
            return i + 1 == s.n ? buf_fault(out) : 1;
        if (c == '\\') {
            if (++i == s.n)
                return 1;
            c = s.p[i] == 'n' ? '\n' : s.p[i];
        }
        buf_add_char(out, c);
    }
    return 1;
}

static int take_value(struct str raw, struct buf *scratch, struct str *ret)
{
    buf_reset(scratch);
    if (raw.n && raw.p[0] == '"') {
        int r = unquote(raw, scratch);
        *ret = buf_str(scratch);
        return r;
    }
    if (raw.n && raw.p[0] == '\'') {
        if (raw.n < 2 || raw.p[raw.n - 1] != '\'' || memchr(raw.p + 1, '\'', raw.n - 2))
            return 1;
        *ret = (struct str){raw.p + 1, raw.n - 2};
        return 0;
    }
    *ret = raw;
    return 0;
}

int envfile_parse(struct str text, const char *name, envfile_visit *visit, void *context,
                  struct buf *problems)
{
    _cleanup_buf_ struct buf scratch = buf_secret(FILE_MAX_BYTES);
    struct str line;
    bool invalid = false;
    int r = 0;

    for (int number = 1; r == 0 && str_next(&text, '\n', &line); number++) {
        if (str_has_suffix(line, STR("\r")))
            line.n--;
        line = str_trim(line);
        if (line.n == 0 || line.p[0] == '#')
            continue;
        if (str_has_prefix(line, STR("export ")))
            line = str_trim((struct str){line.p + 7, line.n - 7});
        size_t at = str_find(line, '=');
        struct str key = str_trim((struct str){line.p, at}), value = {"", 0};
        if (at < line.n)
            value = str_trim((struct str){line.p + at + 1, line.n - at - 1});
        int malformed = at == line.n || !is_key(key) ? 1 : take_value(value, &scratch, &value);
        if (malformed < 0) {
            r = malformed;
        } else if (malformed) {
            buf_printf(problems, "%s line %d: not KEY=VALUE\n", name, number);
            invalid = true;
        } else {
            r = visit(context, key, value, number);
        }
    }
    return r ? r : invalid ? ENVFILE_INVALID : 0;
}

int envfile_load(const char *path, int fd, struct buf *out)
{
    char piece[4096];
    ssize_t n;
    int r = 0;

    while (r == 0 && (n = read(fd, piece, sizeof piece)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        r = n < 0 ? fault_errno(FAULT_IO, errno, "cannot read %s", path)
                  : buf_add(out, piece, (size_t)n);
    }
    explicit_bzero(piece, sizeof piece);
    return r;
}

int envfile_read(const char *path, envfile_visit *visit, void *context, struct buf *problems)
{
    _cleanup_buf_ struct buf text = buf_secret(FILE_MAX_BYTES);
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT ? ENVFILE_ABSENT
                               : fault_errno(FAULT_IO, errno, "cannot open %s", path);
    int r = envfile_load(path, fd, &text);
    close(fd);
    if (r == 0)
        r = envfile_parse(buf_str(&text), path, visit, context, problems);
    return r;
}
