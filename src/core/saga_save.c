/*
 * Sagas and their definitions as canonical records, and back.
 *
 * Layout (docs/disk-format.md): one record of sums; the definitions ascending by name and version, each followed by the pieces of
 * its text; the sagas ascending by id. What sagas have in RAM of the log is not among it.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/check.h"
#include "core/saga_apply.h"

#define PIECE_BYTES 32768u

static enum hf_err bad(struct hf_error *error, const char *what)
{
    return hf_error_set(error, HF_ERR_CORRUPT, "load state: bad %s", what);
}

static enum hf_err no_memory(struct hf_error *error)
{
    return hf_error_set(error, HF_ERR_NO_MEMORY, "load state: out of memory");
}

/* ---- what a record holds ---- */

static void code_sums(struct hf_codec *codec, uint64_t attempts[HF_SAGA_OUTCOME_COUNT],
                      uint64_t *definition_count)
{
    for (unsigned i = HF_OUTCOME_SUCCESS; i < HF_SAGA_OUTCOME_COUNT; i++) {
        hf_code_u64(codec, &attempts[i], UINT64_MAX, "attempts");
    }
    hf_code_u64(codec, definition_count, UINT64_MAX, "saga definitions");
}

/* Text and sums apart. */
static void code_definition(struct hf_codec *codec, struct hf_saga_stored_definition *definition,
                            uint64_t *text_bytes)
{
    hf_code_definition_name(codec, &definition->name);
    hf_code_u64(codec, &definition->version, UINT64_MAX, "saga definition version");
    hf_code_bool(codec, &definition->is_inline, "inline definition");
    hf_code_u64(codec, &definition->position, UINT64_MAX, "saga definition position");
    hf_code_u64(codec, &definition->created_us, UINT64_MAX, "saga definition created at");
    hf_code_u64(codec, text_bytes, HF_SAGA_DEFINITION_BYTES_MAX, "saga definition bytes");
    if (*text_bytes == 0 || definition->version == 0) {
        hf_codec_fail(codec, "saga definition");
    }
}

/* A saga apart from its steps. */
struct head {
    struct hf_name definition;
    uint64_t definition_version;
    uint32_t step_count;
    uint32_t await_count;
    const struct hf_saga_await *awaits;
};

static void code_head(struct hf_codec *codec, struct hf_saga *saga, struct head *head)
{
    hf_code_name(codec, &saga->name, "saga");
    hf_code_definition_name(codec, &head->definition);
    hf_code_u64(codec, &head->definition_version, UINT64_MAX, "saga definition version");
    hf_code_u64(codec, &saga->uid, UINT64_MAX, "saga uid");
    hf_code_u64(codec, &saga->version, UINT64_MAX, "saga version");
    hf_code_optional_text(codec, &saga->business_key, HF_NAME_BYTES_MAX, "business key");
    hf_code_optional_text(codec, &saga->tags.text, HF_METADATA_BYTES_MAX, "saga tags");
    hf_code_u64(codec, &saga->started_us, UINT64_MAX, "saga started at");
    hf_code_u64(codec, &saga->modified_us, UINT64_MAX, "saga modified at");
    hf_code_u64(codec, &saga->ended_us, UINT64_MAX, "saga ended at");
    hf_code_u64(codec, &saga->not_before_us, UINT64_MAX, "saga not before");
    hf_code_u64(codec, &saga->started_position, UINT64_MAX, "saga started position");
    hf_code_u64(codec, &saga->last_position, UINT64_MAX, "saga last position");
    hf_code_u32(codec, &saga->last_index, UINT32_MAX, "saga last index");
    HF_CODE_ENUM(codec, saga->state, HF_SAGA_ABANDONED, "saga state");
    uint32_t resumes = (uint32_t)saga->resumes;
    hf_code_u32(codec, &resumes, HF_SAGA_ABANDONED, "saga resumes");
    saga->resumes = (enum hf_saga_state)resumes;
    hf_code_bool(codec, &saga->compensating, "saga compensating");
    hf_code_bool(codec, &saga->past_pivot, "saga past pivot");
    hf_code_u64(codec, &saga->failing_us, UINT64_MAX, "saga failing since");
    hf_code_u64(codec, &saga->due_us, UINT64_MAX, "saga due");
    hf_code_u64(codec, &saga->deadline_us, UINT64_MAX, "saga deadline");
    hf_code_optional_text(codec, &saga->reason, HF_SAGA_ERROR_BYTES_MAX, "saga reason");
    hf_code_bytes(codec, saga->secret, sizeof(saga->secret), "saga secret");
    hf_code_bytes(codec, saga->content_hash, sizeof(saga->content_hash), "saga content hash");
    hf_code_u32(codec, &saga->input_index, UINT32_MAX, "saga input index");
    hf_code_saga_awaits(codec, &head->await_count, &head->awaits);
    hf_code_u32(codec, &head->step_count, HF_SAGA_STEPS_MAX, "saga steps");
}

