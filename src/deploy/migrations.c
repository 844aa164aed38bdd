#include "deploy/migrations.h"

#include "base/encode.h"
#include "base/fault.h"
#include "config/envfile.h"
#include "crypto/sha256.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 4096, LOCK_FILE_MAX = 64 * 1024 };

static int wrong(int outcome, const char *path, const char *what)
{
    fault_keep("%s: %s", path, what);
    return outcome;
}

/* Reads a whole file. Returns 0, MIGRATIONS_WRONG or a fault, or that there is none. */
enum { FILE_ABSENT = 1 };

static int read_file(const char *path, size_t max, struct buf *out)
{
    struct stat s;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), result;

    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return FILE_ABSENT;
    if (fd < 0 || fstat(fd, &s)) {
        fault_keep_errno(errno, "%s: cannot be read", path);
        result = MIGRATIONS_WRONG;
    } else if (!S_ISREG(s.st_mode)) {
        result = wrong(MIGRATIONS_WRONG, path, "is no file");
    } else {
        *out = buf_init(max);
        result = envfile_load(path, fd, out);
        if (result == FAULT_LIMIT) {
            fault_keep("%s: is longer than %zu bytes", path, max);
            result = MIGRATIONS_WRONG;
        }
    }
    if (fd >= 0)
        close(fd);
    return result;
}

static int check_text(const char *path, struct str text)
{
    if (str_has_prefix(text, STR("\xFF\xFE")) || str_has_prefix(text, STR("\xFE\xFF")))
        return wrong(MIGRATIONS_WRONG, path, "is UTF-16; save it as UTF-8");
    if (str_has_prefix(text, STR("\xEF\xBB\xBF")))
        return wrong(MIGRATIONS_WRONG, path,
                     "begins with a byte order mark, which PostgreSQL refuses; save it without");
    if (text.n && memchr(text.p, '\0', text.n))
        return wrong(MIGRATIONS_WRONG, path, "holds a NUL byte");
    return str_is_utf8(text) ? 0 : wrong(MIGRATIONS_WRONG, path, "is not UTF-8");
}

/* Reads a file of SQL into the arena. */
static int read_sql(struct arena *a, const char *path, struct str *ret)
{
    struct buf text _cleanup_buf_ = buf_init(0);
    int result = read_file(path, MIGRATION_BYTES_MAX, &text);

    if (result == 0)
        result = check_text(path, buf_str(&text));
    if (result)
        return result;
    struct str copy = arena_str(a, buf_str(&text));
    if (!copy.p)
        return FAULT_MEMORY;
    *ret = copy;
    return 0;
}

static int write_checksum(struct str text, char ret[MIGRATION_CHECKSUM_SIZE])
{
    uint8_t digest[SHA256_SIZE];
    int fault = sha256(text, digest);

    if (fault == 0)
        hex_encode(digest, sizeof digest, ret);
    return fault;
}

/* Each line's end, LF or CR LF, as end. */
static int write_lines(struct str text, struct str end, struct buf *out)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '\r' && i + 1 < text.n && text.p[i + 1] == '\n')
            continue;
        if (text.p[i] == '\n')
            buf_add_str(out, end);
        else
            buf_add_char(out, text.p[i]);
    }
    return buf_fault(out);
}

static int checksum_lines(struct str text, struct str end, char ret[MIGRATION_CHECKSUM_SIZE])
{
    struct buf lines _cleanup_buf_ = buf_init(2 * text.n + 1);
    int fault = write_lines(text, end, &lines);

    return fault ? fault : write_checksum(buf_str(&lines), ret);
}

static int write_checksums(struct migration *m)
{
    int fault = write_checksum(m->sql, m->checksum);

    if (fault == 0)
        fault = checksum_lines(m->sql, STR("\n"), m->checksum_lf);
    return fault ? fault : checksum_lines(m->sql, STR("\r\n"), m->checksum_crlf);
}

bool migration_has_checksum(const struct migration *m, const char *checksum)
{
    return strcmp(checksum, m->checksum) == 0 || strcmp(checksum, m->checksum_lf) == 0 ||
           strcmp(checksum, m->checksum_crlf) == 0;
}

/* The value of `provider = "…"`, the one line that Prisma reads; empty where there is none. */
static struct str provider_of(struct str text)
{
    struct str line;

