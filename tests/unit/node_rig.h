/*
 * A node on files in a simulated world, driven by the test: for tests of what a node does for its callers.
 *
 * Owns: the world, the machine's outside, the node. Time passes only in node_rig_drive. Called by: node_read_test,
 * node_queue_test, tail_test, feed_reader_test.
 */
#ifndef HF_TESTS_UNIT_NODE_RIG_H
#define HF_TESTS_UNIT_NODE_RIG_H

#include "node/node.h"
#include "sim/world.h"

#define NODE_RIG_TICK_US 100u /* between two rounds of steps */

struct node_rig {
    struct hf_world *world;
    struct hf_outside *outside;
    struct hf_log *log;
    struct hf_node *node;
    struct hf_limits limits; /* of nodes that are made from now on */
    bool checkpoints;
    struct hf_memory_options memory;
};

/* A command under way. */
struct node_asked {
    struct hf_request request;
    struct hf_command command;
    bool done;
};

/* Default limits but for small segments. The caller may change them before node_rig_make. */
void node_rig_init(struct node_rig *rig, uint64_t seed);
/* A node that has not started. */
void node_rig_make(struct node_rig *rig);
/* Starts it; time has not passed. */
void node_rig_start(struct node_rig *rig);
/* It stops in order, and is gone: node_rig_make makes the next one. */
void node_rig_stop(struct node_rig *rig);
/* Of everything, however it is. */
void node_rig_end(struct node_rig *rig);

void node_rig_drive(struct node_rig *rig, uint64_t duration_us);
/* Until it is true; fails after a second. */
void node_rig_drive_until(struct node_rig *rig, const bool *done);

/* Submits a commit. `asked` must stay where it is until it is done, and be released. */
void node_rig_ask(struct node_rig *rig, struct node_asked *asked, const char *json);
/* The same under an idempotency key. */
void node_rig_ask_keyed(struct node_rig *rig, struct node_asked *asked, const char *json,
                        const char *key);
void node_asked_release(struct node_asked *asked);
/* Asks, waits, and tells the answer's code. */
enum hf_err node_rig_try(struct node_rig *rig, const char *json);
/* The same; it must succeed. */
void node_rig_commit(struct node_rig *rig, const char *json);
uint64_t node_rig_position(struct node_rig *rig);

#endif
