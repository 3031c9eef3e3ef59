/* The core alone: building a command; decide, reserve, evolve, encode. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "bench.h"
#include "core/decide.h"

struct core {
    struct hf_state state;
    struct hf_draft draft;
    struct hf_buffer encoded;
};

/* Decides a command that must be accepted, and evolves. */
static void run_command(struct core *core, struct hf_command *command, uint64_t now_us)
{
    struct hf_error error;
    enum hf_decision decision =
        hf_decide(&core->state, NULL, command, now_us, UINT64_MAX / 2, &core->draft);
    HF_CHECK(decision == HF_DECISION_COMMIT && hf_commit_refusal(&core->draft.commit) == NULL);
    HF_CHECK(hf_state_reserve(&core->state, &core->draft.commit));
    HF_CHECK(hf_state_apply(&core->state, &core->draft.commit, &error) == HF_ERR_OK);
    hf_buffer_clear(&core->encoded);
    HF_CHECK(hf_commit_encode(&core->draft.commit, &core->encoded));
}

static void open_accounts(struct core *core, unsigned accounts)
{
    struct hf_malformed malformed;
    for (unsigned i = 0; i <= accounts; i++) {
        struct hf_command command;
        char name[32];
        (void)snprintf(name, sizeof(name), "bench:%u", i);
        struct hf_op_fields fields = {.op = HF_STR("open_account"),
                                      .account = hf_str_from(name),
                                      .asset = HF_STR("USD/2"),
                                      .floor_null = i == accounts};
        hf_command_init(&command, HF_COMMAND_COMMIT);
        HF_CHECK(hf_command_add_op(&command, &fields, &malformed));
        HF_CHECK(hf_command_finish(&command, &malformed));
        run_command(core, &command, 1);
        hf_command_release(&command);
        if (i == accounts) {
            break;
        }
    }
}

struct texts {
    char id[32], to[32], from[32];
};

/* What a transfer says; kept apart so that no clock runs while it is printed. */
static void write_texts(struct texts *texts, uint64_t first, unsigned count, unsigned accounts)
{
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(texts[i].id, sizeof(texts[i].id), "t%llu", (unsigned long long)(first + i));
        (void)snprintf(texts[i].from, sizeof(texts[i].from), "bench:%u", accounts);
        (void)snprintf(texts[i].to, sizeof(texts[i].to), "bench:%u",
                       (unsigned)((first + i) * 7919 % accounts));
    }
}

/* One command of n transfers, finished. */
static void build(struct hf_command *command, const struct texts *texts, unsigned count)
{
    struct hf_malformed malformed;
    hf_command_init(command, HF_COMMAND_COMMIT);
    for (unsigned i = 0; i < count; i++) {
        struct hf_op_fields fields = {.op = HF_STR("transfer"),
                                      .id = hf_str_from(texts[i].id),
                                      .from = hf_str_from(texts[i].from),
                                      .to = hf_str_from(texts[i].to),
                                      .asset = HF_STR("USD/2"),
                                      .amount = HF_STR("1")};
        HF_CHECK(hf_command_add_op(command, &fields, &malformed));
    }
    HF_CHECK(hf_command_finish(command, &malformed));
}

struct bench_result bench_build_run(uint64_t transfers, unsigned transfers_per_commit,
                                    unsigned accounts)
{
    size_t commits = (size_t)(transfers / transfers_per_commit);
    uint64_t spent_ns = 0;
    uint64_t *samples = calloc(commits, sizeof(*samples));
    struct texts *texts = calloc(transfers_per_commit, sizeof(*texts));
    HF_CHECK(samples != NULL && texts != NULL);
    for (size_t i = 0; i < commits; i++) {
        struct hf_command command;
        write_texts(texts, (uint64_t)i * transfers_per_commit, transfers_per_commit, accounts);
        uint64_t before = bench_now_ns();
        build(&command, texts, transfers_per_commit);
        samples[i] = bench_now_ns() - before;
        spent_ns += samples[i];
        hf_command_release(&command);
    }
    struct bench_result result = {.per_second = (double)(commits * transfers_per_commit) * 1e9 /
                                                (double)spent_ns};
    bench_percentiles(&result, samples, commits);
    free(texts);
    free(samples);
    return result;
}

struct bench_result bench_decide_run(uint64_t transfers, unsigned transfers_per_commit,
                                     unsigned accounts)
{
    struct core core = {0};
    hf_state_init(&core.state, 1);
    hf_draft_init(&core.draft);
    open_accounts(&core, accounts);
    uint64_t spent_ns = 0;
    size_t commits = (size_t)(transfers / transfers_per_commit);
    uint64_t *samples = calloc(commits, sizeof(*samples));
    struct texts *texts = calloc(transfers_per_commit, sizeof(*texts));
    HF_CHECK(samples != NULL && texts != NULL);
    for (size_t i = 0; i < commits; i++) {
        struct hf_command command;
        write_texts(texts, (uint64_t)i * transfers_per_commit, transfers_per_commit, accounts);
        build(&command, texts, transfers_per_commit);
        uint64_t before = bench_now_ns();
        run_command(&core, &command, 1);
        samples[i] = bench_now_ns() - before;
        spent_ns += samples[i];
        hf_command_release(&command);
    }
    struct bench_result result = {.per_second = (double)(commits * transfers_per_commit) * 1e9 /
                                                (double)spent_ns};
    bench_percentiles(&result, samples, commits);
    free(texts);
    free(samples);
    hf_buffer_release(&core.encoded);
    hf_draft_release(&core.draft);
    hf_state_release(&core.state);
    return result;
}
