#include "api/statement_text.h"

#include "base/u128.h"

struct hf_str hf_asset_code(const struct hf_asset *asset)
{
    const char *slash = memchr(asset->text, '/', asset->len);
    return (struct hf_str){asset->text, slash == NULL ? asset->len : (size_t)(slash - asset->text)};
}

static unsigned scale_of(const struct hf_asset *asset)
{
    unsigned scale = 0;
    for (size_t i = hf_asset_code(asset).len + 1; i < asset->len; i++) {
        scale = scale * 10 + (unsigned)(asset->text[i] - '0');
    }
    return scale;
}

void hf_decimal_text(struct hf_buffer *to, const struct hf_asset *asset, hf_i128 minor_units)
{
    char digits[HF_U128_TEXT_BYTES];
    bool below = minor_units < 0;
    size_t count =
        hf_u128_format(below ? (hf_u128)0 - (hf_u128)minor_units : (hf_u128)minor_units, digits);
    size_t scale = scale_of(asset);
    if (below) {
        hf_buffer_u8(to, '-');
    }
    if (count <= scale) {
        hf_buffer_u8(to, '0');
    } else {
        hf_buffer_bytes(to, digits, count - scale);
    }
    if (scale == 0) {
        return;
    }
    hf_buffer_u8(to, '.');
    for (size_t i = count; i < scale; i++) {
        hf_buffer_u8(to, '0');
    }
    size_t behind = count < scale ? count : scale;
    hf_buffer_bytes(to, digits + count - behind, behind);
}
