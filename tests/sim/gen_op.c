/* Random operations and conditions: mostly such that they hold. */
#include "base/check.h"
#include "base/time_text.h"
#include "sim/gen_priv.h"

static uint64_t timeout(struct hf_gen *gen)
{
    bool is_short = hf_sim_random_chance(&gen->random, gen->knobs.short_timeout_ppm);
    return is_short ? 1 + hf_gen_below(gen, gen->knobs.short_timeout_ms_max)
                    : 1000 + hf_gen_below(gen, 3600000);
}

static struct hf_str limit(struct hf_gen *gen, int64_t low, int64_t high)
{
    long long value = low + (int64_t)hf_gen_below(gen, (uint64_t)(high - low + 1));
    return hf_gen_text(gen, "%lld", value);
}

void hf_gen_opening(struct hf_gen *gen, struct hf_op_fields *op, size_t slot)
{
    op->op = HF_STR("open_account");
    op->account = hf_gen_account(gen, slot);
    op->asset = hf_gen_asset(gen, slot);
    bool outside = slot == 0 || slot == HF_GEN_EURO_FIRST;
    if (outside || hf_gen_percent(gen, 15)) {
        op->floor_null = true;
    } else if (hf_gen_percent(gen, 60)) {
        op->floor = limit(gen, -200, 5);
    }
    if (!outside && hf_gen_percent(gen, 20)) {
        op->ceiling = limit(gen, 50, 500);
    } else if (hf_gen_percent(gen, 20)) {
        op->ceiling_null = true;
    }
    if (hf_gen_percent(gen, 20)) {
        op->metadata = hf_gen_json(gen, true);
    }
}

static void limits(struct hf_gen *gen, struct hf_op_fields *op, size_t slot)
{
    op->op = HF_STR("set_limits");
    bool outside = slot == 0 || slot == HF_GEN_EURO_FIRST;
    bool floor = hf_gen_percent(gen, 60);
    if (floor && (outside || hf_gen_percent(gen, 20))) {
        op->floor_null = true;
    } else if (floor) {
        op->floor = limit(gen, -300, 20);
    }
    bool ceiling = !floor || hf_gen_percent(gen, 40);
    if (ceiling && (outside || hf_gen_percent(gen, 50))) {
        op->ceiling_null = true;
    } else if (ceiling) {
        op->ceiling = limit(gen, 0, 600);
    }
}

/* An account whose open and frozen are as asked, if there is one. */
static size_t find_slot(struct hf_gen *gen, bool open, bool frozen)
{
    size_t slot = hf_gen_below(gen, HF_GEN_ACCOUNTS);
    if (hf_gen_percent(gen, 8)) {
        return slot;
    }
    for (size_t i = 0; i < HF_GEN_ACCOUNTS; i++) {
        const struct hf_gen_account *account = &gen->accounts[(slot + i) % HF_GEN_ACCOUNTS];
        if (account->open == open && account->frozen == frozen) {
            return (slot + i) % HF_GEN_ACCOUNTS;
        }
    }
    return slot;
}

static size_t empty_slot(struct hf_gen *gen)
{
    size_t slot = hf_gen_below(gen, HF_GEN_ACCOUNTS);
    for (size_t i = 0; i < HF_GEN_ACCOUNTS && !hf_gen_percent(gen, 5); i++) {
        const struct hf_gen_account *account = &gen->accounts[(slot + i) % HF_GEN_ACCOUNTS];
        if (account->open && !account->frozen && account->posted == 0 && account->available == 0) {
            return (slot + i) % HF_GEN_ACCOUNTS;
        }
    }
    return slot;
}

