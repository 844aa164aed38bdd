/*
 * Reads what the older APIs of AWS answer: small XML documents of elements and text. Attributes,
 * comments and processing instructions are passed over; a document type is refused.
 * Rooms: those below net. Ownership: views into the document. Threads: any.
 */
#ifndef HOLDFAST_NET_AWS_XML_H
#define HOLDFAST_NET_AWS_XML_H

#include "base/str.h"

enum { AWS_XML_DEPTH_MAX = 32 };

enum aws_xml_outcome {
    AWS_XML_END = 1,  /* there is no further element */
    AWS_XML_MALFORMED /* or nested deeper than AWS_XML_DEPTH_MAX */
};

/*
 * Takes the next element of *rest (a document, or what is inside an element): its name, and what
 * stands between its tags. *rest moves past it. Returns 0 or an enum aws_xml_outcome.
 */
int aws_xml_next(struct str *rest, struct str *ret_name, struct str *ret_inner);

/*
 * Finds the first element by its path, such as "GetSendQuotaResponse/GetSendQuotaResult"; "*" in it
 * is any name. Returns 0 or AWS_XML_END; what is malformed has no elements behind that place.
 */
int aws_xml_find(struct str xml, const char *path, struct str *ret_inner);

/*
 * Writes the text of an element that has no others inside, NUL-terminated. Returns 0, or 1 where it
 * has some, is longer than size - 1 bytes or is not text (ret then holds "").
 */
int aws_xml_text(struct str inner, char *ret, size_t size);

/* Both: the text at a path, "" where there is none. Returns whether there is one. */
bool aws_xml_text_at(struct str xml, const char *path, char *ret, size_t size);

#endif
