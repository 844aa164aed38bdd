#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "crypto/init.h"
#include "trail/authlog.h"
#include "trail/internal.h"
#include "trail/line.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* The head as far as it may be signed: authentic, and that of the newest record. */
struct head_job {
    const struct trail *trail;
    struct trail_head head;
};

static int head_job(struct store_txn *txn, void *arg)
{
    struct head_job *job = arg;
    _cleanup_rows_ struct store_rows *rows = NULL;
    int e = store_query(txn,
                        "SELECT h.chain, h.seq, h.mac, h.key_id, h.seal, t.mac FROM trail_head h"
                        " LEFT JOIN trail t ON t.seq = h.seq WHERE h.id = 1",
                        &rows, NO_PARAMS);

    if (!e)
        e = store_rows_next(rows);
    if (e != 1) {
        job->head = (struct trail_head){.seq = 0};
        return e;
    }
    e = trail_head_read(rows, &job->head);
    if (!e)
        e = trail_head_check(job->trail, &job->head);
    if (!e && !str_eq(store_col_blob(rows, 5), (struct str){(char *)job->head.mac, MAC_SIZE}))
        e = HEAD_FORGED;
    return e;
}

/* Returns 0 with a seq of 0 where there is no chain yet, CHECKPOINT_BROKEN, or a fault. */
static int head_read(const struct trail *trail, struct trail_head *ret_head)
{
    struct head_job job = {.trail = trail};
    int e = store_read(trail->store, head_job, &job);

    if (e > 0) {
        log_error("no checkpoint: the trail's head is not that of its last record");
        return CHECKPOINT_BROKEN;
    }
    if (!e)
        *ret_head = job.head;
    return e;
}

/* Makes the directory and those above it. */
static int directory_make(const char *directory)
{
    _cleanup_buf_ struct buf path = buf_init(4096);
    struct str rest = str_of(directory), part;

    while (str_next(&rest, '/', &part)) {
        buf_add_str(&path, part);
        const char *z = buf_cstr(&path);
        if (!z)
            return buf_fault(&path);
        if (part.n && mkdir(z, 0700) != 0 && errno != EEXIST)
            return fault_errno(FAULT_IO, errno, "%s", z);
        buf_add_char(&path, '/');
    }
    return buf_fault(&path);
}

/* A new file's name is durable once its directory is. */
static int directory_sync(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failed = fd < 0 || fsync(fd) != 0 ? errno : 0;

    if (fd >= 0)
        close(fd);
    return failed ? fault_errno(FAULT_IO, failed, "%s", directory) : 0;
}

