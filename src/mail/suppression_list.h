/*
 * The statement that a page of the list of suppressions is read by.
 *
 * Rooms: mail; for others there is suppression_list. Ownership: parameters point into the query.
 * Threads: any.
 */
#ifndef HOLDFAST_MAIL_SUPPRESSION_LIST_H
#define HOLDFAST_MAIL_SUPPRESSION_LIST_H

#include "mail/suppression.h"

enum { SUPPRESSION_LIST_PARAMS = 10 };

struct suppression_statement {
    const char *sql;
    struct store_param params[SUPPRESSION_LIST_PARAMS];
    size_t n;
};

struct suppression_statement suppression_statement(const struct suppression_query *query);

#endif