/* ---- writing ---- */

bool hf_sagas_any(const struct hf_sagas *sagas)
{
    uint64_t attempts = 0;
    for (unsigned i = 0; i < HF_SAGA_OUTCOME_COUNT; i++) {
        attempts |= sagas->attempts[i];
    }
    return sagas->by_id.count > 0 || sagas->definitions.count > 0 || attempts > 0;
}

static uint64_t piece_count(const struct hf_saga_stored_definition *definition)
{
    return (definition->parsed.text.len + PIECE_BYTES - 1) / PIECE_BYTES;
}

uint64_t hf_saga_records(const struct hf_state *state)
{
    uint64_t count = 1 + state->sagas.by_id.count;
    const struct hf_saga_stored_definition *definition =
        hf_sagas_definition_behind(&state->sagas, HF_STR(""), 0);
    while (definition != NULL) {
        count += 1 + piece_count(definition);
        definition =
            hf_sagas_definition_behind(&state->sagas, definition->name.text, definition->version);
    }
    return count;
}

static bool save_definition(struct hf_saving *saving,
                            const struct hf_saga_stored_definition *definition)
{
    struct hf_codec codec = hf_saving_begin(saving);
    struct hf_saga_stored_definition copy = *definition;
    uint64_t text_bytes = definition->parsed.text.len;
    code_definition(&codec, &copy, &text_bytes);
    bool ok = hf_saving_emit(saving, &codec);
    for (uint64_t at = 0; ok && at < text_bytes; at += PIECE_BYTES) {
        struct hf_str piece = {definition->parsed.text.ptr + at,
                               (size_t)hf_min_u64(PIECE_BYTES, text_bytes - at)};
        codec = hf_saving_begin(saving);
        hf_code_text(&codec, &piece, PIECE_BYTES, "saga definition text");
        ok = hf_saving_emit(saving, &codec);
    }
    return ok;
}

static bool save_definitions(struct hf_saving *saving, const struct hf_sagas *sagas)
{
    const struct hf_saga_stored_definition *definition =
        hf_sagas_definition_behind(sagas, HF_STR(""), 0);
    bool ok = true;
    while (ok && definition != NULL) {
        ok = save_definition(saving, definition);
        definition = hf_sagas_definition_behind(sagas, definition->name.text, definition->version);
    }
    return ok;
}

static bool save_saga(struct hf_saving *saving, const struct hf_saga *saga)
{
    struct hf_saga_await awaits[HF_SAGA_STEPS_MAX];
    for (uint32_t i = 0; i < saga->wait_count; i++) {
        awaits[i] = saga->waits[i].await;
    }
    struct head head = {
        .definition = saga->definition->name,
        .definition_version = saga->definition->version,
        .step_count = saga->definition->parsed.step_count,
        .await_count = saga->wait_count,
        .awaits = awaits,
    };
    struct hf_codec codec = hf_saving_begin(saving);
    struct hf_saga copy = *saga;
    code_head(&codec, &copy, &head);
    for (uint32_t i = 0; i < head.step_count; i++) {
        hf_code_saga_step(&codec, &saga->steps[i]);
    }
    return hf_saving_emit(saving, &codec);
}

/* Every saga begins with its name, and a name with its id. */
static int compare_sagas(const void *a, const void *b)
{
    const struct hf_saga *left = *(const struct hf_saga *const *)a;
    const struct hf_saga *right = *(const struct hf_saga *const *)b;
    return hf_id_compare(&left->name.id, &right->name.id);
}

static bool save_sagas(struct hf_saving *saving, const struct hf_sagas *sagas)
{
    const struct hf_saga **list =
        hf_malloc((sagas->by_id.count + 1) * sizeof(const struct hf_saga *));
    if (list == NULL) {
        return false;
    }
    size_t at = 0;
    size_t count = 0;
    const struct hf_saga *saga;
    while ((saga = hf_table_next(&sagas->by_id, &at)) != NULL) {
        list[count++] = saga;
    }
    qsort(list, count, sizeof(const struct hf_saga *), compare_sagas);
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        ok = save_saga(saving, list[i]);
    }
    hf_free(list);
    return ok;
}

bool hf_saga_save(const struct hf_state *state, struct hf_saving *saving)
{
    struct hf_codec codec = hf_saving_begin(saving);
    uint64_t attempts[HF_SAGA_OUTCOME_COUNT];
    uint64_t definition_count = state->sagas.definitions.count;
    memcpy(attempts, state->sagas.attempts, sizeof(attempts));
    code_sums(&codec, attempts, &definition_count);
    return hf_saving_emit(saving, &codec) && save_definitions(saving, &state->sagas) &&
           save_sagas(saving, &state->sagas);
}

