/*
 * Reading: one thing, or a page of history, as of the state's position.
 *
 * Owns: nothing. Must never: change the state, do I/O. Called by: node (on the writer's thread, so that
 * a read sees one position), tests.
 */
#ifndef HF_CORE_READ_H
#define HF_CORE_READ_H

#include "core/decide.h"
#include "core/saga_op.h"
#include "core/saga_reading.h"

enum hf_query_type {
    HF_QUERY_ACCOUNT = 1,
    HF_QUERY_TRANSFER,
    HF_QUERY_HOLD,
    HF_QUERY_STREAM,        /* its head */
    HF_QUERY_STREAM_EVENTS, /* a page from number `from` on (1 is the first) */
    HF_QUERY_DOCUMENT,      /* the newest version, or `version` */
    HF_QUERY_LEASE,
    HF_QUERY_KEY,     /* what is recorded under the principal's key */
    HF_QUERY_COMMIT,  /* by position */
    HF_QUERY_ENTRIES, /* of an account: newest first, below version `from` (0: from the newest) */
    /* Lists by name in byte order: those that begin with `prefix`, behind the name `after`. */
    HF_QUERY_ACCOUNTS,
    HF_QUERY_STREAMS,
    HF_QUERY_DOCUMENTS, /* deleted ones are left out */
    /* Of an account, newest first, found by its entries below version `from` (0: from the newest). */
    HF_QUERY_TRANSFERS, /* captures and reversals, too */
    HF_QUERY_HOLDS,     /* by the time of opening; each once, as it is now; of `hold_state` */
    HF_QUERY_BALANCE,   /* of an account, `at` some point, by `clock` */
    HF_QUERY_STATEMENT, /* of an account, from from_us to before to_us, by `clock` */
    HF_QUERY_TOTALS,    /* of an asset, over all accounts */
    HF_QUERY_SUBSCRIPTION,
    HF_QUERY_SUBSCRIPTIONS, /* a list by name */
    HF_QUERY_DEAD, /* a subscription's dead letters: behind park order `from`, oldest first */
    HF_QUERY_MESSAGE_HISTORY, /* what a subscription did with a message: newest first, from commit `from` (0: newest) */
    HF_QUERY_MESSAGES, /* the events at `places` in their order: a page of items */
    HF_QUERY_SAGA,     /* this and those behind it: core/saga_reading.h */
    HF_QUERY_SAGA_HISTORY,
    HF_QUERY_SAGAS,
    HF_QUERY_SAGA_DEFINITION,
    HF_QUERY_SAGA_DEFINITIONS,
    HF_QUERY_SAGA_COUNTS,
    HF_QUERY_SAGA_WORK,
    HF_QUERY_ALERTS, /* raised ones, and the newest cleared ones */
    HF_QUERY_TYPE_COUNT,
};

#define HF_QUERY_LIMIT_MAX 1000 /* items of a page; lines of a statement */
/* A page that filters (transfers, holds, documents) looks at so many entries or names at most: it may hold
 * fewer items than its limit, or none, and still have `more`. */
#define HF_QUERY_SCAN_MAX 1000
/* By the effective clock a transfer may count at any time, so all of the account's entries are looked at; for a
 * statement as a whole, all of its period. More entries than this are HF_ERR_TOO_LARGE. */
#define HF_QUERY_WALK_MAX 10000
/* Of the commits that a read decodes; a page ends there, what can't end is HF_ERR_TOO_LARGE. */
#define HF_QUERY_BYTES_MAX (16u << 20)
/* Queries that are read in one go on the node's thread: their number, and the sum of their weights. */
#define HF_QUERIES_MAX        100
#define HF_QUERIES_WEIGHT_MAX HF_QUERY_WALK_MAX

/* Where a balance is wanted. Behind the newest entry it is that of now. */
enum hf_query_at {
    HF_AT_NOW = 0,
    HF_AT_TIME,     /* at_us, inclusive */
    HF_AT_VERSION,  /* `version`: after that entry; 0 = as opened */
    HF_AT_POSITION, /* `position`: after that commit */
};

enum hf_query_clock {
    HF_CLOCK_RECORDED = 0, /* the time of the commit: never changes again */
    HF_CLOCK_EFFECTIVE,    /* a transfer's effective_at if it has one, else the same */
};