    while (str_next(&text, '\n', &line)) {
        if (str_has_suffix(line, STR("\r")))
            line.n--;
        line = str_trim(line);
        if (!str_has_prefix(line, STR("provider")))
            continue;
        line = str_trim((struct str){line.p + 8, line.n - 8});
        if (!str_has_prefix(line, STR("=")))
            continue;
        line = str_trim((struct str){line.p + 1, line.n - 1});
        if (line.n < 2 || (*line.p != '"' && *line.p != '\''))
            continue;
        struct str value = {line.p + 1, line.n - 1};
        return (struct str){value.p, str_find(value, *line.p)};
    }
    return STR("");
}

static int check_provider(const char *directory)
{
    struct buf text _cleanup_buf_ = buf_init(0);
    char path[PATH_SIZE];

    snprintf(path, sizeof path, "%s/migration_lock.toml", directory);
    int result = read_file(path, LOCK_FILE_MAX, &text);
    if (result)
        return result == FILE_ABSENT ? 0 : result;
    struct str provider = provider_of(buf_str(&text));
    if (provider.n == 0 || str_eq(provider, STR("postgresql")) || str_eq(provider, STR("postgres")))
        return 0;
    fault_keep("%s: the migrations are written for %.*s, and the database is postgresql", path,
               (int)(provider.n < 40 ? provider.n : 40), provider.p);
    return MIGRATIONS_PROVIDER;
}

static int read_migration(struct arena *a, const char *directory, const char *name,
                          struct migration *ret)
{
    char path[PATH_SIZE];

    ret->name = name;
    snprintf(path, sizeof path, "%s/%s/migration.sql", directory, name);
    int result = read_sql(a, path, &ret->sql);
    if (result == FILE_ABSENT)
        return wrong(MIGRATIONS_NO_SCRIPT, path,
                     "is not there; restore it, or remove the directory");
    if (result == 0)
        result = write_checksums(ret);
    if (result)
        return result;
    snprintf(path, sizeof path, "%s/%s/down.sql", directory, name);
    result = read_sql(a, path, &ret->down);
    return result == FILE_ABSENT ? 0 : result;
}

static int is_directory(const struct dirent *e, int fd)
{
    struct stat s;

    return *e->d_name != '.' && fstatat(fd, e->d_name, &s, 0) == 0 && S_ISDIR(s.st_mode);
}

static int check_name(const char *directory, const char *name)
{
    struct str s = str_of(name);

    if (str_is_utf8(s) && !str_has_control(s) && strlen(directory) + s.n + 20 < PATH_SIZE)
        return 0;
    return wrong(MIGRATIONS_WRONG, directory, "holds a directory with a name that is none");
}

static int read_names(struct arena *a, const char *directory, DIR *dir, const char ***ret_names,
                      size_t *ret_count)
{
    const char **names = arena_array(a, MIGRATIONS_MAX, sizeof *names);
    size_t count = 0;

    for (struct dirent *e; names && (e = readdir(dir));) {
        if (!is_directory(e, dirfd(dir)))
            continue;
        int result = check_name(directory, e->d_name);
        if (result)
            return result;
        if (count == MIGRATIONS_MAX)
            return wrong(MIGRATIONS_WRONG, directory, "holds more than 10000 migrations");
        if (!(names[count++] = arena_str(a, str_of(e->d_name)).p))
            return FAULT_MEMORY;
    }
    if (!names)
        return FAULT_MEMORY;
    *ret_names = names;
    *ret_count = count;
    return 0;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int read_all(struct arena *a, DIR *dir, struct migrations *m)
{
    const char **names;
    int result = read_names(a, m->directory, dir, &names, &m->count);

    if (result)
        return result;
    qsort(names, m->count, sizeof *names, by_bytes);
    m->all = arena_array(a, m->count ? m->count : 1, sizeof *m->all);
    if (!m->all)
        return FAULT_MEMORY;
    for (size_t i = 0; i < m->count && result == 0; i++)
        result = read_migration(a, m->directory, names[i], &m->all[i]);
    return result;
}

int migrations_read(struct arena *a, const char *directory, struct migrations *ret)
{
    struct migrations m = {.directory = directory};
    DIR *dir = opendir(directory);

    if (!dir) {
        fault_keep_errno(errno, "%s: cannot be read", directory);
        return MIGRATIONS_MISSING;
    }
    int result = check_provider(directory);
    if (result == 0)
        result = read_all(a, dir, &m);
    closedir(dir);
    if (result == 0)
        *ret = m;
    return result;
}

const struct migration *migrations_find(const struct migrations *m, const char *name)
{
    for (size_t i = 0; i < m->count; i++)
        if (strcmp(m->all[i].name, name) == 0)
            return &m->all[i];
    return NULL;
}
