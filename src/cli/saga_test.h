/*
 * What `holdfast saga test` makes of a definition before it is run: steps that a server would do itself, and awaited events, become
 * calls of participants like the others; input and results are made up of what the templates name.
 *
 * Owns: nothing; texts live in the caller's arena. Must never: change what decides how a saga goes on (order, pivot, retry, time-outs).
 * Called by: saga_test.c.
 */
#ifndef HF_CLI_SAGA_TEST_H
#define HF_CLI_SAGA_TEST_H

#include "core/saga_definition.h"

/* A definition that was parsed: {"do"} and {"event"} become {"url"}; a step that waited for an event waits for a callback.
 * ptr NULL: memory is short. */
struct hf_str hf_saga_test_rewrite(struct hf_str definition, struct hf_arena *arena);

/* JSON that has what the definition's templates take from `root` ("/input", "/steps/reserve"): the text "x" wherever they end.
 * ptr NULL: memory is short. */
struct hf_str hf_saga_test_make_up(struct hf_str definition, struct hf_str root,
                                   struct hf_arena *arena);

#endif
