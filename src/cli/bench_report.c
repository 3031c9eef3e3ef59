/* What a run is told as: a table for people, JSON for programs. */
#include "cli/bench.h"

struct share {
    const char *name; /* of the JSON member, behind "latency_" */
    const char *title;
    double share;
};

static const struct share shares[] = {
    {"p50_us", "p50", 0.5},      {"p90_us", "p90", 0.9},         {"p99_us", "p99", 0.99},
    {"p999_us", "p99.9", 0.999}, {"p9999_us", "p99.99", 0.9999},
};

static uint64_t per_second(uint64_t count, uint64_t elapsed_ns)
{
    return elapsed_ns == 0 ? 0 : (uint64_t)((double)count * 1e9 / (double)elapsed_ns + 0.5);
}

static void put_grouped(struct hf_buffer *to, uint64_t number)
{
    if (number >= 1000) {
        put_grouped(to, number / 1000); /* six levels at most */
        hf_buffer_format(to, ",%03u", (unsigned)(number % 1000));
    } else {
        hf_buffer_format(to, "%u", (unsigned)number);
    }
}

static void put_duration(struct hf_buffer *to, uint64_t ns)
{
    if (ns < 1000000u) {
        hf_buffer_format(to, "%.0f us", (double)ns / 1e3);
    } else {
        hf_buffer_format(to, ns < 100000000u ? "%.2f ms" : "%.0f ms", (double)ns / 1e6);
    }
}

static const char *things(const struct hf_bench_plan *plan)
{
    switch (plan->form) {
    case HF_BENCH_STREAMS:
        return "events";
    case HF_BENCH_DOCUMENTS:
        return "puts";
    case HF_BENCH_PACKED:
    case HF_BENCH_SINGLE:
    case HF_BENCH_NDJSON:
        break;
    }
    return plan->two_phase ? "holds and captures" : "transfers";
}

static void put_line(struct hf_buffer *to, const char *title, uint64_t number, const char *text)
{
    hf_buffer_format(to, "  %-12s ", title);
    put_grouped(to, number);
    hf_buffer_format(to, " %s\n", text);
}

/* How long step i took. */
static uint64_t step_ns(const struct hf_bench_result *result, uint32_t i)
{
    return result->step_ns[i] - (i == 0 ? 0 : result->step_ns[i - 1]);
}

/* The first step's rate, the slowest one's, and which that is. */
static void put_steps(const struct hf_bench_plan *plan, const struct hf_bench_result *result,
                      struct hf_buffer *to)
{
    uint32_t slowest = 0;
    if (result->steps == 0) {
        return;
    }
    for (uint32_t i = 1; i < result->steps; i++) {
        slowest = step_ns(result, i) > step_ns(result, slowest) ? i : slowest;
    }
    put_line(to, "first step", per_second(plan->step, step_ns(result, 0)), "a second");
    put_line(to, "slowest", per_second(plan->step, step_ns(result, slowest)), "a second");
    to->size_bytes -= to->failed ? 0 : 1;
    hf_buffer_format(to, " (step %u of %u)\n", slowest + 1, result->steps);
}

