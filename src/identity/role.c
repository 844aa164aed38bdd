#include "identity/role.h"

static const struct str names[ROLE_COUNT] = {
    [ROLE_MEMBER] = STR_INIT("member"),
    [ROLE_ADMIN] = STR_INIT("admin"),
    [ROLE_OPERATOR] = STR_INIT("operator"),
};

struct str role_name(enum role role)
{
    return names[role];
}

int role_parse(struct str name, enum role *ret_role)
{
    for (int i = 0; i < ROLE_COUNT; i++) {
        if (str_eq(name, names[i])) {
            *ret_role = (enum role)i;
            return 0;
        }
    }
    return 1;
}
