/* The events of sagas as they are stored (docs/disk-format.md). */
#include "base/check.h"
#include "core/codec_priv.h"
#include "core/saga_definition.h"

#define BUSINESS_KEY_BYTES_MAX 128u
#define ACTOR_BYTES_MAX        128u
#define STEP_NAME_BYTES_MAX    64u
#define POLL_AT_BYTES_MAX      8192u

/* Smallest encodings of a list's items: a count beyond what is left is damage, not a reason to allocate. */
#define STEP_AFTER_BYTES_MIN 20u
#define AWAIT_BYTES_MIN      17u
#define REFUSED_BYTES_MIN    18u

static void *fresh(struct hf_codec *codec, uint32_t count, size_t item_size, size_t bytes_min,
                   const char *what)
{
    if (hf_codec_writing(codec) || !hf_codec_ok(codec)) {
        return NULL;
    }
    if (count > hf_reader_left(&codec->in) / bytes_min) {
        hf_codec_fail(codec, what);
        return NULL;
    }
    void *list = hf_arena_alloc_zero(codec->arena, count, item_size);
    if (list == NULL) {
        codec->short_memory = true;
        hf_codec_fail(codec, what);
    }
    return list;
}

static void code_above_zero(struct hf_codec *codec, uint64_t *value, const char *what)
{
    hf_code_u64(codec, value, UINT64_MAX, what);
    if (*value == 0) {
        HF_CHECK(!hf_codec_writing(codec));
        hf_codec_fail(codec, what);
    }
}

/* An enum that may be absent (0). */
#define CODE_OPTIONAL_ENUM(codec, field, max, what)                                                \
    do {                                                                                           \
        uint32_t number_ = (uint32_t)(field);                                                      \
        hf_code_u32((codec), &number_, (uint32_t)(max), (what));                                   \
        (field) = (__typeof__(field))number_;                                                      \
    } while (0)

/* "~<32 hex>" */
static bool is_inline_name(struct hf_str text)
{
    bool fits = text.len == 33 && text.ptr[0] == '~';
    for (size_t i = 1; fits && i < text.len; i++) {
        char c = text.ptr[i];
        fits = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    }
    return fits;
}

/* A name, or that of an inline definition, which is no name of anybody's. */
void hf_code_definition_name(struct hf_codec *codec, struct hf_name *name)
{
    static const char what[] = "saga definition";
    hf_code_bytes(codec, name->id.bytes, sizeof(name->id.bytes), what);
    hf_code_text(codec, &name->text, HF_NAME_BYTES_MAX, what);
    if (hf_codec_writing(codec)) {
        return;
    }
    if (!hf_codec_ok(codec) || (!hf_name_valid(name->text) && !is_inline_name(name->text))) {
        hf_codec_fail(codec, what);
        name->text = HF_STR("");
    }
}

void hf_code_saga_head(struct hf_codec *codec, struct hf_saga_head *head)
{
    hf_code_name(codec, &head->name, "saga");
    code_above_zero(codec, &head->version, "saga version");
    HF_CODE_ENUM(codec, head->state, HF_SAGA_ABANDONED, "saga state");
    hf_code_u64(codec, &head->modified_at_us, UINT64_MAX, "saga modified at");
}

void hf_code_saga_definition_head(struct hf_codec *codec, struct hf_saga_definition_head *head)
{
    hf_code_definition_name(codec, &head->name);
    code_above_zero(codec, &head->version, "saga definition version");
}

/* ---- steps ---- */

/* Where a text is: 0 nowhere, 1 in this event, 2 where its position and index say. */
static void code_text_at(struct hf_codec *codec, struct hf_saga_text_at *at, const char *what)
{
    enum { NOWHERE, HERE, ELSEWHERE };
    bool here = at->position == 0 && at->index == UINT32_MAX;
    uint32_t tag = at->position != 0 ? ELSEWHERE : here ? HERE : NOWHERE;
    hf_code_u32(codec, &tag, ELSEWHERE, what);
    if (tag == HERE) {
        *at = HF_SAGA_THIS_EVENT;
    } else if (tag == ELSEWHERE) {
        code_above_zero(codec, &at->position, what);
        hf_code_u32(codec, &at->index, UINT32_MAX, what);
    }
}