static int file_open(const struct trail *trail, int *ret_fd)
{
    int e = directory_make(trail->directory);
    int fd;

    if (e)
        return e;
    fd = open(trail->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fault_errno(FAULT_IO, errno, "%s", trail->path);
    if (flock(fd, LOCK_EX) != 0) {
        e = fault_errno(FAULT_IO, errno, "%s", trail->path);
        close(fd);
        return e;
    }
    *ret_fd = fd;
    return 0;
}

struct tail {
    bool known;             /* last is a checkpoint of ours */
    bool torn, empty;       /* the file ends in part of a line; it is empty */
    struct checkpoint last; /* of the complete lines */
};

/* Cuts off a line that was not written to its end; where the file may only grow, it is ended. */
static int tail_mend(const char *path, int fd, off_t end)
{
    log_warn("%s ended in an unfinished line", path);
    if (ftruncate(fd, end) == 0 || write(fd, "\n", 1) == 1)
        return 0;
    return fault_errno(FAULT_IO, errno, "%s", path);
}

static int tail_read(const struct trail *trail, int fd, struct tail *ret_tail)
{
    char bytes[2 * CHECKPOINT_LINE_MAX];
    off_t size = lseek(fd, 0, SEEK_END);
    off_t from = size > (off_t)sizeof bytes ? size - (off_t)sizeof bytes : 0;
    ssize_t n = size < 0 ? -1 : pread(fd, bytes, sizeof bytes, from);
    size_t end, start;

    if (n < 0)
        return fault_errno(FAULT_IO, errno, "%s", trail->path);
    *ret_tail = (struct tail){.empty = size == 0};
    for (end = (size_t)n; end > 0 && bytes[end - 1] != '\n'; end--)
        ;
    if (end < (size_t)n) {
        int e = tail_mend(trail->path, fd, from + (off_t)end);
        if (e)
            return e;
    }
    if (end == 0)
        return 0;
    for (start = end - 1; start > 0 && bytes[start - 1] != '\n'; start--)
        ;
    ret_tail->known =
        !checkpoint_parse((struct str){bytes + start, end - 1 - start}, &ret_tail->last) &&
        trail_key_is_ours(trail, ret_tail->last.key) && !checkpoint_verify(&ret_tail->last);
    if (!ret_tail->known)
        log_warn("the last line of %s is no checkpoint of ours", trail->path);
    return 0;
}

static int line_make(const struct trail *trail, const struct trail_head *head, struct buf *line)
{
    struct checkpoint c = {.chain = head->chain, .seq = head->seq, .at = clock_now()};
    int e;

    memcpy(c.mac, head->mac, MAC_SIZE);
    e = checkpoint_sign(&c, &trail->keys[0].sign);
    return e ? e : checkpoint_format(&c, line);
}

static int line_write(const char *path, int fd, struct str line)
{
    ssize_t n = write(fd, line.p, line.n);

    if (n < 0 || fdatasync(fd) != 0)
        return fault_errno(FAULT_IO, errno, "%s", path);
    return (size_t)n == line.n ? 0 : fault_set(FAULT_IO, "%s: written in part", path);
}

static bool same(const struct trail_head *head, const struct checkpoint *c)
{
    return head->seq == c->seq && crypto_memeq(head->mac, c->mac, MAC_SIZE);
}

static bool behind(const struct trail_head *head, const struct checkpoint *c)
{
    return head->seq <= c->seq || !uuid_eq(&head->chain, &c->chain);
}

/* Under the file's lock, so that no other process puts a newer one in between. */
static int write_locked(const struct trail *trail, int fd, struct buf *line)
{
    struct trail_head head;
    struct tail tail;
    int e = tail_read(trail, fd, &tail);
    bool put_back;

    if (!e)
        e = head_read(trail, &head);
    if (e || (tail.known ? same(&head, &tail.last) : head.seq == 0))
        return e;
    put_back = tail.known && behind(&head, &tail.last);
    if (put_back)
        log_error("the trail ends at record %lld, which does not follow the checkpoint of record "
                  "%lld: records were cut off or another database was put in place",
                  (long long)head.seq, (long long)tail.last.seq);
    if (head.seq > 0) {
        e = line_make(trail, &head, line);
        if (!e)
            e = line_write(trail->path, fd, buf_str(line));
        if (!e && tail.empty)
            e = directory_sync(trail->directory);
    }
    return !e && put_back ? CHECKPOINT_BEHIND : e;
}

static int write_file(const struct trail *trail, struct buf *line)
{
    int fd;
    int e = file_open(trail, &fd);

    if (e)
        return e;
    e = write_locked(trail, fd, line);
    close(fd);
    return e;
}

static int make_only(const struct trail *trail, struct buf *line)
{
    struct trail_head head;
    int e = head_read(trail, &head);

    return e || head.seq == 0 ? e : line_make(trail, &head, line);
}

int trail_checkpoint_write(const struct trail *trail)
{
    _cleanup_buf_ struct buf line = buf_init(CHECKPOINT_LINE_MAX);
    int e = trail->path ? write_file(trail, &line) : make_only(trail, &line);

    if (e >= 0 && trail->syslog && line.n > 0)
        authlog_write((struct str){line.p, line.n - 1});
    return e;
}

const char *trail_checkpoint_path(const struct trail *trail)
{
    return trail->path;
}

void trail_public_key(const struct trail *trail, char ret_text[SIGN_PUBLIC_TEXT_SIZE])
{
    sign_public_format(trail->keys[0].sign.public_key, ret_text);
}
