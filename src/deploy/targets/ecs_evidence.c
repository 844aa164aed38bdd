#include "base/clock.h"
#include "deploy/targets/ecs.h"

#include <time.h>

enum { EVENTS = 50, TASKS_MAX = 100 };

/* ECS gives times as seconds with a fraction. */
static void write_time(FILE *file, const json_t *seconds)
{
    char text[CLOCK_TEXT_SIZE];

    clock_format((int64_t)(json_number_value(seconds) * CLOCK_SECOND), text);
    fprintf(file, "%s ", text);
}

static void write_events(FILE *file, const json_t *service)
{
    const json_t *event;
    size_t i;

    fprintf(file, "-- events of the service, the newest first\n");
    json_array_foreach(json_object_get(service, "events"), i, event)
    {
        if (i == EVENTS)
            break;
        write_time(file, json_object_get(event, "createdAt"));
        fprintf(file, "%s\n", target_text(event, "message"));
    }
}

static void write_container(FILE *file, const json_t *container)
{
    const json_t *code = json_object_get(container, "exitCode");

    fprintf(file, "    container %s: %s, health %s", target_text(container, "name"),
            target_text(container, "lastStatus"), target_text(container, "healthStatus"));
    if (code)
        fprintf(file, ", exit code %lld", (long long)json_integer_value(code));
    fprintf(file, " %s\n", target_text(container, "reason"));
}

static void write_tasks(FILE *file, const json_t *tasks, const char *definition)
{
    const json_t *task, *container;
    size_t i, k;

    json_array_foreach(tasks, i, task)
    {
        if (strcmp(target_text(task, "taskDefinitionArn"), definition) != 0)
            continue;
        fprintf(file, "-- task %s: %s, %s %s\n", target_text(task, "taskArn"),
                target_text(task, "lastStatus"), target_text(task, "stopCode"),
                target_text(task, "stoppedReason"));
        json_array_foreach(json_object_get(task, "containers"), k, container)
        {
            write_container(file, container);
        }
    }
}

/* Tasks of the service's family that are wanted to be so. ECS forgets stopped ones after an hour.
 */
static int describe_tasks(struct ecs *e, const char *status, const char *definition, FILE *file)
{
    json_t *list _cleanup_json_ = NULL, *tasks _cleanup_json_ = NULL;
    struct str rest = str_of(definition), family = rest;

    while (str_next(&rest, '/', &family))
        ;
    family.n = str_find(family, ':');
    int r =
        ecs_call(e, "ListTasks",
                 json_pack("{s:s, s:s%, s:s, s:i}", "cluster", e->conf->cluster, "family", family.p,
                           family.n, "desiredStatus", status, "maxResults", TASKS_MAX),
                 false, &list);
    json_t *arns = json_object_get(list, "taskArns");
    if (r || json_array_size(arns) == 0)
        return r;
    r = ecs_call(e, "DescribeTasks",
                 json_pack("{s:s, s:O}", "cluster", e->conf->cluster, "tasks", arns), false,
                 &tasks);
    if (r == 0)
        write_tasks(file, json_object_get(tasks, "tasks"), definition);
    return r;
}

void ecs_evidence(struct ecs *e, const char *definition)
{
    json_t *service _cleanup_json_ = NULL;
    FILE *file = target_evidence(e->t, "ecs.log");

    if (!file)
        return;
    int r = ecs_service(e, &service);
    if (r == 0) {
        write_events(file, service);
        r = describe_tasks(e, "STOPPED", definition, file);
    }
    if (r == 0)
        r = describe_tasks(e, "RUNNING", definition, file);
    if (r)
        fprintf(file, "(no more could be learned)\n");
    fclose(file);
}