void hf_code_saga_step(struct hf_codec *codec, struct hf_saga_step *step)
{
    HF_CODE_ENUM(codec, step->state, HF_STEP_PARKED, "step state");
    HF_CODE_ENUM(codec, step->op, HF_SAGA_COMPENSATION, "step op");
    hf_code_u32(codec, &step->attempts, UINT32_MAX, "step attempts");
    hf_code_u32(codec, &step->conflicts, UINT32_MAX, "step conflicts");
    hf_code_bool(codec, &step->unknown, "step unknown");
    hf_code_bool(codec, &step->polls, "step polls");
    uint32_t status = step->last_status;
    hf_code_u32(codec, &status, UINT16_MAX, "step status");
    step->last_status = (uint16_t)status;
    hf_code_u64(codec, &step->began_us, UINT64_MAX, "step began");
    hf_code_u64(codec, &step->ended_us, UINT64_MAX, "step ended");
    hf_code_u64(codec, &step->due_us, UINT64_MAX, "step due");
    hf_code_u64(codec, &step->deadline_us, UINT64_MAX, "step deadline");
    hf_code_u64(codec, &step->failing_us, UINT64_MAX, "step failing since");
    code_text_at(codec, &step->request, "step request");
    code_text_at(codec, &step->result, "step result");
    code_text_at(codec, &step->error, "step error");
    code_text_at(codec, &step->awaited, "step awaited event");
    code_text_at(codec, &step->poll, "step poll");
}

static void code_step_after(struct hf_codec *codec, struct hf_saga_step_after *after)
{
    hf_code_u32(codec, &after->step, HF_SAGA_STEPS_MAX - 1, "step");
    hf_code_saga_step(codec, &after->after);
    hf_code_payload(codec, &after->request, HF_COMMIT_BYTES_MAX, "step request");
    hf_code_payload(codec, &after->result, HF_COMMIT_BYTES_MAX, "step result");
}

static void code_steps(struct hf_codec *codec, struct hf_saga_changed *saga)
{
    hf_code_u32(codec, &saga->after_count, HF_SAGA_STEPS_MAX, "steps");
    const struct hf_saga_step_after *from = saga->after;
    struct hf_saga_step_after *list =
        fresh(codec, saga->after_count, sizeof(*list), STEP_AFTER_BYTES_MIN, "steps");
    for (uint32_t i = 0; i < saga->after_count && hf_codec_ok(codec); i++) {
        struct hf_saga_step_after after = list == NULL ? from[i] : (struct hf_saga_step_after){0};
        code_step_after(codec, &after);
        if (list == NULL) {
            continue;
        }
        if (i > 0 && after.step <= list[i - 1].step) {
            hf_codec_fail(codec, "steps");
        }
        list[i] = after;
    }
    if (list != NULL) {
        saga->after = list;
    }
}

/* ---- events ---- */

void hf_code_saga_awaits(struct hf_codec *codec, uint32_t *count,
                         const struct hf_saga_await **awaits)
{
    hf_code_u32(codec, count, HF_SAGA_STEPS_MAX, "awaited events");
    const struct hf_saga_await *from = *awaits;
    struct hf_saga_await *list =
        fresh(codec, *count, sizeof(*list), AWAIT_BYTES_MIN, "awaited events");
    for (uint32_t i = 0; i < *count && hf_codec_ok(codec); i++) {
        struct hf_saga_await await = list == NULL ? from[i] : (struct hf_saga_await){0};
        hf_code_u32(codec, &await.step, HF_SAGA_STEPS_MAX - 1, "awaiting step");
        hf_code_bytes(codec, await.key_hash.bytes, sizeof(await.key_hash.bytes), "awaited key");
        if (list == NULL) {
            continue;
        }
        if (i > 0 && await.step <= list[i - 1].step) {
            hf_codec_fail(codec, "awaited events");
        }
        list[i] = await;
    }
    if (list != NULL) {
        *awaits = list;
    }
}

