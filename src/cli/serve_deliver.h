/*
 * Serve's calls that go out: the secrets' file, and the thread that delivers while this process leads.
 *
 * Owns: the secrets, deliver's thread with its senders. Must never: show a secret. Called by: serve's main thread.
 */
#ifndef HF_CLI_SERVE_DELIVER_H
#define HF_CLI_SERVE_DELIVER_H

#include "base/errors.h"

struct hf_door_options;
struct hf_node;
struct hf_outside;
struct hf_serve_deliver;
struct hf_serve_options;

/* Reads the secrets. INVALID_REQUEST: an option, or the file, is wrong; NOT_FOUND, IO. The options outlive it. */
enum hf_err hf_serve_deliver_new(const struct hf_serve_options *options,
                                 struct hf_serve_deliver **made, struct hf_error *error);
void hf_serve_deliver_free(struct hf_serve_deliver *deliver); /* stopped; NULL is fine */

/* The node leads: calls begin. listener: its URL, if there is no --public-url; copied; may be absent. */
enum hf_err hf_serve_deliver_start(struct hf_serve_deliver *deliver, struct hf_node *node,
                                   struct hf_outside *outside, struct hf_str listener,
                                   struct hf_error *error);
/* Before the engine is closed; NULL and twice are fine. */
void hf_serve_deliver_stop(struct hf_serve_deliver *deliver);

/* Alerts have changed: the webhook looks. Any thread. */
void hf_serve_deliver_alerts(struct hf_serve_deliver *deliver);

/* SIGHUP: the secrets anew; the old ones stay if the file is wrong. Says what became of it. */
void hf_serve_deliver_reload(struct hf_serve_deliver *deliver);

/* The door shows push subscriptions and calls; before it is started it tells nothing. */
void hf_serve_deliver_tell(struct hf_serve_deliver *deliver, struct hf_door_options *options);

#endif
