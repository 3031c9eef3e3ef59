#include "core/saga.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/sha256.h"

#define VERSION_BYTES 8u

/* ---- making and freeing ---- */

static char *append(char *at, struct hf_str text)
{
    if (text.len > 0) {
        memcpy(at, text.ptr, text.len);
    }
    return at + text.len;
}

/* The texts lie behind each other: business key, a zero byte, name, tags; so the first three are the order of business keys. */
static void place_texts(struct hf_saga *saga, const struct hf_saga_changed *started, char *at)
{
    bool keyed = hf_str_present(started->business_key);
    char *first = at;
    if (keyed) {
        saga->business_key = (struct hf_str){at, started->business_key.len};
        at = append(at, started->business_key);
        *at++ = '\0';
    }
    saga->name = (struct hf_name){.id = started->saga.id, .text = {at, started->saga.text.len}};
    at = append(at, started->saga.text);
    if (keyed) {
        *saga->key =
            (struct hf_saga_key){.order.text = {first, (size_t)(at - first)}, .saga = saga};
    }
    if (hf_str_present(started->tags.text)) {
        saga->tags =
            (struct hf_payload){.text = {at, started->tags.text.len}, .hash = started->tags.hash};
        (void)append(at, started->tags.text);
    }
}

struct hf_saga *hf_saga_new(const struct hf_saga_changed *started, uint32_t step_count)
{
    bool keyed = hf_str_present(started->business_key);
    size_t steps_bytes = step_count * sizeof(struct hf_saga_step);
    size_t results_bytes = step_count * sizeof(struct hf_str);
    size_t waits_bytes = started->await_count * sizeof(struct hf_saga_wait);
    size_t key_bytes = keyed ? sizeof(struct hf_saga_key) : 0;
    size_t text_bytes =
        started->business_key.len + 1 + started->saga.text.len + started->tags.text.len;
    size_t head_bytes =
        sizeof(struct hf_saga) + steps_bytes + results_bytes + waits_bytes + key_bytes;
    struct hf_saga *saga = hf_malloc(head_bytes + text_bytes);
    if (saga == NULL) {
        return NULL;
    }
    memset(saga, 0, head_bytes);
    saga->uid = started->uid;
    saga->steps = (void *)(saga + 1);
    saga->results = (void *)(saga->steps + step_count);
    saga->waits = (void *)(saga->results + step_count);
    saga->key = keyed ? (void *)(saga->waits + started->await_count) : NULL;
    saga->wait_count = started->await_count;
    saga->not_before_us = started->not_before_us;
    memcpy(saga->secret, started->secret, sizeof(saga->secret));
    memcpy(saga->content_hash, started->content_hash, sizeof(saga->content_hash));
    place_texts(saga, started, (char *)saga + head_bytes);
    for (uint32_t i = 0; i < step_count; i++) {
        saga->steps[i] = (struct hf_saga_step){.state = HF_STEP_PENDING, .op = HF_SAGA_ACTION};
    }
    for (uint32_t i = 0; i < started->await_count; i++) {
        saga->waits[i] = (struct hf_saga_wait){.saga = saga, .await = started->awaits[i]};
    }
    return saga;
}

static void free_text(struct hf_str *text)
{
    hf_free((void *)text->ptr);
    *text = HF_STR_NONE;
}

static void free_texts(struct hf_saga *saga)
{
    free_text(&saga->input);
    for (uint32_t i = 0; saga->definition != NULL && i < saga->definition->parsed.step_count; i++) {
        free_text(&saga->results[i]);
    }
}

void hf_saga_free(struct hf_saga *saga)
{
    if (saga == NULL) {
        return;
    }
    free_texts(saga);
    free_text(&saga->reason);
    hf_free(saga);
}

