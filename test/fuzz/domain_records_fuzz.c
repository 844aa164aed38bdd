/*
 * SPF, DKIM and DMARC records: what is read lies within its bounds; a record that is well-formed
 * stays so with white space behind it, and one that is not is blamed on a part of it.
 */
#include "net/mail_policy.h"
#include "net/spf.h"

#include "base/buf.h"
#include "fuzz.h"

static bool lies_in(struct str part, struct str whole)
{
    return part.p >= whole.p && part.p + part.n <= whole.p + whole.n;
}

static void try_spf(struct str text, struct str longer)
{
    struct spf spf = {0}, again = {0};
    struct str term = text;

    if (spf_read(text, STR("amazonses.com"), &spf, &term)) {
        FUZZ_CHECK(lies_in(term, text));
        return;
    }
    FUZZ_CHECK(spf_is_record(text));
    FUZZ_CHECK(spf.all == 0 || strchr("+-~?", spf.all));
    FUZZ_CHECK(spf.lookups <= text.n);
    FUZZ_CHECK(!spf.includes || spf.lookups > 0);
    FUZZ_CHECK(spf_read(longer, STR("amazonses.com"), &again, &term) == 0);
    FUZZ_CHECK(again.all == spf.all && again.lookups == spf.lookups);
}

static void try_tags(struct str text, struct str longer)
{
    struct tag tags[TAG_LIST_MAX];
    struct dkim_key key;
    struct dmarc dmarc = {0}, again = {0};
    size_t n = 0;

    if (tag_list_read(text, tags, &n) == 0) {
        FUZZ_CHECK(n > 0 && n <= TAG_LIST_MAX);
        for (size_t i = 0; i < n; i++)
            FUZZ_CHECK(lies_in(tags[i].name, text) && lies_in(tags[i].value, text));
        FUZZ_CHECK(tag_list_read(longer, tags, &n) == 0);
    }
    if (dkim_key_read(text, &key) == 0)
        FUZZ_CHECK(n > 0 && key.key_bytes < text.n && key.revoked == (key.key_bytes == 0));
    if (dmarc_read(text, &dmarc) == 0) {
        FUZZ_CHECK(dmarc_is_record(text) && n > 1 && dmarc.percent <= 100);
        FUZZ_CHECK(dmarc_read(longer, &again) == 0);
        FUZZ_CHECK(again.policy == dmarc.policy && again.percent == dmarc.percent);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    _cleanup_buf_ struct buf longer = buf_init(size + 1);

    buf_add_str(&longer, text);
    buf_add_char(&longer, ' ');
    FUZZ_CHECK(buf_fault(&longer) == 0);
    try_spf(text, buf_str(&longer));
    try_tags(text, buf_str(&longer));
    return 0;
}
