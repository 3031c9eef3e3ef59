/* The insides of push; private to push*.c. */
#ifndef HF_DELIVER_PUSH_PRIV_H
#define HF_DELIVER_PUSH_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/table.h"
#include "core/queue_op.h"
#include "deliver/caller.h"
#include "deliver/push.h"
#include "deliver/secrets.h"
#include "deliver/sign.h"

#define PUSH_HEADERS_MAX                                                                           \
    (HF_PUSH_EVENT_HEADERS_MAX + HF_PUSH_HEADERS_MAX + 6) /* 6: webhook-…, trace… */
#define PUSH_WAIT_US      30000000u                       /* a receive waits */
#define PUSH_RETRY_US     500000u                         /* after a refusal of the node's */
#define PUSH_SWEEP_US     500000u                         /* between looks at all subscriptions */
#define PUSH_MARGIN_US    10000000u /* a lease is extended when a call and this do not fit into it */
#define PUSH_ANSWER_BYTES 256u      /* of an answer: what stands in an error */
#define PUSH_LIST_PAGE    500u

struct pusher;
struct push_line;

/* A message that is out. */
struct push_message {
    struct hf_call call;
    struct hf_target_wait wait;
    struct push_line *line;
    struct push_message *rest; /* of its line */
    struct push_message *next; /* of a list of ended ones */
    struct hf_receipt receipt;
    struct hf_push_event event;
    bool calling; /* its call is out */
    /* how it ended */
    bool has_delay;
    uint64_t delay_ms;
    char error[HF_QUEUE_ERROR_BYTES_MAX];
    size_t error_bytes;
    /* of the call */
    struct hf_call_header headers[PUSH_HEADERS_MAX];
    struct hf_buffer values; /* of the user's headers */
    char id[HF_SIGN_MESSAGE_ID_BYTES];
    char timestamp[HF_SIGN_TIMESTAMP_BYTES];
    char signature[HF_SIGN_TEXT_BYTES];
    char traceparent[56];
};

struct push_line {
    struct pusher *pusher;
    struct hf_id key;
    uint64_t token;       /* of the receive */
    uint64_t deadline_us; /* monotonic, not later than the lease's end */
    struct push_message *first;
    bool settling; /* its first is on its way to the node */
    struct push_line *before, *after;
};

enum push_job_kind {
    PUSH_JOB_RECEIVE = 1,
    PUSH_JOB_FRAMES, /* of the messages of a receive */
    PUSH_JOB_ACK,
    PUSH_JOB_NACK,
    PUSH_JOB_EXTEND,
    PUSH_JOB_DISABLE,
    PUSH_JOB_COUNT,
};

/* A request at the node: one of each kind for each subscription. */
struct push_job {
    enum push_job_kind kind;
    struct pusher *pusher;
    bool busy;
    struct hf_command command; /* valid while busy, but for FRAMES */
    struct hf_request request;
    uint64_t began_us;
    struct push_message *messages; /* ACK, NACK: in the order of the items; by next */
    struct push_job *next;         /* those that are done */
};

struct push_list {
    struct push_message *first, *last;
};

/* What a receive gave, until its commits are there. */
struct push_received {
    struct hf_arena arena;
    const struct hf_delivered *delivered;
    uint64_t token, deadline_us;
    uint64_t *positions;
    struct hf_shared_bytes **frames;
};

struct pusher {
    struct hf_push_sender *push;
    uint64_t uid, version;
    struct hf_name name;    /* its text owned, behind the struct */
    struct hf_push *config; /* owned */
    bool doomed;            /* its settings have changed, or it is gone: it comes to an end */
    bool gone;              /* nothing more is sent: disabled, deleted, or the end */
    bool seen;              /* by the list that is being read */
    bool secrets_there;
    uint64_t secrets_generation;
    struct hf_sign_secret secrets[HF_PUSH_SECRETS_MAX];
    struct push_job jobs[PUSH_JOB_COUNT];
    struct push_received received;
    struct push_line *lines; /* held */
    uint64_t line_count, message_count;
    struct push_list acked, nacked; /* ended, not yet at the node */
    char disable_reason[HF_PUSH_REASON_BYTES_MAX];
    bool wants_disable, disable_sent;
    uint64_t not_before_us; /* of the next request: the node refused one */
    uint64_t receive_not_before_us;
    bool dirty;                   /* in the list of those to be looked at… */
    struct pusher *dirty_next;    /* …by this */
    struct pusher *next;          /* all */
    struct hf_push_status status; /* under the mutex */
};

/* A page of the list of subscriptions, collected on the node's thread. */
struct push_found {
    uint64_t uid, version;
    struct hf_push *config; /* owned */
    struct push_found *next;
    size_t name_bytes;
    char name[HF_NAME_BYTES_MAX];
};

struct push_listing {
    bool busy;
    bool under_way; /* pages are read, one after the other */
    struct hf_query query;
    struct hf_request request;
    char after[HF_NAME_BYTES_MAX];
    struct push_found *found;
    char last[HF_NAME_BYTES_MAX]; /* of the page */
    size_t last_bytes;
    uint32_t count;   /* of the page */
    bool failed;      /* memory was short */
    bool done;        /* under the mutex: the answer is there */
    uint64_t changes; /* of the node, before it began */
    uint64_t not_before_us;
};

struct hf_push_sender {
    struct hf_push_options options;
    pthread_mutex_t mutex; /* of: done, listing.done, statuses and their table */
    struct push_job *done;
    struct hf_table by_uid; /* struct pusher, those that are not doomed */
    struct pusher *pushers; /* all */
    struct pusher *dirty;
    struct push_list unsent; /* whose secret went away: nacked in the next step */
    struct push_listing listing;
    bool listed; /* once */
    uint64_t changes_seen;
    uint64_t sweep_us;
    bool stopping;
    uint64_t sent, failed; /* of pushers that are gone */
};

/* ---- push.c ---- */
void push_touch(struct pusher *p); /* it is looked at in the next step */
void push_note_error(struct pusher *p, const char *error);
bool push_submit(struct push_job *job, uint64_t now_us); /* false: the node refused; try later */

/* ---- push_lines.c: from a receive to the ack ---- */
void push_begin_receive(struct pusher *p, uint64_t now_us);
void push_receive_done(struct pusher *p, struct push_job *job, uint64_t now_us);
void push_frames_done(struct pusher *p, struct push_job *job, uint64_t now_us);
void push_settle(struct pusher *p, uint64_t now_us); /* what has ended goes to the node */
void push_settle_done(struct pusher *p, struct push_job *job, uint64_t now_us);
void push_extend(struct pusher *p, uint64_t now_us);
void push_drop_line(struct push_line *line);
/* Lines of which nothing is under way: their leases end by themselves. */
void push_release_waiting(struct pusher *p);

/* ---- push_message.c ---- */
struct push_message *push_message_new(void);
void push_message_free(struct push_message *message);
/* The first of a line waits for its turn. */
void push_queue(struct push_line *line, uint64_t now_us);
bool push_look_up_secrets(struct pusher *p);

static inline void push_list_add(struct push_list *list, struct push_message *message)
{
    message->next = NULL;
    *(list->last == NULL ? &list->first : &list->last->next) = message;
    list->last = message;
}

#endif
