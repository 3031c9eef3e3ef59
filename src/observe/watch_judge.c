/* What is an alert: figures against thresholds, and what is raised already. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/time_text.h"
#include "observe/watch_priv.h"

#define SUBSCRIPTIONS "subscriptions/"
#define SAGAS         "sagas/"
#define ALL_SAGAS     "sagas"
#define SYNCS_MIN     20u /* fewer writes say nothing of the disk */

bool hf_judging_is_raised(const struct hf_judging *judging, enum hf_alert_kind kind,
                          const char *subject)
{
    for (uint32_t i = 0; i < judging->raised_count; i++) {
        if (judging->raised[i].kind == kind && strcmp(judging->raised[i].subject, subject) == 0) {
            return true;
        }
    }
    return false;
}

/* What a name, a path or an error text may hold is no control character in an alert. */
static void make_plain(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7F) {
            *text = '?';
        }
    }
}

void hf_judge(struct hf_judging *judging, enum hf_alert_kind kind, const char *subject, bool is,
              uint64_t since_us, const char *format, ...)
{
    is = is && judging->limits->on[kind];
    uint32_t at = judging->change_count;
    if (is == hf_judging_is_raised(judging, kind, subject) || at == HF_ALERT_CHANGES_MAX) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(judging->texts[at], sizeof(judging->texts[at]), format, arguments);
    va_end(arguments);
    (void)snprintf(judging->subjects[at], sizeof(judging->subjects[at]), "%s", subject);
    make_plain(judging->texts[at]);
    judging->changes[at] = (struct hf_alert_change){
        .clear = !is,
        .kind = kind,
        .subject = hf_str_from(judging->subjects[at]),
        .text = hf_str_from(judging->texts[at]),
        .since_us = since_us,
    };
    judging->change_count++;
}

/* ---- subscriptions ---- */

static bool is_past(const struct hf_judging *judging, uint64_t since_us, enum hf_alert_kind kind)
{
    return since_us != 0 && judging->now_us > since_us &&
           judging->now_us - since_us >= judging->limits->value[kind];
}

static void judge_dead(struct hf_judging *judging, const struct hf_watch_subscription *s,
                       const char *subject)
{
    char since[HF_TIME_TEXT_BYTES];
    hf_time_format(s->parked_since_us, since);
    if (s->parked > 0) {
        hf_judge(judging, HF_ALERT_DEAD_LETTER, subject, true, s->parked_since_us,
                 "%" PRIu64 " dead letters, the oldest since %s: GET /v1/subscriptions/%s/dead "
                 "says why; redrive them after the fix, or discard them",
                 s->parked, since, s->name);
    } else {
        hf_judge(judging, HF_ALERT_DEAD_LETTER, subject, false, 0, "no dead letters are left");
    }
}

static void judge_stalled(struct hf_judging *judging, const struct hf_watch_subscription *s,
                          const char *subject)
{
    char since[HF_TIME_TEXT_BYTES];
    bool backlog = s->waiting + s->in_flight > 0;
    uint64_t since_us = hf_max_u64(s->last_settled_us, s->oldest_us);
    bool stalled = backlog && is_past(judging, since_us, HF_ALERT_SUBSCRIPTION_STALLED);
    hf_time_format(since_us, since);
    if (stalled) {
        hf_judge(judging, HF_ALERT_SUBSCRIPTION_STALLED, subject, true, since_us,
                 "%" PRIu64 " messages wait, %" PRIu64
                 " are out, and nothing was acked since %s: do its consumers run?",
                 s->waiting, s->in_flight, since);
    } else {
        hf_judge(judging, HF_ALERT_SUBSCRIPTION_STALLED, subject, false, 0,
                 backlog ? "messages are acked again" : "no message waits any more");
    }
}

static void judge_old(struct hf_judging *judging, const struct hf_watch_subscription *s,
                      const char *subject)
{
    char since[HF_TIME_TEXT_BYTES];
    hf_time_format(s->oldest_us, since);
    if (is_past(judging, s->oldest_us, HF_ALERT_MESSAGE_OLD)) {
        hf_judge(judging, HF_ALERT_MESSAGE_OLD, subject, true, s->oldest_us,
                 "the oldest message that has not ended is from %s; %" PRIu64 " wait", since,
                 s->waiting);
    } else {
        hf_judge(judging, HF_ALERT_MESSAGE_OLD, subject, false, 0, "the oldest message is newer");
    }
}

