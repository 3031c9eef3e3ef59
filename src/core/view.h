/*
 * What a decision or a read sees: the state, and the cold records that were fetched for it.
 *
 * Owns: the list of what is still needed, and commits decoded for this decision. Must never: fetch
 * anything itself, or take "not looked up" for "not there". Called by: decide, read; node fills the
 * records and asks for the needs.
 *
 * 1. What is in RAM (state.recent) is newer than anything fetched and wins.
 * 2. Fetched index answers count only if the index covered them at least up to
 *    recent.covered_position when they were fetched (records.as_of); else they are needed anew.
 * 3. Fetched commits are immutable and always count.
 */
#ifndef HF_CORE_VIEW_H
#define HF_CORE_VIEW_H

#include "core/state.h"

/* An entry of an account. */
struct hf_entry_place {
    uint64_t version;  /* 0: there is no such entry */
    uint64_t position; /* of its commit */
};

/* The newest commit of this time or before: 0 = there is none. */
struct hf_time_answer {
    uint64_t time_us;
    uint64_t position;
};

/* Cold records, filled by the node off the writer. */
struct hf_records {
    uint64_t as_of;               /* the index answered for all positions up to here */
    struct hf_index_table index;  /* answers; flag HF_RECORD_ABSENT = looked up, not there */
    struct hf_table frames;       /* by position: struct hf_shared_bytes, owned references */
    struct hf_index_table links;  /* of descents; never outdated */
    struct hf_time_answer *times; /* owned; never outdated either */
    size_t time_count;
    size_t time_capacity;
    bool
        lacks_ids; /* of plain packed records: all new ids are not there as of as_of, but for those in `maybe`… */
    struct hf_index_table maybe; /* …which may be there */
    bool unreadable;             /* what was asked for last is damaged in the log: it won't come */
};

#define HF_RECORD_ABSENT 0x80000000u

void hf_records_init(struct hf_records *records);
void hf_records_release(struct hf_records *records);
bool hf_records_add_answer(struct hf_records *records, const struct hf_index_key *key,
                           const struct hf_index_value *value_or_null) HF_WARN_UNUSED;
/* Keeps a reference of its own. */
bool hf_records_add_frame(struct hf_records *records, uint64_t position,
                          struct hf_shared_bytes *frame) HF_WARN_UNUSED;

/* Before the commit of the account's entry `version` its newest entry is `before`. */
bool hf_records_add_link(struct hf_records *records, const struct hf_id *account, uint64_t version,
                         const struct hf_entry_place *before) HF_WARN_UNUSED;
bool hf_records_add_time(struct hf_records *records,
                         const struct hf_time_answer *answer) HF_WARN_UNUSED;

/* Borrowed; NULL if it was not fetched. */
struct hf_shared_bytes *hf_records_frame(const struct hf_records *records, uint64_t position);

/* A run of an account's entries, or of a saga's events, each named by the one behind it: a fetch follows it by itself. */
struct hf_entry_chain {
    struct hf_id account; /* or the saga */
    bool saga;
    uint64_t version;  /* of the first entry */
    uint64_t position; /* of its commit */
    uint32_t count;    /* entries wanted */
};

/* Commits that follow each other: a fetch reads the log once, and brings as many from the first on as it may. */
struct hf_commit_range {
    uint64_t from;  /* position of the first */
    uint64_t count; /* commits wanted */
};

/* Commits that are only passed on the way down to the newest entry of at most to_version, in a commit up to to_position: of
 * those before it a fetch tells which entry comes before them, and keeps its commit alone. */
struct hf_entry_descent {
    struct hf_id account;
    struct hf_entry_place at; /* the entry to begin with */
    uint64_t to_version;
    uint64_t to_position;
};

/* Is the descent where it wanted to come, or is there no such entry? */
static inline bool hf_descent_is_over(const struct hf_entry_descent *descent)
{
    return descent->at.version == 0 || (descent->at.version <= descent->to_version &&
                                        descent->at.position <= descent->to_position);
}

/* On from the commit where it is, before which the account has the entry `before`. */
static inline void hf_descent_step(struct hf_entry_descent *descent,
                                   const struct hf_entry_place *before)
{
    if (descent->at.position <= descent->to_position && before->version < descent->to_version) {
        descent->at.version = descent->to_version; /* in this very commit */
    } else {
        descent->at = *before;
    }
}

/* The newest commit of this time or before is wanted. */
struct hf_time_need {
    uint64_t time_us;
    uint64_t below; /* position of a commit that is later, and durable all those before it */
};

