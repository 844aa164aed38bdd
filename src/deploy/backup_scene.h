/*
 * What tests of backups share: a product with rows, a directory, and lines that were said.
 * Rooms: tests of deploy. Ownership: scene_release removes all. Threads: the test's.
 */
#ifndef HOLDFAST_DEPLOY_BACKUP_SCENE_H
#define HOLDFAST_DEPLOY_BACKUP_SCENE_H

#include "deploy/backup.h"
#include "deploy/fixture.h"

struct scene {
    struct product *p;
    char directory[64];
    struct arena a;
    struct buf said;
    struct progress progress;
    struct backup_place place;
};

/* cmocka's setup and teardown, over those of PRODUCT_TEST. */
int scene_new(void **state);
int scene_release(void **state);

/* Takes a backup, which must succeed. */
struct backup scene_backup(struct scene *s);

/* How many names the directory holds that end in suffix. */
int scene_files(struct scene *s, const char *suffix);

/* How many databases the server has whose names are like pattern. */
int64_t scene_databases(struct scene *s, const char *pattern);

/* Connects to the product's database anew: a swap ends the connection. */
void scene_reconnect(struct scene *s);

bool scene_said(const struct scene *s, const char *text);

#define SCENE_TEST(function) cmocka_unit_test_setup_teardown(function, scene_new, scene_release)

#endif
