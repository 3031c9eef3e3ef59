#include "http/http_body.h"

#include "base/check.h"
#include "http/http_text.h"

#define SIZE_DIGITS_MAX 16

void hf_http_body_begin(struct hf_http_body *body, bool is_chunked, uint64_t content_length,
                        uint64_t bytes_max)
{
    *body = (struct hf_http_body){
        .is_chunked = is_chunked, .state = HF_HTTP_BODY_SIZE_FIRST, .bytes_max = bytes_max};
    if (!is_chunked) {
        body->left = content_length;
        body->state = content_length == 0 ? HF_HTTP_BODY_END : HF_HTTP_BODY_DATA;
    }
}

static bool bad(struct hf_http_body *body, int status, const char *detail)
{
    body->status = status;
    body->detail = detail;
    return false;
}

/* One byte of what frames the data. false: a fault. */
static bool size_byte(struct hf_http_body *body, char byte)
{
    if (hf_http_is(byte, HF_HTTP_HEX)) {
        if (body->digits == SIZE_DIGITS_MAX) {
            return bad(body, 400, "the size of a chunk has too many digits");
        }
        body->digits++;
        body->left = body->left << 4 | hf_http_hex(byte);
        body->state = HF_HTTP_BODY_SIZE;
        return true;
    }
    if (body->digits > 0 && byte == ';') {
        body->state = HF_HTTP_BODY_EXTENSION;
        return true;
    }
    if (body->digits > 0 && byte == '\r') {
        body->state = HF_HTTP_BODY_SIZE_LF;
        return true;
    }
    return bad(body, 400, "the size of a chunk is not: hex digits, CR LF");
}

static bool extension_byte(struct hf_http_body *body, char byte)
{
    if (byte == '\r') {
        body->state = HF_HTTP_BODY_SIZE_LF;
        return true;
    }
    if (!hf_http_is(byte, HF_HTTP_TEXT)) {
        return bad(body, 400, "a chunk's extension has a control character");
    }
    if (++body->extra_bytes > HF_HTTP_EXTENSION_BYTES_MAX) {
        return bad(body, 400, "a chunk's extension is too long");
    }
    return true;
}

static bool trailer_byte(struct hf_http_body *body, char byte)
{
    if (byte != '\r' && ++body->extra_bytes > HF_HTTP_TRAILER_BYTES_MAX) {
        return bad(body, 431, "the trailer fields are too long");
    }
    if (body->state == HF_HTTP_BODY_TRAILER && byte == '\r') {
        body->state = HF_HTTP_BODY_END_LF;
        return true;
    }
    if (body->state == HF_HTTP_BODY_TRAILER_TEXT) {
        if (byte == '\r') {
            body->state = HF_HTTP_BODY_TRAILER_LF;
            return true;
        }
        return hf_http_is(byte, HF_HTTP_TEXT) ||
               bad(body, 400, "a trailer field has a control character");
    }
    if (body->state == HF_HTTP_BODY_TRAILER_NAME && byte == ':') {
        body->state = HF_HTTP_BODY_TRAILER_TEXT;
        return true;
    }
    body->state = HF_HTTP_BODY_TRAILER_NAME;
    return hf_http_is(byte, HF_HTTP_TOKEN) ||
           bad(body, 400, "a trailer field is not: name, colon, value");
}

/* The size's line is read: data follows, or after size 0 the trailers. */
static bool begin_chunk(struct hf_http_body *body)
{
    if (body->left == 0) {
        body->extra_bytes = 0;
        body->state = HF_HTTP_BODY_TRAILER;
        return true;
    }
    if (body->left > body->bytes_max - body->size_bytes) {
        return bad(body, 413, "the body is too large");
    }
    body->state = HF_HTTP_BODY_DATA;
    return true;
}

static void begin_size(struct hf_http_body *body)
{
    body->left = 0;
    body->digits = 0;
    body->extra_bytes = 0;
    body->state = HF_HTTP_BODY_SIZE_FIRST;
}

static bool frame_byte(struct hf_http_body *body, char byte)
{
    switch (body->state) {
    case HF_HTTP_BODY_SIZE_FIRST:
    case HF_HTTP_BODY_SIZE:
        return size_byte(body, byte);
    case HF_HTTP_BODY_EXTENSION:
        return extension_byte(body, byte);
    case HF_HTTP_BODY_TRAILER:
    case HF_HTTP_BODY_TRAILER_NAME:
    case HF_HTTP_BODY_TRAILER_TEXT:
        return trailer_byte(body, byte);
    case HF_HTTP_BODY_DATA_CR:
        body->state = HF_HTTP_BODY_DATA_LF;
        return byte == '\r' || bad(body, 400, "a chunk's data is longer than its size");
    case HF_HTTP_BODY_DATA_LF:
    case HF_HTTP_BODY_SIZE_LF:
    case HF_HTTP_BODY_TRAILER_LF:
    case HF_HTTP_BODY_END_LF:
        break;
    case HF_HTTP_BODY_DATA:
    case HF_HTTP_BODY_END:
        HF_CHECK(false);
    }
    if (byte != '\n') {
        return bad(body, 400, "a line of the chunked body does not end with CR LF");
    }
    if (body->state == HF_HTTP_BODY_SIZE_LF) {
        return begin_chunk(body);
    }
    if (body->state == HF_HTTP_BODY_DATA_LF) {
        begin_size(body);
    } else {
        body->state = body->state == HF_HTTP_BODY_END_LF ? HF_HTTP_BODY_END : HF_HTTP_BODY_TRAILER;
    }
    return true;
}

enum hf_http_progress hf_http_body_feed(struct hf_http_body *body, const char *data, size_t size,
                                        struct hf_buffer *to, size_t *taken)
{
    HF_CHECK(body->status == 0);
    size_t at = 0;
    *taken = 0;
    if (!body->is_chunked && body->size_bytes + body->left > body->bytes_max) {
        (void)bad(body, 413, "the body is too large");
        return HF_HTTP_BAD;
    }
    while (at < size && body->state != HF_HTTP_BODY_END) {
        if (body->state != HF_HTTP_BODY_DATA) {
            if (!frame_byte(body, data[at])) {
                return HF_HTTP_BAD;
            }
            at++;
            continue;
        }
        size_t bytes = (size_t)hf_min_u64(size - at, body->left);
        hf_buffer_bytes(to, data + at, bytes);
        at += bytes;
        body->left -= bytes;
        body->size_bytes += bytes;
        if (body->left == 0) {
            body->state = body->is_chunked ? HF_HTTP_BODY_DATA_CR : HF_HTTP_BODY_END;
        }
    }
    *taken = at;
    return body->state == HF_HTTP_BODY_END ? HF_HTTP_DONE : HF_HTTP_MORE;
}
