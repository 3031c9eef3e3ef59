/*
 * W3C Trace Context: the header traceparent (PROTOCOLS TC1, TC2).
 *
 * Owns: its syntax. Must never: make an id. Called by: the feed's events, calls that go out.
 */
#ifndef HF_BASE_TRACE_CONTEXT_H
#define HF_BASE_TRACE_CONTEXT_H

#include "base/arena.h"

#define HF_TRACEPARENT_BYTES 55 /* of version 00: 00-<32>-<16>-<2> */

/* *known is the traceparent as version 00. false: it is none. */
bool hf_traceparent_parse(struct hf_str text, char known[HF_TRACEPARENT_BYTES]) HF_WARN_UNUSED;
/* That of a commit's metadata, a valid JSON text or absent. false: there is none, or it is none. */
bool hf_traceparent_of(struct hf_str metadata, struct hf_arena *arena,
                       char known[HF_TRACEPARENT_BYTES]) HF_WARN_UNUSED;

#endif
