/* The audit's thread, its pace, and its report. */
#include "observe/audit.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "base/alloc.h"
#include "base/check.h"
#include "log/log_file.h"
#include "observe/audit_priv.h"

#define PACE_BYTES     (256u << 10) /* read between two looks at the clock */
#define FIRST_AFTER_US 600000000u   /* a server that has just begun has other things to do */

const char *hf_audit_part_wire(enum hf_audit_part part)
{
    static const char *const wires[] = {"nothing", "log", "checkpoints", "balances"};
    return wires[part];
}

const char *hf_audit_result_wire(enum hf_audit_result result)
{
    static const char *const wires[] = {"running", "ok", "damaged", "incomplete", "stopped"};
    return wires[result];
}

/* ---- sleeping ---- */

static void lock(struct hf_audit *audit)
{
    HF_CHECK(pthread_mutex_lock(&audit->mutex) == 0);
}

static void unlock(struct hf_audit *audit)
{
    HF_CHECK(pthread_mutex_unlock(&audit->mutex) == 0);
}

static uint64_t now_us(const struct hf_audit *audit)
{
    return audit->options.outside->monotonic_us(audit->options.outside);
}

/* At most so long; the mutex is held. The condition goes by the kernel's monotonic clock. */
static void sleep_us(struct hf_audit *audit, uint64_t us)
{
    struct timespec until;
    us = hf_min_u64(us, 86400000000ull);
    HF_CHECK(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
    until.tv_sec += (time_t)(us / 1000000);
    until.tv_nsec += (long)(us % 1000000) * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    (void)pthread_cond_timedwait(&audit->changed, &audit->mutex, &until);
}

/* The mutex is held. */
static void show(struct hf_audit *audit)
{
    audit->pass.duration_us = now_us(audit) - audit->begun_us;
    audit->report.current = audit->pass;
}

bool hf_audit_pace(struct hf_audit *audit, size_t bytes)
{
    audit->pass.bytes += bytes;
    audit->unpaced_bytes += bytes;
    if (audit->unpaced_bytes < PACE_BYTES) {
        return true;
    }
    uint64_t rate = audit->options.rate_bytes_per_s;
    uint64_t cost_us = rate == 0 ? 0 : audit->unpaced_bytes * 1000000 / rate;
    audit->unpaced_bytes = 0;
    audit->allowed_us = hf_max_u64(audit->allowed_us, now_us(audit)) + cost_us;
    struct hf_node_status status;
    hf_node_status(audit->options.node, &status);
    lock(audit);
    show(audit);
    while (!audit->stopping && now_us(audit) < audit->allowed_us) {
        sleep_us(audit, audit->allowed_us - now_us(audit));
    }
    bool go_on = !audit->stopping && status.phase == HF_NODE_LEADING;
    unlock(audit);
    return go_on;
}

bool hf_audit_wait(struct hf_audit *audit)
{
    lock(audit);
    while (!audit->answered) {
        HF_CHECK(pthread_cond_wait(&audit->changed, &audit->mutex) == 0);
    }
    audit->answered = false;
    bool go_on = !audit->stopping;
    unlock(audit);
    return go_on;
}

/* ---- findings ---- */

static struct hf_audit_finding *add_finding(struct hf_audit *audit, bool damage)
{
    static struct hf_audit_finding spare; /* what is only counted */
    struct hf_audit_pass *pass = &audit->pass;
    struct hf_audit_finding *finding =
        hf_audit_is_full(audit) ? &spare : &pass->findings[pass->finding_count];
    pass->finding_count++;
    finding->part = pass->part;
    finding->damage = damage;
    finding->position = pass->position;
    return finding;
}

void hf_audit_note(struct hf_audit *audit, const struct hf_error *error)
{
    if (error->code == HF_ERR_LIMIT) {
        return;
    }
    if (error->code == HF_ERR_CLOSED) {
        audit->pass.result = HF_AUDIT_STOPPED;
        return;
    }
    bool damage = error->code == HF_ERR_CORRUPT || error->code == HF_ERR_VERSION;
    struct hf_audit_finding *finding = add_finding(audit, damage);
    memcpy(finding->text, error->text, sizeof(finding->text));
}

void hf_audit_damage(struct hf_audit *audit, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    struct hf_audit_finding *finding = add_finding(audit, true);
    (void)vsnprintf(finding->text, sizeof(finding->text), format, arguments);
    va_end(arguments);
}

/* ---- a pass ---- */

static enum hf_audit_result judge(const struct hf_audit_pass *pass)
{
    if (pass->result == HF_AUDIT_STOPPED) {
        return pass->result;
    }
    for (uint64_t i = 0; i < hf_min_u64(pass->finding_count, HF_AUDIT_FINDINGS_MAX); i++) {
        if (pass->findings[i].damage) {
            return HF_AUDIT_DAMAGED;
        }
    }
    return pass->finding_count > 0 ? HF_AUDIT_INCOMPLETE : HF_AUDIT_OK;
}

static void begin_pass(struct hf_audit *audit)
{
    struct hf_node_status status;
    hf_node_status(audit->options.node, &status);
    audit->pass = (struct hf_audit_pass){
        .started_at_us = audit->options.outside->wall_us(audit->options.outside),
        .to_position = status.durable_position,
    };
    audit->begun_us = now_us(audit);
    audit->unpaced_bytes = 0;
    audit->recorded_count = 0;
    lock(audit);
    audit->report.running = true;
    show(audit);
    unlock(audit);
}

static void end_pass(struct hf_audit *audit)
{
    audit->pass.result = judge(&audit->pass);
    audit->pass.part = HF_AUDIT_NOTHING;
    audit->pass.ended_at_us = audit->options.outside->wall_us(audit->options.outside);
    lock(audit);
    show(audit);
    audit->report.running = false;
    if (audit->pass.result != HF_AUDIT_STOPPED) {
        audit->report.passes++;
        audit->report.has_last = true;
        audit->report.last = audit->pass;
    }
    audit->next_us =
        audit->options.interval_us == 0 ? UINT64_MAX : audit->begun_us + audit->options.interval_us;
    unlock(audit);
    if (audit->options.ended != NULL) {
        audit->options.ended(audit->options.context);
    }
}

/* With a reader of its own: the node's goes through the page cache, which may hide what is on the disk. */
static void run_pass(struct hf_audit *audit)
{
    struct hf_limits limits = hf_limits_default();
    struct hf_log_file_options options = {.directory = audit->directory,
                                          .segment_bytes_first = limits.segment_bytes_first,
                                          .segment_bytes_max = limits.segment_bytes_max};
    struct hf_error error = {0};
    begin_pass(audit);
    audit->pass.part = HF_AUDIT_LOG;
    enum hf_err err = hf_log_file_open(audit->options.outside, &options, &audit->log, &error);
    if (err != HF_ERR_OK) {
        hf_audit_note(audit, &error);
    } else {
        if (audit->pass.to_position > 0) {
            hf_audit_check_log(audit);
        }
        if (audit->pass.to_position > 0 && audit->pass.result == HF_AUDIT_UNDER_WAY) {
            hf_audit_check_states(audit);
        }
        audit->log->driver->close(audit->log);
    }
    end_pass(audit);
}

static void *run(void *context)
{
    struct hf_audit *audit = context;
    lock(audit);
    while (!audit->stopping) {
        uint64_t now = now_us(audit);
        if (!audit->wanted && now < audit->next_us) {
            sleep_us(audit, audit->next_us - now);
            continue;
        }
        audit->wanted = false;
        unlock(audit);
        run_pass(audit);
        lock(audit);
    }
    unlock(audit);
    return NULL;
}

/* ---- from outside ---- */

static void discard(struct hf_audit *audit)
{
    HF_CHECK(pthread_mutex_destroy(&audit->mutex) == 0);
    HF_CHECK(pthread_cond_destroy(&audit->changed) == 0);
    hf_free(audit->directory);
    hf_free(audit);
}

static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    HF_CHECK(pthread_condattr_init(&attributes) == 0);
    HF_CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    HF_CHECK(pthread_cond_init(condition, &attributes) == 0);
    HF_CHECK(pthread_condattr_destroy(&attributes) == 0);
}

