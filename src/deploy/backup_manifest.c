#include "deploy/backup_manifest.h"

#include "base/clock.h"
#include "base/fault.h"

#include <jansson.h>

/* The texts of a manifest: written, read and required from one list. */
static const struct text {
    const char *key;
    size_t at;
} texts[] = {
    {"file", offsetof(struct backup_manifest, file)},
    {"engine", offsetof(struct backup_manifest, engine)},
    {"database", offsetof(struct backup_manifest, database)},
    {"serverVersion", offsetof(struct backup_manifest, server)},
    {"tool", offsetof(struct backup_manifest, tool)},
    {"kept", offsetof(struct backup_manifest, kept)},
    {"damage", offsetof(struct backup_manifest, damage)},
    {"system", offsetof(struct backup_manifest, system)},
    {"databaseOid", offsetof(struct backup_manifest, oid)},
    {"snapshot", offsetof(struct backup_manifest, snapshot)},
    {"walLsn", offsetof(struct backup_manifest, wal)},
    {"encoding", offsetof(struct backup_manifest, encoding)},
    {"collate", offsetof(struct backup_manifest, collate)},
    {"ctype", offsetof(struct backup_manifest, ctype)},
};
enum { TEXTS = sizeof texts / sizeof *texts };

static const char **text_at(const struct backup_manifest *m, size_t at)
{
    return (const char **)((uintptr_t)m + at);
}

static void write_str(struct json_writer *w, const char *key, const char *value)
{
    json_key(w, key);
    json_str(w, str_of(value ? value : ""));
}

static void write_int(struct json_writer *w, const char *key, int64_t value)
{
    json_key(w, key);
    json_int(w, value);
}

static void write_bool(struct json_writer *w, const char *key, bool value)
{
    json_key(w, key);
    json_bool(w, value);
}

static void write_tables(struct json_writer *w, const struct survey *s)
{
    json_key(w, "tables");
    json_array_begin(w);
    for (size_t i = 0; i < s->n_tables; i++) {
        json_object_begin(w);
        write_str(w, "name", s->tables[i].name);
        write_int(w, "rows", s->tables[i].rows);
        if (s->tables[i].extension)
            write_bool(w, "extension", true);
        json_object_end(w);
    }
    json_array_end(w);
}

static void write_sequences(struct json_writer *w, const struct survey *s)
{
    json_key(w, "sequences");
    json_array_begin(w);
    for (size_t i = 0; i < s->n_sequences; i++) {
        const struct survey_sequence *q = &s->sequences[i];
        json_object_begin(w);
        write_str(w, "name", q->name);
        write_int(w, "value", q->value);
        write_int(w, "valueAfter", q->later);
        write_int(w, "step", q->step);
        write_bool(w, "called", q->called);
        write_bool(w, "cycles", q->cycles);
        json_object_end(w);
    }
    json_array_end(w);
}

static void write_schema(struct json_writer *w, const struct survey *s)
{
    json_key(w, "extensions");
    json_array_begin(w);
    for (size_t i = 0; i < s->n_extensions; i++) {
        json_object_begin(w);
        write_str(w, "name", s->extensions[i].name);
        write_str(w, "version", s->extensions[i].version);
        json_object_end(w);
    }
    json_array_end(w);
    json_key(w, "schema");
    json_array_begin(w);
    for (size_t i = 0; i < s->n_kinds; i++) {
        json_object_begin(w);
        write_str(w, "name", s->kinds[i].name);
        write_int(w, "count", s->kinds[i].count);
        write_str(w, "structure", s->kinds[i].structure);
        write_str(w, "definitions", s->kinds[i].definitions);
        json_object_end(w);
    }
    json_array_end(w);
}

int backup_manifest_write(const struct backup_manifest *m, struct buf *out)
{
    struct json_writer w = json_writer(out);

    json_object_begin(&w);
    write_int(&w, "format", BACKUP_FORMAT);
    json_key(&w, "id");
    json_uuid(&w, &m->id);
    json_key(&w, "takenAt");
    json_time(&w, m->taken_at);
    for (size_t i = 0; i < TEXTS; i++)
        write_str(&w, texts[i].key, *text_at(m, texts[i].at));
    write_int(&w, "bytes", m->bytes);
    write_int(&w, "databaseBytes", m->database_bytes);
    write_str(&w, "sha256", m->sha256);
    json_key(&w, "verifiedAt");
    json_time(&w, m->verified_at);
    write_tables(&w, &m->survey);
    write_sequences(&w, &m->survey);
    write_schema(&w, &m->survey);
    json_object_end(&w);
    buf_add_char(out, '\n');
    return buf_fault(out);
}

/* What reads: the first thing wrong is kept, and what follows reads as empty. */
struct reader {
    struct arena *a;
    int result;
};

static int wrong(struct reader *r, const char *key)
{
    if (r->result == 0) {
        fault_keep("\"%s\" is missing or not what it has to be", key);
        r->result = MANIFEST_BAD;
    }
    return r->result;
}