struct hf_query {
    enum hf_query_type type;
    uint32_t limit;      /* pages, lists, statement: 1 to HF_QUERY_LIMIT_MAX */
    struct hf_name name; /* of the thing, or of the account */
    uint64_t version;    /* document, if has_version; balance */
    uint64_t from;     /* pages: see the types; statement: entries from this version on, 0 = all */
    uint64_t position; /* commit; balance */
    struct hf_str principal;       /* key */
    struct hf_str key;             /* key */
    struct hf_str prefix;          /* lists by name; empty or absent: all */
    struct hf_str after;           /* lists by name; empty or absent: from the first */
    enum hf_hold_state hold_state; /* holds; 0 = any */
    enum hf_query_at at;           /* balance */
    uint64_t at_us;                /* balance */
    uint64_t from_us;              /* statement: 0 = from the beginning */
    uint64_t to_us;                /* statement: UINT64_MAX = to the end; > from_us */
    enum hf_query_clock clock;     /* balance at a time, statement */
    uint32_t message_index;        /* message history: of message_position's commit */
    bool has_version;              /* document */
    bool
        until_settled; /* a saga, the only query: the node waits till deadline_us until it has ended or is parked */
    bool whole; /* statement: more lines than `limit` are HF_ERR_TOO_LARGE, not a page (by the
                             effective clock always) */
    struct hf_asset asset;                    /* totals */
    const struct hf_saga_filter *saga_filter; /* sagas; NULL: all */
    uint64_t message_position;                /* message history */
    struct hf_str error_contains;  /* dead letters: only those whose error contains it; or absent */
    const struct hf_place *places; /* messages: `limit` of them; bytes don't matter */
};

/* A subscription as it is; what it points to is the state's, so it is rendered at once. */
struct hf_subscription_reading {
    const struct hf_subscription *subscription;
    uint64_t scanned; /* arrivals up to here are in its lines: the read's position if it is live */
    uint64_t lag;     /* commits behind that */
    uint64_t delayed; /* messages of its topic that are not due; 0 if its filter names none */
    uint64_t next_ready_us; /* when the next line stops backing off; UINT64_MAX: none does */
    uint64_t
        oldest_us; /* time of the oldest message's commit (published, if it was delayed); 0 = none is left */
    bool stalled; /* there is something to do, and for HF_QUEUE_STALLED_US nothing was acked */
    const struct hf_push_status *push; /* what its sender tells, by whoever renders this; or NULL */
};
#define HF_QUEUE_STALLED_US 300000000ull

struct hf_dead_letter {
    const struct hf_line *line;     /* parked; the state's */
    const struct hf_commit *commit; /* of the message… */
    const struct hf_event *event;   /* …its event */
    struct hf_str error;            /* why it was parked; or absent */
};

/* A delivery of a message, and how its try ended (or how it was given up as a dead letter). */
struct hf_message_try {
    const struct hf_commit *delivered_by; /* NULL: it is only an end, of what was not out */
    const struct hf_delivered *delivered; /* consumer, deadline */
    const struct hf_delivery *delivery;
    const struct hf_commit
        *ended_by; /* NULL: it is out, or went back uncounted with an earlier one of its group */
    const struct hf_settled_item *end;
};

enum hf_message_state {
    HF_MESSAGE_DELAYED = 1,
    HF_MESSAGE_WAITING,
    HF_MESSAGE_IN_FLIGHT,
    HF_MESSAGE_BACKING_OFF,
    HF_MESSAGE_PARKED,
    HF_MESSAGE_ACKED,
    HF_MESSAGE_DISCARDED,
    HF_MESSAGE_LEFT, /* a seek has left it behind */
};

struct hf_message_reading {
    enum hf_message_state state;
    const struct hf_commit *commit; /* of the message… */
    const struct hf_event *event;   /* …its event */
    struct hf_message_try *tries;   /* newest first */
    uint32_t try_count;
};
#define HF_HISTORY_LIMIT_MAX                                                                       \
    20 /* tries of a page: each may take two look-ups one after the other */

/* An item of a page. */
struct hf_page_item {
    const struct hf_commit *commit; /* where it happened */
    const struct hf_event *event;   /* what */
    const struct hf_side *side;     /* entries: the account's own; else NULL */
};

