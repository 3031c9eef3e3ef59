/* The report as text or JSON, and what in it must not be 0. */
#include <stdio.h>
#include <stdlib.h>

#include "sim/reading.h"
#include "sim/report.h"
#include "sim/run.h"

#define SIM   (1u << RUN_DRIVER_SIM)
#define FILES (1u << RUN_DRIVER_FILE)
#define ANY   (SIM | FILES)

struct writing {
    struct hf_buffer *out;
    struct hf_buffer *missing; /* names of what is 0 */
    unsigned drivers;          /* that ran */
    bool json;
    size_t zeroes;
    size_t lines;
};

/* needed: the drivers with which it must not be 0; 0 = it may be. */
static void put(struct writing *w, const char *what, const char *name, uint64_t count,
                unsigned needed)
{
    if (w->json) {
        hf_buffer_format(w->out, "%s\n  \"%s%s%s\": %llu", w->lines == 0 ? "" : ",", what,
                         name[0] == '\0' ? "" : ": ", name, (unsigned long long)count);
    } else {
        hf_buffer_format(w->out, "%-22s %-36s %llu\n", what, name, (unsigned long long)count);
    }
    w->lines++;
    if (count == 0 && (needed & w->drivers) != 0) {
        w->zeroes++;
        hf_buffer_format(w->missing, "never met: %s %s\n", what, name);
    }
}

static void put_runs(struct writing *w, const struct report *r)
{
    put(w, "runs", "", r->runs, ANY);
    put(w, "runs", "on the simulated log", r->runs_of_driver[RUN_DRIVER_SIM], SIM);
    put(w, "runs", "on files", r->runs_of_driver[RUN_DRIVER_FILE], FILES);
    put(w, "client operations", "", r->operations, ANY);
    put(w, "crashes and takeovers", "", r->ended_runs, ANY);
    put(w, "virtual milliseconds", "", r->virtual_us / 1000, ANY);
    put(w, "submissions", "", r->submissions, ANY);
    put(w, "submissions", "duplicates", r->duplicates, ANY);
    put(w, "submissions", "retries", r->retries, ANY);
    put(w, "submissions", "receives that may wait", r->waiting_receives, ANY);
    put(w, "submissions", "lost with their process", r->lost, ANY);
    put(w, "submissions", "refused at the door: not ready", r->refused_at_door[0], ANY);
    put(w, "submissions", "refused at the door: overloaded", r->refused_at_door[1], ANY);
    put(w, "waits given up", "", r->gave_up, ANY);
    put(w, "operations abandoned", "", r->abandoned, ANY);
}

static void put_answers(struct writing *w, const struct report *r)
{
    put(w, "answer", "new commit", r->new_commits, ANY);
    put(w, "answer", "replay", r->replays, ANY);
    put(w, "answer", "refusal without a record", r->unrecorded, ANY);
    put(w, "answer", "dry run", r->dry_runs, ANY);
    put(w, "answer", "cancel of a key", r->cancels, ANY);
    put(w, "answer", "overloaded", r->undecided[HF_ERR_OVERLOADED], ANY);
    put(w, "answer", "not_ready", r->undecided[HF_ERR_NOT_READY], ANY);
    put(w, "answer", "read_only", r->undecided[HF_ERR_READ_ONLY], ANY);
    put(w, "answer", "outcome_unknown", r->undecided[HF_ERR_OUTCOME_UNKNOWN], ANY);
    put(w, "answer", "io_error", r->undecided[HF_ERR_IO], ANY);
    for (int i = 1; i <= HF_QUERY_TOTALS; i++) {
        enum hf_query_type type = (enum hf_query_type)i;
        put(w, "read", run_query_name(type), r->reads[i], ANY);
        if (run_query_may_miss(type)) {
            put(w, "read, not found", run_query_name(type), r->reads_absent[i], ANY);
        }
    }
}

static void put_troubles(struct writing *w, const struct report *r)
{
    static const char *const names[REPORT_TROUBLE_COUNT] = {
#define REPORT_TROUBLE_NAME(name, text) text,
        REPORT_TROUBLES(REPORT_TROUBLE_NAME)
#undef REPORT_TROUBLE_NAME
    };
    for (int i = 0; i < REPORT_TROUBLE_COUNT; i++) {
        bool of_log = i == REPORT_TROUBLE_STANDBY || i == REPORT_TROUBLE_FENCE ||
                      i == REPORT_TROUBLE_LOG || i == REPORT_TROUBLE_LOG_FULL;
        bool of_file = i == REPORT_TROUBLE_FULL_DISK;
        put(w, "trouble", names[i], r->troubles[i], of_log ? SIM : of_file ? FILES : ANY);
    }
    put(w, "crash", "kill", r->world.crashes[HF_CRASH_KILL], ANY);
    put(w, "crash", "power loss", r->world.crashes[HF_CRASH_POWER], ANY);
    put(w, "crash", "jobs that died with it", r->world.jobs_dropped, ANY);
    put(w, "node ended", "stopped", r->phases[HF_NODE_STOPPED], ANY);
    put(w, "node ended", "deposed", r->phases[HF_NODE_DEPOSED], SIM);
    put(w, "node ended", "failed", r->phases[HF_NODE_FAILED], ANY);
    put(w, "disk", "refused for want of space", r->world.no_space, FILES);
    put(w, "disk", "slow jobs", r->world.slow_jobs, ANY);
    put(w, "clock", "steps", r->world.wall_steps, ANY);
}