void hf_bench_table(const struct hf_bench_plan *plan, const struct hf_bench_result *result,
                    struct hf_buffer *to)
{
    uint64_t done = result->accepted + result->replayed + result->refused;
    hf_buffer_format(to, "%s: ", plan->workload);
    put_grouped(to, plan->batch);
    hf_buffer_text(to, " in a request, ");
    put_grouped(to, plan->accounts);
    hf_buffer_format(to, " %s, ids %s, ",
                     plan->form == HF_BENCH_STREAMS     ? "streams"
                     : plan->form == HF_BENCH_DOCUMENTS ? "documents"
                                                        : "accounts",
                     plan->random_ids ? "random" : "ascend");
    put_grouped(to, plan->connections);
    hf_buffer_text(to,
                   plan->rate > 0 ? " connections, open loop\n" : " connections, closed loop\n");
    put_line(to, "done", per_second(done, result->elapsed_ns), things(plan));
    to->size_bytes -= to->failed ? 0 : 1;
    hf_buffer_format(to, " a second (in %.2f s%s)\n", (double)result->elapsed_ns / 1e9,
                     result->ended_early ? ", ended early" : "");
    put_steps(plan, result, to);
    put_line(to, "accepted", result->accepted, "");
    put_line(to, "replayed", result->replayed, "");
    put_line(to, "refused", result->refused, "");
    put_line(to, "requests", result->requests, "");
    if (plan->rate > 0) {
        put_line(to, "rate", plan->rate, "requests a second were due");
    }
    for (size_t i = 0; i < HF_ARRAY_COUNT(shares); i++) {
        hf_buffer_format(to, "  %-12s ", shares[i].title);
        put_duration(to, hf_bench_latency_at(&result->latency, shares[i].share));
        hf_buffer_text(to, "\n");
    }
    hf_buffer_format(to, "  %-12s ", "max");
    put_duration(to, result->latency.max_ns);
    hf_buffer_text(to, plan->rate > 0
                           ? "\n               from when a request was due to its answer\n"
                           : "\n               from sending a request to its answer: a server that "
                             "stands still is asked less often (see --rate)\n");
    hf_buffer_format(to, "  %-12s %.0f %% of a processor\n", "this client",
                     result->elapsed_ns == 0
                         ? 0.0
                         : 100.0 * (double)result->processor_ns / (double)result->elapsed_ns);
    hf_buffer_format(to, "  %-12s %s\n", "totals",
                     result->grown == result->expected ? "equal: what was answered is what is there"
                                                       : "DIFFER from what was answered");
}

void hf_bench_json(const struct hf_bench_plan *plan, const struct hf_bench_result *result,
                   struct hf_buffer *to)
{
    struct hf_json_writer w = hf_json_writer_over(to);
    char run[17];
    uint64_t done = result->accepted + result->replayed + result->refused;
    hf_json_begin_object(&w, NULL);
    hf_json_put_text(&w, "workload", hf_str_from(plan->workload));
    hf_json_put_bool(&w, "packed", plan->form == HF_BENCH_PACKED);
    hf_json_put_number(&w, "batch", plan->batch);
    hf_json_put_number(&w, "accounts", plan->accounts);
    hf_json_put_number(&w, "connections", plan->connections);
    hf_json_put_bool(&w, "random_ids", plan->random_ids);
    hf_json_put_number(&w, "rate", plan->rate);
    hf_json_put_bool(&w, "open_loop", plan->rate > 0);
    hf_json_put_number(&w, "per_second", per_second(done, result->elapsed_ns));
    hf_json_put_number(&w, "accepted", result->accepted);
    hf_json_put_number(&w, "replayed", result->replayed);
    hf_json_put_number(&w, "refused", result->refused);
    hf_json_put_number(&w, "requests", result->requests);
    hf_json_put_number(&w, "reads", result->reads);
    hf_json_put_number(&w, "hot_every", plan->hot_every);
    (void)snprintf(run, sizeof(run), "%016llx", (unsigned long long)plan->run);
    hf_json_put_text(&w, "run", hf_str_from(run));
    hf_json_put_number(&w, "step", plan->step);
    hf_json_begin_array(&w, "steps_per_second");
    for (uint32_t i = 0; i < result->steps; i++) {
        hf_json_put_number(&w, NULL, per_second(plan->step, step_ns(result, i)));
    }
    hf_json_end_array(&w);
    hf_json_put_number(&w, "elapsed_us", result->elapsed_ns / 1000);
    hf_json_put_number(&w, "client_processor_us", result->processor_ns / 1000);
    hf_json_begin_object(&w, "latency");
    for (size_t i = 0; i < HF_ARRAY_COUNT(shares); i++) {
        hf_json_put_number(&w, shares[i].name,
                           hf_bench_latency_at(&result->latency, shares[i].share) / 1000);
    }
    hf_json_put_number(&w, "max_us", result->latency.max_ns / 1000);
    hf_json_end_object(&w);
    hf_json_put_bool(&w, "totals_equal", result->grown == result->expected);
    hf_json_put_bool(&w, "ended_early", result->ended_early);
    hf_json_end_object(&w);
}