/* ---- reading ---- */

static bool read_whole(const struct hf_codec *codec)
{
    return hf_codec_ok(codec) && hf_reader_left(&codec->in) == 0;
}

static enum hf_err failed(const struct hf_codec *codec, struct hf_error *error, const char *what)
{
    return codec->short_memory ? no_memory(error)
                               : bad(error, codec->what == NULL ? what : codec->what);
}

static enum hf_err load_sums(struct hf_sagas *sagas, struct hf_codec *codec, struct hf_error *error)
{
    code_sums(codec, sagas->attempts, &sagas->loading_definitions);
    sagas->has_sums = true;
    return read_whole(codec) ? HF_ERR_OK : failed(codec, error, "sums of sagas");
}

static enum hf_err load_definition(struct hf_sagas *sagas, struct hf_codec *codec,
                                   struct hf_error *error)
{
    struct hf_saga_stored_definition read = {0};
    code_definition(codec, &read, &sagas->loading_bytes);
    if (!read_whole(codec) || read.is_inline != (read.name.text.ptr[0] == '~')) {
        return failed(codec, error, "saga definition");
    }
    if (hf_sagas_definition(sagas, read.name.text, read.version) != NULL ||
        hf_sagas_definition_behind(sagas, read.name.text, read.version) != NULL) {
        return bad(error, "saga definition: out of order");
    }
    struct hf_saga_stored_definition *definition = hf_saga_definition_new(&read.name, read.version);
    if (definition == NULL) {
        return no_memory(error);
    }
    definition->is_inline = read.is_inline;
    definition->position = read.position;
    definition->created_us = read.created_us;
    sagas->loading = definition;
    sagas->loading_definitions--;
    hf_buffer_clear(&sagas->loading_text);
    return HF_ERR_OK;
}

static enum hf_err finish_definition(struct hf_sagas *sagas, struct hf_error *error)
{
    struct hf_saga_stored_definition *definition = sagas->loading;
    struct hf_str text = {(const char *)sagas->loading_text.data, sagas->loading_text.size_bytes};
    struct hf_malformed malformed = {0};
    if (!hf_saga_definition_parse(&definition->parsed, text, &malformed)) {
        definition->parsed = (struct hf_saga_definition){0};
        return malformed.code == HF_ERR_NO_MEMORY ? no_memory(error)
                                                  : bad(error, "saga definition: malformed");
    }
    if (!hf_str_equal(definition->parsed.text, text)) {
        return bad(error, "saga definition: not canonical");
    }
    sagas->loading = NULL;
    HF_CHECK(hf_sagas_enter_definition(sagas, definition)); /* it was not there */
    return HF_ERR_OK;
}

static enum hf_err load_piece(struct hf_sagas *sagas, struct hf_codec *codec,
                              struct hf_error *error)
{
    struct hf_str piece = HF_STR_NONE;
    hf_code_text(codec, &piece, PIECE_BYTES, "saga definition text");
    uint64_t left = sagas->loading_bytes - sagas->loading_text.size_bytes;
    if (!read_whole(codec) || piece.len != hf_min_u64(left, PIECE_BYTES)) {
        return failed(codec, error, "saga definition text");
    }
    hf_buffer_bytes(&sagas->loading_text, piece.ptr, piece.len);
    if (sagas->loading_text.failed) {
        return no_memory(error);
    }
    return piece.len == left ? finish_definition(sagas, error) : HF_ERR_OK;
}

static bool head_fits(const struct hf_saga *saga, const struct head *head,
                      const struct hf_saga_stored_definition *definition)
{
    if (definition == NULL || !hf_id_equal(&definition->name.id, &head->definition.id) ||
        head->step_count != definition->parsed.step_count || saga->uid == 0 || saga->version == 0 ||
        (saga->state == HF_SAGA_PAUSED) != (saga->resumes != 0) ||
        hf_saga_ended(saga->state) != (saga->ended_us != 0)) {
        return false;
    }
    for (uint32_t i = 0; i < head->await_count; i++) {
        uint32_t step = head->awaits[i].step;
        if (step >= head->step_count ||
            definition->parsed.steps[step].action.kind != HF_CALL_EVENT) {
            return false;
        }
    }
    return true;
}

/* All texts of a step are in the log. */
static bool is_resolved(const struct hf_saga_step *step)
{
    return step->request.index != UINT32_MAX && step->result.index != UINT32_MAX &&
           step->error.index != UINT32_MAX && step->awaited.index != UINT32_MAX &&
           step->poll.index != UINT32_MAX;
}

