/*
 * The words of sagas as callers read and write them: "running", "compensate", "park".
 *
 * Owns: those words. Must never: change one once it is released. Called by: conditions and definitions (reading), the
 * renderers of api and cli.
 */
#ifndef HF_CORE_SAGA_WIRE_H
#define HF_CORE_SAGA_WIRE_H

#include "core/saga_event.h"

/* Static; of a number that is none of the enum's: "unknown". */
const char *hf_saga_state_wire(enum hf_saga_state state);       /* "running" */
const char *hf_step_state_wire(enum hf_step_state state);       /* "succeeded" */
const char *hf_saga_op_wire(enum hf_saga_op op);                /* "action", "compensate" */
const char *hf_saga_outcome_wire(enum hf_saga_outcome outcome); /* "success" */
const char *hf_saga_act_wire(enum hf_saga_act act);             /* "retry" */

/* false: no such word. */
bool hf_saga_state_parse(struct hf_str text, enum hf_saga_state *state);
/* A verb of operators: retry, pause, resume, skip, compensate or abandon. */
bool hf_saga_verb_parse(struct hf_str text, enum hf_saga_act *act);

#endif
