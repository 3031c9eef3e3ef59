/*
 * One operation's JSON, {"op":"transfer","from":…}, into flat fields.
 *
 * Owns: the members' names and JSON forms. Must never: know what an operation needs (the command checks that). Called by:
 * decoders of commits and resources, saga definitions (native steps), decide (a native step's operations, rendered).
 */
#ifndef HF_CORE_OP_JSON_H
#define HF_CORE_OP_JSON_H

#include "core/fields_json.h"

/* The operation's member of that name; NULL: there is none. Its fields are struct hf_op_fields. */
const struct hf_member *hf_op_member(struct hf_str name);

/* The object that the current token begins. Texts are parts of the text or in the arena. */
bool hf_op_json_take(struct hf_fields_json *reading, struct hf_op_fields *fields) HF_WARN_UNUSED;
/* The same for a text that is one operation and nothing else. */
bool hf_op_json_decode(struct hf_str text, struct hf_arena *arena, struct hf_op_fields *fields,
                       struct hf_malformed *malformed) HF_WARN_UNUSED;

#endif
