#include "trail/checkpoint.h"

#include "base/clock.h"
#include "base/encode.h"
#include "base/json.h"

#include "trail/line.h"

/* What is signed. */
static int statement(const struct checkpoint *c, struct buf *out)
{
    char chain[UUID_TEXT_SIZE], mac[HEX_LENGTH(MAC_SIZE) + 1], at[CLOCK_TEXT_SIZE];

    uuid_format(&c->chain, chain);
    hex_encode(c->mac, MAC_SIZE, mac);
    clock_format(c->at, at);
    return buf_printf(out, "holdfast checkpoint v1\n%s\n%lld\n%s\n%s\n", chain, (long long)c->seq,
                      mac, at);
}

int checkpoint_sign(struct checkpoint *checkpoint, const struct sign_key *key)
{
    _cleanup_buf_ struct buf text = buf_init(CHECKPOINT_LINE_MAX);

    memcpy(checkpoint->key, key->public_key, SIGN_PUBLIC_SIZE);
    if (statement(checkpoint, &text))
        return buf_fault(&text);
    sign_message(key, buf_str(&text), checkpoint->signature);
    return 0;
}

int checkpoint_verify(const struct checkpoint *checkpoint)
{
    _cleanup_buf_ struct buf text = buf_init(CHECKPOINT_LINE_MAX);

    if (statement(checkpoint, &text))
        return buf_fault(&text);
    return sign_verify(checkpoint->key, buf_str(&text), checkpoint->signature);
}

int checkpoint_format(const struct checkpoint *checkpoint, struct buf *ret_line)
{
    char mac[HEX_LENGTH(MAC_SIZE) + 1], key[SIGN_PUBLIC_TEXT_SIZE];
    char signature[BASE64URL_LENGTH(SIGN_SIZE)];
    size_t n = base64url_encode(checkpoint->signature, SIGN_SIZE, signature);
    struct json_writer w = json_writer(ret_line);

    hex_encode(checkpoint->mac, MAC_SIZE, mac);
    sign_public_format(checkpoint->key, key);
    json_object_begin(&w);
    json_key(&w, "chain");
    json_uuid(&w, &checkpoint->chain);
    json_key(&w, "seq");
    json_int(&w, checkpoint->seq);
    json_key(&w, "mac");
    json_str(&w, str_of(mac));
    json_key(&w, "at");
    json_time(&w, checkpoint->at);
    json_key(&w, "key");
    json_str(&w, str_of(key));
    json_key(&w, "signature");
    json_str(&w, (struct str){signature, n});
    json_object_end(&w);
    return buf_add_char(ret_line, '\n');
}

static int signature_decode(struct str text, uint8_t ret_signature[SIGN_SIZE])
{
    size_t n = 0;

    return base64url_decode(text, SIGN_SIZE, ret_signature, &n) || n != SIGN_SIZE;
}

int checkpoint_parse(struct str line, struct checkpoint *ret_checkpoint)
{
    struct checkpoint_texts texts;
    struct checkpoint c = {.seq = 0};
    size_t brace = str_find(line, '{');
    int e;

    if (brace == line.n)
        return 1;
    e = checkpoint_texts_parse((struct str){line.p + brace, line.n - brace}, &texts);
    if (e)
        return e;
    c.seq = texts.seq;
    if (c.seq < 1 || uuid_parse(str_of(texts.chain), &c.chain) ||
        hex_decode(str_of(texts.mac), MAC_SIZE, c.mac) || clock_parse(str_of(texts.at), &c.at) ||
        sign_public_parse(str_of(texts.key), c.key) ||
        signature_decode(str_of(texts.signature), c.signature))
        return 1;
    *ret_checkpoint = c;
    return 0;
}
