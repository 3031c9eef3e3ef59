/*
 * The state as canonical bytes, and back.
 *
 * Layout (docs/disk-format.md): for each kind (accounts, holds, streams, documents, leases): u64 count,
 * then records u32 length + bytes, ascending by id; then one record: space, position, time, epoch,
 * feature level, checkpoint position and hash. A state that has more goes on: a byte of section bits ends that record, and
 * then come, if their bit is set: (1) the delayed messages, ascending by place, and the subscriptions; (2) sagas and their
 * definitions; (4) the alerts that are raised, in their order, and the newest cleared ones. A state without a section has the
 * same bytes as before there was any of its kind. Integers little-endian or LEB128.
 */
#include "base/alloc.h"
#include "base/check.h"
#include "core/codec_priv.h"
#include "core/queue_apply.h"
#include "core/saga_apply.h"
#include "core/state_priv.h"

enum stage {
    STAGE_ACCOUNTS,
    STAGE_HOLDS,
    STAGE_STREAMS,
    STAGE_DOCUMENTS,
    STAGE_LEASES,
    STAGE_NUMBERS,
    STAGE_DELAYED, /* from here on if the numbers say so */
    STAGE_SUBSCRIPTIONS,
    STAGE_SAGAS,
    STAGE_ALERTS,
    STAGE_DONE,
};

/* What the numbers say of what follows them. */
#define SECTION_QUEUE  1u
#define SECTION_SAGAS  2u
#define SECTION_ALERTS 4u
#define SECTIONS       (SECTION_QUEUE | SECTION_SAGAS | SECTION_ALERTS)

/* The section that a stage belongs to; 0: it is always there. */
static uint32_t section_of(enum stage stage)
{
    return stage == STAGE_DELAYED || stage == STAGE_SUBSCRIPTIONS ? SECTION_QUEUE
           : stage == STAGE_SAGAS                                 ? SECTION_SAGAS
           : stage == STAGE_ALERTS                                ? SECTION_ALERTS
                                                                  : 0;
}

static uint32_t sections_of(const struct hf_state *state)
{
    bool queue = state->queue.delayed.count > 0 || state->queue.subscriptions.count > 0;
    bool alerts = state->alerts.raised_count > 0 || state->alerts.cleared_count > 0;
    return (queue ? SECTION_QUEUE : 0) | (hf_sagas_any(&state->sagas) ? SECTION_SAGAS : 0) |
           (alerts ? SECTION_ALERTS : 0);
}

/* Every thing begins with its name, and a name with its id. */
static int compare_things(const void *a, const void *b)
{
    const struct hf_name *left = *(const struct hf_name *const *)a;
    const struct hf_name *right = *(const struct hf_name *const *)b;
    return hf_id_compare(&left->id, &right->id);
}

_Static_assert(offsetof(struct hf_account, name) == 0, "things begin with their name");
_Static_assert(offsetof(struct hf_hold, name) == 0, "things begin with their name");
_Static_assert(offsetof(struct hf_stream, name) == 0, "things begin with their name");
_Static_assert(offsetof(struct hf_document, name) == 0, "things begin with their name");
_Static_assert(offsetof(struct hf_lease, name) == 0, "things begin with their name");

/* NULL: accounts, which are in no table. */
static const struct hf_table *table_of(const struct hf_state *state, enum stage stage)
{
    const struct hf_table *tables[] = {NULL, &state->holds, &state->streams, &state->documents,
                                       &state->leases};
    return stage == STAGE_DELAYED ? &state->queue.delayed : tables[stage];
}

static void code_delayed(struct hf_codec *codec, struct hf_delayed *delayed)
{
    hf_code_u64(codec, &delayed->due_us, UINT64_MAX, "delayed until");
    hf_code_message_due(codec, &delayed->message);
    if (delayed->due_us == 0) {
        hf_codec_fail(codec, "delayed until");
    }
}

