/*
 * What the files of saga definitions share: the definition that is being read.
 */
#ifndef HF_CORE_SAGA_DEFINITION_PRIV_H
#define HF_CORE_SAGA_DEFINITION_PRIV_H

#include "core/fields_json.h"
#include "core/saga_definition.h"

#define HF_SAGA_STEP_NAME_BYTES_MAX 64u
#define HF_SAGA_MS_MAX              31536000000ull  /* a year: what a step or a saga may take */
#define HF_SAGA_KEEP_MS_MAX         315360000000ull /* ten years */

/* A step's members as they stand in the text. */
struct hf_saga_step_fields {
    struct hf_str name;
    struct hf_str after, action, compensation, when, async, retry, on_status; /* JSON */
    bool has_pivot, pivot;
    bool has_attempt_timeout_ms, has_timeout_ms;
    uint64_t attempt_timeout_ms, timeout_ms;
};

/* All texts are parts of definition->text or in the arena. */
struct hf_saga_parsing {
    struct hf_saga_definition *definition;
    struct hf_arena *arena;
    struct hf_malformed *malformed;
    char place[HF_PLACE_BYTES]; /* of the value that is looked at, or of its parent */
};

/* Each false: malformed says what and where. `member`: of the place; NULL: the place itself. */
bool hf_saga_refuse(struct hf_saga_parsing *p, const char *member, const char *format, ...)
    HF_PRINTF(3, 4);
bool hf_saga_short_memory(struct hf_saga_parsing *p);

/* The JSON object at the place into fields. */
bool hf_saga_object(struct hf_saga_parsing *p, struct hf_str json, const struct hf_member *members,
                    size_t count, void *fields) HF_WARN_UNUSED;
/* A number with a default. */
bool hf_saga_number(struct hf_saga_parsing *p, const char *member, bool given, uint64_t value,
                    uint64_t otherwise, uint64_t min, uint64_t max, uint64_t *to) HF_WARN_UNUSED;

/* saga_definition_step.c: everything of a step but name, after and before. */
bool hf_saga_take_step(struct hf_saga_parsing *p, const struct hf_saga_step_fields *fields,
                       struct hf_saga_step_definition *step) HF_WARN_UNUSED;
/* saga_definition_call.c: an action or a compensation at the place. sources: steps whose results it may copy. */
bool hf_saga_take_call(struct hf_saga_parsing *p, struct hf_str json, bool compensation,
                       uint64_t sources, struct hf_saga_call *call) HF_WARN_UNUSED;
/* saga_definition_op.c: a native operation at the place; the template is checked already. */
bool hf_saga_check_op(struct hf_saga_parsing *p, const struct hf_template *op) HF_WARN_UNUSED;

/* saga_template_check.c: the JSON value at the place as a template. sources: as above. */
bool hf_saga_take_template(struct hf_saga_parsing *p, struct hf_str json, uint64_t sources,
                           struct hf_template *to) HF_WARN_UNUSED;
/* Is it one {"$":…} or {"$join":…} as a whole? text: canonical. */
bool hf_template_is_copy(struct hf_str text);
bool hf_template_is_join(struct hf_str text);

/* saga_when.c: how a JSON value compares with another. */
bool hf_saga_compares(struct hf_str value, enum hf_saga_compare compare, struct hf_str operand,
                      bool *short_memory) HF_WARN_UNUSED;
/* Can both hold at once, as far as that can be seen? */
bool hf_saga_whens_exclude(const struct hf_saga_when *a, const struct hf_saga_when *b,
                           bool *short_memory) HF_WARN_UNUSED;

#endif