/* Crash points by operation and class of file, over all actions; and by action. */
static void put_points(struct writing *w, const struct report *r)
{
    for (int action = 0; action < HF_ACT_COUNT; action++) {
        uint64_t sum = 0;
        for (int op = 0; op < HF_WORLD_OP_COUNT; op++) {
            for (int file = 0; file < HF_CLASS_COUNT; file++) {
                sum += r->world.points[op][file][action];
            }
        }
        put(w, "point, by action", hf_world_action_name((enum hf_world_action)action), sum, ANY);
    }
    for (int op = 0; op < HF_WORLD_OP_COUNT; op++) {
        for (int file = 0; file < HF_CLASS_COUNT; file++) {
            uint64_t crashes = 0;
            uint64_t errors = 0;
            for (int action = 0; action < HF_ACT_COUNT; action++) {
                bool crash = action <= HF_ACT_CRASH_AFTER;
                crashes += crash ? r->world.points[op][file][action] : 0;
                errors += crash ? 0 : r->world.points[op][file][action];
            }
            char name[64];
            (void)snprintf(name, sizeof(name), "%s of %s", hf_world_op_name((enum hf_world_op)op),
                           hf_world_class_name((enum hf_world_class)file));
            if (crashes > 0) {
                put(w, "crash point", name, crashes, 0);
            }
            if (errors + r->world.faults[op][file] > 0) {
                put(w, "I/O error", name, errors + r->world.faults[op][file], 0);
            }
        }
    }
}

/* Those that every big set must have met: where what is durable comes into being. */
static void need_points(struct writing *w, const struct report *r)
{
    static const struct {
        enum hf_world_op op;
        enum hf_world_class file;
        unsigned drivers;
    } needed[] = {
        {HF_WORLD_OP_WRITE, HF_CLASS_SEGMENT, FILES},
        {HF_WORLD_OP_SYNC, HF_CLASS_SEGMENT, FILES},
        {HF_WORLD_OP_CREATE, HF_CLASS_SEGMENT, FILES},
        {HF_WORLD_OP_READ, HF_CLASS_SEGMENT, FILES},
        {HF_WORLD_OP_SYNC_DIRECTORY, HF_CLASS_SEGMENT, FILES},
        {HF_WORLD_OP_WRITE, HF_CLASS_STATE, FILES},
        {HF_WORLD_OP_WRITE, HF_CLASS_CHECKPOINT, ANY},
        {HF_WORLD_OP_SYNC, HF_CLASS_CHECKPOINT, ANY},
        {HF_WORLD_OP_RENAME, HF_CLASS_CHECKPOINT, ANY},
        {HF_WORLD_OP_READ, HF_CLASS_CHECKPOINT, ANY},
        {HF_WORLD_OP_REMOVE, HF_CLASS_CHECKPOINT, ANY},
        {HF_WORLD_OP_WRITE, HF_CLASS_RUN, ANY},
        {HF_WORLD_OP_SYNC, HF_CLASS_RUN, ANY},
        {HF_WORLD_OP_READ, HF_CLASS_RUN, ANY},
        {HF_WORLD_OP_REMOVE, HF_CLASS_RUN, ANY},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(needed); i++) {
        uint64_t sum = 0;
        for (int action = 0; action <= HF_ACT_CRASH_AFTER; action++) {
            sum += r->world.points[needed[i].op][needed[i].file][action];
        }
        if (sum == 0 && (needed[i].drivers & w->drivers) != 0) {
            w->zeroes++;
            hf_buffer_format(w->missing, "never met: crash point %s of %s\n",
                             hf_world_op_name(needed[i].op), hf_world_class_name(needed[i].file));
        }
    }
}

static void put_log(struct writing *w, const struct report *r)
{
    const struct hf_log_sim_counters *c = &r->log;
    const struct {
        const char *name;
        uint64_t count;
    } lines[] = {
        {"append: ok", c->append_ok},
        {"append: fenced", c->append_fenced},
        {"append: ambiguous, stored", c->append_ambiguous_stored},
        {"append: ambiguous, lost", c->append_ambiguous_lost},
        {"append: ambiguous, late", c->append_ambiguous_late},
        {"append: failed, stored", c->append_failed_stored},
        {"append: failed, lost", c->append_failed_lost},
        {"append: no space", c->append_no_space},
        {"resolve: committed", c->resolve_committed},
        {"resolve: never", c->resolve_never},
        {"resolve: retry", c->resolve_retry},
        {"resolve: fenced", c->resolve_fenced},
        {"confirm: ok", c->confirm_ok},
        {"confirm: fenced", c->confirm_fenced},
        {"confirm: failed", c->confirm_failed},
        {"takeovers", c->takeovers},
        {"takeovers that failed", c->takeovers_failed},
        {"takeovers of a living owner", c->takeovers_of_living},
        {"takeovers with an append in flight", c->takeovers_in_flight},
        {"appends of dead processes stored", c->orphans_stored},
        {"late appends stored", c->late_stored},
        {"appends rejected by the fence", c->in_flight_rejected},
        {"appends that came twice", c->duplicates},
        {"seals", c->seals},
        {"reads that failed", c->reads_failed},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(lines); i++) {
        put(w, "log", lines[i].name, lines[i].count, SIM);
    }
}

