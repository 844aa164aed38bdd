/*
 * What a Deployment of Kubernetes says of its rollout.
 *
 * Rooms: deploy. Ownership: what is returned of JSON is borrowed. Threads: any.
 */
#ifndef HOLDFAST_DEPLOY_TARGETS_KUBERNETES_JUDGE_H
#define HOLDFAST_DEPLOY_TARGETS_KUBERNETES_JUDGE_H

#include <jansson.h>
#include <stdbool.h>

/* The annotation of pods that holds the deployment's id. */
#define KUBERNETES_ANNOTATION "holdfast/deployment"

enum kubernetes_verdict {
    KUBERNETES_WAITING,
    KUBERNETES_STABLE,
    KUBERNETES_LATE, /* past its progress deadline, unless kubernetes_is_late says otherwise */
    KUBERNETES_FAILED
};

enum { KUBERNETES_WHY_SIZE = 300 };

/* A template: of which deployment, and the image of its container. */
struct kubernetes_wanted {
    const char *id, *container, *image;
};

/*
 * Stable once the controller has seen the last change and all replicas that are wanted are of it
 * and available, and no others are left. Failed where it is paused or
 * wants no replica, which proves nothing, and where its template is not that of the deployment with
 * the id ("": of none), with the container at the image. why says how far it is, or what is wrong.
 */
enum kubernetes_verdict kubernetes_judge(const json_t *deployment,
                                         const struct kubernetes_wanted *w,
                                         char why[KUBERNETES_WHY_SIZE]);

/* Whether the deadline that is said to be over is that of the ReplicaSet of this name. */
bool kubernetes_is_late(const json_t *deployment, const char *set);

/* Whether its template is that one. */
bool kubernetes_is(const json_t *object, const struct kubernetes_wanted *w);

/* Of which deployment's the object with a pod template is; "": of none. */
const char *kubernetes_id_of(const json_t *object);

/* The container of that name in the object's template; NULL: none. */
const json_t *kubernetes_container(const json_t *object, const char *name);

/* How many replicas it wants. */
int64_t kubernetes_replicas(const json_t *object);

/* Which of its revisions an object is; "" where it does not say. */
const char *kubernetes_revision(const json_t *object);

#endif
