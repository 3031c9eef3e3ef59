/*
 * What the files of decide share: the decision under way.
 *
 * A step function returns STEP_OK, or STEP_REFUSED after hf_refuse, or STEP_STOP when something is
 * needed or memory is short (the view says what).
 */
#ifndef HF_CORE_DECIDE_PRIV_H
#define HF_CORE_DECIDE_PRIV_H

#include "core/decide.h"

enum hf_step {
    STEP_OK,
    STEP_REFUSED,
    STEP_STOP,
};

/* A document as the operations so far have left it. */
struct hf_draft_document {
    struct hf_document document;
    struct hf_str text; /* its text if an operation of this commit wrote it, else absent */
};

struct hf_deciding {
    const struct hf_state *state;
    const struct hf_command *command; /* NULL for system commits */
    struct hf_draft *draft;
    uint64_t position; /* of the commit to be */
    uint64_t time_us;  /* of the commit to be */
    uint32_t op_index; /* operation under way, or HF_NO_OPERATION */
    bool *known;       /* by operation: its new id was there before */
    uint32_t
        idle_ops; /* operations so far that change nothing: a commit of such ones is not recorded */
    uint32_t booked;              /* time-outs of subscriptions so far */
    uint64_t native_uid;          /* the saga whose native step is decided; 0 = none */
    uint64_t saga_bytes;          /* texts that sagas have put into the commit so far */
    uint32_t native_ops;          /* operations of native steps so far */
    uint32_t searched;            /* decide_same.c: where the next opening is looked for */
    uint64_t repeats;             /* the commit that an idle ack was acked by before; 0 = none */
    struct hf_asset hashed_asset; /* the asset whose hash was asked for last… */
    uint8_t asset_hash[HF_ASSET_HASH_BYTES]; /* …and its hash; len 0: none yet */
    /* the unit that was compared last with a refused one: each known id of a long chain asks for the hash */
    uint32_t hashed_first;
    uint32_t hashed_count; /* 0: none yet */
    uint8_t unit_hash[16];
    /* the refusal, once there is one */
    enum hf_err code;
    enum hf_where where;
    uint32_t where_index;
    enum hf_kind current_kind;
    struct hf_name current_name;
};

/* What a part of a decision changed is taken back as a whole, or kept. One at a time. */
struct hf_draft_savepoint {
    struct hf_deciding deciding;
    uint32_t event_count;
};
void hf_draft_save(struct hf_deciding *d, struct hf_draft_savepoint *savepoint);
void hf_draft_keep(struct hf_deciding *d);
void hf_draft_take_back(struct hf_deciding *d, const struct hf_draft_savepoint *savepoint);

/* Forgets the operations' effects; the arena stays until the next decision. */
void hf_draft_clear_effects(struct hf_draft *draft);

/* Notes the refusal and what `current` is to show (NONE and NULL: nothing). */
enum hf_step hf_refuse(struct hf_deciding *d, enum hf_err code, enum hf_kind kind,
                       const struct hf_name *name);
/* Memory was short. */
enum hf_step hf_short(struct hf_deciding *d);

/* Things as they are at this point of the commit: copies that may be changed; *out NULL: there is none.
 * Not STEP_OK: a collision of names, or memory. */
enum hf_step hf_draft_account(struct hf_deciding *d, const struct hf_name *name,
                              struct hf_account **out);
enum hf_step hf_draft_hold(struct hf_deciding *d, const struct hf_name *name,
                           struct hf_hold **out); /* open ones, and those ended in this commit */
enum hf_step hf_draft_stream(struct hf_deciding *d, const struct hf_name *name,
                             struct hf_stream **out);
enum hf_step hf_draft_document_get(struct hf_deciding *d, const struct hf_name *name,
                                   struct hf_draft_document **out);
enum hf_step hf_draft_lease(struct hf_deciding *d, const struct hf_name *name,
                            struct hf_lease **out); /* held ones, and those let go in this commit */
/* Enters a thing that this commit makes. */
enum hf_step hf_draft_enter(struct hf_deciding *d, struct hf_table *table, const struct hf_id *id,
                            void *thing);

/* A new event of the current operation, zeroed; NULL: memory. */
struct hf_event *hf_draft_event(struct hf_deciding *d, enum hf_event_type type);
/* What this very commit has made of (kind, id), or NULL. */
const struct hf_index_value *hf_draft_id(const struct hf_deciding *d, uint8_t kind,
                                         const struct hf_id *id);
/* Remembers that the newest event is what (kind, id) points to. */
enum hf_step hf_draft_note(struct hf_deciding *d, uint8_t kind, const struct hf_id *id);
/* The same for an id that is spent by the newest event. */
enum hf_step hf_draft_note_spent(struct hf_deciding *d, uint8_t kind, const struct hf_id *id);
/* The draft's or the recorded event that (kind, id) points to. *event NULL: there is none, or it was
 * spent by a refusal (*spent). */