struct hf_saga_stored_definition *hf_saga_definition_new(const struct hf_name *name,
                                                         uint64_t version)
{
    size_t text_bytes = name->text.len + 1 + VERSION_BYTES;
    struct hf_saga_stored_definition *definition = hf_malloc(sizeof(*definition) + text_bytes);
    if (definition == NULL) {
        return NULL;
    }
    memset(definition, 0, sizeof(*definition));
    char *text = (char *)(definition + 1);
    char *at = append(text, name->text);
    *at++ = '\0';
    for (unsigned i = 0; i < VERSION_BYTES; i++) {
        *at++ = (char)(version >> (56 - 8 * i));
    }
    definition->name = (struct hf_name){.id = name->id, .text = {text, name->text.len}};
    definition->version = version;
    definition->order.text = (struct hf_str){text, text_bytes};
    return definition;
}

void hf_saga_definition_free(struct hf_saga_stored_definition *definition)
{
    if (definition != NULL) {
        hf_saga_definition_release(&definition->parsed);
        hf_free(definition);
    }
}

/* ---- the whole ---- */

void hf_sagas_init(struct hf_sagas *sagas, uint64_t seed)
{
    *sagas = (struct hf_sagas){0};
    hf_table_init(&sagas->by_id, seed);
    hf_table_init(&sagas->waits, seed);
}

void hf_sagas_release(struct hf_sagas *sagas)
{
    size_t at = 0;
    struct hf_saga *saga;
    while ((saga = hf_table_next(&sagas->by_id, &at)) != NULL) {
        hf_saga_free(saga);
    }
    hf_table_release(&sagas->by_id);
    hf_table_release(&sagas->waits);
    const struct hf_name *order;
    while ((order = hf_names_behind(&sagas->definitions, HF_STR(""), false)) != NULL) {
        struct hf_saga_stored_definition *definition =
            HF_CONTAINER_OF(order, struct hf_saga_stored_definition, order);
        hf_names_remove(&sagas->definitions, order, &definition->node);
        hf_saga_definition_free(definition);
    }
    hf_saga_definition_free(sagas->loading);
    hf_sagas_drop_spares(sagas);
    hf_buffer_release(&sagas->loading_text);
    *sagas = (struct hf_sagas){0};
}

struct hf_saga *hf_sagas_get(const struct hf_sagas *sagas, const struct hf_id *id)
{
    return hf_table_get(&sagas->by_id, id);
}

/* ---- definitions ---- */

#define ORDER_BYTES_MAX (HF_NAME_BYTES_MAX + 1 + VERSION_BYTES)

/* Names longer than any that is stored are cut: they come behind nothing that they should not. */
static struct hf_str order_of(struct hf_str name, uint64_t version, char text[ORDER_BYTES_MAX])
{
    size_t len = name.len < HF_NAME_BYTES_MAX ? name.len : HF_NAME_BYTES_MAX;
    char *at = append(text, (struct hf_str){name.ptr, len});
    *at++ = '\0';
    for (unsigned i = 0; i < VERSION_BYTES; i++) {
        *at++ = (char)(version >> (56 - 8 * i));
    }
    return (struct hf_str){text, (size_t)(at - text)};
}

struct hf_saga_stored_definition *hf_sagas_definition_behind(const struct hf_sagas *sagas,
                                                             struct hf_str name, uint64_t version)
{
    char text[ORDER_BYTES_MAX];
    const struct hf_name *order =
        hf_names_behind(&sagas->definitions, order_of(name, version, text), false);
    return order == NULL ? NULL : HF_CONTAINER_OF(order, struct hf_saga_stored_definition, order);
}

struct hf_saga_stored_definition *hf_sagas_definition(const struct hf_sagas *sagas,
                                                      struct hf_str name, uint64_t version)
{
    char text[ORDER_BYTES_MAX];
    struct hf_str wanted = order_of(name, version, text);
    const struct hf_name *order = hf_names_behind(&sagas->definitions, wanted, true);
    if (order == NULL || !hf_str_equal(order->text, wanted)) {
        return NULL;
    }
    return HF_CONTAINER_OF(order, struct hf_saga_stored_definition, order);
}

