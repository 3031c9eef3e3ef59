/*
 * Sagas on the core by itself: one call an act, and what came of it as one line.
 *
 * Owns: a core_rig, a clock that moves only when told to. After each call state = log, invariants hold, and the state comes back
 * from its canonical bytes. Called by: the saga_*_test programs.
 *
 *   "running a=succeeded1 b=running2! c=pending"
 *    state   step=state, attempts of its op ("!": failing, "?": an attempt is unknown, "~": of its compensation)
 */
#ifndef HF_TESTS_UNIT_SAGA_RIG_H
#define HF_TESTS_UNIT_SAGA_RIG_H

#include "core/saga_op.h"
#include "unit/core_rig.h"
#include "unit/support.h"

#define SAGA_RIG_START_US 1000000000000ull
#define SAGA_LINE_BYTES   512

struct saga_rig {
    struct core_rig core;
    uint64_t now_us;
    bool quick; /* checks only when told to */
    char line[SAGA_LINE_BYTES];
    struct hf_records records; /* of the newest read */
    struct hf_reading reading;
};

/* A participant's answer; zeros: none of it. attempt 0: the newest. */
struct saga_answer {
    uint16_t status;
    enum hf_call_error error;
    const char *body;
    const char *outcome;
    const char *location;
    uint64_t retry_after_ms;
    uint32_t attempt;
    bool poll;
    enum hf_saga_op op; /* 0: what the step is at */
};

int saga_rig_hot(void **state);
int saga_rig_cold(
    void **state); /* nothing stays in RAM, and each act begins with what a checkpoint has */
int saga_rig_end(void **state);

/* Each: the code of the answer. */
enum hf_err saga_define(struct saga_rig *rig, const char *name, uint64_t version, const char *json);
/* definition: "order@1", or JSON. */
enum hf_err saga_start(struct saga_rig *rig, const char *id, const char *definition,
                       const char *input);
enum hf_err saga_start_fields(struct saga_rig *rig, const struct hf_op_fields *fields);
enum hf_err saga_give(struct saga_rig *rig, const char *id, const char *step,
                      const struct saga_answer *answer);
enum hf_err saga_status(struct saga_rig *rig, const char *id, const char *step, uint16_t status);
/* complete_step or fail_step; token NULL: an operator. */
enum hf_err saga_outcome(struct saga_rig *rig, const char *id, const char *step, bool completes,
                         const char *token, const char *result);
void saga_token_of(struct saga_rig *rig, const char *id, const char *step, enum hf_saga_op op,
                   char token[33]);
enum hf_err saga_verb(struct saga_rig *rig, const char *id, enum hf_saga_act verb,
                      const char *step);
enum hf_err saga_verb_fields(struct saga_rig *rig, const struct hf_saga_op_fields *fields);
/* A commit's JSON: "{\"do\":[…]}". */
enum hf_err saga_commit(struct saga_rig *rig, const char *json);
/* Time passes, and what is due is booked until nothing is left. Returns the number of commits. */
uint32_t saga_pass(struct saga_rig *rig, uint64_t ms);

const struct hf_saga *saga_get(struct saga_rig *rig, const char *id); /* NULL: there is none */
const struct hf_saga_step *saga_step(struct saga_rig *rig, const char *id, const char *step);
/* The line of the saga, or "none". */
const char *saga_line(struct saga_rig *rig, const char *id);
/* Reads; the reading stays until the next one. */
struct hf_reading *saga_read(struct saga_rig *rig, const struct hf_query *query);
struct hf_reading *saga_query(struct saga_rig *rig, enum hf_query_type type, const char *id);
/* The request body of the step's op. */
struct hf_str saga_request(struct saga_rig *rig, const char *id, const char *step);
/* Events of the newest commit. */
const struct hf_commit *saga_newest(struct saga_rig *rig);
void saga_check(struct saga_rig *rig);
struct hf_name saga_name(const char *text);

#define assert_line(rig, id, line) assert_string_equal(saga_line((rig), (id)), (line))
#define assert_text(text, expected)                                                                \
    do {                                                                                           \
        struct hf_str text_ = (text);                                                              \
        assert_int_equal(text_.len, strlen(expected));                                             \
        assert_memory_equal(text_.ptr, (expected), text_.len);                                     \
    } while (0)

/* Each test runs with everything in RAM, and with nothing. */
#define SAGA_TEST(function)                                                                        \
    cmocka_unit_test_setup_teardown(function, saga_rig_hot, saga_rig_end),                         \
        cmocka_unit_test_setup_teardown(function, saga_rig_cold, saga_rig_end)

#endif
