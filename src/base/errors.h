/*
 * The table of errors: one X-macro holds name, number, HTTP status, wire code and title.
 *
 * Owns: enum hf_err, struct hf_error (a code with a text of what, where, what to do).
 * Must never: change a number or a wire code once released. Called by: everybody.
 *
 * Two groups. Below 100: the environment (a system call, a file, memory); they end up as an HTTP
 * 503 or a refused start. From 100: outcomes that a client sees in a problem document; "recorded"
 * outcomes are decided by the core, the others are found before deciding.
 */
#ifndef HF_BASE_ERRORS_H
#define HF_BASE_ERRORS_H

#include "base/types.h"

/* X(name, number, http status, wire code, title) */
#define HF_ERRORS(X)                                                                               \
    X(OK, 0, 200, "ok", "Success")                                                                 \
    X(IO, 1, 503, "io_error", "Input or output failed")                                            \
    X(NO_SPACE, 2, 503, "no_space", "No space left on the device")                                 \
    X(NO_MEMORY, 3, 503, "no_memory", "Out of memory")                                             \
    X(CORRUPT, 4, 503, "corrupt", "Stored data is damaged")                                        \
    X(LOCKED, 5, 503, "locked", "Another process owns this directory")                             \
    X(NOT_FOUND, 6, 404, "no_such_file", "No such file")                                           \
    X(EXISTS, 7, 409, "file_exists", "The file exists")                                            \
    X(VERSION, 8, 503, "unknown_format", "Written by a newer or unknown version")                  \
    X(DEPOSED, 9, 503, "deposed", "Another owner has taken over")                                  \
    X(CLOSED, 10, 503, "closed", "Already closed")                                                 \
    X(LIMIT, 11, 413, "limit", "A limit was reached")                                              \
    X(CRASHED, 12, 503, "crashed", "The simulated machine is down")                                \
    X(INVALID_REQUEST, 100, 400, "invalid_request", "The request is malformed")                    \
    X(IDEMPOTENCY_KEY_MISSING, 101, 400, "idempotency_key_missing", "Idempotency-Key is required") \
    X(UNAUTHORIZED, 102, 401, "unauthorized", "Authentication is required")                        \
    X(FORBIDDEN, 103, 403, "forbidden", "Not permitted")                                           \
    X(METHOD_NOT_ALLOWED, 104, 405, "method_not_allowed", "Method not allowed")                    \
    X(UNSUPPORTED_MEDIA_TYPE, 105, 415, "unsupported_media_type", "Unsupported media type")        \
    X(TOO_LARGE, 106, 413, "too_large", "Too large")                                               \
    X(PRECONDITION_REQUIRED, 107, 428, "precondition_required", "A precondition is required")      \
    X(NO_ROUTE, 108, 404, "not_found", "No such resource")                                         \
    X(REQUEST_TIMEOUT, 109, 408, "request_timeout", "The request took too long")                   \
    X(URI_TOO_LONG, 110, 414, "uri_too_long", "The request's target is too long")                  \
    X(EXPECTATION_FAILED, 111, 417, "expectation_failed", "The expectation can't be met")          \
    X(HEADERS_TOO_LARGE, 112, 431, "headers_too_large", "The headers are too large")               \
    X(NOT_IMPLEMENTED, 113, 501, "not_implemented", "Not implemented")                             \
    X(HTTP_VERSION, 114, 505, "http_version_not_supported", "HTTP version not supported")          \
    X(NOT_ACCEPTABLE, 115, 406, "not_acceptable", "No form of the answer is acceptable")           \
    X(ACCOUNT_NOT_FOUND, 120, 404, "account_not_found", "No such account")                         \
    X(TRANSFER_NOT_FOUND, 121, 404, "transfer_not_found", "No such transfer")                      \
    X(HOLD_NOT_FOUND, 122, 404, "hold_not_found", "No such hold")                                  \
    X(STREAM_NOT_FOUND, 123, 404, "stream_not_found", "No such stream")                            \
    X(DOCUMENT_NOT_FOUND, 124, 404, "document_not_found", "No such document")                      \
    X(LEASE_NOT_FOUND, 125, 404, "lease_not_found", "No such lease")                               \
    X(KEY_NOT_FOUND, 126, 404, "key_not_found", "No such idempotency key")                         \
    X(COMMIT_NOT_FOUND, 127, 404, "commit_not_found", "No such commit")                            \
    X(EVENT_NOT_FOUND, 128, 404, "event_not_found", "No such event")                               \
    X(SUBSCRIPTION_NOT_FOUND, 129, 404, "subscription_not_found", "No such subscription")          \
    X(MESSAGE_NOT_FOUND, 130, 404, "message_not_found", "No such message")                         \
    X(SAGA_NOT_FOUND, 132, 404, "saga_not_found", "No such saga")                                  \
    X(SAGA_STEP_NOT_FOUND, 133, 404, "saga_step_not_found", "The saga has no such step")           \
    X(SAGA_DEFINITION_NOT_FOUND, 134, 404, "saga_definition_not_found",                            \
      "No such definition of a saga")                                                              \
    X(CURSOR_GONE, 131, 410, "cursor_gone", "The cursor's place is gone")                          \
    X(ACCOUNT_EXISTS, 140, 409, "account_exists", "The account exists")                            \
    X(TRANSFER_EXISTS, 141, 409, "transfer_exists", "The transfer id is taken")                    \
    X(HOLD_EXISTS, 142, 409, "hold_exists", "The hold id is taken")                                \
    X(EVENT_EXISTS, 143, 409, "event_exists", "The event id is taken")                             \
    X(LEASE_HELD, 144, 409, "lease_held", "The lease is held")                                     \
    X(HOLD_NOT_OPEN, 145, 409, "hold_not_open", "The hold has ended")                              \
    X(ACCOUNT_CLOSED, 146, 409, "account_closed", "The account is closed")                         \
    X(PARTIAL_REPLAY, 147, 409, "partial_replay", "Some of the events are stored already")         \
    X(CANCELLED, 148, 409, "cancelled", "The key was cancelled")                                   \
    X(ACCOUNT_NOT_EMPTY, 149, 409, "account_not_empty", "The account has a balance or open holds") \
    X(NOT_REVERSIBLE, 150, 409, "not_reversible", "A reversal can't be reversed")                  \
    X(ID_COLLISION, 151, 409, "id_collision", "Another name has the same 128-bit id")              \
    X(SUBSCRIPTION_EXISTS, 152, 409, "subscription_exists", "The subscription exists")             \
    X(MESSAGE_EXISTS, 153, 409, "message_exists", "The message id is taken")                       \
    X(STALE_RECEIPT, 154, 409, "stale_receipt", "The receipt is stale")                            \
    X(ACK_OUT_OF_ORDER, 155, 409, "ack_out_of_order",                                              \
      "An earlier message of the key is still out")                                                \
    X(SAGA_EXISTS, 156, 409, "saga_exists", "The saga id is taken")                                \
    X(SAGA_ENDED, 157, 409, "saga_ended", "The saga has ended")                                    \
    X(SAGA_PAST_PIVOT, 158, 409, "saga_past_pivot", "The saga's pivot is done")                    \
    X(SAGA_STEP_STATE, 159, 409, "saga_step_state", "The step's state does not allow that")        \
    X(CONDITION_FAILED, 160, 412, "condition_failed", "A condition does not hold")                 \
    X(FENCED, 161, 412, "fenced", "The lease is not held with this token")                         \
    X(DEFINITION_EXISTS, 162, 409, "definition_exists",                                            \
      "The definition's version is stored with other content")                                     \
    X(HOLD_OWNED_BY_SAGA, 163, 409, "hold_owned_by_saga", "The hold belongs to a saga")            \
    X(SUBSCRIPTION_PUSHED, 165, 409, "subscription_pushed", "Holdfast itself sends its messages")  \
    X(INSUFFICIENT_FUNDS, 170, 422, "insufficient_funds", "Insufficient funds")                    \
    X(LIMIT_EXCEEDED, 171, 422, "limit_exceeded", "A limit would be exceeded")                     \
    X(ASSET_MISMATCH, 172, 422, "asset_mismatch", "The assets differ")                             \
    X(AMOUNT_INVALID, 173, 422, "amount_invalid", "The amount must be above zero")                 \
    X(IDEMPOTENCY_KEY_REUSED, 174, 422, "idempotency_key_reused",                                  \
      "The key was used with another request")                                                     \
    X(ACCOUNT_FROZEN, 180, 423, "account_frozen", "The account is frozen")                         \
    X(OVERLOADED, 190, 429, "overloaded", "Too much work is waiting")                              \
    X(NOT_READY, 191, 503, "not_ready", "Not ready")                                               \
    X(READ_ONLY, 192, 503, "read_only", "Read-only: the disk is full")                             \
    X(OUTCOME_UNKNOWN, 193, 503, "outcome_unknown", "Perhaps done: repeat with the same key")

