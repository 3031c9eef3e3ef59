/*
 * Packed records: bytes of a request into a command of units, outcomes into the answer (docs/protocol.md).
 *
 * Owns: the offsets' meaning. Must never: look at state; read beyond the body. Called by: the routes, tests, fuzzing.
 *
 * A record's names are 128 bits: what it calls new has their hex text as its name, what it refers to keeps an absent text
 * and is found by the bits alone.
 */
#ifndef HF_API_PACKED_H
#define HF_API_PACKED_H

#include "core/decide.h"

enum hf_packed_kind {
    HF_PACKED_TRANSFERS,
    HF_PACKED_ACCOUNTS,
};

/* Adds every record to a fresh command of units. false: malformed, with a pointer like "/17/flags"; the command is then
 * to be released. The body may go afterwards. */
bool hf_packed_decode(enum hf_packed_kind kind, struct hf_str body, struct hf_command *command,
                      struct hf_malformed *malformed) HF_WARN_UNUSED;

/* The answer as bytes; position 0: nothing was recorded. */
void hf_packed_results(struct hf_buffer *to, uint64_t position, uint64_t time_us,
                       const struct hf_outcome *outcomes, uint32_t count);
/* The same as JSON. */
void hf_packed_results_json(struct hf_buffer *to, uint64_t position, uint64_t time_us,
                            const struct hf_outcome *outcomes, uint32_t count);

#endif