enum hf_err hf_audit_new(const struct hf_audit_options *options, struct hf_audit **audit,
                         struct hf_error *error)
{
    size_t bytes = strlen(options->directory) + 1;
    struct hf_audit *made = hf_calloc(1, sizeof(*made));
    char *directory = hf_malloc(bytes);
    *audit = NULL;
    if (made == NULL || directory == NULL) {
        hf_free(made);
        hf_free(directory);
        return hf_error_set(error, HF_ERR_NO_MEMORY, "audit: out of memory");
    }
    memcpy(directory, options->directory, bytes);
    made->options = *options;
    made->directory = directory;
    made->report.interval_us = options->interval_us;
    made->report.rate_bytes_per_s = options->rate_bytes_per_s;
    made->next_us = options->interval_us == 0
                        ? UINT64_MAX
                        : now_us(made) + hf_min_u64(options->interval_us, FIRST_AFTER_US);
    HF_CHECK(pthread_mutex_init(&made->mutex, NULL) == 0);
    init_condition(&made->changed);
    if (pthread_create(&made->thread, NULL, run, made) != 0) {
        discard(made);
        return hf_error_set(error, HF_ERR_NO_MEMORY, "audit: can't start a thread");
    }
    *audit = made;
    return HF_ERR_OK;
}

void hf_audit_free(struct hf_audit *audit)
{
    if (audit == NULL) {
        return;
    }
    lock(audit);
    audit->stopping = true;
    HF_CHECK(pthread_cond_broadcast(&audit->changed) == 0);
    unlock(audit);
    HF_CHECK(pthread_join(audit->thread, NULL) == 0);
    discard(audit);
}

bool hf_audit_run(struct hf_audit *audit)
{
    lock(audit);
    bool begins = !audit->report.running && !audit->wanted;
    audit->wanted = true;
    HF_CHECK(pthread_cond_broadcast(&audit->changed) == 0);
    unlock(audit);
    return begins;
}

void hf_audit_report(struct hf_audit *audit, struct hf_audit_report *report)
{
    lock(audit);
    *report = audit->report;
    uint64_t now = now_us(audit);
    report->next_in_us = audit->wanted || audit->next_us <= now ? 0
                         : audit->next_us == UINT64_MAX         ? UINT64_MAX
                                                                : audit->next_us - now;
    unlock(audit);
}
