/* Commands of units: packed records, fresh and once more in every way that must be told apart. */
#include <stdio.h>

#include "base/check.h"
#include "sim/gen_priv.h"

static void random_id(struct hf_gen *gen, struct hf_id *id)
{
    for (size_t i = 0; i < sizeof(id->bytes); i++) {
        id->bytes[i] = (uint8_t)hf_gen_below(gen, 256);
    }
    id->bytes[0] |= 1; /* not zero */
}

static struct hf_id id_of_text(struct hf_gen *gen, struct hf_str text)
{
    struct hf_name name;
    HF_CHECK(hf_name_make(text, &gen->work.arena, &name));
    return name.id;
}

static const struct hf_gen_record *earlier_record(struct hf_gen *gen)
{
    uint64_t kept = hf_min_u64(gen->request_count, HF_GEN_REQUESTS);
    uint64_t back = 1 + hf_gen_below(gen, kept);
    const struct hf_gen_request *request =
        &gen->requests[(gen->request_count - back) % HF_GEN_REQUESTS];
    return &request->records[hf_gen_below(gen, request->count)];
}

/* A hold of a packed record, or of an ordinary commit. */
static struct hf_id some_hold(struct hf_gen *gen)
{
    for (int attempt = 0; gen->request_count > 0 && attempt < 8; attempt++) {
        const struct hf_gen_record *record = earlier_record(gen);
        if (record->plain.type == HF_OP_HOLD) {
            return record->plain.id;
        }
    }
    return id_of_text(gen, hf_gen_hold(gen));
}

static void fresh_movement(struct hf_gen *gen, struct hf_gen_record *record)
{
    size_t from, to;
    struct hf_asset asset = {0};
    hf_gen_pair(gen, &from, &to);
    record->plain.from = id_of_text(gen, hf_gen_account(gen, from));
    record->plain.to = id_of_text(gen, hf_gen_account(gen, to));
    if (hf_id_equal(&record->plain.from, &record->plain.to)) {
        random_id(gen, &record->plain.to);
    }
    HF_CHECK(hf_asset_parse(hf_gen_asset(gen, from), &asset));
    hf_asset_hash(&asset, record->plain.asset_hash);
    record->plain.amount = hf_gen_percent(gen, 2)   ? 0
                           : hf_gen_percent(gen, 1) ? UINT64_MAX
                                                    : 1 + hf_gen_below(gen, 30);
    if (record->plain.type == HF_OP_HOLD) {
        record->plain.timeout_ms = hf_gen_percent(gen, 70) ? 1 + hf_gen_below(gen, 60) : 0;
    } else if (hf_gen_percent(gen, 10)) {
        record->plain.effective_at_us = 1600000000000000u + hf_gen_below(gen, 1000000);
    }
}

static void fresh_record(struct hf_gen *gen, struct hf_gen_record *record, bool plain_only)
{
    static const uint8_t types[] = {HF_OP_TRANSFER, HF_OP_TRANSFER, HF_OP_HOLD,
                                    HF_OP_HOLD,     HF_OP_CAPTURE,  HF_OP_VOID};
    *record = (struct hf_gen_record){.plain.type = HF_OP_TRANSFER};
    random_id(gen, &record->plain.id);
    if (!plain_only) {
        record->plain.type = types[hf_gen_below(gen, sizeof(types))];
    }
    if (record->plain.type == HF_OP_TRANSFER || record->plain.type == HF_OP_HOLD) {
        fresh_movement(gen, record);
    } else {
        bool capture = record->plain.type == HF_OP_CAPTURE;
        record->plain.from = some_hold(gen);
        record->plain.all_left = capture && !hf_gen_percent(gen, 60);
        record->plain.amount = capture && !record->plain.all_left ? 1 + hf_gen_below(gen, 12) : 0;
        record->plain.final = capture && hf_gen_percent(gen, 30);
    }
    if (hf_gen_percent(gen, 15)) {
        record->plain.code = 1 + (uint32_t)hf_gen_below(gen, 9);
        record->plain.user_data[3] = (uint8_t)hf_gen_below(gen, 3);
    }
}

/* Chains of two to five. */
static void link_some(struct hf_gen *gen, struct hf_gen_request *request)
{
    for (uint32_t i = 0; i + 1 < request->count; i++) {
        request->records[i].linked = hf_gen_percent(gen, 20);
    }
    request->records[request->count - 1].linked = false;
}

static void fresh_request(struct hf_gen *gen, struct hf_gen_request *request)
{
    bool plain_only = hf_gen_percent(gen, 60);
    request->count =
        1 + (uint32_t)hf_gen_below(gen, hf_gen_percent(gen, 20) ? HF_GEN_RECORDS_MAX : 8);
    for (uint32_t i = 0; i < request->count; i++) {
        struct hf_gen_record *record = &request->records[i];
        fresh_record(gen, record, plain_only);
        if (i > 0 && hf_gen_percent(gen, 2)) {
            *record = request->records[hf_gen_below(gen, i)]; /* the same in one request */
        } else if (gen->request_count > 0 && hf_gen_percent(gen, 4)) {
            *record = *earlier_record(gen);
            record->linked = false;
            if (hf_gen_percent(gen, 30) && record->plain.type == HF_OP_TRANSFER) {
                record->plain.amount++; /* the same id, something else */
            }
        }
    }
    if (hf_gen_percent(gen, plain_only ? 10 : 50)) {
        link_some(gen, request);
    }
}