static void code_thing(struct hf_codec *codec, enum stage stage, void *thing)
{
    switch (stage) {
    case STAGE_ACCOUNTS:
        hf_code_account(codec, thing);
        return;
    case STAGE_HOLDS:
        hf_code_hold(codec, thing);
        return;
    case STAGE_STREAMS:
        hf_code_stream(codec, thing);
        return;
    case STAGE_DOCUMENTS:
        hf_code_document(codec, thing);
        return;
    case STAGE_LEASES:
        hf_code_lease(codec, thing);
        return;
    case STAGE_DELAYED:
        code_delayed(codec, thing);
        return;
    case STAGE_ALERTS:
        hf_code_alert(codec, thing);
        return;
    case STAGE_NUMBERS:
    case STAGE_SUBSCRIPTIONS:
    case STAGE_SAGAS:
    case STAGE_DONE:
        break;
    }
    hf_codec_fail(codec, "kind of record");
}

/* *sections: what follows. */
static void code_numbers(struct hf_codec *codec, struct hf_state *state, uint32_t *sections)
{
    hf_code_u32(codec, &state->space, UINT32_MAX, "space");
    hf_code_u64(codec, &state->position, UINT64_MAX, "position");
    hf_code_u64(codec, &state->time_us, UINT64_MAX, "time");
    hf_code_u64(codec, &state->epoch, UINT64_MAX, "epoch");
    hf_code_u64(codec, &state->feature_level, HF_FEATURE_LEVEL, "feature level");
    hf_code_u64(codec, &state->checkpoint_position, UINT64_MAX, "checkpoint position");
    hf_code_bytes(codec, state->checkpoint_hash.bytes, sizeof(state->checkpoint_hash.bytes),
                  "checkpoint hash");
    if (!hf_codec_writing(codec)) {
        *sections = hf_reader_left(&codec->in) > 0;
    }
    if (*sections != 0) {
        hf_code_enum_number(codec, sections, SECTIONS, "sections");
    }
    if ((*sections & ~SECTIONS) != 0) {
        hf_codec_fail(codec, "sections");
    }
}

struct hf_saving {
    struct hf_buffer record;  /* scratch */
    struct hf_buffer payload; /* stays empty: things have no payloads */
    hf_state_sink sink;
    void *context;
};

/* Writes what code() put into the record, with its length. */
bool hf_saving_emit(struct hf_saving *saving, struct hf_codec *codec)
{
    if (!hf_codec_ok(codec)) {
        return false;
    }
    HF_CHECK(saving->record.size_bytes - 4 <= HF_STATE_RECORD_BYTES_MAX);
    hf_put_u32(saving->record.data, (uint32_t)(saving->record.size_bytes - 4));
    return saving->sink(saving->context, saving->record.data, saving->record.size_bytes);
}

struct hf_codec hf_saving_begin(struct hf_saving *saving)
{
    hf_buffer_clear(&saving->record);
    hf_buffer_u32(&saving->record, 0);
    return (struct hf_codec){.out = &saving->record, .out_payload = &saving->payload};
}

static int compare_delayed(const void *a, const void *b)
{
    const struct hf_place *left = &(*(const struct hf_delayed *const *)a)->message.message;
    const struct hf_place *right = &(*(const struct hf_delayed *const *)b)->message.message;
    if (left->position != right->position) {
        return left->position < right->position ? -1 : 1;
    }
    return left->index < right->index ? -1 : left->index > right->index;
}

/* Those of a table, in any order. */
static void collect_table(const struct hf_table *table, void **things)
{
    size_t at = 0;
    for (size_t i = 0; i < table->count; i++) {
        things[i] = hf_table_next(table, &at);
    }
}

/* Those that came out of a checkpoint are in order, others follow them. */
static void collect_accounts(const struct hf_state *state, void **things)
{
    for (size_t i = 0; i < hf_account_pool_count(&state->accounts); i++) {
        things[i] = hf_account_pool_at(&state->accounts, i);
    }
}

