#include "base/fault.h"
#include "trail/internal.h"
#include "trail/line.h"
#include "trail/verify_internal.h"

#include <errno.h>
#include <sys/stat.h>

enum { BATCH = 256 };

struct verify_file {
    FILE *stream;
    const char *path;
    int64_t left, line; /* bytes to read; lines read */
};

/* A checkpoint to be looked up, and what the store holds in its place. */
struct lookup {
    struct checkpoint checkpoint;
    int64_t line;
    enum { RECORD_ABSENT, RECORD_SAME, RECORD_OTHER } record;
};

struct batch {
    const struct trail *trail;
    size_t n;
    struct lookup lookups[BATCH];
    struct trail_finding cut; /* the records that checkpoints have and the end of the chain lacks */
};

int verify_file_open(const char *path, struct verify_file **ret_file)
{
    struct verify_file *f = calloc(1, sizeof *f);
    struct stat st;

    if (!f)
        return fault_set(FAULT_MEMORY, "no memory to verify the trail");
    f->path = path;
    f->stream = fopen(path, "re");
    if (!f->stream || fstat(fileno(f->stream), &st) != 0 || !S_ISREG(st.st_mode)) {
        int e = fault_errno(FAULT_IO, f->stream && errno == 0 ? EINVAL : errno, "%s", path);
        verify_file_close(f);
        return e;
    }
    f->left = st.st_size;
    *ret_file = f;
    return 0;
}

void verify_file_close(struct verify_file *file)
{
    if (!file)
        return;
    if (file->stream)
        fclose(file->stream);
    free(file);
}

/*
 * Reads a line; of one that is too long as much as fits, and with *ret_n beyond the maximum.
 * Returns 1 for a line, 0 at the end (*ret_n tells whether an unfinished one stands there),
 * FAULT_IO.
 */
static int next_line(struct verify_file *f, char bytes[CHECKPOINT_LINE_MAX], size_t *ret_n)
{
    size_t n = 0;

    while (f->left > 0) {
        int c = getc_unlocked(f->stream);
        if (c == EOF)
            return fault_set(FAULT_IO, "%s cannot be read to its end", f->path);
        f->left--;
        if (c == '\n') {
            f->line++;
            *ret_n = n;
            return 1;
        }
        if (n < CHECKPOINT_LINE_MAX)
            bytes[n] = (char)c;
        n++;
    }
    *ret_n = n;
    return 0;
}

/* What is wrong with a line by itself; FINDING_KINDS where nothing is. */
static enum trail_finding_kind check_line(const struct trail *trail, struct str line,
                                          struct checkpoint *ret_checkpoint)
{
    if (line.n > CHECKPOINT_LINE_MAX || checkpoint_parse(line, ret_checkpoint))
        return FINDING_CHECKPOINT_UNREADABLE;
    if (!trail_key_is_ours(trail, ret_checkpoint->key))
        return FINDING_CHECKPOINT_UNKNOWN_KEY;
    if (checkpoint_verify(ret_checkpoint))
        return FINDING_CHECKPOINT_FORGED;
    return FINDING_KINDS;
}

static int look_up(struct store_txn *txn, struct lookup *l)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int e = store_query(txn, "SELECT mac FROM trail WHERE seq = $1", &rows,
                        PARAMS(P_INT(l->checkpoint.seq)));

    if (!e)
        e = store_rows_next(rows);
    if (e < 0)
        return e;
    if (e == 0)
        l->record = RECORD_ABSENT;
    else if (str_eq(store_col_blob(rows, 0),
                    (struct str){(const char *)l->checkpoint.mac, MAC_SIZE}))
        l->record = RECORD_SAME;
    else
        l->record = RECORD_OTHER;
    return 0;
}

static int batch_job(struct store_txn *txn, void *arg)
{
    struct batch *b = arg;
    int e = 0;

    for (size_t i = 0; !e && i < b->n; i++)
        e = look_up(txn, &b->lookups[i]);
    return e;
}

static void judge(struct batch *b, const struct lookup *l,
                  const struct trail_verify_options *options, const struct uuid *chain,
                  struct trail_report *report)
{
    const struct checkpoint *c = &l->checkpoint;
    struct trail_finding differs = {FINDING_CHECKPOINT_DIFFERS, c->seq, c->seq, l->line};

    if (l->record == RECORD_OTHER || (!uuid_is_nil(chain) && !uuid_eq(&c->chain, chain))) {
        verify_report(options, report, &differs);
    } else if (l->record == RECORD_SAME) {
        report->checkpoints++;
        if (c->seq > report->last_checkpoint)
            report->last_checkpoint = c->seq;
    } else if (c->seq > report->head && c->seq > b->cut.last) {
        /* Records that are missing before the end have been named with the chain. */
        b->cut = (struct trail_finding){FINDING_TRUNCATED, report->head + 1, c->seq, l->line};
    }
}

static int flush(struct batch *b, const struct trail_verify_options *options,
                 const struct uuid *chain, struct trail_report *report)
{
    int e = b->n ? store_read(b->trail->store, batch_job, b) : 0;

    for (size_t i = 0; !e && i < b->n; i++)
        judge(b, &b->lookups[i], options, chain, report);
    b->n = 0;
    return e;
}

static int read_checkpoints(struct batch *b, struct verify_file *file,
                            const struct trail_verify_options *options, const struct uuid *chain,
                            struct trail_report *report)
{
    char bytes[CHECKPOINT_LINE_MAX];
    size_t n = 0;
    int more;

    while ((more = next_line(file, bytes, &n)) == 1) {
        struct lookup *l = &b->lookups[b->n];
        struct trail_finding f = {.line = file->line};
        f.kind = check_line(b->trail, (struct str){bytes, n}, &l->checkpoint);
        l->line = file->line;
        if (f.kind != FINDING_KINDS)
            verify_report(options, report, &f);
        else if (++b->n == BATCH && (more = flush(b, options, chain, report)) < 0)
            return more;
    }
    if (more == 0)
        report->unfinished_line = n > 0;
    return more ? more : flush(b, options, chain, report);
}

int verify_checkpoints(const struct trail *trail, struct verify_file *file,
                       const struct trail_verify_options *options, const struct uuid *chain,
                       struct trail_report *report)
{
    struct batch *b = calloc(1, sizeof *b);
    int e;

    if (!b)
        return fault_set(FAULT_MEMORY, "no memory to verify the trail");
    b->trail = trail;
    e = read_checkpoints(b, file, options, chain, report);
    if (!e && b->cut.last)
        verify_report(options, report, &b->cut);
    free(b);
    return e;
}
