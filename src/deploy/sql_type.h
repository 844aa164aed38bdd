/*
 * Types of columns: whether a change of one loses values, and whether it rewrites the table.
 * Rooms: deploy, cli. Ownership: nothing is kept. Threads: any.
 */
#ifndef HOLDFAST_DEPLOY_SQL_TYPE_H
#define HOLDFAST_DEPLOY_SQL_TYPE_H

#include "base/str.h"

enum sql_change {
    SQL_TYPE_SAME,
    SQL_TYPE_WIDER, /* holds each value of the old one */
    SQL_TYPE_NARROWER,
    SQL_TYPE_OTHER /* not comparable, or not known: an enum, a type of an extension */
};

/*
 * Compares types as SQL writes them ("varchar(20)", "character varying(20)", "int4[]"). ret_rewrite
 * says whether PostgreSQL (12 and later) writes every row anew for it; where that is not known,
 * that it does.
 */
enum sql_change sql_type_change(struct str from, struct str to, bool *ret_rewrite);

#endif