bool hf_sagas_enter_definition(struct hf_sagas *sagas, struct hf_saga_stored_definition *definition)
{
    if (!hf_names_insert(&sagas->definitions, &definition->order, &definition->node)) {
        return false;
    }
    sagas->inline_definitions += definition->is_inline;
    return true;
}

void hf_sagas_drop_definition(struct hf_sagas *sagas, struct hf_saga_stored_definition *definition)
{
    hf_names_remove(&sagas->definitions, &definition->order, &definition->node);
    sagas->inline_definitions -= definition->is_inline;
    hf_saga_definition_free(definition);
}

void hf_sagas_add_spare(struct hf_sagas *sagas, struct hf_saga_stored_definition *definition)
{
    struct hf_saga_stored_definition **at = &sagas->spares;
    while (*at != NULL) {
        at = &(*at)->next_spare;
    }
    *at = definition;
}

struct hf_saga_stored_definition *hf_sagas_take_spare(struct hf_sagas *sagas)
{
    struct hf_saga_stored_definition *definition = sagas->spares;
    HF_CHECK(definition != NULL);
    sagas->spares = definition->next_spare;
    definition->next_spare = NULL;
    return definition;
}

void hf_sagas_drop_spares(struct hf_sagas *sagas)
{
    while (sagas->spares != NULL) {
        hf_saga_definition_free(hf_sagas_take_spare(sagas));
    }
}

/* ---- waits ---- */

static uint32_t bucket_of(struct hf_str type)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < type.len; i++) {
        hash = (hash ^ (uint8_t)type.ptr[i]) * 16777619u;
    }
    return hash % HF_SAGA_WAIT_BUCKETS;
}

static struct hf_id wait_id(struct hf_str type, const struct hf_id *key_hash)
{
    struct hf_sha256_part parts[] = {{key_hash->bytes, sizeof(key_hash->bytes)},
                                     {type.ptr, type.len}};
    struct hf_hash hash = hf_sha256_parts(parts, HF_ARRAY_COUNT(parts));
    struct hf_id id;
    memcpy(id.bytes, hash.bytes, sizeof(id.bytes));
    return id;
}

struct hf_str hf_saga_wait_type(const struct hf_saga_wait *wait)
{
    return wait->saga->definition->parsed.steps[wait->await.step].action.event_type;
}

bool hf_saga_step_awaits(const struct hf_saga_step *step)
{
    return step->awaited.position == 0 &&
           (step->state == HF_STEP_PENDING || step->state == HF_STEP_WAITING ||
            (step->state == HF_STEP_PARKED && step->op == HF_SAGA_ACTION));
}

bool hf_sagas_wait_for(const struct hf_sagas *sagas, struct hf_str type)
{
    return sagas->wait_count > 0 && sagas->wait_types[bucket_of(type)] > 0;
}

struct hf_saga_wait *hf_sagas_waits(const struct hf_sagas *sagas, struct hf_str type,
                                    const struct hf_id *key_hash)
{
    struct hf_id id = wait_id(type, key_hash);
    return hf_table_get(&sagas->waits, &id);
}

static void list_wait(struct hf_sagas *sagas, struct hf_saga_wait *wait)
{
    struct hf_str type = hf_saga_wait_type(wait);
    wait->id = wait_id(type, &wait->await.key_hash);
    wait->before = NULL;
    wait->behind = hf_table_put(&sagas->waits, &wait->id, wait);
    if (wait->behind != NULL) {
        wait->behind->before = wait;
    }
    wait->listed = true;
    sagas->wait_types[bucket_of(type)]++;
    sagas->wait_count++;
}

