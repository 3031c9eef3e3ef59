/*
 * The naive model of topics and subscriptions: every message of every subscription is a struct with a
 * state, and every rule of docs/adr/0009-subscriptions.md is a walk over them.
 *
 * Owns: what has arrived (of the whole log), delayed messages, the subscriptions with their messages.
 * Must never: call anything of core; keep an index, a heap or a list in order: what comes first is looked
 * for each time.
 * Called by: model*.c, check_queue.c.
 *
 * 1. A message is in a line until it ends; the lines hold all that have not ended, in order of arrival.
 * 2. The state of a line is that of its first message; behind it they are out with the same token, or wait.
 * 3. Whatever a move changes is touched before (hf_model_touch_bytes), so that it can be undone.
 */
#ifndef HF_TESTS_SIM_MODEL_QUEUE_H
#define HF_TESTS_SIM_MODEL_QUEUE_H

#include "sim/queue_news.h"

#define HF_NAIVE_BUCKETS 256

struct hf_model_thing;

enum hf_naive_at {
    HF_NAIVE_WAITING = 1, /* first of its line: the line is ready */
    HF_NAIVE_OUT,
    HF_NAIVE_BACKING_OFF, /* a line's first only */
    HF_NAIVE_PARKED,      /* the same */
    HF_NAIVE_ACKED,
    HF_NAIVE_DISCARDED,
    HF_NAIVE_FORGOTTEN, /* by a seek */
};

struct hf_naive_line;

struct hf_naive_message {
    struct hf_place place;
    struct hf_id key_hash;           /* of its partition key */
    enum hf_naive_at at;             /* its state */
    struct hf_naive_line *line;      /* NULL: ended */
    uint64_t number;                 /* in its line, from 1 */
    uint32_t tries;                  /* failed ones */
    uint64_t token;                  /* of the newest receive that it was out with */
    uint64_t newest;                 /* commit that delivered or settled it last; 0 = none */
    struct hf_id out_line;           /* with that receive: its line… */
    uint64_t out_number;             /* …and its number there */
    struct hf_naive_message *behind; /* in its line */
    struct hf_naive_message *before; /* the same one, before a seek; or NULL */
    struct hf_naive_message *next;   /* in the same bucket of the subscription */
};

struct hf_naive_line {
    struct hf_id id;                /* key hash; zero: main line; of a message's own: its place */
    bool own;                       /* of one message that left another line */
    uint64_t born;                  /* order of making */
    struct hf_naive_message *first; /* has not ended */
    struct hf_naive_message *last;
    uint64_t ready_order;     /* first WAITING: when it became so */
    uint64_t due_us;          /* OUT: deadline; BACKING_OFF: not before */
    uint64_t jitter_us;       /* BACKING_OFF: due_us may be as much earlier, and is not known yet */
    uint64_t lease_ms;        /* OUT */
    uint64_t parked_order;    /* PARKED: when it became so */
    uint64_t parked_at_us;    /* PARKED */
    uint64_t parked_position; /* PARKED: its commit */
    struct hf_str error;      /* PARKED: may be absent */
    struct hf_naive_line *next; /* of the subscription's, in no order */
};

struct hf_naive_task {
    bool active;
    uint32_t rate_per_s;
    struct hf_str error_filter; /* or absent */
    uint64_t until_order;       /* parked_order at its start */
    uint64_t started_us;        /* its commit's time */
    uint64_t moved;
    uint64_t total;
};

struct hf_naive_subscription {
    struct hf_name name;
    bool gone; /* deleted, or its making was undone */
    uint64_t uid;
    uint64_t version;
    struct hf_subscription_settings settings; /* texts are the model's */
    uint64_t from;                            /* seen_by of its making */
    uint64_t created_at_us;
    struct hf_model_thing *thing; /* what a refusal shows of it */
    bool live;
    uint64_t scanned;            /* not live: arrivals up to here are in the lines */
    struct hf_naive_line *lines; /* all */
    uint64_t line_count;
    uint64_t orders;                    /* given so far: born, ready, parked */
    struct hf_naive_message **messages; /* all that ever arrived, in buckets by place */
    struct hf_naive_task redrive;
    uint64_t arrived;
    uint64_t ended;
    uint64_t acked;
    uint64_t discarded;
    uint64_t deliveries;
    uint64_t failed_tries;
    uint64_t parkings;
    uint64_t in_flight;
    uint64_t parked;
    uint64_t forgotten;                 /* by seeks */
    struct hf_naive_subscription *next; /* made before */
};

/* A try that failed, or is given up. */
struct hf_naive_failure {
    enum hf_settlement settlement; /* NACKED, TIMED_OUT; PARKED: asked for */
    bool has_delay;
    uint64_t delay_ms;
    struct hf_str error; /* or absent */
};

