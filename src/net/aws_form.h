/*
 * Writes what the older APIs of AWS are asked: a form.
 * Rooms: those below net. Ownership: the caller's buffer. Threads: one at a time. Failure is the
 * buffer's sticky fault.
 */
#ifndef HOLDFAST_NET_AWS_FORM_H
#define HOLDFAST_NET_AWS_FORM_H

#include "base/buf.h"

/* Begins a form in an emptied buffer. */
void aws_form_begin(struct buf *form, const char *action, const char *version);

/* Adds a field; the value is percent-encoded (RFC 3986, section 2.1), the name is not. */
void aws_form_add(struct buf *form, const char *name, struct str value);

#endif
