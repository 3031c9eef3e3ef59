/*
 * The core by itself: JSON in, rendered answers out, time given; no node, no log, no disk.
 *
 * Owns: a state, its commits' frames and an index of its own. After every commit the frame is decoded
 * and applied to a twin, so that state = log at any time (core_rig_check). In mode COLD everything that
 * may leave the RAM leaves it after each commit: each decision then has to ask for what it needs.
 * Called by: contract_test, api_test, statement_test, read_history.
 */
#ifndef HF_TESTS_UNIT_CORE_RIG_H
#define HF_TESTS_UNIT_CORE_RIG_H

#include "base/buffer.h"
#include "core/read.h"

enum core_rig_mode {
    CORE_RIG_HOT,  /* nothing is ever cold */
    CORE_RIG_COLD, /* everything is */
};

struct core_rig {
    enum core_rig_mode mode;
    struct hf_state state;
    struct hf_state
        twin; /* made of the decoded frames alone; of strips as they stand if mode is COLD, else event by event */
    struct hf_draft draft;
    struct hf_index_table index;     /* what the store would hold */
    struct hf_shared_bytes **frames; /* by position - 1; owned */
    uint64_t key_retention_us;
    uint64_t needs; /* decisions that asked for cold records */
    bool coarse;    /* the index has of entries each HF_ENTRY_STRIDE-th alone, as it once was */
    bool faults;    /* every allocation of a reservation or reload fails in turn before */
};

/* What came of a command. Strings and buffer live until the next command. */
struct core_rig_answer {
    int status;            /* HTTP status; 400 or 413: malformed */
    const char *code;      /* wire code */
    uint64_t position;     /* of the record; 0: not recorded */
    bool replayed;         /* decided before */
    struct hf_buffer text; /* rendered, with a NUL behind; init once, reused */
};

/* What is asked, as text: a commit's JSON; "cancel"; "get account a", "get document d VERSION",
 * "get events s FROM LIMIT", "get entries a BELOW LIMIT", "get key k", "get commit 7"; "tick": book what is
 * due; "takeover": a new owner. */
struct core_rig_ask {
    const char *text;
    const char *principal; /* or NULL */
    const char *key;       /* or NULL */
    bool dry_run;
    uint64_t now_us;
};

void core_rig_init(struct core_rig *rig, enum core_rig_mode mode);
void core_rig_release(struct core_rig *rig);

void core_rig_ask(struct core_rig *rig, const struct core_rig_ask *ask,
                  struct core_rig_answer *answer);
/* Reads. records: empty at first, to be released when the reading is done with. Returns how often it had to
 * fetch; never as often as the node would give up. */
uint32_t core_rig_read(struct core_rig *rig, const struct hf_query *query, uint64_t now_us,
                       struct hf_records *records, struct hf_reading *reading);
/* Decides and, if it is a commit, records it; the draft has what came of it. */
enum hf_decision core_rig_run(struct core_rig *rig, const struct hf_command *command,
                              uint64_t now_us);
/* Books what is due; false: nothing was. */
bool core_rig_tick(struct core_rig *rig, uint64_t now_us);
/* One scan for the first subscription that wants one; false: nothing was recorded. */
bool core_rig_scan(struct core_rig *rig, uint32_t most, uint64_t now_us);
void core_rig_take_over(struct core_rig *rig, uint64_t now_us);
/* The state is replaced by what its canonical bytes say; checks that they are the same again. */
void core_rig_reload(struct core_rig *rig);
/* Invariants hold, and the twin has the same canonical bytes. */
void core_rig_check(const struct core_rig *rig);
/* A commit's frame, 1 to state.position. */
const struct hf_shared_bytes *core_rig_frame(const struct core_rig *rig, uint64_t position);

#endif
