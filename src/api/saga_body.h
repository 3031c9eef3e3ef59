/*
 * Bodies of what operators do to sagas: JSON into fields. (Those of starts and of steps are operations: core/op_json.h.)
 *
 * Owns: their members' names and JSON types. Must never: know a limit or a default (the command checks), accept a member that the
 * route does not take. Called by: the routes of sagas; a fuzz target.
 *
 * What is refused is named by a JSON pointer into the body: "/filter/state".
 */
#ifndef HF_API_SAGA_BODY_H
#define HF_API_SAGA_BODY_H

#include "core/command.h"
#include "core/saga_op.h"

enum hf_saga_body_kind {
    HF_SAGA_BODY_VERB, /* {"step"?,"result"?,"reason","actor"?} */
    HF_SAGA_BODY_BULK, /* {"verb","filter","reason","actor"?,"jitter_ms"?,"limit"?,"after"?,"dry_run"?} */
};

struct hf_saga_body {
    struct hf_saga_op_fields fields; /* type, saga and, but for BULK, verb are the caller's */
    bool dry_run;                    /* bulk */
    bool has_filter;                 /* bulk: it was there */
    bool has_limit;                  /* bulk */
    uint64_t limit;                  /* if has_limit */
    struct hf_str verb;              /* bulk: as given */
};

/* text: the whole body; its memory and the arena must outlive the fields. */
bool hf_saga_body_decode(struct hf_str text, enum hf_saga_body_kind kind, struct hf_arena *arena,
                         struct hf_saga_body *body, struct hf_malformed *malformed) HF_WARN_UNUSED;

/* "shop:berlin" into key and value. false: there is no colon behind a key. */
bool hf_saga_tag_split(struct hf_str text, struct hf_saga_filter *filter);

#endif