static void code_start(struct hf_codec *codec, struct hf_saga_changed *saga)
{
    hf_code_definition_name(codec, &saga->definition);
    code_above_zero(codec, &saga->definition_version, "saga definition version");
    hf_code_optional_text(codec, &saga->business_key, BUSINESS_KEY_BYTES_MAX, "business key");
    hf_code_payload(codec, &saga->tags, HF_METADATA_BYTES_MAX, "saga tags");
    hf_code_payload(codec, &saga->input, HF_DATA_BYTES_MAX, "saga input");
    hf_code_u64(codec, &saga->not_before_us, UINT64_MAX, "saga not before");
    hf_code_bytes(codec, saga->secret, sizeof(saga->secret), "saga secret");
    hf_code_bytes(codec, saga->content_hash, sizeof(saga->content_hash), "saga content hash");
    hf_code_saga_awaits(codec, &saga->await_count, &saga->awaits);
}

/* What moved it. */
static void code_cause(struct hf_codec *codec, struct hf_saga_changed *saga)
{
    uint32_t step = saga->step + 1; /* no single one becomes 0 */
    hf_code_u32(codec, &step, HF_SAGA_STEPS_MAX, "moved step");
    saga->step = step - 1;
    if (step != 0) {
        hf_code_text(codec, &saga->step_name, STEP_NAME_BYTES_MAX, "moved step's name");
        HF_CODE_ENUM(codec, saga->op, HF_SAGA_COMPENSATION, "moved op");
        hf_code_u32(codec, &saga->attempt, UINT32_MAX, "attempt");
    } else if (!hf_codec_writing(codec)) {
        saga->step_name = HF_STR_NONE;
    }
    CODE_OPTIONAL_ENUM(codec, saga->outcome, HF_OUTCOME_PARK, "outcome");
    hf_code_bool(codec, &saga->late, "late");
    uint32_t status = saga->status;
    hf_code_u32(codec, &status, UINT16_MAX, "status");
    saga->status = (uint16_t)status;
    hf_code_u32(codec, &saga->duration_ms, UINT32_MAX, "duration");
    hf_code_optional_text(codec, &saga->error, HF_SAGA_ERROR_BYTES_MAX, "saga error");
    hf_code_optional_text(codec, &saga->poll_at, POLL_AT_BYTES_MAX, "where to poll");
}

static void code_changed(struct hf_codec *codec, struct hf_event *event)
{
    struct hf_saga_changed copy;
    struct hf_saga_changed *saga = &copy;
    if (hf_codec_writing(codec)) {
        copy = *event->saga;
    } else {
        saga = hf_arena_alloc_zero(codec->arena, 1, sizeof(*saga));
        event->saga = saga;
    }
    if (saga == NULL) {
        codec->short_memory = true;
        hf_codec_fail(codec, "saga");
        return;
    }
    hf_code_name(codec, &saga->saga, "saga");
    code_above_zero(codec, &saga->uid, "saga uid");
    if (event->type == HF_EVENT_SAGA_STARTED) {
        code_start(codec, saga);
    }
    code_above_zero(codec, &saga->version, "saga version");
    hf_code_u64(codec, &saga->previous_position, UINT64_MAX, "saga previous position");
    HF_CODE_ENUM(codec, saga->act, HF_SAGA_ACT_FORGET, "saga act");
    HF_CODE_ENUM(codec, saga->state, HF_SAGA_ABANDONED, "saga state");
    CODE_OPTIONAL_ENUM(codec, saga->resumes, HF_SAGA_ABANDONED, "saga resumes");
    hf_code_bool(codec, &saga->compensating, "compensating");
    hf_code_bool(codec, &saga->past_pivot, "past pivot");
    hf_code_u64(codec, &saga->failing_us, UINT64_MAX, "failing since");
    hf_code_u64(codec, &saga->due_us, UINT64_MAX, "saga due");
    hf_code_optional_text(codec, &saga->reason, HF_SAGA_ERROR_BYTES_MAX, "reason");
    hf_code_optional_text(codec, &saga->actor, ACTOR_BYTES_MAX, "actor");
    code_cause(codec, saga);
    code_steps(codec, saga);
}

