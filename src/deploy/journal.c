#include "deploy/journal.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 64 << 20, PATH_SIZE = 4096, LOCK_TRIES = 20, LOCK_PAUSE_MS = 5 };

struct journal {
    int fd;
    bool broken; /* a write failed: what the file's end holds is unknown */
    struct journal_record *records;
    size_t n, room;
};

static const char *const phases[] = {"begin",   "note",   "done",        "skipped", "failed",
                                     "undoing", "undone", "undo_failed", "end"};

const char *journal_phase_name(enum journal_phase phase)
{
    return phases[phase];
}

static int phase_of(const char *name, enum journal_phase *ret)
{
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++)
        if (strcmp(phases[i], name) == 0) {
            *ret = (enum journal_phase)i;
            return 0;
        }
    return 1;
}

static int make_room(struct journal *j)
{
    if (j->n < j->room)
        return 0;
    if (j->n == JOURNAL_RECORDS_MAX)
        return fault_set(FAULT_LIMIT, "the journal has %d records", JOURNAL_RECORDS_MAX);
    size_t room = j->room ? 2 * j->room : 64;
    struct journal_record *records = reallocarray(j->records, room, sizeof *records);
    if (!records)
        return fault_set(FAULT_MEMORY, "no memory for the journal");
    j->records = records;
    j->room = room;
    return 0;
}

/* Takes the record's step and data over. */
static void keep(struct journal *j, const struct journal_record *record)
{
    j->records[j->n++] = *record;
}

static int sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = fd < 0 || fsync(fd) ? fault_errno(FAULT_IO, errno, "cannot sync %s", path) : 0;

    if (fd >= 0)
        close(fd);
    return result;
}

static int path_in(const char *directory, const char *name, char ret[PATH_SIZE])
{
    if ((size_t)snprintf(ret, PATH_SIZE, "%s/%s", directory, name) < PATH_SIZE)
        return 0;
    return fault_set(FAULT_LIMIT, "the path of the journal is too long");
}

static int new_journal(int fd, struct journal **ret)
{
    struct journal *j = calloc(1, sizeof *j);

    if (!j) {
        close(fd);
        return fault_set(FAULT_MEMORY, "no memory for the journal");
    }
    j->fd = fd;
    *ret = j;
    return 0;
}

int journal_create(const char *directory, struct journal **ret)
{
    char path[PATH_SIZE], parent[PATH_SIZE];
    int result = path_in(directory, "journal.jsonl", path);

    if (result == 0)
        result = path_in(directory, "..", parent);
    if (result)
        return result;
    if (mkdir(directory, 0700) && errno != EEXIST)
        return fault_errno(FAULT_IO, errno, "cannot make %s", directory);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return JOURNAL_EXISTS;
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB)) {
        result = fault_errno(FAULT_IO, errno, "cannot make %s", path);
        if (fd >= 0)
            close(fd);
        return result;
    }
    result = sync_directory(directory);
    if (result == 0)
        result = sync_directory(parent);
    if (result == 0)
        return new_journal(fd, ret);
    close(fd);
    return result;
}

/* The record of a line. Returns 0, or 1 where it is none. */
static int parse_line(const char *line, size_t n, struct journal_record *ret)
{
    json_error_t error;
    json_t *object = json_loadb(line, n, JSON_REJECT_DUPLICATES, &error), *data;
    const char *step, *phase;
    json_int_t seq, at;
    int result = 1;

    if (object &&
        json_unpack(object, "{s:I, s:I, s:s, s:s, s:o !}", "seq", &seq, "at", &at, "step", &step,
                    "phase", &phase, "data", &data) == 0 &&
        json_is_object(data) && phase_of(phase, &ret->phase) == 0 && (ret->step = strdup(step))) {
        ret->seq = seq;
        ret->at = at;
        ret->data = json_incref(data);
        result = 0;
    }
    json_decref(object);
    return result;
}

/* Reads the records of text. *ret_n is the number of bytes of whole lines. */
static int parse(struct journal *j, struct str text, size_t *ret_n)
{
    size_t at = 0;

    while (at < text.n) {
        const char *end = memchr(text.p + at, '\n', text.n - at);
        if (!end)
            break; /* torn: it is as if it had not been begun */
        struct journal_record record;
        if (j->n == JOURNAL_RECORDS_MAX) {
            fault_keep("the journal has over %d records", JOURNAL_RECORDS_MAX);
            return JOURNAL_DAMAGED;
        }
        int result = make_room(j);
        if (result)
            return result;
        if (parse_line(text.p + at, (size_t)(end - text.p) - at, &record)) {
            fault_keep("the journal's line %zu is no record", j->n + 1);
            return JOURNAL_DAMAGED;
        }
        keep(j, &record);
        if (record.seq != (int64_t)j->n) {
            fault_keep("the journal's line %zu has the number %lld", j->n, (long long)record.seq);
            return JOURNAL_DAMAGED;
        }
        at = (size_t)(end - text.p) + 1;
    }
    *ret_n = at;
    return 0;
}

static int read_all(struct journal *j, struct buf *text)
{
    ssize_t n = 1;

    while (n > 0) {
        int result = buf_reserve(text, 1);
        if (result)
            return result;
        n = pread(j->fd, text->p + text->n, text->cap - text->n, (off_t)text->n);
        if (n > 0)
            text->n += (size_t)n;
    }
    return n < 0 ? fault_errno(FAULT_IO, errno, "cannot read the journal") : 0;
}