static void account_op(struct hf_gen *gen, struct hf_op_fields *op)
{
    size_t slot;
    switch (hf_gen_below(gen, 8)) {
    case 0:
    case 1:
        slot = find_slot(gen, false, false);
        if (!gen->accounts[slot].open || hf_gen_percent(gen, 10)) {
            hf_gen_opening(gen, op, slot);
            return;
        }
        limits(gen, op, slot);
        break;
    case 2:
    case 3:
        slot = find_slot(gen, true, hf_gen_percent(gen, 10));
        limits(gen, op, slot);
        break;
    case 4:
        slot = find_slot(gen, true, false);
        op->op = HF_STR("set_metadata");
        op->metadata = hf_gen_json(gen, true);
        break;
    case 5:
        slot = find_slot(gen, true, false);
        op->op = hf_gen_percent(gen, 40) ? HF_STR("freeze") : HF_STR("unfreeze");
        break;
    case 6:
        slot = find_slot(gen, true, true);
        op->op = HF_STR("unfreeze");
        break;
    default:
        slot = empty_slot(gen);
        op->op = HF_STR("close_account");
        break;
    }
    op->account = hf_gen_account(gen, slot);
}

static void money_op(struct hf_gen *gen, struct hf_op_fields *op, bool hold)
{
    size_t from, to;
    hf_gen_pair(gen, &from, &to);
    op->op = hold ? HF_STR("hold") : HF_STR("transfer");
    op->from = hf_gen_account(gen, from);
    op->to = hf_gen_account(gen, to);
    if (hf_str_equal(op->from, op->to)) {
        op->to = HF_STR("nobody");
    }
    op->asset = hf_gen_asset(gen, from);
    op->amount = hf_gen_amount(gen);
    if (hf_gen_percent(gen, 75)) {
        op->id = hf_gen_new_id(gen, hold ? 'h' : 't');
    }
    if (hold) {
        op->has_timeout_ms = hf_gen_percent(gen, 80);
        op->timeout_ms = op->has_timeout_ms ? timeout(gen) : 0;
        return;
    }
    op->has_up_to = hf_gen_percent(gen, 20);
    op->up_to = op->has_up_to && hf_gen_percent(gen, 90);
    if (hf_gen_percent(gen, 10)) {
        op->effective_at =
            hf_gen_text(gen, "20%02u-03-04T05:06:07.%06uZ", (unsigned)hf_gen_below(gen, 60),
                        (unsigned)hf_gen_below(gen, 1000000));
    }
    if (hf_gen_percent(gen, 10)) {
        op->metadata = hf_gen_json(gen, true);
    }
}

static void reverse_op(struct hf_gen *gen, struct hf_op_fields *op)
{
    op->op = HF_STR("reverse");
    op->transfer = hf_gen_transfer(gen);
    if (hf_gen_percent(gen, 60)) {
        op->amount = hf_gen_amount(gen);
    }
    if (hf_gen_percent(gen, 75)) {
        op->id = hf_gen_new_id(gen, 't');
    }
}

static void hold_op(struct hf_gen *gen, struct hf_op_fields *op)
{
    op->hold = hf_gen_hold(gen);
    switch (hf_gen_below(gen, 6)) {
    case 0:
        op->op = HF_STR("void");
        break;
    case 1:
        op->op = HF_STR("extend");
        op->has_timeout_ms = true;
        op->timeout_ms =
            hf_gen_percent(gen, 70) ? 1000000 + hf_gen_below(gen, 10000000) : timeout(gen);
        break;
    default:
        op->op = HF_STR("capture");
        op->has_final = hf_gen_percent(gen, 40);
        op->final = op->has_final && hf_gen_percent(gen, 80);
        if (hf_gen_percent(gen, 75)) {
            op->amount = hf_gen_percent(gen, 60)
                             ? hf_gen_text(gen, "%u", 1 + (unsigned)hf_gen_below(gen, 6))
                             : hf_gen_amount(gen);
        }
        break;
    }
}

