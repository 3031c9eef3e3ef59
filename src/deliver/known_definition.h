/*
 * Definitions of sagas as the runner knows them: those that its calls go by, parsed while they are in use.
 *
 * Owns: copies of names, parsed definitions up to a number of bytes; the least lately used are dropped and read again. Must never: be
 * shared with another thread (the state's own copy belongs to the node's). Called by: the saga runner.
 *
 * A version of a definition never changes, so a copy is never wrong.
 */
#ifndef HF_DELIVER_KNOWN_DEFINITION_H
#define HF_DELIVER_KNOWN_DEFINITION_H

#include "base/table.h"
#include "core/saga_definition.h"

struct hf_runner_turn; /* deliver/runner_priv.h */

/* Turns of the runner that wait for something, in order. */
struct turn_line {
    struct hf_runner_turn *first; /* NULL: empty */
    struct hf_runner_turn *last;  /* valid if first is */
};

struct hf_known_definition {
    struct hf_id id;     /* of name and version */
    struct hf_name name; /* its text is the record's own */
    uint64_t version;
    uint64_t references; /* 0: only what is parsed keeps it */
    bool parsed;
    struct hf_saga_definition definition;       /* if parsed */
    bool asked;                                 /* the runner's: its text is being read */
    struct turn_line turns;                     /* the runner's: that wait for the text */
    struct hf_known_definition *before, *after; /* parsed ones, least lately used first */
};

struct hf_known_definitions {
    struct hf_table by_id;
    struct hf_known_definition *first, *last; /* parsed */
    size_t parsed_bytes, bytes_max;
};

void hf_known_definitions_init(struct hf_known_definitions *known, size_t bytes_max, uint64_t seed);
void hf_known_definitions_release(struct hf_known_definitions *known); /* no reference is left */

/* A reference; NULL: memory is short. */
struct hf_known_definition *hf_known_definition_get(struct hf_known_definitions *known,
                                                    const struct hf_name *name,
                                                    uint64_t version) HF_WARN_UNUSED;
struct hf_known_definition *hf_known_definition_ref(struct hf_known_definition *definition);
void hf_known_definition_unref(struct hf_known_definitions *known,
                               struct hf_known_definition *definition); /* NULL is fine */

/* Parses it, if it is not. NO_MEMORY; CORRUPT: the text is no definition. */
enum hf_err hf_known_definition_parse(struct hf_known_definitions *known,
                                      struct hf_known_definition *definition,
                                      struct hf_str text) HF_WARN_UNUSED;
/* NULL: its text must be read. Lives until the next parse. */
const struct hf_saga_definition *hf_known_definition_use(struct hf_known_definitions *known,
                                                         struct hf_known_definition *definition);

#endif
