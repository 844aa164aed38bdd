/*
 * Takes a message apart for those who look at it: fields, body, and the parts of a multipart. What
 * it reads is a stranger's and may be no message at all; everything is bounded, nothing is refused.
 *
 * Rooms: mail. Ownership: views into the message. Threads: any.
 */
#ifndef HOLDFAST_MAIL_MESSAGE_PARTS_H
#define HOLDFAST_MAIL_MESSAGE_PARTS_H

#include "base/str.h"

enum {
    MESSAGE_FIELDS_MAX = 200, /* further ones are passed over */
    MESSAGE_PARTS_MAX = 50,
    MESSAGE_BOUNDARY_MAX = 70 /* RFC 2046, section 5.1.1 */
};

struct message_field {
    struct str name, value; /* the value as it came, with its folds */
};

struct message_head {
    struct message_field fields[MESSAGE_FIELDS_MAX];
    size_t n;
    struct str body; /* behind the empty line; all of it where there is none */
};

/* Reads fields up to the first empty line. */
void message_head_read(struct str message, struct message_head *ret_head);

/* The first field of the name, in any case; empty where there is none. */
struct str message_field_find(const struct message_head *head, struct str name);

/* A parameter of a field's value, such as "charset"; empty where it is not there. */
struct str message_parameter(struct str value, struct str name);

/* The boundary of a multipart's Content-Type; empty where it is none. */
struct str message_boundary(struct str content_type);

/*
 * Takes the next part of a multipart body from *rest. Returns false at its end; the preamble and
 * the epilogue are no parts.
 */
bool message_part_next(struct str *rest, struct str boundary, struct str *ret_part);

/* Moves *body behind the preamble, to where message_part_next begins. */
void message_parts_begin(struct str *body, struct str boundary);

#endif
