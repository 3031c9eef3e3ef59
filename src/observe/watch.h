/*
 * The watch: looks at what may go wrong in silence, and raises and clears alerts for it.
 *
 * Owns: a thread; what it looked at last. Must never: hold a rule of the core (the table of alerts decides what is raised), walk over
 * messages, accounts or sagas (it reads counters, and the ends of lists), hold the node up. Called by: serve, when its node leads
 * and before the engine is closed; the audit wakes it when a pass has ended.
 *
 *   every second: read the alerts, a page of subscriptions, sagas' lists ─► judge ─► one command with what is new, if anything is
 *
 * 1. It believes the node's table, not its own memory: after a restart or takeover it raises nothing twice and clears what was
 *    mended meanwhile.
 * 2. What an alert is about may go (a subscription is deleted): then it is cleared.
 */
#ifndef HF_OBSERVE_WATCH_H
#define HF_OBSERVE_WATCH_H

#include "observe/alert_limits.h"
#include "observe/audit.h"
#include "observe/disk.h"

#define HF_WATCH_EVERY_US 1000000u /* between two looks, by default */

struct hf_watch_options {
    struct hf_outside *outside;
    struct hf_node *node;  /* outlives the watch */
    const char *directory; /* whose disk it is */
    struct hf_alert_limits limits;
    uint64_t every_us; /* 0: the default */
    /* hf_outside_linux_space; tests have their own. */
    enum hf_err (*space)(const char *path, uint64_t *free_bytes, uint64_t *all_bytes,
                         struct hf_error *error);
    hf_disk_files_fn files; /* hf_outside_linux_files; NULL: what the directory takes is not told */
    /* Called on the watch's thread when a change was recorded; may be NULL. */
    void (*changed)(void *context);
    void *context; /* its */
};

struct hf_watch;

/* Starts the thread. */
enum hf_err hf_watch_new(const struct hf_watch_options *options, struct hf_watch **watch,
                         struct hf_error *error) HF_WARN_UNUSED;
/* Ends the thread; NULL is fine. The node must still be stepped, or have ended. */
void hf_watch_free(struct hf_watch *watch);

/* From here on the audit's report is looked at, too; it must outlive the watch, or NULL be set before. Any thread. */
void hf_watch_set_audit(struct hf_watch *watch, struct hf_audit *audit);
/* What the directory takes, as found in the last seconds. false: not known. Any thread. */
bool hf_watch_disk(struct hf_watch *watch, struct hf_disk_use *use);
/* Looks now. Any thread. */
void hf_watch_wake(struct hf_watch *watch);

#endif
