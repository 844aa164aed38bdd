#include "trail/actions.h"

static const struct {
    const char *name, *help;
} actions[] = {
#define TRAIL_ACTION_ROW(constant, name, help) {name, help},
    TRAIL_ACTIONS(TRAIL_ACTION_ROW)
#undef TRAIL_ACTION_ROW
};

static bool known(enum trail_action action)
{
    return (unsigned)action < TRAIL_ACTION_COUNT;
}

const char *trail_action_name(enum trail_action action)
{
    return known(action) ? actions[action].name : NULL;
}

const char *trail_action_help(enum trail_action action)
{
    return known(action) ? actions[action].help : NULL;
}

int trail_action_parse(struct str name, enum trail_action *ret_action)
{
    for (unsigned i = 0; i < TRAIL_ACTION_COUNT; i++) {
        if (str_eq(name, str_of(actions[i].name))) {
            *ret_action = (enum trail_action)i;
            return 0;
        }
    }
    return 1;
}