static void code_defined(struct hf_codec *codec, struct hf_saga_defined *defined)
{
    hf_code_definition_name(codec, &defined->definition);
    code_above_zero(codec, &defined->version, "saga definition version");
    hf_code_bool(codec, &defined->is_inline, "inline definition");
    hf_code_payload(codec, &defined->text, HF_SAGA_DEFINITION_BYTES_MAX, "saga definition");
    if (!hf_codec_writing(codec) && !hf_str_present(defined->text.text)) {
        hf_codec_fail(codec, "saga definition");
    }
}

static void code_refused(struct hf_codec *codec, struct hf_saga_bulk_refused *refused)
{
    hf_code_name(codec, &refused->saga, "refused saga");
    uint32_t code = (uint32_t)refused->code;
    hf_code_u32(codec, &code, UINT16_MAX, "refusal code");
    if (!hf_err_known(code) || code < HF_ERR_INVALID_REQUEST) {
        HF_CHECK(!hf_codec_writing(codec));
        hf_codec_fail(codec, "refusal code");
        code = HF_ERR_INVALID_REQUEST;
    }
    refused->code = (enum hf_err)code;
}

static void code_bulk(struct hf_codec *codec, struct hf_event *event)
{
    struct hf_saga_bulk copy;
    struct hf_saga_bulk *bulk = &copy;
    if (hf_codec_writing(codec)) {
        copy = *event->saga_verbs;
    } else {
        bulk = hf_arena_alloc_zero(codec->arena, 1, sizeof(*bulk));
        event->saga_verbs = bulk;
    }
    if (bulk == NULL) {
        codec->short_memory = true;
        hf_codec_fail(codec, "saga verbs");
        return;
    }
    HF_CODE_ENUM(codec, bulk->verb, HF_SAGA_ACT_ABANDON, "saga verb");
    hf_code_u32(codec, &bulk->matched, UINT32_MAX, "matched sagas");
    hf_code_u32(codec, &bulk->done, UINT32_MAX, "moved sagas");
    hf_code_u32(codec, &bulk->refused_count, UINT32_MAX, "refused sagas");
    hf_code_optional_text(codec, &bulk->next, HF_NAME_BYTES_MAX, "next saga");
    const struct hf_saga_bulk_refused *from = bulk->refused;
    struct hf_saga_bulk_refused *list =
        fresh(codec, bulk->refused_count, sizeof(*list), REFUSED_BYTES_MIN, "refused sagas");
    for (uint32_t i = 0; i < bulk->refused_count && hf_codec_ok(codec); i++) {
        struct hf_saga_bulk_refused refused =
            list == NULL ? from[i] : (struct hf_saga_bulk_refused){0};
        code_refused(codec, &refused);
        if (list != NULL) {
            list[i] = refused;
        }
    }
    if (list != NULL) {
        bulk->refused = list;
    }
}

void hf_code_saga_event(struct hf_codec *codec, struct hf_event *event)
{
    switch ((unsigned)event->type) {
    case HF_EVENT_SAGA_DEFINED:
        code_defined(codec, &event->saga_defined);
        return;
    case HF_EVENT_SAGA_VERBS:
        code_bulk(codec, event);
        return;
    default:
        code_changed(codec, event);
        return;
    }
}