enum hf_err {
#define HF_ERROR_NUMBER(name, number, status, code, title) HF_ERR_##name = (number),
    HF_ERRORS(HF_ERROR_NUMBER)
#undef HF_ERROR_NUMBER
};

#define HF_ERROR_TEXT_BYTES 400

/* What went wrong in words. A struct on the caller's stack; no memory to free. */
struct hf_error {
    enum hf_err code; /* HF_ERR_OK until something is set */
    char text
        [HF_ERROR_TEXT_BYTES]; /* NUL-terminated, cut if too long: "open log: segment 7: short read" */
};

/* Sets code and text; returns code, so that `return hf_error_set(…)` reads well. error may be NULL. */
enum hf_err hf_error_set(struct hf_error *error, enum hf_err code, const char *format, ...)
    HF_PRINTF(3, 4);

/* Puts "<context>: " before the text; returns the code that it holds. error may be NULL (then OK). */
enum hf_err hf_error_wrap(struct hf_error *error, const char *format, ...) HF_PRINTF(2, 3);

/* Static strings, never NULL; an unknown number gives "unknown". */
const char *hf_err_name(enum hf_err code);  /* "INSUFFICIENT_FUNDS" */
const char *hf_err_wire(enum hf_err code);  /* "insufficient_funds" */
const char *hf_err_title(enum hf_err code); /* "Insufficient funds" */
int hf_err_status(enum hf_err code);        /* HTTP status */
bool hf_err_known(uint32_t number);         /* is it in the table */

#endif
