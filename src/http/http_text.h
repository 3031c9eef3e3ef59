/*
 * Classes of bytes in HTTP messages, shared by the parsers of heads and bodies.
 *
 * Owns: one table. Must never: depend on a locale. Called by: http_head, http_body, http_listen.
 */
#ifndef HF_HTTP_HTTP_TEXT_H
#define HF_HTTP_HTTP_TEXT_H

#include "base/types.h"

enum hf_http_class {
    HF_HTTP_TOKEN = 1,  /* of methods and header names (RFC 9110 §5.6.2) */
    HF_HTTP_TEXT = 2,   /* of values: tab, 0x20–7E, 0x80–FF */
    HF_HTTP_TARGET = 4, /* of a path and a query (RFC 3986), '%' among them */
    HF_HTTP_HOST = 8,   /* of an authority: name or address, port */
    HF_HTTP_HEX = 16,   /* a hexadecimal digit */
};

extern const uint8_t hf_http_classes[256];

static inline bool hf_http_is(char byte, enum hf_http_class kind)
{
    return (hf_http_classes[(unsigned char)byte] & (unsigned)kind) != 0;
}

static inline char hf_http_lower(char byte)
{
    return byte >= 'A' && byte <= 'Z' ? (char)(byte | 0x20) : byte;
}

/* Equal but for the case of ASCII letters; lower is in lower case. */
static inline bool hf_http_same(struct hf_str text, struct hf_str lower)
{
    if (text.len != lower.len) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (hf_http_lower(text.ptr[i]) != lower.ptr[i]) {
            return false;
        }
    }
    return true;
}

/* The value of a hexadecimal digit (of class HF_HTTP_HEX). */
static inline unsigned hf_http_hex(char digit)
{
    return digit <= '9' ? (unsigned)(digit - '0') : (unsigned)((digit | 0x20) - 'a') + 10;
}

#endif