/* Takes over what hf_saga_new does not. false: memory is short. */
static bool fill(struct hf_saga *saga, const struct hf_saga *read)
{
    struct hf_str reason = HF_STR_NONE;
    if (hf_str_present(read->reason)) {
        char *copy = hf_malloc(read->reason.len + 1);
        if (copy == NULL) {
            return false;
        }
        memcpy(copy, read->reason.ptr, read->reason.len);
        reason = (struct hf_str){copy, read->reason.len};
    }
    struct hf_saga fresh = *saga;
    *saga = *read;
    saga->name = fresh.name;
    saga->business_key = fresh.business_key;
    saga->tags = fresh.tags;
    saga->reason = reason;
    saga->steps = fresh.steps;
    saga->results = fresh.results;
    saga->key = fresh.key;
    saga->wait_count = fresh.wait_count;
    saga->waits = fresh.waits;
    return true;
}

static enum hf_err enter(struct hf_state *state, struct hf_saga *saga, struct hf_error *error)
{
    struct hf_sagas *sagas = &state->sagas;
    if (!hf_table_reserve(&sagas->by_id, 1) || !hf_due_reserve(&state->due, 1) ||
        !hf_table_reserve(&sagas->waits, saga->wait_count)) {
        hf_saga_free(saga);
        return no_memory(error);
    }
    if (!hf_sagas_enter(sagas, saga)) {
        hf_saga_free(saga);
        return bad(error, "saga: its name is there twice");
    }
    hf_state_push_due(state, HF_KIND_SAGA, &saga->name.id, saga->due_us);
    return HF_ERR_OK;
}

static enum hf_err load_saga(struct hf_state *state, struct hf_codec *codec, struct hf_error *error)
{
    struct hf_sagas *sagas = &state->sagas;
    struct hf_saga read = {0};
    struct head head = {0};
    code_head(codec, &read, &head);
    if (!hf_codec_ok(codec)) {
        return failed(codec, error, "saga");
    }
    struct hf_saga_stored_definition *definition =
        hf_sagas_definition(sagas, head.definition.text, head.definition_version);
    if (!head_fits(&read, &head, definition) ||
        (sagas->has_loaded && hf_id_compare(&sagas->loaded_id, &read.name.id) >= 0)) {
        return bad(error, "saga");
    }
    sagas->has_loaded = true;
    sagas->loaded_id = read.name.id;
    read.tags.hash = hf_sha256(read.tags.text.ptr, read.tags.text.len);
    struct hf_saga_changed started = {
        .saga = read.name,
        .business_key = read.business_key,
        .tags = read.tags,
        .await_count = head.await_count,
        .awaits = head.awaits,
    };
    struct hf_saga *saga = hf_saga_new(&started, head.step_count);
    if (saga == NULL || !fill(saga, &read)) {
        hf_saga_free(saga);
        return no_memory(error);
    }
    saga->definition = definition;
    bool resolved = true;
    for (uint32_t i = 0; i < head.step_count; i++) {
        saga->steps[i] = (struct hf_saga_step){0};
        hf_code_saga_step(codec, &saga->steps[i]);
        resolved = resolved && is_resolved(&saga->steps[i]);
    }
    if (!read_whole(codec) || !resolved) {
        hf_saga_free(saga);
        return failed(codec, error, "steps of a saga");
    }
    return enter(state, saga, error);
}

enum hf_err hf_saga_load(struct hf_state *state, struct hf_codec *codec, struct hf_error *error)
{
    struct hf_sagas *sagas = &state->sagas;
    if (!sagas->has_sums) {
        return load_sums(sagas, codec, error);
    }
    if (sagas->loading != NULL) {
        return load_piece(sagas, codec, error);
    }
    return sagas->loading_definitions > 0 ? load_definition(sagas, codec, error)
                                          : load_saga(state, codec, error);
}

enum hf_err hf_saga_load_end(struct hf_state *state, struct hf_error *error)
{
    struct hf_sagas *sagas = &state->sagas;
    if (!sagas->has_sums || sagas->loading != NULL || sagas->loading_definitions > 0) {
        return bad(error, "sagas: definitions are not whole");
    }
    const struct hf_saga_stored_definition *definition =
        hf_sagas_definition_behind(sagas, HF_STR(""), 0);
    while (definition != NULL) {
        if (definition->is_inline && definition->sagas == 0) {
            return bad(error, "inline saga definition: nothing uses it");
        }
        definition = hf_sagas_definition_behind(sagas, definition->name.text, definition->version);
    }
    if (!hf_sagas_any(sagas)) {
        return bad(error, "sagas: there are none");
    }
    hf_buffer_release(&sagas->loading_text);
    return HF_ERR_OK;
}