/* An arrival in the log, for scans. */
struct hf_naive_arrival {
    uint64_t position; /* of the commit with which it arrived */
    struct hf_naive_news news;
};

struct hf_naive_waiting {
    uint64_t due_us;
    struct hf_message_due message;
    bool arrived;
    struct hf_naive_waiting *next;
};

/* What was met, in recorded commits if not said otherwise: field, subject, how. */
#define HF_NAIVE_COUNTS(X)                                                                         \
    X(published, "messages", "published")                                                          \
    X(published_delayed, "messages", "delayed")                                                    \
    X(due_by_timer, "messages", "due")                                                             \
    X(arrived, "arrivals", "as published")                                                         \
    X(scanned_arrivals, "arrivals", "by a scan")                                                   \
    X(receives_empty, "receives", "empty")                                                         \
    X(deliveries, "messages", "delivered")                                                         \
    X(prefetched, "messages", "behind one")                                                        \
    X(redelivered, "messages", "again")                                                            \
    X(acked, "messages", "acked")                                                                  \
    X(acked_again, "messages", "acked twice")                                                      \
    X(nacked, "messages", "nacked")                                                                \
    X(timed_out_first, "time-outs", "by a command")                                                \
    X(timed_out_by_timer, "time-outs", "by a timer")                                               \
    X(returned, "messages", "returned")                                                            \
    X(parked_key, "parked", "with their key")                                                      \
    X(parked_message, "parked", "out of a line")                                                   \
    X(parked_alone, "parked", "own line")                                                          \
    X(parked_by_request, "parked", "as asked")                                                     \
    X(blocked, "exhausted", "blocked")                                                             \
    X(discarded, "dead letters", "discarded")                                                      \
    X(extended, "deliveries", "extended")                                                          \
    X(extended_refused, "deliveries", "too late")                                                  \
    X(item_refused, "batch items", "refused")                                                      \
    X(redriven_one, "redriven", "a message")                                                       \
    X(redriven_key, "redriven", "a key")                                                           \
    X(redriven_all, "redriven", "all")                                                             \
    X(redriven_by_rate, "redriven", "at a rate")                                                   \
    X(redrive_started, "redrives", "started")                                                      \
    X(redrive_cancelled, "redrives", "cancelled")                                                  \
    X(redrive_done, "redrives", "done")                                                            \
    X(created, "subscription", "created")                                                          \
    X(recreated, "subscription", "re-created")                                                     \
    X(changed, "subscription", "changed")                                                          \
    X(put_again, "subscription", "put again")                                                      \
    X(sought, "subscription", "sought")                                                            \
    X(deleted, "subscription", "deleted")                                                          \
    X(scans, "scans", "recorded")                                                                  \
    X(went_live, "scans", "to the head")                                                           \
    X(fell_behind, "subscription", "fell behind")                                                  \
    X(exactly_once, "commits", "effect+ack+next")                                                  \
    X(fresh_terms, "deliveries", "fresh terms")

struct hf_naive_counts {
#define HF_NAIVE_COUNT(field, what, how) uint64_t field;
    HF_NAIVE_COUNTS(HF_NAIVE_COUNT)
#undef HF_NAIVE_COUNT
};

struct hf_naive_queues {
    struct hf_naive_subscription *subscriptions; /* newest first, those that are gone too */
    struct hf_naive_waiting *delayed;            /* newest first, those that arrived too */
    struct hf_naive_arrival *arrivals;           /* owned; in log order */
    size_t arrival_count;
    size_t arrival_capacity;
};

struct hf_model;

/* A commit has become part of the model: what it brings arrives. */
void hf_naive_commit_ends(struct hf_model *model, const struct hf_commit *commit);
/* What was not sure in the commit's events (jitter) is as it says. */
void hf_naive_adopt(struct hf_model *model, const struct hf_commit *commit);
/* The next delayed message arrives. The expected event; NULL: *wrong says why not. */
const struct hf_event *hf_naive_due(struct hf_model *model, const char **wrong);
/* Every group that is out gets one fresh term. */
void hf_naive_takeover(struct hf_model *model);
/* The system's time-outs, scan, step of a redrive; NULL, or what is wrong. */
const struct hf_event *hf_naive_time_out_event(struct hf_model *model,
                                               const struct hf_settled *settled);
const char *hf_naive_scan(struct hf_model *model, const struct hf_scanned *scanned);
const char *hf_naive_redrive_step(struct hf_model *model, const struct hf_redriven *redriven);

/* What each item of a SETTLED event of the model leaves open: it may be so much earlier. */
const uint64_t *hf_naive_jitters_us(const struct hf_settled *settled);

#endif
