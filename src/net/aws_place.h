/*
 * Where services of AWS are.
 * Rooms: those below net. Ownership: plain values. Threads: any.
 */
#ifndef HOLDFAST_NET_AWS_PLACE_H
#define HOLDFAST_NET_AWS_PLACE_H

#include "net/aws.h"

enum { AWS_ORIGIN_SIZE = 300 };

/* How requests to a service are signed: "ses". */
struct str aws_service_name(enum aws_service service);

/* Such as "https://email.eu-west-1.amazonaws.com", or the options' own endpoint. Returns 0, or
 * FAULT_LIMIT where the region or the endpoint is too long. */
int aws_origin(const struct aws_options *options, enum aws_service service,
               char ret[AWS_ORIGIN_SIZE]);

/*
 * Whether a URL for credentials may be asked: https, or http of this machine or of the addresses at
 * which Amazon's containers find theirs.
 */
bool aws_container_url_is_near(struct str url);

#endif
