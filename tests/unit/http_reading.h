/*
 * A request read by the parsers of src/http from bytes that come in pieces: for the unit test and the fuzzer.
 *
 * Owns: the way from pieces to a summary text that holds everything the parsers tell. Two ways of cutting the
 * same bytes must give the same summary.
 */
#ifndef HF_TESTS_UNIT_HTTP_READING_H
#define HF_TESTS_UNIT_HTTP_READING_H

#include "base/alloc.h"
#include "base/check.h"
#include "http/http_body.h"

#define READING_FIELDS_MAX 16

struct reading {
    enum hf_http_progress progress; /* of the whole request */
    int status;                     /* when bad */
    const char *detail;             /* when bad */
    size_t used_bytes;              /* when done: of the bytes given */
    struct hf_buffer summary;       /* method, target, fields, flags, body: or the fault */
};

static const struct hf_http_head_limits reading_limits = {
    .head_bytes_max = 600, .target_bytes_max = 100, .fields_max = READING_FIELDS_MAX};
#define READING_BODY_BYTES_MAX 100

static inline void reading_text(struct hf_buffer *summary, const char *name, struct hf_str text)
{
    hf_buffer_text(summary, name);
    if (hf_str_present(text)) {
        hf_buffer_bytes(summary, text.ptr, text.len);
    } else {
        hf_buffer_text(summary, "-");
    }
    hf_buffer_text(summary, "|");
}

/* A request that is whole, as the handler would see it. */
static inline void reading_summarize(struct reading *reading, const struct hf_http_head *head,
                                     const char *data, const struct hf_buffer *body)
{
    struct hf_http_header headers[READING_FIELDS_MAX];
    struct hf_http_exchange exchange = {0};
    hf_http_head_point(head, data, headers, &exchange);
    struct hf_buffer *summary = &reading->summary;
    reading_text(summary, "", exchange.method_text);
    reading_text(summary, "", exchange.path);
    reading_text(summary, "", exchange.query);
    for (size_t i = 0; i < exchange.header_count; i++) {
        reading_text(summary, "", exchange.headers[i].name);
        reading_text(summary, "=", exchange.headers[i].value);
    }
    hf_buffer_format(summary, "method %d%s%s%s%s|", exchange.method,
                     head->is_http_1_0 ? " 1.0" : "", head->ends_connection ? " close" : "",
                     head->is_chunked ? " chunked" : "", head->expects_continue ? " expects" : "");
    reading_text(
        summary, "",
        (struct hf_str){body->size_bytes == 0 ? "" : (const char *)body->data, body->size_bytes});
}

static inline void reading_bad(struct reading *reading, int status, const char *detail)
{
    reading->progress = HF_HTTP_BAD;
    reading->status = status;
    reading->detail = detail;
    hf_buffer_format(&reading->summary, "%d %s", status, detail);
}

/* Reads data, `piece` bytes after the first `first` at a time. Every piece stands in memory of its own. */
static inline struct reading reading_of(const char *data, size_t size, size_t first, size_t piece)
{
    struct reading reading = {.progress = HF_HTTP_MORE};
    struct hf_http_field fields[READING_FIELDS_MAX];
    struct hf_http_head head;
    struct hf_http_body parser;
    struct hf_buffer body = {0};
    hf_http_head_begin(&head, &reading_limits, fields);
    bool in_body = false;
    char *kept = NULL;
    size_t body_at = 0;
    for (size_t end = first < size ? first : size;; end = end + piece < size ? end + piece : size) {
        if (!in_body) {
            char *moved = hf_malloc(end);
            HF_CHECK(moved != NULL);
            memcpy(moved, data, end);
            /* Names already in lower case stay so, as in a real buffer. */
            if (kept != NULL) {
                memcpy(moved, kept, head.scanned);
                hf_free(kept);
            }
            kept = moved;
            enum hf_http_progress progress = hf_http_head_feed(&head, kept, end);
            if (progress == HF_HTTP_BAD) {
                reading_bad(&reading, head.status, head.detail);
                break;
            }
            if (progress == HF_HTTP_DONE) {
                in_body = true;
                body_at = head.head_bytes;
                hf_http_body_begin(&parser, head.is_chunked, head.content_length,
                                   READING_BODY_BYTES_MAX);
            }
        }
        if (in_body) {
            size_t taken;
            enum hf_http_progress progress =
                hf_http_body_feed(&parser, data + body_at, end - body_at, &body, &taken);
            body_at += taken;
            HF_CHECK(body_at <= end && body.size_bytes == parser.size_bytes);
            HF_CHECK(body.size_bytes <= READING_BODY_BYTES_MAX);
            if (progress == HF_HTTP_BAD) {
                reading_bad(&reading, parser.status, parser.detail);
                break;
            }
            if (progress == HF_HTTP_DONE) {
                reading.progress = HF_HTTP_DONE;
                reading.used_bytes = body_at;
                reading_summarize(&reading, &head, kept, &body);
                break;
            }
            HF_CHECK(body_at == end);
        }
        if (end == size) {
            break;
        }
    }
    hf_free(kept);
    hf_buffer_release(&body);
    return reading;
}

static inline struct hf_str reading_text_of(const struct reading *reading)
{
    return reading->summary.data == NULL
               ? HF_STR("")
               : (struct hf_str){(const char *)reading->summary.data, reading->summary.size_bytes};
}

static inline bool reading_equal(const struct reading *a, const struct reading *b)
{
    return a->progress == b->progress && a->status == b->status && a->used_bytes == b->used_bytes &&
           hf_str_equal(reading_text_of(a), reading_text_of(b));
}

#endif
