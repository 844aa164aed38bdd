/*
 * Roles: what a user may do. member: their own things; admin: also their tenant's; operator: also
 * the installation's.
 * Rooms: identity and below. Threads: any.
 */
#ifndef HOLDFAST_ROLE_H
#define HOLDFAST_ROLE_H

#include "base/str.h"

/* In ascending order of power: comparing two roles with < is meaningful. */
enum role { ROLE_MEMBER, ROLE_ADMIN, ROLE_OPERATOR };
enum { ROLE_COUNT = 3 };

/* "member", "admin" or "operator": the names in the store, in tokens and on the wire. */
struct str role_name(enum role role);

/* Returns 0, or 1 where name is not exactly one of the names. */
int role_parse(struct str name, enum role *ret_role);

#endif
