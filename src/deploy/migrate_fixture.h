/*
 * What tests of migrations share: a product's database, a directory of migrations, what was said.
 * Rooms: tests of deploy. Ownership: scene_release frees it. Threads: the test's.
 */
#ifndef HOLDFAST_DEPLOY_MIGRATE_FIXTURE_H
#define HOLDFAST_DEPLOY_MIGRATE_FIXTURE_H

#include "deploy/fixture.h"
#include "deploy/migrate_apply.h"

struct scene {
    struct product *product;
    char directory[64];
    struct arena a;
    struct buf said;          /* lines of progress */
    struct progress progress; /* into it */
    atomic_int cancel;
    struct migrate_options options; /* of session(); fast, and may be changed */
    struct migrations files;        /* as last read */
    struct migrate_view view;
    struct migrate_plan plan;
    struct migrate_report report;
};

/* cmocka's setup and teardown; the state is a struct scene. */
int scene_new(void **state);
int scene_release(void **state);

/* Writes prisma/migrations/NAME/migration.sql. */
void scene_put(struct scene *s, const char *name, const char *sql);

/* A session; with the lock where locked. */
struct migrate *scene_session(struct scene *s, bool locked);

/* Reads files and history into the scene; it must succeed. */
void scene_look(struct scene *s, struct migrate *m);

/* The state of a migration at the last look. */
enum migrate_state scene_state(const struct scene *s, const char *name);

/* A whole run: session, lock, look, ready, plan, apply. Returns the first outcome that is not 0. */
int scene_deploy(struct scene *s);

/* The first column of the first row, "" where there is none; valid until the scene ends. */
const char *scene_text(struct scene *s, const char *sql);

#define SCENE_TEST(function) cmocka_unit_test_setup_teardown(function, scene_new, scene_release)

#define assert_holds(text, part)                                                                   \
    do {                                                                                           \
        const char *whole_ = (text);                                                               \
        if (!strstr(whole_, (part)))                                                               \
            fail_msg("no \"%s\" in: %s", (part), whole_);                                          \
    } while (0)

#endif
