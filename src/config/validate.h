/*
 * What must hold across options, and what production demands. Rooms: config.
 */
#ifndef HOLDFAST_CONFIG_VALIDATE_H
#define HOLDFAST_CONFIG_VALIDATE_H

#include "config/config.h"

/* Fills the lists from their texts; adds a line a problem. */
void validate_derive(struct config *c, struct buf *problems);

/* Adds a line to *problems for each reason not to serve with c. */
void validate_server(const struct config *c, struct buf *problems);

/* Their parts that are about mail. */
void validate_derive_mail(struct config *c, struct buf *problems);
void validate_mail(const struct config *c, struct buf *problems);

/* Whether s is an exact origin: scheme, host in lower case, maybe a port; nothing else. */
bool validate_origin(struct str s);

#endif
