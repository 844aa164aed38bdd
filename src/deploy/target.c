#include "deploy/target.h"

static const struct target_kind *const kinds[] = {&target_process, &target_pm2, &target_compose,
                                                  &target_ecs, &target_kubernetes};

const struct target_kind *target_kind(const struct conf_environment *e)
{
    for (size_t i = 0; i < sizeof kinds / sizeof(*kinds); i++)
        if (kinds[i]->id == (enum target_id)e->target.kind)
            return kinds[i];
    return NULL;
}

const char *target_health_path(const struct conf_environment *e)
{
    const char *host = strstr(e->health.url, "://");
    const char *path = host ? strchr(host + 3, '/') : NULL;

    return path ? path : "/";
}