void hf_sagas_unlist(struct hf_sagas *sagas, struct hf_saga_wait *wait)
{
    if (!wait->listed) {
        return;
    }
    if (wait->behind != NULL) {
        wait->behind->before = wait->before;
    }
    if (wait->before != NULL) {
        wait->before->behind = wait->behind;
    } else if (wait->behind != NULL) {
        (void)hf_table_put(&sagas->waits, &wait->id, wait->behind);
    } else {
        (void)hf_table_remove(&sagas->waits, &wait->id);
    }
    wait->listed = false;
    sagas->wait_types[bucket_of(hf_saga_wait_type(wait))]--;
    sagas->wait_count--;
}

static void unlist_all(struct hf_sagas *sagas, struct hf_saga *saga)
{
    for (uint32_t i = 0; i < saga->wait_count; i++) {
        hf_sagas_unlist(sagas, &saga->waits[i]);
    }
}

/* ---- sagas ---- */

static bool is_taken(const struct hf_sagas *sagas, struct hf_str name)
{
    for (unsigned i = 0; i < HF_SAGA_STATE_COUNT; i++) {
        const struct hf_name *found = hf_names_behind(&sagas->by_state[i], name, true);
        if (found != NULL && hf_str_equal(found->text, name)) {
            return true;
        }
    }
    return false;
}

bool hf_sagas_enter(struct hf_sagas *sagas, struct hf_saga *saga)
{
    if (is_taken(sagas, saga->name.text)) {
        return false;
    }
    HF_CHECK(hf_names_insert(&sagas->by_state[saga->state], &saga->name, &saga->state_node));
    (void)hf_table_put(&sagas->by_id, &saga->name.id, saga);
    sagas->bytes += hf_alloc_block_bytes(saga);
    if (saga->failing_us > 0) {
        HF_CHECK(hf_names_insert(&sagas->failing, &saga->name, &saga->failing_node));
    }
    if (saga->key != NULL) {
        HF_CHECK(hf_names_insert(&sagas->by_business_key, &saga->key->order, &saga->key->node));
    }
    saga->definition->sagas++;
    saga->definition->by_state[saga->state]++;
    for (uint32_t i = 0; i < saga->wait_count && !hf_saga_ended(saga->state); i++) {
        if (hf_saga_step_awaits(&saga->steps[saga->waits[i].await.step])) {
            list_wait(sagas, &saga->waits[i]);
        }
    }
    return true;
}

void hf_sagas_drop(struct hf_sagas *sagas, struct hf_saga *saga)
{
    unlist_all(sagas, saga);
    hf_names_remove(&sagas->by_state[saga->state], &saga->name, &saga->state_node);
    if (saga->failing_us > 0) {
        hf_names_remove(&sagas->failing, &saga->name, &saga->failing_node);
    }
    if (saga->key != NULL) {
        hf_names_remove(&sagas->by_business_key, &saga->key->order, &saga->key->node);
    }
    (void)hf_table_remove(&sagas->by_id, &saga->name.id);
    sagas->bytes -= hf_alloc_block_bytes(saga);
    saga->definition->sagas--;
    saga->definition->by_state[saga->state]--;
    hf_saga_free(saga);
}

void hf_sagas_move(struct hf_sagas *sagas, struct hf_saga *saga, enum hf_saga_state state,
                   uint64_t failing_us)
{
    if (state != saga->state) {
        hf_names_remove(&sagas->by_state[saga->state], &saga->name, &saga->state_node);
        saga->definition->by_state[saga->state]--;
        saga->state = state;
        HF_CHECK(hf_names_insert(&sagas->by_state[state], &saga->name, &saga->state_node));
        saga->definition->by_state[state]++;
    }
    if (failing_us > 0 && saga->failing_us == 0) {
        HF_CHECK(hf_names_insert(&sagas->failing, &saga->name, &saga->failing_node));
    } else if (failing_us == 0 && saga->failing_us > 0) {
        hf_names_remove(&sagas->failing, &saga->name, &saga->failing_node);
    }
    saga->failing_us = failing_us;
}