enum hf_step hf_find_event(struct hf_deciding *d, uint8_t kind, const struct hf_id *id,
                           uint64_t wanted_types, const struct hf_event **event, bool *spent);

/* "~<position>.<operation>" */
enum hf_step hf_server_name(struct hf_deciding *d, struct hf_name *name);

/* Writes an entry: version and chain of the account go on, the side is filled. */
void hf_draft_entry(struct hf_deciding *d, struct hf_account *account, struct hf_side *side);

/* An ended hold from its newest event; *event NULL: there never was one. */
#define HF_HOLD_EVENTS                                                                             \
    (HF_EVENT_BIT(HF_EVENT_HOLD_OPENED) | HF_EVENT_BIT(HF_EVENT_HOLD_CAPTURED) |                   \
     HF_EVENT_BIT(HF_EVENT_HOLD_VOIDED) | HF_EVENT_BIT(HF_EVENT_HOLD_EXPIRED) |                    \
     HF_EVENT_BIT(HF_EVENT_HOLD_EXTENDED))
#define HF_POSTING_EVENTS (HF_EVENT_BIT(HF_EVENT_TRANSFER_POSTED) | HF_HOLD_EVENTS) /* either */
#define HF_TRANSFER_EVENTS                                                                         \
    (HF_EVENT_BIT(HF_EVENT_TRANSFER_POSTED) | HF_EVENT_BIT(HF_EVENT_HOLD_CAPTURED))

/* May money move by this much between accounts of these totals? Limits first, then funds. *cause: whose. */
enum hf_err hf_move_refusal(const struct hf_account *from, const struct hf_totals *from_totals,
                            const struct hf_account *to, const struct hf_totals *to_totals,
                            hf_u128 amount, const struct hf_account **cause);
/* Is the account open for transfers? */
enum hf_err hf_state_refusal(const struct hf_account *account);
/* The same as a step. */
enum hf_step hf_check_move(struct hf_deciding *d, const struct hf_account *from,
                           const struct hf_account *to, hf_u128 amount);
/* Both accounts found, open and of the asset. */
enum hf_step hf_check_accounts(struct hf_deciding *d, const struct hf_name *from_name,
                               const struct hf_name *to_name, const struct hf_asset *asset,
                               struct hf_account **from, struct hf_account **to);
/* How much available may fall before it is below the floor; everything if there is none. */
hf_u128 hf_floor_room(const struct hf_account *account);

/* Is the asset what is asked for, by name or, in a packed record, by hash? */
bool hf_asset_fits(struct hf_deciding *d, const struct hf_asset *asked,
                   const struct hf_asset *asset);

/* Ends a hold, by expiry (operation HF_NO_OPERATION) or void. */
enum hf_step hf_end_hold(struct hf_deciding *d, struct hf_hold *hold, enum hf_event_type type);
enum hf_step hf_expire_lease(struct hf_deciding *d, struct hf_lease *lease);

#define HF_GATHER_MAX 256u /* commits asked for at once: each may hold a large text */

/* Asks at once for the cold records of all operations and conditions; one by one a long commit would
 * take as many rounds as it has operations. */
enum hf_step hf_gather(struct hf_deciding *d);

/* At least the encoded size of a commit's events. */
uint64_t hf_commit_size_bound(const struct hf_commit *commit);

enum hf_step hf_decide_conditions(struct hf_deciding *d);
/* Looks up every new id, so that all needs are told at once; counts the known ones. */
enum hf_step hf_look_up_ids(struct hf_deciding *d, struct hf_index_value *values,
                            uint32_t *known_count, uint32_t *first_known);
/* Every hold and lease that the command names and that is past its time ends first. */
enum hf_step hf_book_expiries(struct hf_deciding *d);
/* Why a decision stopped. */
enum hf_decision hf_decide_stopped(const struct hf_draft *draft);

/* decide_each.c: a command of units. */
enum hf_decision hf_decide_each(struct hf_deciding *d);

/* decide_same.c: what is recorded under a known id, compared with what is asked for. */
enum hf_sameness {
    HF_SAME,         /* it took effect, and is what is asked for */
    HF_SAME_REFUSED, /* the unit was refused; event->unit_refused tells */
    HF_OTHER,
    HF_OTHER_NAME, /* what has these 128 bits has another text */
    HF_SAME_STOP,  /* something is needed, or memory is short */
};
/* Operations first … first + count - 1 are the unit; operation i of it has the known id, which `at` tells of. *event: of
 * SAME_REFUSED. */
enum hf_sameness hf_compare_recorded(struct hf_deciding *d, uint32_t first, uint32_t count,
                                     uint32_t i, const struct hf_index_value *at,
                                     const struct hf_event **event);