/* An account's balance at some point. */
struct hf_balance {
    struct hf_totals totals;
    bool has_pending;  /* false: by the effective clock only what is posted is known */
    uint64_t version;  /* of the entry that it is after; 0 = as opened */
    uint64_t position; /* of that entry's commit, or of the opening */
    uint64_t time_us;  /* of that commit */
};

/* A line of a statement: a transfer, capture or reversal. */
struct hf_statement_line {
    const struct hf_commit *commit; /* where it was posted */
    const struct hf_event *event;   /* TRANSFER_POSTED or HOLD_CAPTURED */
    const struct hf_side *side;     /* the account's own */
    bool debit;                     /* the account paid */
    uint64_t time_us;               /* by the statement's clock */
    hf_i128 posted;                 /* the account's balance after this line */
};

/* entity holds the account. Lines ascend by (time, version). */
struct hf_statement {
    struct hf_balance opening; /* before from_us (of the whole, also on a later page) */
    struct hf_balance closing; /* before to_us (of the whole) */
    struct hf_statement_line *lines;
    uint32_t line_count;
};

/* What was read; lives until the draft's next use. */
struct hf_reading {
    enum hf_err code;               /* OK, *_not_found, INVALID_REQUEST or TOO_LARGE */
    uint32_t item_count;            /* of items */
    const char *detail;             /* INVALID_REQUEST, TOO_LARGE: a static sentence; else NULL */
    struct hf_entity entity;        /* account, transfer, hold, stream, document, lease */
    struct hf_payload text;         /* document: its text; account: its metadata; or absent */
    const struct hf_commit *commit; /* key, commit */
    struct hf_page_item *items;     /* pages of entries and stream events */
    struct hf_entity
        *entities; /* lists by name, transfers, holds (accounts without metadata, documents
                                   without the key of their last change) */
    uint32_t entity_count;
    bool more;                 /* pages, lists, statement: there may be further items… */
    uint64_t next_from;        /* …by `from` (pages, transfers, holds, statement)… */
    struct hf_str next_after;  /* …or by `after` (lists by name) */
    struct hf_balance balance; /* balance; entity holds the account */
    struct hf_statement statement;
    struct hf_asset_sums totals;                   /* zeros if no account has the asset */
    struct hf_subscription_reading subscription;   /* a subscription */
    struct hf_subscription_reading *subscriptions; /* a list of them… */
    uint32_t subscription_count;                   /* …so many */
    uint32_t dead_count;
    struct hf_dead_letter *dead;       /* dead letters */
    struct hf_message_reading message; /* message history */
    const struct hf_alerts *alerts;    /* the state's, so they are rendered at once */
    struct hf_saga_reading saga;       /* a saga, its history */
    struct hf_saga_reading *sagas;     /* sagas */
    const struct hf_saga_stored_definition **definitions; /* of sagas */
    uint32_t saga_count;
    uint32_t definition_count;
    struct hf_saga_counts saga_counts;
    uint64_t position; /* of the state that was read */
    uint64_t time_us;  /* of its newest commit */
};

/* The account's entry with this version in the commit; NULL if it is not there. */
const struct hf_side *hf_entry_find(const struct hf_commit *commit, const struct hf_id *account,
                                    uint64_t version, const struct hf_event **event);

/* The account's newest entry before the commit, which holds its entry `version`. false: it does not, or can't be right. */
bool hf_entry_before(const struct hf_commit *commit, const struct hf_id *account, uint64_t version,
                     struct hf_entry_place *before);

/* The link of a chain with this version: *previous is the position of the one before. false: it is not in the commit. */
bool hf_chain_follow(const struct hf_commit *commit, const struct hf_entry_chain *chain,
                     uint64_t version, uint64_t *previous) HF_WARN_UNUSED;

/* How many entries, names or events it may look at, about. The submitter of several queries sees to it that their
 * sum stays within HF_QUERIES_WEIGHT_MAX. */
uint32_t hf_query_weight(const struct hf_query *query);

/* ANSWER (reading filled), NEEDS, OVERLOADED or DAMAGED. records may be NULL. */
enum hf_decision hf_read(const struct hf_state *state, const struct hf_records *records,
                         const struct hf_query *query, uint64_t now_us, uint64_t key_retention_us,
                         struct hf_draft *draft, struct hf_reading *reading) HF_WARN_UNUSED;

#endif
