/*
 * The URL of a product's database as its own framework writes it, made into one for libpq.
 * Rooms: deploy, cli. Ownership: all is the arena's. Threads: any.
 *
 * Prisma's URLs carry parameters of its own, which libpq refuses: schema, connection_limit,
 * pool_timeout, socket_timeout, statement_cache_size, pgbouncer, sslaccept. The schema is taken,
 * those that concern Prisma's pool are left out, and those that change who is spoken to are
 * refused.
 */
#ifndef HOLDFAST_DEPLOY_PRODUCT_URL_H
#define HOLDFAST_DEPLOY_PRODUCT_URL_H

#include "base/arena.h"

struct product_url {
    const char *url;    /* for deploy/pg.h */
    const char *schema; /* where the product's tables are; "public" where the URL names none */
};

/* Outcome: fault_message() says what is wrong with it, without a secret. */
enum { PRODUCT_URL_WRONG = 1 };

int product_url_read(struct arena *a, const char *url, struct product_url *ret);

#endif
