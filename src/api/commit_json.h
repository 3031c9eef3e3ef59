/*
 * A commit's JSON, strictly: {"if":[…],"do":[…],"metadata":{…}} into a command.
 *
 * Owns: the members' names and JSON types. Must never: know what an operation needs (the command
 * checks that), accept a member or type that it does not know. Called by: the library, cli, http.
 *
 * 1. What is refused is named by a JSON pointer into the text: "/do/0/amont: unknown member".
 * 2. Amounts, limits and values are decimal strings or integers below 2^53; versions, tokens and
 *    milliseconds integers below 2^53. null stands for "none" in floor and ceiling only.
 * 3. data and metadata keep their bytes.
 */
#ifndef HF_API_COMMIT_JSON_H
#define HF_API_COMMIT_JSON_H

#include "core/command.h"

/* Adds the text's conditions, operations and metadata to an initialised command of kind COMMIT; the
 * caller sets principal and key and then calls hf_command_finish. The text may be freed afterwards.
 * false: malformed says what and where; the command must then be released. */
bool hf_commit_json_decode(struct hf_str text, struct hf_command *command,
                           struct hf_malformed *malformed) HF_WARN_UNUSED;

/* The members that a resource's body may have: names as in an operation, "state" (an account's, given in
 * fields->type), NULL at the end. */
typedef const char *const *hf_resource_members;

/* Called for each object of the text in order, with op not yet set. index: its place in the array, 0 if
 * there is none. */
typedef bool (*hf_resource_fn)(void *context, uint32_t index, struct hf_op_fields *fields,
                               struct hf_malformed *malformed);

/* A resource's body: one object, or, if array is not NULL, also an array of them (*array then tells which, also on failure).
 * Strings live in the text or in arena. Pointers go into the text: "/amount", "/2/data". The caller's
 * function may have acted before a later object is refused. */
bool hf_resource_json_decode(struct hf_str text, hf_resource_members members, bool *array,
                             struct hf_arena *arena, hf_resource_fn each, void *context,
                             struct hf_malformed *malformed) HF_WARN_UNUSED;

#endif