/* What to fetch: index keys, whole commits, chains of entries, ranges of commits, points of the past. */
struct hf_needs {
    struct hf_index_key *keys; /* owned */
    size_t key_count;
    size_t key_capacity;
    uint64_t *positions; /* owned */
    size_t position_count;
    size_t position_capacity;
    struct hf_entry_chain *chains; /* owned */
    size_t chain_count;
    size_t chain_capacity;
    struct hf_commit_range *ranges; /* owned */
    size_t range_count;
    size_t range_capacity;
    struct hf_entry_descent *descents; /* owned */
    size_t descent_count;
    size_t descent_capacity;
    struct hf_time_need *times; /* owned */
    size_t time_count;
    size_t time_capacity;
};

void hf_needs_init(struct hf_needs *needs);
void hf_needs_release(struct hf_needs *needs);
void hf_needs_clear(struct hf_needs *needs);
bool hf_needs_add_key(struct hf_needs *needs, const struct hf_index_key *key) HF_WARN_UNUSED;
bool hf_needs_add_position(struct hf_needs *needs, uint64_t position) HF_WARN_UNUSED;
bool hf_needs_add_chain(struct hf_needs *needs, const struct hf_entry_chain *chain) HF_WARN_UNUSED;
bool hf_needs_add_range(struct hf_needs *needs, const struct hf_commit_range *range) HF_WARN_UNUSED;
bool hf_needs_add_descent(struct hf_needs *needs,
                          const struct hf_entry_descent *descent) HF_WARN_UNUSED;
bool hf_needs_add_time(struct hf_needs *needs, const struct hf_time_need *need) HF_WARN_UNUSED;
/* Everything that `more` needs, too. */
bool hf_needs_add_all(struct hf_needs *needs, const struct hf_needs *more) HF_WARN_UNUSED;

static inline bool hf_needs_any(const struct hf_needs *needs)
{
    return needs->key_count > 0 || needs->position_count > 0 || needs->chain_count > 0 ||
           needs->range_count > 0 || needs->descent_count > 0 || needs->time_count > 0;
}

enum hf_lookup {
    HF_LOOKUP_PRESENT,
    HF_LOOKUP_ABSENT,
    HF_LOOKUP_UNKNOWN, /* added to the needs (or memory was short) */
};

struct hf_view {
    const struct hf_state *state;
    const struct hf_records *records; /* or NULL */
    struct hf_arena arena;            /* decoded commits; the caller may use it too */
    struct hf_table decoded;          /* by position: struct hf_commit in arena */
    struct hf_needs needs;
    uint64_t decoded_bytes; /* of the frames of all commits that were decoded */
    bool short_memory;
    bool damaged; /* a commit could not be decoded, or is not what the index said */
};

void hf_view_init(struct hf_view *view);
void hf_view_release(struct hf_view *view);
void hf_view_begin(struct hf_view *view, const struct hf_state *state,
                   const struct hf_records *records);

/* kind is an enum hf_index_kind. */
enum hf_lookup hf_view_lookup(struct hf_view *view, uint8_t kind, const struct hf_id *id,
                              uint64_t sub, struct hf_index_value *value);
/* The same for an id that the command calls new: of plain packed records most are known to be not there. */
enum hf_lookup hf_view_lookup_new(struct hf_view *view, uint8_t kind, const struct hf_id *id,
                                  struct hf_index_value *value);
/* The commit at a position below or at the head; NULL: needed, damaged or short of memory. Lives until
 * the next begin. */
const struct hf_commit *hf_view_commit(struct hf_view *view, uint64_t position);
/* The same, but its strip may be one still: for a few of its events (hf_commit_event). */
const struct hf_commit *hf_view_compact(struct hf_view *view, uint64_t position);
/* Its frame, in RAM or fetched; NULL: neither. */
const struct hf_shared_bytes *hf_view_frame(const struct hf_view *view, uint64_t position);
/* Is it in RAM or fetched? */
bool hf_view_has_commit(const struct hf_view *view, uint64_t position);
/* Does nothing of it arrive anywhere, as can be told without decoding it? Scans read past thousands of such ones, each
 * other's among them. */
bool hf_view_brings_nothing(const struct hf_view *view, uint64_t position);
/* An event of it, of one of the wanted types (HF_EVENT_BIT); NULL as above. */
const struct hf_event *hf_view_event(struct hf_view *view, const struct hf_index_value *at,
                                     uint64_t wanted_types);
/* view_point.c: points of the past. UNKNOWN also if something is damaged or memory is short. */
/* Position of the newest commit of this time or before, 0 = there is none. Never ABSENT. */
enum hf_lookup hf_view_position_at(struct hf_view *view, uint64_t time_us, uint64_t *position);
/* The account's newest entry before the commit where the descent is. Never ABSENT. */
enum hf_lookup hf_view_entry_before(struct hf_view *view, const struct hf_entry_descent *descent,
                                    struct hf_entry_place *before);
/* true while nothing is missing: no needs, memory, no damage. */
bool hf_view_complete(const struct hf_view *view);

#endif
