/*
 * The body of an HTTP/1.1 request, by Content-Length or in chunks. Sans-IO.
 *
 * Owns: the rules of RFC 9112 §6 and §7 for bodies, taken strictly. Must never: read from anywhere, hold more
 * than bytes_max. Called by: the server's connections; tests; the fuzzer.
 *
 * 1. The result does not depend on how the bytes were cut.
 * 2. Sizes of chunks are 1 to 16 hex digits without white space around them; extensions are text behind ';',
 *    at most 256 bytes a chunk, and dropped; lines end with CR LF.
 * 3. Trailer fields are checked for their form, at most 4,096 bytes, and dropped.
 */
#ifndef HF_HTTP_HTTP_BODY_H
#define HF_HTTP_HTTP_BODY_H

#include "http/http_head.h"

#define HF_HTTP_EXTENSION_BYTES_MAX 256
#define HF_HTTP_TRAILER_BYTES_MAX   4096

enum hf_http_body_state {
    HF_HTTP_BODY_DATA,         /* left bytes of data (of the chunk, or of the whole body) */
    HF_HTTP_BODY_DATA_CR,      /* behind a chunk's data */
    HF_HTTP_BODY_DATA_LF,      /* behind that CR */
    HF_HTTP_BODY_SIZE_FIRST,   /* first digit of a chunk's size */
    HF_HTTP_BODY_SIZE,         /* further digits, ';' or CR */
    HF_HTTP_BODY_EXTENSION,    /* dropped until CR */
    HF_HTTP_BODY_SIZE_LF,      /* behind the CR of the size's line */
    HF_HTTP_BODY_TRAILER,      /* first byte of a trailer line, or CR of the end */
    HF_HTTP_BODY_TRAILER_NAME, /* until ':' */
    HF_HTTP_BODY_TRAILER_TEXT, /* until CR */
    HF_HTTP_BODY_TRAILER_LF,   /* behind that CR */
    HF_HTTP_BODY_END_LF,       /* behind the last CR */
    HF_HTTP_BODY_END,          /* whole */
};

struct hf_http_body {
    enum hf_http_body_state state; /* what comes next */
    bool is_chunked;               /* else by Content-Length */
    uint32_t digits;               /* of the size that is being read */
    uint32_t extra_bytes;          /* of this chunk's extension, or of all trailers */
    uint64_t left;                 /* data bytes still to come in the chunk or the body */
    uint64_t size_bytes;           /* data bytes so far */
    uint64_t bytes_max;            /* more is 413 */
    int status;                    /* when bad: the answer's status */
    const char *detail;            /* when bad: a static sentence */
};

/* content_length is not looked at if is_chunked. A length above bytes_max is bad at the first feed. */
void hf_http_body_begin(struct hf_http_body *body, bool is_chunked, uint64_t content_length,
                        uint64_t bytes_max);

/* Takes further bytes; what is data goes to the end of `to`. *taken: bytes used up, all of them unless done.
 * Memory may be short: then to->failed, and what follows is lost. */
enum hf_http_progress hf_http_body_feed(struct hf_http_body *body, const char *data, size_t size,
                                        struct hf_buffer *to, size_t *taken);

#endif
