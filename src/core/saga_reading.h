/*
 * What reads of sagas come to.
 *
 * Owns: the readings' form. Must never: hold what the state does not own or the draft's arena does not keep: a reading is rendered
 * at once. Called by: read_saga.c fills them; api renders them.
 *
 *   query                         takes                                    fills in struct hf_reading
 *   HF_QUERY_SAGA                 name                                     saga (with input, results, errors), or saga_not_found
 *   HF_QUERY_SAGA_HISTORY         name, from (version to begin behind),    saga (without texts); items: SAGA_STARTED, _CHANGED and
 *                                 limit                                    _ENDED, oldest first; more, next_from
 *   HF_QUERY_SAGAS                saga_filter, after (next_after), limit   sagas (without texts), saga_count; more, next_after
 *   HF_QUERY_SAGA_DEFINITION      name, version                            definitions[0], text; or saga_definition_not_found
 *   HF_QUERY_SAGA_DEFINITIONS     name (of all its versions; absent: all   definitions (no inline ones) by name and version,
 *                                 of all names), after, limit              definition_count; more, next_after ("order@3")
 *   HF_QUERY_SAGA_COUNTS          limit                                    saga_counts; definitions: those with most sagas need not
 *                                                                          come first; at most `limit`; more
 *   HF_QUERY_SAGA_WORK            after (next_after), limit                sagas (without texts) with a step that is RUNNING, COMPENSATING
 *                                                                          or polls, paused ones too; in any lasting order; may be fewer than `limit`,
 *                                                                          or none; saga_count; more, next_after
 */
#ifndef HF_CORE_SAGA_READING_H
#define HF_CORE_SAGA_READING_H

#include "core/saga.h"

struct hf_saga_reading {
    const struct hf_saga *saga;
    struct hf_str input;          /* JSON; HF_QUERY_SAGA alone */
    const struct hf_str *results; /* by step: JSON, or absent; NULL: not read */
    const struct hf_str *errors;  /* by step: its newest error, or absent; NULL: not read */
};

/* Of all sagas that are not forgotten. */
struct hf_saga_counts {
    uint64_t by_state[HF_SAGA_STATE_COUNT];
    uint64_t attempts
        [HF_SAGA_OUTCOME_COUNT]; /* by outcome, of all times: evolve counts, checkpoints keep it */
    uint64_t failing;            /* sagas with failing_us > 0 */
    uint64_t oldest_failing_us;  /* 0 = none */
    uint64_t definitions;        /* stored, inline ones apart… */
    uint64_t inline_definitions; /* …which are these */
};

#endif