/* The same of an account that is there. */
enum hf_sameness hf_compare_account(struct hf_deciding *d, const struct hf_op *op);
/* Of the unit's operations, whichever door they came through; frozen (docs/disk-format.md). false: memory is short. */
bool hf_unit_hash(struct hf_deciding *d, const struct hf_op *ops, uint32_t count, uint8_t hash[16]);
/* decide_strip.c: a command of plain packed records whose ids are all new. STEP_REFUSED: it is not such a one, and nothing was
 * done; it goes by its operations. */
enum hf_step hf_decide_strip(struct hf_deciding *d, struct hf_outcome *outcomes);

/* Any operation. */
enum hf_step hf_decide_op(struct hf_deciding *d, const struct hf_op *op);
/* An open hold that is past its time expires. */
enum hf_step hf_book_hold(struct hf_deciding *d, const struct hf_name *name);
/* Kind of the index records of a new id that the operation names. */
uint8_t hf_index_kind_of(const struct hf_op *op);
enum hf_step hf_decide_account_op(struct hf_deciding *d, const struct hf_op *op);
enum hf_step hf_decide_transfer(struct hf_deciding *d, const struct hf_op *op);
enum hf_step hf_decide_reverse(struct hf_deciding *d, const struct hf_op *op);
enum hf_step hf_decide_hold_op(struct hf_deciding *d, const struct hf_op *op);
enum hf_step hf_decide_append(struct hf_deciding *d, const struct hf_op *op);
enum hf_step hf_decide_document_op(struct hf_deciding *d, const struct hf_op *op);
enum hf_step hf_decide_lease_op(struct hf_deciding *d, const struct hf_op *op);
enum hf_step hf_decide_publish(struct hf_deciding *d, const struct hf_op *op);
/* HF_COMMAND_ALERTS: events of what changes. */
enum hf_step hf_decide_alerts(struct hf_deciding *d);
/* A delayed message (by hf_place_id) that is due arrives. */
enum hf_step hf_book_message(struct hf_deciding *d, const struct hf_id *place);
/* Into `current`: the thing as it is without the refused effects. */
enum hf_step hf_fill_current(struct hf_deciding *d, struct hf_entity *entity);
/* Into `current`: the message or subscription that d->current_name names. */
enum hf_step hf_current_message(struct hf_deciding *d, struct hf_entity *entity);
enum hf_step hf_current_subscription(struct hf_deciding *d, struct hf_entity *entity);

/* ---- sagas: decide_saga*.c ---- */

/* DEFINE_SAGA … SAGA_VERBS. */
enum hf_step hf_decide_saga_op(struct hf_deciding *d, const struct hf_op *op);
/* What its timer has to do: a bounded part of it. No saga of that id: nothing. */
enum hf_step hf_book_saga(struct hf_deciding *d, const struct hf_id *id);
/* Asks for the texts that booking it may need. */
void hf_gather_saga(struct hf_deciding *d, const struct hf_id *id);
/* Is it in the condition's state? Else CONDITION_FAILED. */
enum hf_step hf_test_saga(struct hf_deciding *d, const struct hf_condition *condition);
/* Has the saga with this uid not ended? */
enum hf_step hf_saga_is_live(struct hf_deciding *d, uint64_t uid, bool *live);
/* Into `current`. */
enum hf_step hf_current_saga(struct hf_deciding *d, struct hf_entity *entity);
enum hf_step hf_current_saga_definition(struct hf_deciding *d, struct hf_entity *entity);
#define HF_SAGA_EVENTS                                                                             \
    (HF_EVENT_BIT(HF_EVENT_SAGA_STARTED) | HF_EVENT_BIT(HF_EVENT_SAGA_CHANGED) |                   \
     HF_EVENT_BIT(HF_EVENT_SAGA_ENDED))

/* ---- subscriptions: decide_subscription.c, decide_lines.c ---- */

#define HF_BOOK_ALL_MAX 2048u /* time-outs booked by one commit of the timer, about */
#define HF_BOOK_MAX                                                                                \
    256u /* time-outs of a subscription booked at once, lines moved by a step of a redrive */

/* ACK, NACK, PUT_SUBSCRIPTION … SEEK (core/queue_op.h). */
enum hf_step hf_decide_subscription_op(struct hf_deciding *d, const struct hf_op *op);
/* Is the condition's receipt live? Else CONDITION_FAILED. */
enum hf_step hf_test_receipt(struct hf_deciding *d, const struct hf_condition *condition);
/* Time-outs that are due, and the next step of a redrive task: first thing in a command that names the subscription, and by the
 * timer (d->command NULL). A bounded number; no subscription of that name: nothing. */
enum hf_step hf_book_subscription(struct hf_deciding *d, const struct hf_name *name);
/* Looks at what the operation will look at, so that it is asked for at once. */
void hf_gather_subscription(struct hf_deciding *d, const struct hf_op *op);

#endif
