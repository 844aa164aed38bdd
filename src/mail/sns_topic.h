/*
 * What the ARN of a topic tells: where its SNS lives, and what its certificates are made out to.
 * Rooms: mail. Ownership: views into the ARN. Threads: any.
 */
#ifndef HOLDFAST_MAIL_SNS_TOPIC_H
#define HOLDFAST_MAIL_SNS_TOPIC_H

#include "base/buf.h"

enum { SNS_REGION_MAX = 32, SNS_HOST_SIZE = 96, SNS_NAMES = 4 };

struct sns_topic {
    struct str region;
    struct str domain; /* "amazonaws.com" or "amazonaws.com.cn" */
};

/* Returns 0, or 1 where arn is not one of a topic. */
int sns_topic_parse(struct str arn, struct sns_topic *ret_topic);

/* The host of the topic's SNS, such as "sns.us-east-1.amazonaws.com". */
void sns_topic_host(const struct sns_topic *topic, char ret_host[SNS_HOST_SIZE]);

/*
 * The names that AWS gives the certificates of this region's SNS: one for the older regions
 * together, and for others one of their own.
 */
void sns_topic_names(const struct sns_topic *topic, char ret_names[SNS_NAMES][SNS_HOST_SIZE]);

#endif
