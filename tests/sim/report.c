#include "sim/report.h"

#include <stdio.h>

void report_answer(struct report *report, const struct hf_command *command,
                   const struct hf_query *query, const struct hf_answer *answer)
{
    if (!answer->decided) {
        report->undecided[answer->code]++;
    } else if (query != NULL) {
        report->reads[query->type]++;
        report->reads_absent[query->type] += answer->code != HF_ERR_OK;
    } else {
        report->cancels += command->kind == HF_COMMAND_CANCEL_KEY;
        report->replays += answer->replayed;
        report->dry_runs += command->dry_run && !answer->replayed;
        report->new_commits += answer->position > 0 && !answer->replayed;
        report->unrecorded += answer->position == 0 && !command->dry_run;
    }
}

void report_status(struct report *report, const struct hf_node_status *status)
{
    report->batches += status->batches;
    report->fetches += status->fetches;
    report->rebuilds += status->rebuilds;
    report->checkpoint_errors += status->error[0] != '\0' && status->phase == HF_NODE_LEADING;
}

void report_recovery(struct report *report, const struct hf_node_status *status)
{
    report->starts++;
    report->starts_from_checkpoint += status->checkpoint_position > 0;
    report->starts_sealed += status->recovery.sealed;
    report->starts_torn += status->recovery.torn_tail;
    report->replayed_commits += status->recovered_commits;
}

static void add_numbers(void *to, const void *from, size_t size_bytes)
{
    uint64_t *sums = to;
    const uint64_t *more = from;
    for (size_t i = 0; i < size_bytes / sizeof(*sums); i++) {
        sums[i] += more[i];
    }
}

_Static_assert(sizeof(struct hf_world_counters) % sizeof(uint64_t) == 0, "only 64-bit counts");
_Static_assert(sizeof(struct hf_log_sim_counters) % sizeof(uint64_t) == 0, "only 64-bit counts");
_Static_assert(sizeof(struct report) % sizeof(uint64_t) == 0, "only 64-bit counts");

void report_world(struct report *report, const struct hf_world_counters *counters)
{
    add_numbers(&report->world, counters, sizeof(*counters));
}

void report_log(struct report *report, const struct hf_log_sim_counters *counters)
{
    add_numbers(&report->log, counters, sizeof(*counters));
}

void report_add(struct report *to, const struct report *from)
{
    add_numbers(to, from, sizeof(*from));
}

void report_say_answer(uint64_t now_us, uint64_t number, uint32_t house,
                       const struct hf_answer *answer)
{
    printf("%12llu operation %llu by machine %u: %s%s%s, position %llu, seen %llu\n",
           (unsigned long long)now_us, (unsigned long long)number, house, hf_err_wire(answer->code),
           answer->decided ? "" : ", undecided", answer->replayed ? ", replayed" : "",
           (unsigned long long)answer->position, (unsigned long long)answer->seen_position);
}
