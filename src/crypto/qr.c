#include "crypto/qr.h"

#include "base/fault.h"

#include <errno.h>
#include <qrencode.h>

enum { QUIET = 4 }; /* modules of margin (ISO/IEC 18004, section 5.3.8) */

/* One horizontal stroke for each run of dark modules, drawn along the middle of its row. */
static void add_row(struct buf *out, const unsigned char *row, int width, int y)
{
    for (int x = 0; x < width;) {
        int end = x;
        while (end < width && row[end] & 1)
            end++;
        if (end > x)
            buf_printf(out, "M%d %d.5h%d", x + QUIET, y + QUIET, end - x);
        x = end + 1;
    }
}

int qr_svg(struct str text, struct buf *ret_svg)
{
    QRcode *code;
    int side;

    if (text.n == 0 || text.n > QR_TEXT_MAX)
        return fault_set(FAULT_LIMIT, "a QR code holds 1 to %d bytes", QR_TEXT_MAX);
    code = QRcode_encodeData((int)text.n, (const unsigned char *)text.p, 0, QR_ECLEVEL_M);
    if (!code)
        return errno == ENOMEM ? fault_set(FAULT_MEMORY, "no memory for a QR code")
                               : fault_errno(FAULT_CRYPTO, errno, "cannot encode a QR code");
    side = code->width + 2 * QUIET;
    buf_printf(ret_svg,
               "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\" "
               "shape-rendering=\"crispEdges\"><path fill=\"#fff\" d=\"M0 0h%dv%dH0z\"/>"
               "<path stroke=\"#000\" d=\"",
               side, side, side, side);
    for (int y = 0; y < code->width; y++)
        add_row(ret_svg, code->data + (size_t)y * (size_t)code->width, code->width, y);
    buf_add_str(ret_svg, STR("\"/></svg>"));
    QRcode_free(code);
    return buf_fault(ret_svg);
}
