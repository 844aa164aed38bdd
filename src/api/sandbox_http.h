/*
 * The sandbox over HTTP, for development: MailHog's JSON API over the messages that are kept, and a
 * page for people. It stands on an engine of its own beside the product's, on loopback, and asks
 * nobody who they are.
 *
 * So that no page of the web reads the messages through a browser on this machine: only the names
 * of this machine are answered to (a foreign name that resolves here is refused), no other origin
 * is allowed in (no CORS), and what a message holds is shown in a frame without scripts.
 *
 * Rooms: api and cli. Ownership: the caller's, and it outlives the engine. Threads: as struct
 * http_app says.
 */
#ifndef HOLDFAST_API_SANDBOX_HTTP_H
#define HOLDFAST_API_SANDBOX_HTTP_H

#include "http/engine.h"
#include "store/store.h"

struct sandbox_http {
    struct store *store;
    bool open; /* it listens beyond loopback, so addresses and names of one label are its own too */
};

/* What the engine calls. */
struct http_app sandbox_http_app(struct sandbox_http *h);

/* The bounds that its engine needs: whole messages go out as JSON. */
void sandbox_http_options(struct http_options *ret);

/* Whether a Host is the sandbox's own: a name or address, maybe with a port. */
bool sandbox_http_is_own(struct str host, bool open);

#endif
