/* The coverage report: what was met, how often. */
#include "sim/check.h"

static const char *const compare_names[HF_COMPARE_COUNT] = {"eq", "gt", "gte", "lt", "lte"};
static const char *const condition_names[] = {"",         "account", "stream", "document",
                                              "transfer", "lease",   "hold",   "receipt"};

/* Refusals that a commit can meet; the others belong to reads and to the door. */
static const enum hf_err commit_codes[] = {
    HF_ERR_TOO_LARGE,
    HF_ERR_ACCOUNT_NOT_FOUND,
    HF_ERR_TRANSFER_NOT_FOUND,
    HF_ERR_HOLD_NOT_FOUND,
    HF_ERR_DOCUMENT_NOT_FOUND,
    HF_ERR_ACCOUNT_EXISTS,
    HF_ERR_TRANSFER_EXISTS,
    HF_ERR_HOLD_EXISTS,
    HF_ERR_EVENT_EXISTS,
    HF_ERR_LEASE_HELD,
    HF_ERR_HOLD_NOT_OPEN,
    HF_ERR_ACCOUNT_CLOSED,
    HF_ERR_PARTIAL_REPLAY,
    HF_ERR_ACCOUNT_NOT_EMPTY,
    HF_ERR_NOT_REVERSIBLE,
    HF_ERR_ID_COLLISION,
    HF_ERR_CONDITION_FAILED,
    HF_ERR_FENCED,
    HF_ERR_INSUFFICIENT_FUNDS,
    HF_ERR_LIMIT_EXCEEDED,
    HF_ERR_ASSET_MISMATCH,
    HF_ERR_AMOUNT_INVALID,
    HF_ERR_ACCOUNT_FROZEN,
    HF_ERR_IDEMPOTENCY_KEY_REUSED,
    HF_ERR_SUBSCRIPTION_NOT_FOUND,
    HF_ERR_MESSAGE_NOT_FOUND,
    HF_ERR_SUBSCRIPTION_EXISTS,
    HF_ERR_MESSAGE_EXISTS,
    HF_ERR_STALE_RECEIPT,
    HF_ERR_ACK_OUT_OF_ORDER,
    HF_ERR_PRECONDITION_REQUIRED,
};

static size_t line(struct hf_buffer *out, const char *what, const char *name, const char *how,
                   uint64_t count)
{
    hf_buffer_format(out, "%-12s %-24s %-10s %llu\n", what, name, how, (unsigned long long)count);
    return count == 0 ? 1 : 0;
}

/* Every operation can be refused but for append without id and version, and put: those two are refused
 * by event_exists and expected_version. Operations on sagas are not those of the naive model. */
size_t hf_counts_write(const struct hf_model_counts *counts, struct hf_buffer *out)
{
    size_t zero = 0;
    for (int type = 1; type < HF_OP_DEFINE_SAGA; type++) {
        const char *name = hf_op_wire((enum hf_op_type)type);
        zero += line(out, "operation", name, "accepted", counts->op_accepted[type]);
        zero += line(out, "operation", name, "refused", counts->op_refused[type]);
    }
    for (size_t kind = 1; kind < HF_ARRAY_COUNT(condition_names); kind++) {
        zero += line(out, "condition", condition_names[kind], "held", counts->condition_held[kind]);
        zero +=
            line(out, "condition", condition_names[kind], "failed", counts->condition_failed[kind]);
    }
    zero += line(out, "condition", "version", "tested", counts->version_tested);
    zero += line(out, "condition", "modified_at", "tested", counts->modified_tested);
    zero += line(out, "condition", "exists", "tested", counts->exists_tested);
    for (int i = 0; i < HF_COMPARE_COUNT; i++) {
        zero += line(out, "available", compare_names[i], "tested", counts->available[i]);
        zero += line(out, "posted", compare_names[i], "tested", counts->posted[i]);
    }
    for (size_t i = 0; i < HF_ARRAY_COUNT(commit_codes); i++) {
        enum hf_err code = commit_codes[i];
        zero += line(out, "refusal", hf_err_wire(code), "answered", counts->refused[code]);
    }
    zero += line(out, "commits", "accepted", "", counts->accepted);
    zero += line(out, "commits", "refused", "recorded", counts->refused_recorded);
    zero += line(out, "replays", "by key", "", counts->replayed_by_key);
    zero += line(out, "replays", "by id", "", counts->replayed_by_id);
    zero += line(out, "keys", "cancelled", "", counts->cancelled);
    zero += line(out, "keys", "forgotten", "", counts->keys_forgotten);
    zero += line(out, "expiries", "by a command", "", counts->expired_first);
    zero += line(out, "expiries", "by a timer", "", counts->expired_by_timer);
#define COUNT_LINE(field, what, how) zero += line(out, what, how, "", counts->queue.field);
    HF_NAIVE_COUNTS(COUNT_LINE)
#undef COUNT_LINE
    return zero;
}

size_t hf_counts_write_units(const struct hf_model_counts *counts, struct hf_buffer *out)
{
    static const enum hf_err codes[] = {
        HF_ERR_ACCOUNT_NOT_FOUND, HF_ERR_HOLD_NOT_FOUND,     HF_ERR_TRANSFER_EXISTS,
        HF_ERR_HOLD_EXISTS,       HF_ERR_HOLD_NOT_OPEN,      HF_ERR_ACCOUNT_CLOSED,
        HF_ERR_LIMIT_EXCEEDED,    HF_ERR_INSUFFICIENT_FUNDS, HF_ERR_ASSET_MISMATCH,
        HF_ERR_AMOUNT_INVALID,    HF_ERR_ACCOUNT_FROZEN,
    };
    size_t zero = line(out, "units", "commands", "", counts->of_units);
    zero += line(out, "records", "accepted", "", counts->records[0][0]);
    zero += line(out, "records", "accepted", "replayed", counts->records[0][1]);
    zero += line(out, "records", "refused", "", counts->records[1][0]);
    zero += line(out, "records", "refused", "replayed", counts->records[1][1]);
    zero += line(out, "records", "in chains", "", counts->records_of_chains);
    zero += line(out, "units", "replayed as commits", "", counts->replayed_units);
    for (size_t i = 0; i < HF_ARRAY_COUNT(codes); i++) {
        zero +=
            line(out, "unit refused", hf_err_wire(codes[i]), "", counts->units_refused[codes[i]]);
    }
    return zero;
}

_Static_assert(sizeof(struct hf_model_counts) % sizeof(uint64_t) == 0, "only 64-bit counts");

void hf_counts_add(struct hf_model_counts *to, const struct hf_model_counts *from)
{
    uint64_t sums[sizeof(*to) / sizeof(uint64_t)];
    uint64_t more[sizeof(*to) / sizeof(uint64_t)];
    memcpy(sums, to, sizeof(*to));
    memcpy(more, from, sizeof(*from));
    for (size_t i = 0; i < HF_ARRAY_COUNT(sums); i++) {
        sums[i] += more[i];
    }
    memcpy(to, sums, sizeof(*to));
}