static void append_op(struct hf_gen *gen, struct hf_op_fields *op)
{
    size_t slot = hf_gen_below(gen, HF_GEN_STREAMS);
    op->op = HF_STR("append");
    op->stream = hf_gen_plain(gen, 's', slot);
    op->type = hf_gen_text(gen, "order.%u", (unsigned)hf_gen_below(gen, 3));
    op->data = hf_gen_json(gen, false);
    if (hf_gen_percent(gen, 60)) {
        op->id = hf_gen_new_id(gen, 'e');
    }
    if (hf_gen_percent(gen, 40)) {
        op->has_expected_version = true;
        op->expected_version =
            hf_gen_percent(gen, 75) ? gen->streams[slot].version : hf_gen_below(gen, 4);
    }
}

static void document_op(struct hf_gen *gen, struct hf_op_fields *op)
{
    size_t slot = hf_gen_below(gen, HF_GEN_DOCUMENTS);
    const struct hf_gen_head *head = &gen->documents[slot];
    op->document = hf_gen_plain(gen, 'd', slot);
    uint64_t roll = hf_gen_below(gen, 100);
    bool put = head->exists ? roll < 35 : roll < 85;
    bool patch = !put && roll < 88;
    op->op = put ? HF_STR("put") : patch ? HF_STR("patch") : HF_STR("delete");
    if (put || patch) {
        bool again = patch && gen->big_slot == slot + 1 && hf_gen_percent(gen, 70);
        bool big = again || hf_sim_random_chance(&gen->random, gen->knobs.big_ppm);
        gen->big_slot = again ? 0 : big ? slot + 1 : gen->big_slot;
        op->data = big ? hf_gen_big_json(gen) : hf_gen_json(gen, false);
    }
    if (hf_gen_percent(gen, 45)) {
        op->has_expected_version = true;
        op->expected_version = !hf_gen_percent(gen, 80) ? hf_gen_below(gen, 4)
                               : head->exists           ? head->version
                                                        : 0;
    }
}

static void lease_op(struct hf_gen *gen, struct hf_op_fields *op)
{
    size_t slot = hf_gen_below(gen, HF_GEN_LEASES);
    const struct hf_gen_lease *lease = &gen->leases[slot];
    op->lease = hf_gen_plain(gen, 'l', slot);
    if (lease->held ? hf_gen_percent(gen, 8) : hf_gen_percent(gen, 85)) {
        op->op = HF_STR("acquire");
        op->owner = hf_gen_text(gen, "worker-%u", (unsigned)hf_gen_below(gen, 3));
        op->has_ttl_ms = true;
        op->ttl_ms = timeout(gen);
        return;
    }
    bool renew = hf_gen_percent(gen, 65);
    op->op = renew ? HF_STR("renew") : HF_STR("release");
    op->has_token = true;
    op->token = hf_gen_percent(gen, 12) ? lease->old_token : lease->token;
    op->has_ttl_ms = renew && hf_gen_percent(gen, 50);
    op->ttl_ms = op->has_ttl_ms ? timeout(gen) : 0;
}

void hf_gen_op(struct hf_gen *gen, struct hf_op_fields *op)
{
    *op = (struct hf_op_fields){0};
    uint64_t roll = hf_gen_below(gen, 100);
    if (roll < 12) {
        account_op(gen, op);
    } else if (roll < 36) {
        money_op(gen, op, false);
    } else if (roll < 43) {
        reverse_op(gen, op);
    } else if (roll < 53) {
        money_op(gen, op, true);
    } else if (roll < 66) {
        hold_op(gen, op);
    } else if (roll < 78) {
        append_op(gen, op);
    } else if (roll < 90) {
        document_op(gen, op);
    } else {
        lease_op(gen, op);
    }
}

/* --- Conditions --------------------------------------------------------------------------------- */

