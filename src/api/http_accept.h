/*
 * Accept: which of several media types a request wants (RFC 9110 §12.5.1).
 *
 * Owns: reading the header. Must never: fail on a malformed range: it counts for nothing. Called by: routes that
 * answer in several forms.
 *
 * The highest q wins; among equals the one that was named more exactly, then the one that is offered first. Without an
 * Accept the first one. Parameters but q count for nothing.
 */
#ifndef HF_API_HTTP_ACCEPT_H
#define HF_API_HTTP_ACCEPT_H

#include "http/http_exchange.h"

/* offers: "application/json" … in lower case. The index of the one that is wanted; -1: none is acceptable. */
int hf_http_accept(const struct hf_http_exchange *exchange, const struct hf_str *offers,
                   size_t count);

#endif