/* An earlier request as it was, or a part of it, whose chains may be cut. */
static void repeated_request(struct hf_gen *gen, struct hf_gen_request *request)
{
    uint64_t kept = hf_min_u64(gen->request_count, HF_GEN_REQUESTS);
    uint64_t back = 1 + hf_gen_below(gen, kept);
    *request = gen->requests[(gen->request_count - back) % HF_GEN_REQUESTS];
    if (hf_gen_percent(gen, 50)) {
        return;
    }
    request->count = 1 + (uint32_t)hf_gen_below(gen, request->count);
    request->records[request->count - 1].linked = false;
    if (request->count < HF_GEN_RECORDS_MAX) {
        fresh_record(gen, &request->records[request->count++], hf_gen_percent(gen, 60));
    }
}

static bool is_plain(const struct hf_gen_request *request)
{
    bool plain = true;
    for (uint32_t i = 0; plain && i < request->count; i++) {
        plain = !request->records[i].linked;
    }
    return plain;
}

/* As the packed door fills it in. */
static void fill_op(struct hf_command *command, const struct hf_gen_record *record,
                    struct hf_op *op)
{
    char *text = hf_arena_alloc(&command->arena, HF_UUID_TEXT_BYTES);
    HF_CHECK(text != NULL);
    hf_op_of_plain(&record->plain, text, op);
    op->linked = record->linked;
}

static void build(struct hf_gen *gen, const struct hf_gen_request *request,
                  struct hf_command *command)
{
    struct hf_malformed malformed = {0};
    hf_command_init(command, HF_COMMAND_EACH);
    bool ok = hf_command_set_principal(command, HF_STR("local"), &malformed);
    command->packed = true;
    if (gen->knobs.tag_unkeyed) {
        struct hf_str tag = hf_gen_text(gen, "{\"n\":%llu}", (unsigned long long)gen->made);
        ok = ok && hf_command_set_metadata(command, tag, &malformed);
    }
    if (is_plain(request)) {
        struct hf_packed_transfer *plain =
            hf_arena_alloc(&command->arena, request->count * sizeof(*plain));
        HF_CHECK(plain != NULL);
        for (uint32_t i = 0; i < request->count; i++) {
            plain[i] = request->records[i].plain;
        }
        command->plain = plain;
        command->op_count = request->count;
    }
    for (uint32_t i = 0; command->plain == NULL && i < request->count; i++) {
        struct hf_op *op = hf_command_new_op(command, &malformed);
        HF_CHECK(op != NULL);
        fill_op(command, &request->records[i], op);
    }
    HF_CHECK(ok && hf_command_finish(command, &malformed));
}

void hf_gen_units(struct hf_gen *gen, struct hf_command *command)
{
    struct hf_gen_request *request = &gen->requests[gen->request_count % HF_GEN_REQUESTS];
    struct hf_gen_request made = {0};
    if (gen->request_count > 0 && hf_gen_percent(gen, 25)) {
        repeated_request(gen, &made);
    } else {
        fresh_request(gen, &made);
    }
    *request = made;
    gen->request_count++;
    gen->made++;
    build(gen, request, command);
}

bool hf_gen_repeat_as_json(struct hf_gen *gen, struct hf_op_fields *op)
{
    if (gen->request_count == 0) {
        return false;
    }
    const struct hf_gen_record *record = earlier_record(gen);
    char hex[HF_UUID_TEXT_BYTES];
    size_t from = HF_GEN_ACCOUNTS;
    size_t to = HF_GEN_ACCOUNTS;
    for (size_t slot = 0; slot < HF_GEN_ACCOUNTS; slot++) {
        struct hf_id id =
            id_of_text(gen, hf_gen_text(gen, "a%zu.%u", slot, gen->accounts[slot].generation));
        from = hf_id_equal(&id, &record->plain.from) ? slot : from;
        to = hf_id_equal(&id, &record->plain.to) ? slot : to;
    }
    if (record->plain.type != HF_OP_TRANSFER || from == HF_GEN_ACCOUNTS || to == HF_GEN_ACCOUNTS ||
        record->plain.effective_at_us != 0) {
        return false;
    }
    hf_name_hex(&record->plain.id, hex);
    *op = (struct hf_op_fields){
        .op = HF_STR("transfer"),
        .id = hf_gen_text(gen, "%.*s", (int)sizeof(hex), hex),
        .from = hf_gen_text(gen, "a%zu.%u", from, gen->accounts[from].generation),
        .to = hf_gen_text(gen, "a%zu.%u", to, gen->accounts[to].generation),
        .asset = from >= HF_GEN_EURO_FIRST ? HF_STR("EUR/2") : HF_STR("USD/2"),
        .amount = hf_gen_text(gen, "%llu", (unsigned long long)record->plain.amount),
    };
    return true;
}
