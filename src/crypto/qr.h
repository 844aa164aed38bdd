/*
 * QR codes (ISO/IEC 18004) as SVG.
 * Rooms: identity and below. Ownership: the caller's buffer. Threads: any.
 */
#ifndef HOLDFAST_QR_H
#define HOLDFAST_QR_H

#include "base/buf.h"

enum { QR_TEXT_MAX = 1024 };

/*
 * Appends an SVG image of the text (1 to QR_TEXT_MAX bytes) with error correction M and
 * the quiet zone of four modules: one path of modules on white, no references to anything outside.
 * Returns 0, FAULT_LIMIT where the text is empty or too long, FAULT_MEMORY or FAULT_CRYPTO.
 */
int qr_svg(struct str text, struct buf *ret_svg);

#endif
