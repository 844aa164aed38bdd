#include "mail/csv.h"

#include "base/fault.h"

struct csv_reader csv_reader_init(csv_each *each, void *arg)
{
    return (struct csv_reader){
        .each = each, .arg = arg, .text = buf_init(CSV_RECORD_MAX), .line = 1, .begun = 1};
}

void csv_reader_release(struct csv_reader *reader)
{
    buf_free(&reader->text);
}

static void fail(struct csv_reader *r, enum csv_error error)
{
    if (!r->error)
        r->error = error;
}

static void end_cell(struct csv_reader *r)
{
    if (r->n < CSV_CELLS_MAX)
        r->ends[r->n++] = r->text.n;
    else
        fail(r, CSV_TOO_LONG);
    r->at = CSV_START;
}

/* What makes a spreadsheet read a cell as one; some take the signs of full width for the others. */
static bool is_formula(struct str cell)
{
    static const struct str wide[] = {STR_INIT("\uFF1D"), STR_INIT("\uFF0B"), STR_INIT("\uFF0D"),
                                      STR_INIT("\uFF20")};

    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (str_has_prefix(cell, wide[i]))
            return true;
    return cell.n > 0 && memchr("=+-@\t\r\n", cell.p[0], 7);
}

/* Without the apostrophe that csv_add_cell puts in front. */
static struct str plain(struct str cell)
{
    struct str rest = {cell.p + 1, cell.n ? cell.n - 1 : 0};

    return cell.n && cell.p[0] == '\'' && is_formula(rest) ? rest : cell;
}

static int end_record(struct csv_reader *r)
{
    struct str cells[CSV_CELLS_MAX];
    bool blank;
    int result = 0;

    end_cell(r);
    if (r->text.fault == FAULT_MEMORY)
        return FAULT_MEMORY;
    if (r->text.fault)
        fail(r, CSV_TOO_LONG);
    if (!r->error && !str_is_utf8(buf_str(&r->text)))
        fail(r, CSV_NOT_TEXT);
    blank = r->n == 1 && r->text.n == 0 && !r->error;
    for (size_t i = 0, begin = 0; i < r->n && !r->error; i++) {
        cells[i] = plain((struct str){r->text.p + begin, r->ends[i] - begin});
        begin = r->ends[i];
    }
    if (!blank)
        result = r->each(r->begun, r->error, cells, r->error ? 0 : r->n, r->arg);
    buf_reset(&r->text);
    r->n = 0;
    r->error = (enum csv_error)0;
    r->begun = r->line;
    return result;
}

static void add(struct csv_reader *r, char c)
{
    if (c == 0)
        fail(r, CSV_NOT_TEXT);
    buf_add_char(&r->text, c);
}

/* A byte inside of quotes. */
static void take_quoted(struct csv_reader *r, char c)
{
    if (c == '"')
        r->at = CSV_QUOTE_SEEN;
    else
        add(r, c);
}

/* A byte outside of quotes, or behind one. */
static int take_plain(struct csv_reader *r, char c)
{
    if (c == ',') {
        end_cell(r);
        return 0;
    }
    if (c == '\n' || c == '\r') {
        r->cr = c == '\r';
        r->line += c == '\r';
        return end_record(r);
    }
    if (c == '"' && r->at == CSV_START) {
        r->at = CSV_QUOTED;
    } else if (c == '"' && r->at == CSV_QUOTE_SEEN) {
        add(r, c);
        r->at = CSV_QUOTED;
    } else {
        if (c == '"' || r->at == CSV_QUOTE_SEEN)
            fail(r, CSV_QUOTE);
        add(r, c);
        r->at = CSV_PLAIN;
    }
    return 0;
}

/* Some programs begin a file with a byte order mark; it is no part of the first cell. */
static void drop_mark(struct csv_reader *r)
{
    if (r->begun == 1 && r->n == 0 && r->at == CSV_PLAIN &&
        str_eq(buf_str(&r->text), STR("\xef\xbb\xbf"))) {
        buf_reset(&r->text);
        r->at = CSV_START;
    }
}

int csv_reader_feed(struct csv_reader *r, struct str piece)
{
    int result = 0;

    for (size_t i = 0; result == 0 && i < piece.n; i++) {
        char c = piece.p[i];
        bool second = r->cr && c == '\n';
        r->cr = false;
        if (r->text.n == 3)
            drop_mark(r);
        if (second)
            continue;
        r->line += c == '\n';
        if (r->at == CSV_QUOTED)
            take_quoted(r, c);
        else
            result = take_plain(r, c);
    }
    return result;
}

int csv_reader_finish(struct csv_reader *r)
{
    drop_mark(r);
    if (r->at == CSV_QUOTED)
        fail(r, CSV_QUOTE);
    return r->n || r->text.n || r->error || r->at != CSV_START ? end_record(r) : 0;
}

void csv_add_cell(struct buf *out, struct str cell, bool first)
{
    buf_add_str(out, first ? STR("\"") : STR(",\""));
    if (is_formula(cell))
        buf_add_char(out, '\'');
    for (size_t i = 0; i < cell.n; i++) {
        if (cell.p[i] == '"')
            buf_add_char(out, '"');
        buf_add_char(out, cell.p[i]);
    }
    buf_add_char(out, '"');
}

void csv_add_end(struct buf *out)
{
    buf_add_str(out, STR("\r\n"));
}
