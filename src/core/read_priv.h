/*
 * What the files of read share: the read under way, and the walk along an account's entries.
 *
 * A function that lacks a cold record has added it to the view's needs; the reading then counts for
 * nothing and is made anew when it was fetched.
 */
#ifndef HF_CORE_READ_PRIV_H
#define HF_CORE_READ_PRIV_H

#include "core/read.h"
#include "core/strip.h"

struct hf_read_work {
    struct hf_view *view;
    const struct hf_state *state;
    const struct hf_query *query;
    struct hf_reading *out;
    uint64_t now_us;
    uint64_t key_retention_us;
};

/* read.c */
/* Notes why it can't be read; detail: a static sentence. */
void hf_read_refuse(struct hf_read_work *r, enum hf_err code, const char *detail);
/* Zeroed memory of the reading; NULL: memory is short, and the view knows it. */
void *hf_read_alloc(struct hf_read_work *r, size_t count, size_t size_bytes);
/* Room for query->limit items, or entities. */
bool hf_read_begin_page(struct hf_read_work *r);
bool hf_read_begin_list(struct hf_read_work *r);
/* The query's account, also in out->entity; NULL: not found. */
const struct hf_account *hf_read_find_account(struct hf_read_work *r);
/* A hold as it is now; NULL: there is none, or it is cold. */
const struct hf_hold *hf_read_find_hold(struct hf_read_work *r, const struct hf_id *id);
/* The transfer of an event, with the sum of its reversals. */
void hf_read_take_transfer(struct hf_read_work *r, const struct hf_event *event,
                           struct hf_entity *entity);

/* read_point.c */
/* What lies within: entries up to a version, in commits up to a position. */
struct hf_entry_bound {
    uint64_t version;  /* UINT64_MAX: any */
    uint64_t position; /* UINT64_MAX: any */
};

/* The lowest entry from this version on that the index leads to, or the account's newest. false: something is needed. */
bool hf_entry_enter(struct hf_read_work *r, const struct hf_account *account, uint64_t version,
                    struct hf_entry_place *place);
/* The account's newest entry within the bound. false: something is needed. */
bool hf_entry_locate(struct hf_read_work *r, const struct hf_account *account,
                     const struct hf_entry_bound *bound, struct hf_entry_place *place);

/* read_entries.c */
enum hf_entry_walk_step {
    HF_WALK_ENTRY, /* here is one */
    HF_WALK_END,   /* no entry is left down to the last one wanted */
    HF_WALK_OVER,  /* the read has decoded enough: HF_QUERY_BYTES_MAX */
    HF_WALK_STOP,  /* something is needed, damaged or short: the view knows */
};

/* A walk along an account's entries, newest first. */
struct hf_entry_walk {
    struct hf_read_work *work;
    const struct hf_account *account;
    uint64_t start;    /* first version to be shown */
    uint64_t last;     /* last version to be shown */
    uint64_t version;  /* of the entry to look at next */
    uint64_t position; /* of its commit */
    bool all; /* every entry is wanted: cold ones are fetched in one go, else step by step */
    const struct hf_commit *commit;  /* the one looked at last… */
    uint32_t event;                  /* …and the event in it… */
    struct hf_strip_entries entries; /* …or the entries of its strip */
};

/* The walk shows the versions start, start - 1, …, last (1 ≤ last; start < last: none). */
struct hf_entry_walk hf_entry_walk_begin(struct hf_read_work *r, const struct hf_account *account,
                                         uint64_t start, uint64_t last, bool all);
/* The walk shows this entry alone. */
struct hf_entry_walk hf_entry_walk_at(struct hf_read_work *r, const struct hf_account *account,
                                      const struct hf_entry_place *place);
enum hf_entry_walk_step hf_entry_walk_next(struct hf_entry_walk *walk, struct hf_page_item *item);
/* The page of entries below query->from into out->items. */
void hf_read_entry_page(struct hf_read_work *r);
void hf_read_transfers(struct hf_read_work *r);
void hf_read_holds(struct hf_read_work *r);

/* read_balance.c */
/* The account's balance after its newest entry within the bound (as opened if there is none). false: something
 * is needed. */
bool hf_balance_find(struct hf_read_work *r, const struct hf_account *account,
                     const struct hf_entry_bound *bound, struct hf_balance *balance);
/* By the effective clock: when it counts, and whether it is a debit. false: the entry moves no posted money. */
bool hf_entry_posting(const struct hf_page_item *item, uint64_t *effective_us, bool *debit);
void hf_read_balance(struct hf_read_work *r);

/* read_statement.c */
void hf_read_statement(struct hf_read_work *r);

/* read_list.c */
void hf_read_accounts(struct hf_read_work *r);
void hf_read_streams(struct hf_read_work *r);
void hf_read_documents(struct hf_read_work *r);
void hf_read_totals(struct hf_read_work *r);

/* read_queue.c */
void hf_read_subscription(struct hf_read_work *r);
void hf_read_subscriptions(struct hf_read_work *r);
void hf_read_dead(struct hf_read_work *r);
void hf_read_messages(struct hf_read_work *r);

/* read_saga.c */
void hf_read_saga(struct hf_read_work *r);
void hf_read_saga_history(struct hf_read_work *r);
void hf_read_sagas(struct hf_read_work *r);
void hf_read_saga_definition(struct hf_read_work *r);
void hf_read_saga_definitions(struct hf_read_work *r);
void hf_read_saga_counts(struct hf_read_work *r);
void hf_read_saga_work(struct hf_read_work *r);

/* read_message.c */
void hf_read_message_history(struct hf_read_work *r);

#endif