/* Sorts what follows things in order, and merges it with them. false: memory is short. */
static bool sort_things(void **things, size_t count, int (*compare)(const void *, const void *))
{
    size_t ordered = count == 0 ? 0 : 1;
    while (ordered < count && compare(&things[ordered - 1], &things[ordered]) < 0) {
        ordered++;
    }
    size_t left = count - ordered;
    if (left == 0) {
        return true;
    }
    void **others = hf_malloc(left * sizeof(*others));
    if (others == NULL) {
        return false;
    }
    memcpy(others, things + ordered, left * sizeof(*others));
    qsort(others, left, sizeof(*others), compare);
    for (size_t to = count; left > 0; to--) {
        bool is_ordered = ordered > 0 && compare(&things[ordered - 1], &others[left - 1]) > 0;
        things[to - 1] = is_ordered ? things[--ordered] : others[--left];
    }
    hf_free(others);
    return true;
}

static bool save_table(struct hf_saving *saving, const struct hf_state *state, enum stage stage)
{
    const struct hf_table *table = table_of(state, stage);
    size_t count = table == NULL ? hf_account_pool_count(&state->accounts) : table->count;
    void **things = hf_malloc(count * sizeof(*things));
    if (things == NULL) {
        return false;
    }
    if (table == NULL) {
        collect_accounts(state, things);
    } else {
        collect_table(table, things);
    }
    if (!sort_things(things, count, stage == STAGE_DELAYED ? compare_delayed : compare_things)) {
        hf_free(things);
        return false;
    }
    uint8_t head[8];
    hf_put_u64(head, count);
    bool ok = saving->sink(saving->context, head, sizeof(head));
    for (size_t i = 0; ok && i < count; i++) {
        struct hf_codec codec = hf_saving_begin(saving);
        code_thing(&codec, stage, things[i]);
        ok = hf_saving_emit(saving, &codec);
    }
    hf_free(things);
    return ok;
}

/* ---- delayed messages and subscriptions ---- */

static bool save_queue(struct hf_saving *saving, const struct hf_state *state)
{
    uint8_t head[8];
    bool ok = save_table(saving, state, STAGE_DELAYED);
    hf_put_u64(head, hf_subscription_records(state));
    return ok && saving->sink(saving->context, head, sizeof(head)) &&
           hf_subscription_save(state, saving);
}

static bool save_sagas(struct hf_saving *saving, const struct hf_state *state)
{
    uint8_t head[8];
    hf_put_u64(head, hf_saga_records(state));
    return saving->sink(saving->context, head, sizeof(head)) && hf_saga_save(state, saving);
}

/* Raised ones in their order, then cleared ones, oldest first. */
static bool save_alerts(struct hf_saving *saving, const struct hf_alerts *alerts)
{
    uint8_t head[8];
    uint32_t count = alerts->raised_count + alerts->cleared_count;
    hf_put_u64(head, count);
    bool ok = saving->sink(saving->context, head, sizeof(head));
    for (uint32_t i = 0; ok && i < count; i++) {
        struct hf_codec codec = hf_saving_begin(saving);
        bool raised = i < alerts->raised_count;
        hf_code_alert(&codec,
                      raised ? alerts->raised[i] : alerts->cleared[i - alerts->raised_count]);
        ok = hf_saving_emit(saving, &codec);
    }
    return ok;
}

bool hf_state_save(const struct hf_state *state, hf_state_sink sink, void *context)
{
    struct hf_saving saving = {.sink = sink, .context = context};
    uint32_t sections = sections_of(state);
    bool ok = true;
    for (enum stage stage = STAGE_ACCOUNTS; ok && stage < STAGE_NUMBERS; stage++) {
        ok = save_table(&saving, state, stage);
    }
    if (ok) {
        struct hf_codec codec = hf_saving_begin(&saving);
        struct hf_state numbers = *state;
        code_numbers(&codec, &numbers, &sections);
        ok = hf_saving_emit(&saving, &codec);
    }
    ok = ok && ((sections & SECTION_QUEUE) == 0 || save_queue(&saving, state));
    ok = ok && ((sections & SECTION_SAGAS) == 0 || save_sagas(&saving, state));
    ok = ok && ((sections & SECTION_ALERTS) == 0 || save_alerts(&saving, &state->alerts));
    hf_buffer_release(&saving.record);
    hf_buffer_release(&saving.payload);
    return ok;
}

