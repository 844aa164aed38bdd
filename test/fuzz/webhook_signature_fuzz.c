/*
 * No header of a stranger is accepted; what we write is; and with any one byte of it changed it is
 * not, but for the case of a digit.
 *
 * The first line of the input is a header, the rest a body.
 */
#include "mail/webhook_signature.h"

#include "crypto/init.h"

#include "fuzz.h"

static const int64_t now = INT64_C(1790000000000);

static struct mac_key keys[2];

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    FUZZ_CHECK(crypto_init() == 0);
    FUZZ_CHECK(mac_key_init(STR("one"), &keys[0]) == 0 && mac_key_init(STR("two"), &keys[1]) == 0);
    return 0;
}

static void check_ours(struct str body, unsigned place, char change)
{
    _cleanup_buf_ struct buf header = buf_init(WEBHOOK_HEADER_MAX);
    char before;

    FUZZ_CHECK(webhook_signature_write(keys, 1, body, now, &header) == 0);
    FUZZ_CHECK(webhook_signature_verify(keys, 2, buf_str(&header), body, now) == 0);
    FUZZ_CHECK(webhook_signature_verify(&keys[1], 1, buf_str(&header), body, now) ==
               WEBHOOK_MISMATCH);
    before = header.p[place % header.n];
    header.p[place % header.n] = change;
    FUZZ_CHECK((webhook_signature_verify(keys, 2, buf_str(&header), body, now) == 0) ==
               (before == change || (before >= 'a' && before <= 'f' && change == before - 32)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size}, header = {"", 0};

    str_next(&rest, '\n', &header);
    FUZZ_CHECK(webhook_signature_verify(keys, 2, header, rest, now) > 0);
    if (header.n >= 2)
        check_ours(rest, (unsigned char)header.p[0], header.p[1]);
    return 0;
}
