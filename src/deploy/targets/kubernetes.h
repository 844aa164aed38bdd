/*
 * What the parts of the Kubernetes target share.
 *
 * Rooms: deploy. Ownership: JSON that is returned is the caller's; texts live in the target's
 * arena. Threads: one that may wait.
 *
 * All is asked of kubectl, under the operator's own configuration of it. A release is a patch of
 * the Deployment: the container's image, and the deployment's id as an annotation of the pods, by
 * which its ReplicaSet and pods are known.
 */
#ifndef HOLDFAST_DEPLOY_TARGETS_KUBERNETES_H
#define HOLDFAST_DEPLOY_TARGETS_KUBERNETES_H

#include "deploy/targets/common.h"
#include "deploy/targets/kubernetes_judge.h"

enum { KUBECTL_ARGS_MAX = 12 };

/* Outcome of kubectl_run besides those of target_run: what was asked for does not exist. */
enum { KUBECTL_NONE = 101 };

/*
 * Runs kubectl with these arguments, which end with NULL and hold no secret, in the configured
 * context and namespace. An API server that is not reached is TARGET_UNREACHABLE, a refusal
 * TARGET_FAILED; fault_message() has kubectl's words. The caller frees run.
 */
int kubectl_run(const struct target *t, const char *const *args, struct target_run *run);

/* The same for what prints JSON (the arguments say so): an object, a new reference. */
int kubectl_json(const struct target *t, const char *const *args, json_t **ret);

/* The Deployment as it is now: a new reference. */
int kubernetes_deployment(const struct target *t, json_t **ret);

/* "app=shop,tier=web" of a Deployment's selector; a fault is kept as in target_format. */
const char *kubernetes_selector(const struct target *t, const json_t *deployment, int *fault);

/* The ReplicaSets that the Deployment owns: {"items": […]} with others' left out. */
int kubernetes_sets(const struct target *t, const json_t *deployment, json_t **ret);

/* What the release's end was, into the deployment's directory. */
void kubernetes_evidence(const struct target *t, const json_t *deployment);

#endif