void hf_judge_subscription(struct hf_judging *judging, const struct hf_watch_subscription *s)
{
    char subject[HF_ALERT_SUBJECT_BYTES_MAX + 1];
    (void)snprintf(subject, sizeof(subject), SUBSCRIPTIONS "%s", s->name);
    judge_dead(judging, s, subject);
    judge_stalled(judging, s, subject);
    judge_old(judging, s, subject);
}

/* ---- what is gone ---- */

static bool is_in(const struct hf_watch_range *range, const char *name)
{
    for (uint32_t i = 0; i < range->count; i++) {
        if (strcmp(range->first + i * range->stride, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Would the page have the name if there were such a thing? */
static bool covers(const struct hf_watch_range *range, const char *name)
{
    if (strcmp(name, range->after) <= 0) {
        return false;
    }
    return range->to_end || (range->count > 0 &&
                             strcmp(name, range->first + (range->count - 1) * range->stride) <= 0);
}

void hf_judge_gone(struct hf_judging *judging, enum hf_alert_kind kind, const char *collection,
                   const struct hf_watch_range *range, const char *text)
{
    size_t length = strlen(collection);
    for (uint32_t i = 0; i < judging->raised_count; i++) {
        const struct hf_watch_raised *raised = &judging->raised[i];
        const char *name = raised->subject + length;
        if (raised->kind == kind && strncmp(raised->subject, collection, length) == 0 &&
            covers(range, name) && !is_in(range, name)) {
            hf_judge(judging, kind, raised->subject, false, 0, "%s", text);
        }
    }
}

/* ---- sagas ---- */

static const struct {
    enum hf_alert_kind kind;
    const char *over;   /* the alert's last word */
    const char *others; /* of the alert about the rest */
} lists[HF_WATCH_LISTS] = {
    [HF_WATCH_PARKED] = {HF_ALERT_SAGA_PARKED, "it is parked no more",
                         "more sagas are parked: GET /v1/sagas?state=parked lists them"},
    [HF_WATCH_FAILING] = {HF_ALERT_SAGA_FAILING, "its calls fail no more",
                          "more sagas have been failing: GET /v1/sagas?failing=true lists them"},
    [HF_WATCH_COMPENSATING] = {HF_ALERT_COMPENSATION_LATE, "it compensates no more",
                               "more sagas have been compensating: "
                               "GET /v1/sagas?state=compensating lists them"},
};

/* Alerts of the kind that are raised, or are being raised in this round, about one saga each. */
static uint32_t count_raised(const struct hf_judging *judging, enum hf_alert_kind kind)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < judging->raised_count; i++) {
        count +=
            judging->raised[i].kind == kind && strcmp(judging->raised[i].subject, ALL_SAGAS) != 0;
    }
    for (uint32_t i = 0; i < judging->change_count; i++) {
        const struct hf_alert_change *change = &judging->changes[i];
        count += !change->clear && change->kind == kind;
    }
    return count;
}

static void judge_saga(struct hf_judging *judging, enum hf_watch_list list,
                       const struct hf_watch_saga *saga, bool is)
{
    char subject[HF_ALERT_SUBJECT_BYTES_MAX + 1];
    char since[HF_TIME_TEXT_BYTES];
    enum hf_alert_kind kind = lists[list].kind;
    (void)snprintf(subject, sizeof(subject), SAGAS "%s", saga->name);
    hf_time_format(saga->since_us, since);
    if (!is) {
        hf_judge(judging, kind, subject, false, 0, "%s", lists[list].over);
    } else if (hf_judging_is_raised(judging, kind, subject) ||
               count_raised(judging, kind) >= HF_WATCH_SAGAS_MAX) {
        return;
    } else if (list == HF_WATCH_PARKED) {
        hf_judge(judging, kind, subject, true, saga->since_us, "parked since %s: %s", since,
                 saga->reason[0] == '\0' ? "no reason was given" : saga->reason);
    } else {
        hf_judge(judging, kind, subject, true, saga->since_us,
                 list == HF_WATCH_FAILING ? "its calls have failed since %s"
                                          : "it has been compensating since %s",
                 since);
    }
}

void hf_judge_sagas(struct hf_judging *judging, enum hf_watch_list list,
                    const struct hf_watch_saga *page, const struct hf_watch_range *range,
                    uint64_t *seen)
{
    enum hf_alert_kind kind = lists[list].kind;
    if (range->after[0] == '\0') {
        *seen = 0;
    }
    for (uint32_t i = 0; i < range->count; i++) {
        bool is = list == HF_WATCH_PARKED || is_past(judging, page[i].since_us, kind);
        *seen += is;
        judge_saga(judging, list, &page[i], is);
    }
    hf_judge_gone(judging, kind, SAGAS, range, lists[list].over);
    if (*seen > HF_WATCH_SAGAS_MAX || range->to_end) {
        hf_judge(judging, kind, ALL_SAGAS, *seen > HF_WATCH_SAGAS_MAX, judging->now_us, "%s",
                 *seen > HF_WATCH_SAGAS_MAX ? lists[list].others : "there are no others");
    }
}

/* ---- the rest ---- */

void hf_judge_disk(struct hf_judging *judging, const char *directory, uint64_t free_bytes,
                   uint64_t all_bytes)
{
    static const char subject[] = "disk";
    uint64_t limit = judging->limits->value[HF_ALERT_DISK_LOW];
    bool raised = hf_judging_is_raised(judging, HF_ALERT_DISK_LOW, subject);
    bool low = free_bytes < (raised ? limit + limit / 10 : limit);
    hf_judge(judging, HF_ALERT_DISK_LOW, subject, low, judging->now_us,
             low ? "%" PRIu64 " MiB of %" PRIu64 " MiB are free where %s is: when nothing is left, "
                   "commits are refused until there is room"
                 : "%" PRIu64 " MiB of %" PRIu64 " MiB are free where %s is",
             free_bytes >> 20, all_bytes >> 20, directory);
}

void hf_judge_memory(struct hf_judging *judging, const struct hf_memory *memory)
{
    static const char subject[] = "memory";
    if (memory->level == HF_MEMORY_TIGHT) {
        return; /* neither way: it must not flutter */
    }
    bool low = memory->level != HF_MEMORY_ROOM;
    hf_judge(judging, HF_ALERT_MEMORY_LOW, subject, low, judging->now_us,
             low ? "%" PRIu64 " MiB of %" PRIu64 " MiB are in use, %" PRIu64
                   " MiB are kept for a checkpoint: what would stay in memory is refused (429)"
                 : "%" PRIu64 " MiB of %" PRIu64 " MiB are in use, %" PRIu64
                   " MiB are kept for a checkpoint",
             hf_max_u64(memory->resident, memory->allocated) >> 20, memory->max >> 20,
             memory->checkpoint_reserve >> 20);
}

void hf_judge_audit(struct hf_judging *judging, const struct hf_audit_report *report)
{
    static const char subject[] = "audit";
    if (!report->has_last) {
        return; /* what was raised before a restart stays until a pass has ended */
    }
    const struct hf_audit_pass *pass = &report->last;
    if (pass->finding_count > 0) {
        hf_judge(judging, HF_ALERT_AUDIT_FAILED, subject, true, pass->started_at_us,
                 "%s: %" PRIu64 " findings, the first: %.350s (GET /v1/audit has all)",
                 pass->result == HF_AUDIT_DAMAGED ? "stored data is damaged"
                                                  : "not everything could be looked at",
                 pass->finding_count, pass->findings[0].text);
    } else {
        hf_judge(judging, HF_ALERT_AUDIT_FAILED, subject, false, 0,
                 "a whole pass of the audit, up to position %" PRIu64 ", found nothing",
                 pass->to_position);
    }
}

void hf_judge_syncs(struct hf_judging *judging, const struct hf_histogram *histogram,
                    const struct hf_watch_syncs *before, const struct hf_watch_syncs *after)
{
    static const char subject[] = "log";
    uint64_t limit_us = judging->limits->value[HF_ALERT_LOG_SLOW];
    uint64_t all = 0;
    uint64_t slow = 0;
    for (uint32_t i = 0; i <= histogram->bound_count; i++) {
        uint64_t count = after->counts[i] - before->counts[i];
        all += count;
        /* A bucket counts as slow if all of it is above the limit. */
        slow += i > 0 && histogram->bounds[i - 1] >= limit_us ? count : 0;
    }
    if (all < SYNCS_MIN && slow > 0) {
        return; /* neither way */
    }
    bool is = slow * 100 > all;
    hf_judge(judging, HF_ALERT_LOG_SLOW, subject, is, judging->now_us,
             "%" PRIu64 " of %" PRIu64 " writes of the log took longer than %" PRIu64 " ms", slow,
             all, limit_us / 1000);
}