static const char *read_str(struct reader *r, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_string(value)) {
        wrong(r, key);
        return "";
    }
    struct str s = {json_string_value(value), json_string_length(value)};
    if (memchr(s.p, '\0', s.n))
        wrong(r, key);
    const char *copy = arena_str(r->a, s).p;
    if (!copy)
        r->result = FAULT_MEMORY;
    return copy ? copy : "";
}

static int64_t read_int(struct reader *r, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_integer(value))
        wrong(r, key);
    return json_integer_value(value);
}

/* null is 0. */
static int64_t read_time(struct reader *r, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    int64_t ms = 0;

    if (!json_is_null(value) && clock_parse(str_of(json_string_value(value)), &ms))
        wrong(r, key);
    return ms;
}

/* The array of this name; its length, and zeroed room for it. */
static void *read_array(struct reader *r, const json_t *root, const char *key, size_t size,
                        const json_t **ret_array, size_t *ret_n)
{
    const json_t *array = json_object_get(root, key);
    size_t n = json_array_size(array);
    void *room = arena_array(r->a, n, size);

    if (!json_is_array(array))
        wrong(r, key);
    if (!room)
        r->result = FAULT_MEMORY;
    *ret_array = array;
    *ret_n = room ? n : 0;
    return room;
}

static void read_tables(struct reader *r, const json_t *root, struct survey *s)
{
    const json_t *array;

    s->tables = read_array(r, root, "tables", sizeof *s->tables, &array, &s->n_tables);
    for (size_t i = 0; i < s->n_tables; i++) {
        const json_t *o = json_array_get(array, i);
        s->tables[i] = (struct survey_table){read_str(r, o, "name"), read_int(r, o, "rows"),
                                             json_is_true(json_object_get(o, "extension"))};
    }
}

static void read_sequences(struct reader *r, const json_t *root, struct survey *s)
{
    const json_t *array;

    s->sequences = read_array(r, root, "sequences", sizeof *s->sequences, &array, &s->n_sequences);
    for (size_t i = 0; i < s->n_sequences; i++) {
        const json_t *o = json_array_get(array, i);
        s->sequences[i] =
            (struct survey_sequence){.name = read_str(r, o, "name"),
                                     .value = read_int(r, o, "value"),
                                     .later = read_int(r, o, "valueAfter"),
                                     .step = read_int(r, o, "step"),
                                     .called = json_is_true(json_object_get(o, "called")),
                                     .cycles = json_is_true(json_object_get(o, "cycles"))};
    }
}

static void read_schema(struct reader *r, const json_t *root, struct survey *s)
{
    const json_t *array;

    s->extensions =
        read_array(r, root, "extensions", sizeof *s->extensions, &array, &s->n_extensions);
    for (size_t i = 0; i < s->n_extensions; i++) {
        const json_t *o = json_array_get(array, i);
        s->extensions[i] =
            (struct survey_extension){read_str(r, o, "name"), read_str(r, o, "version")};
    }
    s->kinds = read_array(r, root, "schema", sizeof *s->kinds, &array, &s->n_kinds);
    for (size_t i = 0; i < s->n_kinds; i++) {
        const json_t *o = json_array_get(array, i);
        s->kinds[i] =
            (struct survey_kind){read_str(r, o, "name"), read_int(r, o, "count"),
                                 read_str(r, o, "structure"), read_str(r, o, "definitions")};
    }
}

static void read_all(struct reader *r, const json_t *root, struct backup_manifest *m)
{
    const char *digest = read_str(r, root, "sha256");

    if (uuid_parse(str_of(read_str(r, root, "id")), &m->id))
        wrong(r, "id");
    for (size_t i = 0; i < TEXTS; i++)
        *text_at(m, texts[i].at) = read_str(r, root, texts[i].key);
    if (strchr(m->file, '/') || !*m->file)
        wrong(r, "file");
    m->taken_at = read_time(r, root, "takenAt");
    m->verified_at = read_time(r, root, "verifiedAt");
    m->bytes = read_int(r, root, "bytes");
    m->database_bytes = read_int(r, root, "databaseBytes");
    if (strlen(digest) != BACKUP_DIGEST_SIZE - 1)
        wrong(r, "sha256");
    snprintf(m->sha256, sizeof m->sha256, "%s", digest);
    read_tables(r, root, &m->survey);
    read_sequences(r, root, &m->survey);
    read_schema(r, root, &m->survey);
}

int backup_manifest_read(struct str json, struct arena *a, struct backup_manifest *ret)
{
    struct backup_manifest m = {0};
    struct reader r = {.a = a};
    json_error_t error;
    json_t *root = json_loadb(json.p, json.n, JSON_REJECT_DUPLICATES, &error);

    if (!json_is_object(root)) {
        json_decref(root);
        fault_keep("it is no JSON: line %d: %.200s", error.line, error.text);
        return MANIFEST_BAD;
    }
    int64_t format = json_integer_value(json_object_get(root, "format"));
    if (format > BACKUP_FORMAT) {
        fault_keep("it is of format %lld, and this version of Holdfast knows %d", (long long)format,
                   BACKUP_FORMAT);
        r.result = MANIFEST_NEWER;
    } else if (format < 1) {
        wrong(&r, "format");
    } else {
        read_all(&r, root, &m);
    }
    json_decref(root);
    if (r.result == 0)
        *ret = m;
    return r.result;
}
