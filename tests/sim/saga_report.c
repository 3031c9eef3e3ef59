/* Counts of runs of sagas. */
#include <stdio.h>

#include "base/buffer.h"
#include "core/saga_wire.h"
#include "sim/saga_sim.h"

static const char *const manner_words[SAGA_MANNER_COUNT] = {
#define SAGA_MANNER_WORDS(name, words) words,
    SAGA_MANNERS(SAGA_MANNER_WORDS)
#undef SAGA_MANNER_WORDS
};

struct writing {
    struct hf_buffer *out;
    bool strict;
    size_t zeroes;
};

static void put(struct writing *w, const char *what, const char *which, uint64_t count, bool needed)
{
    char line[200];
    bool missing = needed && count == 0;
    int used = snprintf(line, sizeof(line), "%s %s %llu%s\n", what, which,
                        (unsigned long long)count, missing && w->strict ? "  <- never met" : "");
    hf_buffer_bytes(w->out, line, (size_t)used);
    w->zeroes += missing;
}

size_t saga_report_write(const struct saga_report *r, bool strict, struct hf_buffer *out)
{
    struct writing w = {out, strict, 0};
    put(&w, "sagas", "", r->sagas, true);
    for (unsigned i = HF_SAGA_SUCCEEDED; i <= HF_SAGA_ABANDONED; i++) {
        put(&w, "ended", hf_saga_state_wire((enum hf_saga_state)i), r->ended[i], true);
    }
    put(&w, "parked", "times", r->parked, true);
    for (unsigned i = 0; i < SAGA_MANNER_COUNT; i++) {
        put(&w, "action:", manner_words[i], r->manners[i], true);
        put(&w, "compensation:", manner_words[i], r->manners_undo[i], true);
    }
    for (unsigned i = HF_OUTCOME_SUCCESS; i <= HF_OUTCOME_PARK; i++) {
        put(&w, "outcome of an action:", hf_saga_outcome_wire((enum hf_saga_outcome)i),
            r->outcomes[i], true);
        put(&w, "outcome of a compensation:", hf_saga_outcome_wire((enum hf_saga_outcome)i),
            r->outcomes_undo[i], i != HF_OUTCOME_FAIL);
    }
    for (unsigned i = HF_SAGA_ACT_START; i <= HF_SAGA_ACT_FORGET; i++) {
        put(&w, "act", hf_saga_act_wire((enum hf_saga_act)i), r->acts[i], true);
    }
    put(&w, "late answers", "", r->late, true);
    put(&w, "unknown, then refused:", "compensated", r->unknown_refused, true);
    put(&w, "steps timed out", "", r->timed_out, true);
    put(&w, "actions behind their compensation", "", r->barred, true);
    put(&w, "calls seen before", "", r->repeated, true);
    put(&w, "runners that ended with calls out", "", r->takeovers, true);
    put(&w, "steps skipped by `when`", "", r->skipped, true);
    put(&w, "native steps refused", "", r->native_refused, true);
    put(&w, "calls", "", r->calls, true);
    put(&w, "polls", "", r->polls, true);
    put(&w, "callbacks", "", r->callbacks, true);
    return w.zeroes;
}

void saga_report_add(struct saga_report *to, const struct saga_report *from)
{
    uint64_t *sum = (uint64_t *)to;
    const uint64_t *more = (const uint64_t *)from;
    _Static_assert(sizeof(*to) % sizeof(uint64_t) == 0, "counts alone");
    for (size_t i = 0; i < sizeof(*to) / sizeof(uint64_t); i++) {
        sum[i] += more[i];
    }
}
