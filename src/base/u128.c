#include "base/u128.h"

bool hf_u128_parse(struct hf_str text, hf_u128 *value)
{
    if (text.len == 0 || text.len > 39 || (text.len > 1 && text.ptr[0] == '0')) {
        return false;
    }
    hf_u128 result = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c < '0' || c > '9') {
            return false;
        }
        if (__builtin_mul_overflow(result, (hf_u128)10, &result) ||
            __builtin_add_overflow(result, (hf_u128)(c - '0'), &result)) {
            return false;
        }
    }
    *value = result;
    return true;
}

bool hf_i128_parse(struct hf_str text, hf_i128 *value)
{
    bool negative = text.len > 0 && text.ptr[0] == '-';
    struct hf_str digits = negative ? (struct hf_str){text.ptr + 1, text.len - 1} : text;
    hf_u128 magnitude;
    if (!hf_u128_parse(digits, &magnitude) || magnitude > HF_TOTAL_MAX ||
        (negative && magnitude == 0)) {
        return false;
    }
    *value = negative ? -(hf_i128)magnitude : (hf_i128)magnitude;
    return true;
}

size_t hf_u128_format(hf_u128 value, char text[HF_U128_TEXT_BYTES])
{
    char reversed[HF_U128_TEXT_BYTES];
    size_t count = 0;
    /* 64-bit division is much cheaper; most values end in the second loop. */
    while (value > UINT64_MAX) {
        reversed[count++] = (char)('0' + (int)(value % 10));
        value /= 10;
    }
    uint64_t rest = (uint64_t)value;
    do {
        reversed[count++] = (char)('0' + (int)(rest % 10));
        rest /= 10;
    } while (rest > 0);
    for (size_t i = 0; i < count; i++) {
        text[i] = reversed[count - 1 - i];
    }
    text[count] = '\0';
    return count;
}

size_t hf_i128_format(hf_i128 value, char text[HF_I128_TEXT_BYTES])
{
    if (value >= 0) {
        return hf_u128_format((hf_u128)value, text);
    }
    text[0] = '-';
    return 1 + hf_u128_format((hf_u128)0 - (hf_u128)value, text + 1);
}

size_t hf_wide_format(const struct hf_wide *value, char text[HF_WIDE_TEXT_BYTES])
{
    /* Long division by ten over six words of 32 bits, most significant first. */
    uint32_t words[6] = {(uint32_t)(value->high >> 32), (uint32_t)value->high,
                         (uint32_t)(value->low >> 96),  (uint32_t)(value->low >> 64),
                         (uint32_t)(value->low >> 32),  (uint32_t)value->low};
    char reversed[HF_WIDE_TEXT_BYTES];
    size_t count = 0;
    bool left;
    do {
        uint64_t rest = 0;
        left = false;
        for (size_t i = 0; i < HF_ARRAY_COUNT(words); i++) {
            rest = rest << 32 | words[i];
            words[i] = (uint32_t)(rest / 10);
            rest %= 10;
            left = left || words[i] != 0;
        }
        reversed[count++] = (char)('0' + (int)rest);
    } while (left);
    for (size_t i = 0; i < count; i++) {
        text[i] = reversed[count - 1 - i];
    }
    text[count] = '\0';
    return count;
}