static bool hash_sink(void *context, const void *data, size_t size_bytes)
{
    hf_sha256_update(context, data, size_bytes);
    return true;
}

bool hf_state_hash(const struct hf_state *state, struct hf_hash *hash)
{
    struct hf_sha256_stream stream;
    hf_sha256_start(&stream);
    bool ok = hf_state_save(state, hash_sink, &stream);
    *hash = hf_sha256_finish(&stream);
    return ok;
}

void hf_state_loader_init(struct hf_state_loader *loader, struct hf_state *state)
{
    *loader = (struct hf_state_loader){.state = state, .stage = STAGE_ACCOUNTS};
    loader->left = UINT64_MAX; /* a count comes first */
}

static struct hf_id id_of(enum stage stage, const void *thing)
{
    if (stage == STAGE_DELAYED) {
        const struct hf_place *place = &((const struct hf_delayed *)thing)->message.message;
        return hf_place_id(place->position, place->index);
    }
    return ((const struct hf_name *)thing)->id;
}

static bool insert_account(struct hf_state *state, const struct hf_account *account)
{
    hf_account_pool_begin(&state->accounts);
    if (!hf_assets_reserve(&state->assets, 1) ||
        !hf_account_pool_reserve(&state->accounts, &account->name)) {
        return false;
    }
    hf_assets_add_account(&state->assets, hf_account_pool_put(&state->accounts, account));
    return true;
}

/* Enters a thing of a record; ordered names follow when all of its kind are there. */
static bool insert_thing(struct hf_state *state, enum stage stage, const void *thing)
{
    if (stage == STAGE_ACCOUNTS) {
        return insert_account(state, thing);
    }
    struct hf_table *const tables[] = {NULL, &state->holds, &state->streams, &state->documents,
                                       &state->leases};
    struct hf_id id = id_of(stage, thing);
    void *stored = NULL;
    if ((stage != STAGE_DELAYED && !hf_table_reserve(tables[stage], 1)) ||
        !hf_due_reserve(&state->due, 1)) {
        return false;
    }
    struct hf_due due = {0};
    if (stage == STAGE_HOLDS) {
        const struct hf_hold *hold = thing;
        stored = hf_hold_new(hold);
        due = (struct hf_due){hold->expires_at_us, HF_KIND_HOLD, hold->name.id};
    } else if (stage == STAGE_STREAMS) {
        stored = hf_stream_new(thing);
    } else if (stage == STAGE_DOCUMENTS) {
        stored = hf_document_new(thing);
    } else if (stage == STAGE_DELAYED) {
        const struct hf_delayed *delayed = thing;
        stored = hf_queue_reserve_delayed(&state->queue, &delayed->message.topic.id, 0)
                     ? hf_delayed_new(delayed)
                     : NULL;
        due = (struct hf_due){delayed->due_us, HF_KIND_MESSAGE, id_of(stage, thing)};
    } else {
        const struct hf_lease *lease = thing;
        stored = hf_lease_new(lease);
        due = (struct hf_due){lease->expires_at_us, HF_KIND_LEASE, lease->name.id};
    }
    if (stored == NULL) {
        return false;
    }
    if (stage == STAGE_DELAYED) {
        hf_queue_put_delayed(&state->queue, stored);
    } else {
        (void)hf_table_put(tables[stage], &id, stored);
    }
    if (due.due_us != 0) {
        hf_due_push(&state->due, &due);
    }
    return true;
}