static void put_node(struct writing *w, const struct report *r)
{
    put(w, "node", "starts", r->starts, ANY);
    put(w, "node", "starts from a checkpoint", r->starts_from_checkpoint, ANY);
    put(w, "node", "starts after a seal", r->starts_sealed, ANY);
    put(w, "node", "starts that cut a torn tail", r->starts_torn, FILES);
    put(w, "node", "standbys that met the lock", r->locked, FILES);
    put(w, "node", "commits replayed at starts", r->replayed_commits, ANY);
    put(w, "node", "batches", r->batches, ANY);
    put(w, "node", "fetches", r->fetches, ANY);
    put(w, "node", "rebuilds", r->rebuilds, ANY);
    put(w, "node", "checkpoints recorded", r->system_commits[HF_EVENT_CHECKPOINT], ANY);
    put(w, "node", "checkpoints that failed", r->checkpoint_errors, 0);
    put(w, "node", "runs merged", r->merges, ANY);
    put(w, "node", "runs that keys have left", r->key_merges, ANY);
    put(w, "node", "takeovers recorded", r->system_commits[HF_EVENT_TAKEOVER], ANY);
    put(w, "node", "torn tails recorded", r->system_commits[HF_EVENT_TAIL_CUT], FILES);
    for (int code = 1; code < REPORT_CODES; code++) {
        if (r->start_errors[code] > 0) {
            put(w, "start failed", hf_err_wire((enum hf_err)code), r->start_errors[code], 0);
        }
    }
}

static void put_judgement(struct writing *w, const struct report *r)
{
    put(w, "compared", "commits", r->commits_compared, ANY);
    put(w, "compared", "answers", r->answers_compared, ANY);
    put(w, "compared", "states", r->states_compared, ANY);
    put(w, "compared", "checkpoints' hashes", r->checkpoints_compared, ANY);
    uint64_t decided = r->model.accepted + r->model.refused_recorded;
    uint64_t percent = decided == 0 ? 0 : 100 * r->model.accepted / decided;
    put(w, "accepted", "percent of the commits", percent, ANY);
    if (3 * r->model.accepted < decided) {
        w->zeroes++;
        hf_buffer_text(w->missing, "too low: less than a third of the commits was accepted\n");
    }
    if (5 * r->runs > r->ended_runs || 2000 * r->runs > r->operations) {
        w->zeroes++;
        hf_buffer_text(w->missing, "too low: operations, or crashes and takeovers\n");
    }
}

/* The model's own lines, "what name how count". */
static void put_model(struct writing *w, const struct report *r)
{
    struct hf_buffer lines;
    hf_buffer_init(&lines);
    (void)hf_counts_write(&r->model, &lines);
    (void)hf_counts_write_units(&r->model, &lines);
    const char *at = (const char *)lines.data;
    const char *end = at + lines.size_bytes;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        const char *number = stop;
        while (number > at && number[-1] != ' ') {
            number--;
        }
        char name[80];
        size_t used = 0;
        for (const char *c = at; c < number && used + 1 < sizeof(name); c++) {
            if (*c != ' ' || (used > 0 && name[used - 1] != ' ')) {
                name[used++] = *c;
            }
        }
        while (used > 0 && name[used - 1] == ' ') {
            used--;
        }
        name[used] = '\0';
        put(w, "model", name, strtoull(number, NULL, 10), ANY);
        at = stop + 1;
    }
    hf_buffer_release(&lines);
}

size_t report_write(const struct report *report, unsigned drivers, bool json, bool strict,
                    struct hf_buffer *out)
{
    struct hf_buffer missing;
    hf_buffer_init(&missing);
    struct writing w = {.out = out, .missing = &missing, .drivers = drivers, .json = json};
    if (json) {
        hf_buffer_text(out, "{");
    }
    put_runs(&w, report);
    put_answers(&w, report);
    put_model(&w, report);
    put_troubles(&w, report);
    put_points(&w, report);
    put_log(&w, report);
    put_node(&w, report);
    put_judgement(&w, report);
    need_points(&w, report);
    if (json) {
        hf_buffer_text(out, "\n}\n");
    } else if (strict) {
        hf_buffer_bytes(out, missing.data, missing.size_bytes);
    }
    hf_buffer_release(&missing);
    return w.zeroes;
}
