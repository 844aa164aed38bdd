/*
 * What the parts of the compose target share.
 *
 * Rooms: deploy. Ownership: JSON that is returned is the caller's; texts live in the target's
 * arena. Threads: one that may wait.
 *
 * The compose file takes the release by a variable. What ran before is brought back by the ids of
 * its images, whatever their names stand for by then.
 */
#ifndef HOLDFAST_DEPLOY_TARGETS_COMPOSE_H
#define HOLDFAST_DEPLOY_TARGETS_COMPOSE_H

#include "deploy/targets/common.h"

/* What an image of a release that was replaced is called, so that it is not pruned: with the
 * project, the deployment's id and the service behind it. */
#define COMPOSE_PREVIOUS "holdfast-previous"
/* The same of an image that had the name which one of before needed again. */
#define COMPOSE_MOVED "holdfast-moved"

struct compose {
    const struct target *t;
    const struct conf_target *conf;
    bool plugin;         /* "docker compose", else "docker-compose" */
    const char *project; /* its name, by which its containers are labelled; NULL: not yet known */
};

/* Outcome of compose_image_id besides those of targets: there is no such image here. */
enum { COMPOSE_NO_IMAGE = 102 };

/* Finds out which compose there is. state: of the deployment, or NULL. Returns 0, an outcome or a
 * fault. */
int compose_open(const struct target *t, const json_t *state, struct compose *ret);

/* Runs compose with these arguments, the variable at value, in the project's directory. An engine
 * that does not answer is TARGET_UNREACHABLE. */
int compose_run(struct compose *c, const char *const *args, const char *value,
                struct target_run *run);

/* Runs docker; what it prints is in run. */
int compose_docker(const struct compose *c, const char *const *args, struct target_run *run);

/* "up" of these services without those they depend on, at value, as many containers of each as the
 * snapshot had. */
int compose_up(struct compose *c, const struct conf_words *services, const json_t *state,
               const char *value);

/* The images that the compose file names with the variable at value: {"web": "shop:1", …} for the
 * configured services. TARGET_FAILED where one of them is not there, or has no image. The project's
 * name is known behind it where compose tells it. */
int compose_images(struct compose *c, const char *value, json_t **ret);

/* A service's containers as docker describes them, stopped ones too. */
int compose_containers(struct compose *c, const char *service, json_t **ret);

/* The id of the image that a name stands for now. */
int compose_image_id(const struct compose *c, const char *name, const char **ret);

/* A container's state in docker's words ("running"), the id of its image, and its image's name. */
const char *compose_status(const json_t *container);
const char *compose_image_of(const json_t *container);
const char *compose_name_of(const json_t *container);

/* Whether it does not run, and is not about to. */
bool compose_is_ended(const json_t *container);

/* The service as the snapshot has it, or NULL where it did not run. */
const json_t *compose_previous(const json_t *state, const char *service);

/*
 * Waits until each service in ids ({"web": "sha256:…"}) runs as many containers as the snapshot had
 * of the image of that id, and no other: running for a while, or healthy where there is a health
 * check. While there is a deadline the engine may be out of reach in between.
 */
int compose_wait(struct compose *c, const json_t *ids, const json_t *state);

/* States and logs of the services' containers, into the deployment's directory. */
void compose_evidence(struct compose *c);

/* What target.h says of them (compose_back.c). */
int compose_roll_back(struct compose *c, const json_t *state);
int compose_clean_up(struct compose *c, const json_t *state, bool proven);

/* Gives the snapshot's images the names by which they are kept. */
int compose_keep(struct compose *c, const json_t *state);

/* The place in text of the image of a service, and of the project's name; empty: none
 * (compose_config.c). */
struct str compose_config_image(struct str text, struct str service);
struct str compose_config_name(struct str text);

#endif
