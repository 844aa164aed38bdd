/*
 * Files of users: every entry has one state, stands in its line, and is the same whether lines end
 * with LF or CRLF, with a byte order mark or without.
 */
#include "sessions/mass_list.h"

#include "fuzz.h"

static const struct str mark = STR_INIT("\xEF\xBB\xBF");

static void check_counts(const struct mass_list *list)
{
    size_t sum = 0;

    for (int state = MASS_PENDING; state <= MASS_DONE; state++)
        sum += mass_list_count(list, (enum mass_entry_state)state);
    FUZZ_CHECK(sum == list->n);
    FUZZ_CHECK(mass_list_count(list, MASS_PENDING) + mass_list_count(list, MASS_ADDRESS) +
                   mass_list_count(list, MASS_MALFORMED) ==
               list->n);
}

/* What follows the entry's own text in its line is a comment or nothing. */
static void check_entries(struct str file, const struct mass_list *list)
{
    size_t line = 0, last = 0;
    const char *at = file.p;

    for (size_t i = 0; i < list->n; i++) {
        const struct mass_entry *e = &list->entries[i];
        FUZZ_CHECK(e->text.n > 0 && e->text.p >= at && e->line > last);
        FUZZ_CHECK(e->text.p + e->text.n <= file.p + file.n);
        FUZZ_CHECK(!memchr(e->text.p, '\n', e->text.n) && !memchr(e->text.p, '#', e->text.n));
        FUZZ_CHECK(str_eq(e->text, str_trim(e->text)));
        for (; at < e->text.p; at++)
            line += *at == '\n';
        FUZZ_CHECK(e->line == line + 1);
        last = e->line;
    }
}

static void check_same(const struct mass_list *list, struct str text)
{
    struct mass_list other = {0};

    FUZZ_CHECK(mass_list_read(&other, text) == 0);
    FUZZ_CHECK(other.n == list->n);
    for (size_t i = 0; i < list->n; i++) {
        const struct mass_entry *a = &list->entries[i], *b = &other.entries[i];
        FUZZ_CHECK(str_eq(a->text, b->text) && a->line == b->line && a->state == b->state);
        FUZZ_CHECK(a->state != MASS_PENDING || uuid_eq(&a->id, &b->id));
    }
    mass_list_free(&other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str file = {(const char *)data, size};
    _cleanup_buf_ struct buf dos = buf_init(2 * size + 8), marked = buf_init(size + 8);
    struct mass_list list = {0};

    FUZZ_CHECK(mass_list_read(&list, file) == 0);
    check_counts(&list);
    check_entries(file, &list);
    for (size_t i = 0; i < size; i++) {
        if (data[i] == '\n' && (i == 0 || data[i - 1] != '\r'))
            FUZZ_CHECK(buf_add_char(&dos, '\r') == 0);
        FUZZ_CHECK(buf_add_char(&dos, (char)data[i]) == 0);
    }
    check_same(&list, buf_str(&dos));
    if (!str_has_prefix(file, mark)) {
        FUZZ_CHECK(buf_add_str(&marked, mark) == 0 && buf_add_str(&marked, file) == 0);
        check_same(&list, buf_str(&marked));
    }
    mass_list_free(&list);
    return 0;
}