void hf_sagas_finish(struct hf_sagas *sagas, struct hf_saga *saga)
{
    unlist_all(sagas, saga);
    free_texts(saga);
}

/* ---- verification ---- */

static void verify_saga(const struct hf_sagas *sagas, const struct hf_saga *saga)
{
    HF_CHECK(saga->state >= HF_SAGA_SCHEDULED && saga->state <= HF_SAGA_ABANDONED);
    HF_CHECK(saga->name.text.ptr != NULL && saga->version >= 1);
    HF_CHECK((saga->state == HF_SAGA_PAUSED) == (saga->resumes != 0));
    HF_CHECK((saga->key != NULL) == hf_str_present(saga->business_key));
    HF_CHECK(hf_names_behind(&sagas->by_state[saga->state], saga->name.text, true) == &saga->name);
    if (saga->failing_us > 0) {
        HF_CHECK(hf_names_behind(&sagas->failing, saga->name.text, true) == &saga->name);
    }
    for (uint32_t i = 0; i < saga->wait_count; i++) {
        const struct hf_saga_wait *wait = &saga->waits[i];
        bool waits =
            !hf_saga_ended(saga->state) && hf_saga_step_awaits(&saga->steps[wait->await.step]);
        HF_CHECK(wait->listed || !waits);
        HF_CHECK(!wait->listed || !hf_saga_ended(saga->state));
    }
}

static uint64_t verify_definitions(const struct hf_sagas *sagas)
{
    uint64_t used = 0;
    uint64_t of_inline = 0;
    const struct hf_name *order = hf_names_behind(&sagas->definitions, HF_STR(""), false);
    while (order != NULL) {
        const struct hf_saga_stored_definition *definition =
            HF_CONTAINER_OF(order, struct hf_saga_stored_definition, order);
        uint64_t sum = 0;
        for (unsigned i = 0; i < HF_SAGA_STATE_COUNT; i++) {
            sum += definition->by_state[i];
        }
        HF_CHECK(sum == definition->sagas && (!definition->is_inline || sum > 0));
        used += sum;
        of_inline += definition->is_inline;
        order = hf_names_behind(&sagas->definitions, order->text, false);
    }
    HF_CHECK(of_inline == sagas->inline_definitions);
    return used;
}

static uint64_t verify_waits(const struct hf_sagas *sagas)
{
    uint64_t count = 0;
    size_t at = 0;
    const struct hf_saga_wait *wait;
    while ((wait = hf_table_next(&sagas->waits, &at)) != NULL) {
        HF_CHECK(wait->before == NULL);
        for (; wait != NULL; wait = wait->behind) {
            HF_CHECK(wait->listed && (wait->behind == NULL || wait->behind->before == wait));
            count++;
        }
    }
    return count;
}

void hf_sagas_verify(const struct hf_sagas *sagas)
{
    hf_table_verify(&sagas->by_id);
    hf_table_verify(&sagas->waits);
    hf_names_verify(&sagas->failing);
    hf_names_verify(&sagas->by_business_key);
    hf_names_verify(&sagas->definitions);
    uint64_t in_states = 0;
    for (unsigned i = 0; i < HF_SAGA_STATE_COUNT; i++) {
        hf_names_verify(&sagas->by_state[i]);
        in_states += sagas->by_state[i].count;
    }
    uint64_t failing = 0;
    uint64_t keyed = 0;
    size_t at = 0;
    const struct hf_saga *saga;
    while ((saga = hf_table_next(&sagas->by_id, &at)) != NULL) {
        verify_saga(sagas, saga);
        failing += saga->failing_us > 0;
        keyed += saga->key != NULL;
    }
    HF_CHECK(in_states == sagas->by_id.count && failing == sagas->failing.count);
    HF_CHECK(keyed == sagas->by_business_key.count);
    HF_CHECK(verify_waits(sagas) == sagas->wait_count);
    HF_CHECK(verify_definitions(sagas) == sagas->by_id.count);
}