/* Raised ones ascend, and cleared ones follow them. */
static enum hf_err load_alert(struct hf_alerts *alerts, const struct hf_alert *from,
                              struct hf_error *error)
{
    const struct hf_alert *last_raised =
        alerts->raised_count == 0 ? NULL : alerts->raised[alerts->raised_count - 1];
    const struct hf_alert *last_cleared =
        alerts->cleared_count == 0 ? NULL : alerts->cleared[alerts->cleared_count - 1];
    bool cleared = from->cleared_position != 0;
    bool in_order =
        cleared
            ? last_cleared == NULL || last_cleared->cleared_position <= from->cleared_position
            : last_cleared == NULL && (last_raised == NULL || last_raised->kind < from->kind ||
                                       (last_raised->kind == from->kind &&
                                        hf_str_compare(last_raised->subject, from->subject) < 0));
    if (!in_order) {
        return hf_error_set(error, HF_ERR_CORRUPT, "load state: alerts out of order");
    }
    struct hf_alert *alert = hf_alert_new(from);
    if (alert == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "load state: out of memory");
    }
    if (!(cleared ? hf_alerts_add_cleared(alerts, alert) : hf_alerts_raise(alerts, alert))) {
        return hf_error_set(error, HF_ERR_CORRUPT, "load state: too many alerts");
    }
    return HF_ERR_OK;
}

/* One record's bytes into the state. */
static enum hf_err load_record(struct hf_state_loader *loader, const uint8_t *data, size_t size,
                               struct hf_error *error)
{
    union {
        struct hf_name name;
        struct hf_account account;
        struct hf_hold hold;
        struct hf_stream stream;
        struct hf_document document;
        struct hf_lease lease;
        struct hf_delayed delayed;
        struct hf_alert alert;
    } thing;
    struct hf_arena arena;
    hf_arena_init(&arena);
    memset(&thing, 0, sizeof(thing));
    struct hf_codec codec = {
        .in = hf_reader_over(data, size), .in_payload = hf_reader_over(data, 0), .arena = &arena};
    enum hf_err err = HF_ERR_OK;
    enum stage stage = (enum stage)loader->stage;
    if (stage == STAGE_NUMBERS) {
        code_numbers(&codec, loader->state, &loader->sections);
    } else if (stage == STAGE_SUBSCRIPTIONS) {
        err = hf_subscription_load(loader->state, &codec, error);
    } else if (stage == STAGE_SAGAS) {
        err = hf_saga_load(loader->state, &codec, error);
    } else {
        code_thing(&codec, stage, &thing);
    }
    if (err != HF_ERR_OK) {
        hf_arena_release(&arena);
        return err;
    }
    if (codec.short_memory) {
        err = hf_error_set(error, HF_ERR_NO_MEMORY, "load state: out of memory");
    } else if (!hf_codec_ok(&codec) || hf_reader_left(&codec.in) != 0) {
        err = hf_error_set(error, HF_ERR_CORRUPT, "load state: bad %s",
                           codec.what == NULL ? "record" : codec.what);
    } else if (stage == STAGE_HOLDS &&
               (thing.hold.state != HF_HOLD_OPEN || thing.hold.remaining == 0)) {
        err = hf_error_set(error, HF_ERR_CORRUPT, "load state: a hold that has ended");
    } else if (stage == STAGE_LEASES && !thing.lease.held) {
        err = hf_error_set(error, HF_ERR_CORRUPT, "load state: a lease that nobody holds");
    } else if (stage == STAGE_ALERTS) {
        err = load_alert(&loader->state->alerts, &thing.alert, error);
    } else if (stage != STAGE_NUMBERS && stage < STAGE_SUBSCRIPTIONS) {
        struct hf_id id = id_of(stage, &thing);
        if (loader->has_last && hf_id_compare(&loader->last_id, &id) >= 0) {
            err = hf_error_set(error, HF_ERR_CORRUPT, "load state: records out of order");
        } else if (!insert_thing(loader->state, stage, &thing)) {
            err = hf_error_set(error, HF_ERR_NO_MEMORY, "load state: out of memory");
        }
        loader->last_id = id;
        loader->has_last = true;
    }
    hf_arena_release(&arena);
    return err;
}

