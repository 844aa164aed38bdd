/*
 * What must hold across options, and what production demands. Rooms: config.
 */
#ifndef HOLDFAST_CONFIG_VALIDATE_H
#define HOLDFAST_CONFIG_VALIDATE_H

#include "config/config.h"

/* Fills origins and proxies from their texts; adds a line a problem. */
void validate_derive(struct config *c, struct buf *problems);

/* Adds a line to *problems for each reason not to serve with c. */
void validate_server(const struct config *c, struct buf *problems);

#endif
