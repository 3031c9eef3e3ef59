/*
 * Reading: one thing, or a page of history, as of the state's position.
 *
 * Owns: nothing. Must never: change the state, do I/O. Called by: node (on the writer's thread, so that
 * a read sees one position), tests.
 */
#ifndef HF_CORE_READ_H
#define HF_CORE_READ_H

#include "core/decide.h"

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
    HF_QUERY_TYPE_COUNT,
};

#define HF_QUERY_LIMIT_MAX 1000

struct hf_query {
    enum hf_query_type type;
    struct hf_name name;     /* of the thing */
    bool has_version;        /* document */
    uint64_t version;        /* document, if has_version */
    uint64_t from;           /* stream events, entries */
    uint32_t limit;          /* stream events, entries: 1 to HF_QUERY_LIMIT_MAX */
    uint64_t position;       /* commit */
    struct hf_str principal; /* key */
    struct hf_str key;       /* key */
};

/* An item of a page. */
struct hf_page_item {
    const struct hf_commit *commit; /* where it happened */
    const struct hf_event *event;   /* what */
    const struct hf_side *side;     /* entries: the account's own; else NULL */
};

/* What was read; lives until the draft's next use. */
struct hf_reading {
    enum hf_err code;               /* OK, or *_not_found */
    struct hf_entity entity;        /* account, transfer, hold, stream, document, lease */
    struct hf_payload text;         /* document: its text; account: its metadata; or absent */
    const struct hf_commit *commit; /* key, commit */
    struct hf_page_item *items;     /* pages */
    uint32_t item_count;
    bool more;         /* pages: there are further items */
    uint64_t position; /* of the state that was read */
    uint64_t time_us;  /* of its newest commit */
};

/* The account's entry with this version in the commit; NULL if it is not there. */
const struct hf_side *hf_entry_find(const struct hf_commit *commit, const struct hf_id *account,
                                    uint64_t version, const struct hf_event **event);

/* ANSWER (reading filled), NEEDS, OVERLOADED or DAMAGED. records may be NULL. */
enum hf_decision hf_read(const struct hf_state *state, const struct hf_records *records,
                         const struct hf_query *query, uint64_t now_us, uint64_t key_retention_us,
                         struct hf_draft *draft, struct hf_reading *reading) HF_WARN_UNUSED;

#endif