static enum hf_err fill_names(struct hf_state *state, enum stage stage, struct hf_error *error)
{
    enum hf_err err = stage == STAGE_ACCOUNTS    ? hf_state_fill_names(state, HF_KIND_ACCOUNT)
                      : stage == STAGE_STREAMS   ? hf_state_fill_names(state, HF_KIND_STREAM)
                      : stage == STAGE_DOCUMENTS ? hf_state_fill_names(state, HF_KIND_DOCUMENT)
                                                 : HF_ERR_OK;
    if (err == HF_ERR_EXISTS) {
        return hf_error_set(error, HF_ERR_CORRUPT, "load state: a name is there twice");
    }
    return err == HF_ERR_OK ? err : hf_error_set(error, err, "load state: out of memory");
}

/* Goes on to the next stage if the current one has no record left. */
static enum hf_err next_stage(struct hf_state_loader *loader, struct hf_error *error)
{
    if (loader->left > 0) {
        return HF_ERR_OK;
    }
    enum hf_err err = fill_names(loader->state, (enum stage)loader->stage, error);
    if (err == HF_ERR_OK && loader->state->queue.loading != NULL) {
        err = hf_error_set(error, HF_ERR_CORRUPT, "load state: a subscription lacks lines");
    }
    if (err == HF_ERR_OK && loader->stage == STAGE_SAGAS) {
        err = hf_saga_load_end(loader->state, error);
    }
    uint32_t section;
    do {
        loader->stage++;
        section = section_of((enum stage)loader->stage);
    } while (section != 0 && (loader->sections & section) == 0);
    loader->has_last = false;
    loader->left = loader->stage == STAGE_NUMBERS ? 1 : UINT64_MAX;
    return err;
}

enum hf_err hf_state_loader_feed(struct hf_state_loader *loader, const void *data,
                                 size_t size_bytes, struct hf_error *error)
{
    hf_buffer_bytes(&loader->pending, data, size_bytes);
    if (loader->pending.failed) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "load state: out of memory");
    }
    size_t at = 0;
    const uint8_t *bytes = loader->pending.data;
    size_t size = loader->pending.size_bytes;
    enum hf_err err = HF_ERR_OK;
    while (err == HF_ERR_OK && loader->stage < STAGE_DONE) {
        if (loader->left == UINT64_MAX) {
            if (size - at < 8) {
                break;
            }
            loader->left = hf_get_u64(bytes + at);
            at += 8;
        } else {
            uint32_t length = size - at < 4 ? 0 : hf_get_u32(bytes + at);
            if (length > HF_STATE_RECORD_BYTES_MAX) {
                return hf_error_set(error, HF_ERR_CORRUPT, "load state: record of %u bytes",
                                    length);
            }
            if (size - at < 4 || size - at - 4 < length) {
                break;
            }
            err = load_record(loader, bytes + at + 4, length, error);
            at += 4 + length;
            loader->left--;
        }
        err = err == HF_ERR_OK ? next_stage(loader, error) : err;
    }
    if (err == HF_ERR_OK && loader->stage == STAGE_DONE && at < size) {
        err = hf_error_set(error, HF_ERR_CORRUPT, "load state: bytes behind the end");
    }
    if (at > 0) {
        memmove(loader->pending.data, loader->pending.data + at, size - at);
        loader->pending.size_bytes = size - at;
    }
    return err;
}

enum hf_err hf_state_loader_finish(struct hf_state_loader *loader, struct hf_error *error)
{
    bool whole = loader->stage == STAGE_DONE && loader->pending.size_bytes == 0;
    hf_buffer_release(&loader->pending);
    if (whole && sections_of(loader->state) != loader->sections) {
        return hf_error_set(error, HF_ERR_CORRUPT, "load state: a section without records");
    }
    return whole ? HF_ERR_OK : hf_error_set(error, HF_ERR_CORRUPT, "load state: cut short");
}
