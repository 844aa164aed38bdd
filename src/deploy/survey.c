#include "deploy/survey.h"

const struct survey_table *survey_table(const struct survey *s, const char *name)
{
    for (size_t i = 0; i < s->n_tables; i++)
        if (strcmp(s->tables[i].name, name) == 0)
            return &s->tables[i];
    return NULL;
}

const struct survey_sequence *survey_sequence(const struct survey *s, const char *name)
{
    for (size_t i = 0; i < s->n_sequences; i++)
        if (strcmp(s->sequences[i].name, name) == 0)
            return &s->sequences[i];
    return NULL;
}

const struct survey_kind *survey_kind(const struct survey *s, const char *name)
{
    for (size_t i = 0; i < s->n_kinds; i++)
        if (strcmp(s->kinds[i].name, name) == 0)
            return &s->kinds[i];
    return NULL;
}

int64_t survey_rows(const struct survey *s)
{
    int64_t rows = 0;

    for (size_t i = 0; i < s->n_tables; i++)
        rows += s->tables[i].rows;
    return rows;
}

/* What an extension brings depends on its version, which a dump does not fix. */
static size_t compare_tables(const struct survey *wanted, const struct survey *found,
                             struct buf *findings)
{
    size_t n = 0;

    for (size_t i = 0; i < wanted->n_tables; i++) {
        const struct survey_table *w = &wanted->tables[i], *f = survey_table(found, w->name);
        if (w->extension || (f && f->rows == w->rows))
            continue;
        n++;
        if (f)
            buf_printf(findings, "table %s: %lld rows instead of %lld\n", w->name,
                       (long long)f->rows, (long long)w->rows);
        else
            buf_printf(findings, "table %s: missing\n", w->name);
    }
    for (size_t i = 0; i < found->n_tables; i++) {
        const struct survey_table *f = &found->tables[i];
        if (f->extension || survey_table(wanted, f->name))
            continue;
        n++;
        buf_printf(findings, "table %s: not in the manifest\n", f->name);
    }
    return n;
}

static bool is_between(const struct survey_sequence *w, int64_t value)
{
    if (w->cycles)
        return true;
    return w->step < 0 ? value <= w->value && value >= w->later
                       : value >= w->value && value <= w->later;
}

static size_t compare_sequences(const struct survey *wanted, const struct survey *found,
                                struct buf *findings)
{
    size_t n = 0;

    for (size_t i = 0; i < wanted->n_sequences; i++) {
        const struct survey_sequence *w = &wanted->sequences[i],
                                     *f = survey_sequence(found, w->name);
        if (f && is_between(w, f->value))
            continue;
        n++;
        if (f)
            buf_printf(findings, "sequence %s: at %lld instead of %lld\n", w->name,
                       (long long)f->value, (long long)w->value);
        else
            buf_printf(findings, "sequence %s: missing\n", w->name);
    }
    return n;
}

static size_t compare_extensions(const struct survey *wanted, const struct survey *found,
                                 struct buf *findings)
{
    size_t n = 0;

    for (size_t i = 0; i < wanted->n_extensions; i++) {
        bool there = false;
        for (size_t j = 0; j < found->n_extensions; j++)
            if (strcmp(wanted->extensions[i].name, found->extensions[j].name) == 0)
                there = true;
        if (there)
            continue;
        n++;
        buf_printf(findings, "extension %s: missing\n", wanted->extensions[i].name);
    }
    return n;
}

static size_t compare_kinds(const struct survey *wanted, const struct survey *found,
                            struct buf *findings)
{
    size_t n = 0;

    for (size_t i = 0; i < wanted->n_kinds; i++) {
        const struct survey_kind *w = &wanted->kinds[i], *f = survey_kind(found, w->name);
        if (f && strcmp(w->structure, f->structure) == 0)
            continue;
        n++;
        if (f && f->count == w->count)
            buf_printf(findings, "%s: differ from those that were backed up\n", w->name);
        else
            buf_printf(findings, "%s: %lld instead of %lld\n", w->name,
                       f ? (long long)f->count : 0LL, (long long)w->count);
    }
    for (size_t i = 0; i < found->n_kinds; i++) {
        if (survey_kind(wanted, found->kinds[i].name))
            continue;
        n++;
        buf_printf(findings, "%s: %lld instead of 0\n", found->kinds[i].name,
                   (long long)found->kinds[i].count);
    }
    return n;
}

size_t survey_compare(const struct survey *wanted, const struct survey *found, struct buf *findings)
{
    return compare_tables(wanted, found, findings) + compare_sequences(wanted, found, findings) +
           compare_extensions(wanted, found, findings) + compare_kinds(wanted, found, findings);
}