/* What we never wrote is no reason to stop, or to wait as for the writer of a pipe. */
static int check_kind(struct journal *j)
{
    struct stat st;

    if (fstat(j->fd, &st))
        return fault_errno(FAULT_IO, errno, "cannot look at the journal");
    if (S_ISREG(st.st_mode) && st.st_size < FILE_MAX)
        return 0;
    fault_keep("the journal is %s", S_ISREG(st.st_mode) ? "over 64 MiB" : "no file");
    return JOURNAL_DAMAGED;
}

static int read_journal(struct journal *j, bool writing)
{
    struct buf text _cleanup_buf_ = buf_init(FILE_MAX);
    size_t whole = 0;
    int result = check_kind(j);

    if (result == 0)
        result = read_all(j, &text);
    if (result == 0)
        result = parse(j, buf_str(&text), &whole);
    if (result == 0 && writing && whole < text.n && ftruncate(j->fd, (off_t)whole))
        result = fault_errno(FAULT_IO, errno, "cannot cut the journal's torn end");
    return result;
}

/* Whoever only looks whether it is held lets go at once. */
static int lock_file(int fd)
{
    int result = flock(fd, LOCK_EX | LOCK_NB);

    for (int i = 0; result && errno == EWOULDBLOCK && i < LOCK_TRIES; i++) {
        poll(NULL, 0, LOCK_PAUSE_MS);
        result = flock(fd, LOCK_EX | LOCK_NB);
    }
    return result;
}

int journal_is_held(const char *directory)
{
    char path[PATH_SIZE];
    int result = path_in(directory, "journal.jsonl", path);

    if (result)
        return result;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR
                   ? JOURNAL_NONE
                   : fault_errno(FAULT_IO, errno, "cannot open %s", path);
    if (flock(fd, LOCK_SH | LOCK_NB))
        result = errno == EWOULDBLOCK ? JOURNAL_HELD
                                      : fault_errno(FAULT_IO, errno, "cannot lock %s", path);
    close(fd);
    return result;
}

static int open_as(const char *directory, bool writing, struct journal **ret)
{
    char path[PATH_SIZE];
    struct journal *j;
    int result = path_in(directory, "journal.jsonl", path);

    if (result)
        return result;
    int fd = open(path, (writing ? O_RDWR | O_APPEND : O_RDONLY) | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? JOURNAL_NONE
                               : fault_errno(FAULT_IO, errno, "cannot open %s", path);
    if (writing && lock_file(fd)) {
        result = errno == EWOULDBLOCK ? JOURNAL_HELD
                                      : fault_errno(FAULT_IO, errno, "cannot lock %s", path);
        close(fd);
        return result;
    }
    result = new_journal(fd, &j);
    if (result)
        return result;
    result = read_journal(j, writing);
    if (result) {
        journal_close(j);
        return result;
    }
    *ret = j;
    return 0;
}

int journal_open(const char *directory, struct journal **ret)
{
    return open_as(directory, true, ret);
}

int journal_look(const char *directory, struct journal **ret)
{
    return open_as(directory, false, ret);
}

void journal_close(struct journal *j)
{
    if (!j)
        return;
    for (size_t i = 0; i < j->n; i++) {
        free((char *)(uintptr_t)j->records[i].step);
        json_decref(j->records[i].data);
    }
    free(j->records);
    close(j->fd);
    free(j);
}

static int put_line(struct journal *j, const char *line, size_t n)
{
    size_t done = 0;

    if (j->broken)
        return fault_set(FAULT_IO, "the journal could not be written before");
    j->broken = true;
    while (done < n) {
        ssize_t written = write(j->fd, line + done, n - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return fault_errno(FAULT_IO, errno, "cannot write the journal");
        done += (size_t)written;
    }
    if (fdatasync(j->fd))
        return fault_errno(FAULT_IO, errno, "cannot write the journal to the disk");
    j->broken = false;
    return 0;
}

static int put_record(struct journal *j, const struct journal_record *r)
{
    json_t *object =
        json_pack("{s:I, s:I, s:s, s:s, s:O}", "seq", (json_int_t)r->seq, "at", (json_int_t)r->at,
                  "step", r->step, "phase", journal_phase_name(r->phase), "data", r->data);
    char *line = object ? json_dumps(object, JSON_COMPACT) : NULL;
    size_t n = line ? strlen(line) : 0;
    int result;

    json_decref(object);
    if (!line)
        return fault_set(FAULT_MEMORY, "no memory for the journal, or its text is no UTF-8");
    if (n >= JOURNAL_LINE_MAX) {
        result = fault_set(FAULT_LIMIT, "a record of the journal is over 1 MiB");
    } else {
        line[n] = '\n'; /* in place of the NUL */
        result = put_line(j, line, n + 1);
    }
    free(line);
    return result;
}

int journal_write(struct journal *j, const char *step, enum journal_phase phase, json_t *data)
{
    struct journal_record r = {.seq = (int64_t)j->n + 1,
                               .at = clock_now(),
                               .step = strdup(step),
                               .phase = phase,
                               .data = data ? data : json_object()};
    int result = make_room(j);

    if (result == 0 && (!r.step || !r.data))
        result = fault_set(FAULT_MEMORY, "no memory for the journal");
    if (result == 0)
        result = put_record(j, &r);
    if (result == 0) {
        keep(j, &r);
        return 0;
    }
    free((char *)(uintptr_t)r.step);
    json_decref(r.data);
    return result;
}

size_t journal_count(const struct journal *j)
{
    return j->n;
}

const struct journal_record *journal_at(const struct journal *j, size_t i)
{
    return &j->records[i];
}

bool journal_ended(const struct journal *j)
{
    return j->n > 0 && j->records[j->n - 1].phase == JOURNAL_END;
}