/* Operands that mostly hold of the value that was seen. */
static void comparison(struct hf_gen *gen, hf_i128 value, struct hf_str *operands)
{
    uint64_t at = hf_gen_below(gen, HF_COMPARE_COUNT);
    long long small =
        value > 1000000 || value < -1000000 ? (value > 0 ? 1000000 : -1000000) : (int64_t)value;
    long long by = hf_gen_percent(gen, 15) ? (int64_t)hf_gen_below(gen, 40) - 20 : 0;
    if (at == HF_COMPARE_GT) {
        by -= 1;
    } else if (at == HF_COMPARE_LT) {
        by += 1;
    }
    operands[at] = hf_gen_text(gen, "%lld", small + by);
    if (hf_gen_percent(gen, 15)) {
        operands[HF_COMPARE_GTE] = hf_gen_text(gen, "%lld", small - 30);
        operands[HF_COMPARE_LTE] = hf_gen_text(gen, "%lld", small + 30);
    }
}

static void stamps(struct hf_gen *gen, struct hf_condition_fields *condition, bool exists,
                   uint64_t version, uint64_t modified_at_us)
{
    switch (hf_gen_below(gen, 4)) {
    case 0:
        condition->has_exists = true;
        condition->exists = hf_gen_percent(gen, 85) == exists;
        break;
    case 1: {
        char text[HF_TIME_TEXT_BYTES];
        hf_time_format(modified_at_us + (hf_gen_percent(gen, 10) ? 1 : 0), text);
        condition->modified_at = hf_gen_text(gen, "%s", text);
        break;
    }
    default:
        condition->has_version = true;
        condition->version = hf_gen_percent(gen, 12) ? version + 1 : version;
        condition->has_exists = hf_gen_percent(gen, 10);
        condition->exists = condition->has_exists && hf_gen_percent(gen, 90);
        break;
    }
}

static void account_condition(struct hf_gen *gen, struct hf_condition_fields *condition)
{
    size_t slot = hf_gen_below(gen, HF_GEN_ACCOUNTS);
    const struct hf_gen_account *account = &gen->accounts[slot];
    condition->account = hf_gen_account(gen, slot);
    if (hf_gen_percent(gen, 40)) {
        stamps(gen, condition, account->open, account->version, account->modified_at_us);
        return;
    }
    bool both = hf_gen_percent(gen, 20);
    if (both || hf_gen_percent(gen, 50)) {
        condition->has_available = true;
        comparison(gen, account->available, condition->available);
    }
    if (both || !condition->has_available) {
        condition->has_posted = true;
        comparison(gen, account->posted, condition->posted);
    }
}

void hf_gen_condition(struct hf_gen *gen, struct hf_condition_fields *condition)
{
    static const char *const states[] = {"open", "open", "open", "captured", "voided", "expired"};
    *condition = (struct hf_condition_fields){0};
    uint64_t roll = hf_gen_below(gen, 100);
    size_t slot;
    if (roll < 40) {
        account_condition(gen, condition);
    } else if (roll < 55) {
        slot = hf_gen_below(gen, HF_GEN_STREAMS);
        condition->stream = hf_gen_plain(gen, 's', slot);
        stamps(gen, condition, gen->streams[slot].exists, gen->streams[slot].version,
               gen->streams[slot].modified_at_us);
    } else if (roll < 70) {
        slot = hf_gen_below(gen, HF_GEN_DOCUMENTS);
        condition->document = hf_gen_plain(gen, 'd', slot);
        stamps(gen, condition, gen->documents[slot].exists, gen->documents[slot].version,
               gen->documents[slot].modified_at_us);
    } else if (roll < 78) {
        condition->transfer = hf_gen_transfer(gen);
        condition->has_exists = true;
        condition->exists = hf_gen_percent(gen, 85);
    } else if (roll < 90) {
        slot = hf_gen_below(gen, HF_GEN_LEASES);
        condition->lease = hf_gen_plain(gen, 'l', slot);
        condition->has_token = true;
        condition->token =
            hf_gen_percent(gen, 85) ? gen->leases[slot].token : gen->leases[slot].old_token;
    } else {
        condition->hold = hf_gen_hold(gen);
        condition->state = hf_str_from(states[hf_gen_below(gen, HF_ARRAY_COUNT(states))]);
    }
}
