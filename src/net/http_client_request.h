/*
 * Whether a request is one that may be made.
 * Rooms: net alone. Threads: any.
 */
#ifndef HOLDFAST_HTTP_CLIENT_REQUEST_H
#define HOLDFAST_HTTP_CLIENT_REQUEST_H

#include "net/http_client.h"

enum { HTTP_CLIENT_PLACE_MAX = 64 }; /* of a region or a service */

/*
 * Method and headers: tokens (RFC 9110, section 5.6.2), values of one line, none that libcurl is to
 * write. Returns 0, or 1 with the reason as fault_message().
 */
int http_client_check(const struct http_client_request *request);

/* Whether s is a header's name or a method. */
bool http_client_is_token(struct str s);

/*
 * The parts of a signature, and whether path and query (without its "?") are such that they are
 * signed as AWS reads them. Returns 0, or 1 with the reason as fault_message().
 */
int http_client_check_aws(const struct http_client_aws *aws, struct str path, struct str query);

#endif
