/*
 * The webhook of alerts: every alert that is raised or cleared is posted to one URL.
 *
 *   read the alerts ─► what is new since the last look ─► notices, in order ─► one call at a time ─► 2xx: the next one
 *
 * Owns: the notices that were not taken yet. Must never: post out of order, forget one because an answer was bad, show a secret.
 * Called by: deliver's thread (a sender); the watch wakes it when something changed.
 *
 * 1. At least once: what is raised when the process begins is posted again, and what was cleared in the last ten minutes; the
 *    webhook-id of a notice is the same however often it is posted.
 * 2. Anything but 2xx is tried again after 1 s, 2 s, … at most a minute, for ever. At most HF_ALERT_NOTICES_MAX wait: then the oldest
 *    goes, and is counted.
 *
 *   POST, application/json, signed by Standard Webhooks if there is a secret:
 *   {"type":"system.alert.raised","timestamp":"…","data":{"kind","subject","since","text","raised_position","cleared_position"}}
 */
#ifndef HF_DELIVER_ALERT_HOOK_H
#define HF_DELIVER_ALERT_HOOK_H

#include "core/alert.h"
#include "deliver/deliver.h"
#include "deliver/secrets.h"

#define HF_ALERT_NOTICES_MAX 1024u

struct hf_node;
struct
    hf_caller; /* deliver/caller.h; another struct of the name is the api's: only a pointer here */

struct hf_alert_hook_options {
    struct hf_outside *outside;
    struct hf_node *node; /* outlives the hook */
    struct hf_caller *caller;
    struct hf_targets *targets;
    struct hf_secrets *secrets; /* or NULL */
    const char *url;
    const char *secret; /* name in secrets; NULL: unsigned */
    /* The node has answered: the hook wants to be stepped. Any thread. */
    void (*wake)(void *context);
    void *context; /* its */
};

struct hf_alert_hook;

/* INVALID_REQUEST: the URL can't be called. */
enum hf_err hf_alert_hook_new(const struct hf_alert_hook_options *options,
                              struct hf_alert_hook **hook, struct hf_error *error) HF_WARN_UNUSED;
void hf_alert_hook_free(struct hf_alert_hook *hook); /* stopped; NULL is fine */

/* For deliver. */
struct hf_sender hf_alert_hook_sender(struct hf_alert_hook *hook);
/* Alerts have changed: they are read with the next step. Any thread; wake the deliverer, too. */
void hf_alert_hook_look(struct hf_alert_hook *hook);

/* Any thread. */
struct hf_alert_hook_counts {
    uint64_t posted;  /* taken by the other side */
    uint64_t failed;  /* tries that were not */
    uint64_t waiting; /* notices */
    uint64_t dropped;
};
void hf_alert_hook_counts(struct hf_alert_hook *hook, struct hf_alert_hook_counts *counts);

#endif
