/*
 * The answer table, status by status, as docs/sagas.md has it: written down here once more as a text, line for line, and
 * compared with what the code says for every status, operation, profile and word.
 */
#include <stdio.h>

#include "core/saga_answer.h"
#include "core/saga_definition.h"
#include "unit/support.h"

enum { ACTION = HF_SAGA_ACTION, COMPENSATION = HF_SAGA_COMPENSATION };

/* The lines of the table. What is in none of them is "any other 4xx" or no answer that a POST can have: parked. */
static const struct {
    const char *statuses; /* with a space on both sides of each */
    enum hf_saga_outcome action, compensation;
} lines[] = {
    {" 202 ", HF_OUTCOME_PENDING, HF_OUTCOME_PENDING},
    {" 425 ", HF_OUTCOME_AGAIN, HF_OUTCOME_AGAIN},
    {" 410 ", HF_OUTCOME_FAIL, HF_OUTCOME_SUCCESS},
    {" 400 402 406 413 415 422 424 451 ", HF_OUTCOME_FAIL, HF_OUTCOME_PARK},
    {" 401 403 404 405 501 ", HF_OUTCOME_PARK, HF_OUTCOME_PARK},
    {" 409 412 423 ", HF_OUTCOME_CONFLICT, HF_OUTCOME_CONFLICT},
    {" 408 429 ", HF_OUTCOME_RETRY, HF_OUTCOME_RETRY},
};

static enum hf_saga_outcome table(int status, enum hf_saga_op op)
{
    char word[8];
    (void)snprintf(word, sizeof(word), " %d ", status);
    for (size_t i = 0; i < HF_ARRAY_COUNT(lines); i++) {
        if (strstr(lines[i].statuses, word) != NULL) {
            return op == HF_SAGA_ACTION ? lines[i].action : lines[i].compensation;
        }
    }
    switch (status / 100) {
    case 2:
        return HF_OUTCOME_SUCCESS;
    case 5:
        return HF_OUTCOME_RETRY;
    default:
        return HF_OUTCOME_PARK;
    }
}

/* "200 success, 409 fail, 425 pending, everything else retry"; a compensation never fails. */
static enum hf_saga_outcome dtm(int status, enum hf_saga_op op)
{
    return status == 200          ? HF_OUTCOME_SUCCESS
           : status == 425        ? HF_OUTCOME_AGAIN
           : status != 409        ? HF_OUTCOME_RETRY
           : op == HF_SAGA_ACTION ? HF_OUTCOME_FAIL
                                  : HF_OUTCOME_PARK;
}

static const struct {
    const char *word; /* NULL: no header */
    bool known;
    enum hf_saga_outcome action, compensation;
} words[] = {
    {NULL, false, 0, 0},
    {"success", true, HF_OUTCOME_SUCCESS, HF_OUTCOME_SUCCESS},
    {"fail", true, HF_OUTCOME_FAIL, HF_OUTCOME_PARK},
    {"retry", true, HF_OUTCOME_RETRY, HF_OUTCOME_RETRY},
    {"pending", true, HF_OUTCOME_PENDING, HF_OUTCOME_PENDING},
    {"park", true, HF_OUTCOME_PARK, HF_OUTCOME_PARK},
    {"", false, 0, 0},
    {"Success", false, 0, 0},
    {"success ", false, 0, 0},
    {"succes", false, 0, 0},
    {"again", false, 0, 0},
    {"conflict", false, 0, 0},
};

static void test_every_status_operation_profile_and_word(void **state)
{
    (void)state;
    for (int status = 100; status <= 599; status++) {
        for (int op = ACTION; op <= COMPENSATION; op++) {
            for (int profile = 0; profile < 2; profile++) {
                for (size_t w = 0; w < HF_ARRAY_COUNT(words); w++) {
                    struct hf_saga_answer answer = {.status = (uint16_t)status,
                                                    .outcome = hf_str_from(words[w].word),
                                                    .body = HF_STR("{\"outcome\":\"fail\"}")};
                    enum hf_saga_outcome wanted =
                        words[w].known ? (op == ACTION ? words[w].action : words[w].compensation)
                        : profile == 1 ? dtm(status, (enum hf_saga_op)op)
                                       : table(status, (enum hf_saga_op)op);
                    enum hf_saga_outcome is =
                        hf_saga_classify(&answer, (enum hf_saga_op)op, profile == 1, NULL);
                    if (is != wanted) {
                        fail_msg("status %d op %d dtm %d word %s: %d, not %d", status, op, profile,
                                 words[w].word, (int)is, (int)wanted);
                    }
                }
            }
        }
    }
}

static void test_the_steps_own_rules_win_over_both_tables_and_the_word_over_them(void **state)
{
    (void)state;
    const uint16_t statuses[] = {404, 409, 200, 500, 425};
    const enum hf_saga_outcome outcomes[] = {HF_OUTCOME_FAIL, HF_OUTCOME_SUCCESS, HF_OUTCOME_PARK,
                                             HF_OUTCOME_PENDING, HF_OUTCOME_RETRY};
    struct hf_saga_status_rules rules = {
        .count = HF_ARRAY_COUNT(statuses), .statuses = statuses, .outcomes = outcomes};
    for (int profile = 0; profile < 2; profile++) {
        for (size_t i = 0; i < rules.count; i++) {
            struct hf_saga_answer answer = {.status = statuses[i]};
            assert_int_equal(hf_saga_classify(&answer, HF_SAGA_ACTION, profile, &rules),
                             outcomes[i]);
            assert_int_equal(hf_saga_classify(&answer, HF_SAGA_COMPENSATION, profile, &rules),
                             statuses[i] == 404 ? HF_OUTCOME_PARK : outcomes[i]);
            answer.outcome = HF_STR("retry");
            assert_int_equal(hf_saga_classify(&answer, HF_SAGA_ACTION, profile, &rules),
                             HF_OUTCOME_RETRY);
            answer.outcome = HF_STR("nonsense");
            assert_int_equal(hf_saga_classify(&answer, HF_SAGA_ACTION, profile, &rules),
                             outcomes[i]);
        }
        struct hf_saga_answer other = {.status = 422};
        assert_int_equal(hf_saga_classify(&other, HF_SAGA_ACTION, profile, &rules),
                         profile ? HF_OUTCOME_RETRY : HF_OUTCOME_FAIL);
    }
}

static void test_calls_without_an_answer(void **state)
{
    (void)state;
    static const struct {
        enum hf_call_error error;
        enum hf_saga_outcome outcome;
        bool unknown;
    } ends[] = {
        {HF_CALL_NOT_CONNECTED, HF_OUTCOME_RETRY, false},
        {HF_CALL_TIMED_OUT, HF_OUTCOME_RETRY, true},
        {HF_CALL_CUT_OFF, HF_OUTCOME_RETRY, true},
        {HF_CALL_REFUSED_HERE, HF_OUTCOME_PARK, false},
        {HF_CALL_TOO_LARGE, HF_OUTCOME_PARK, true},
    };
    const uint16_t statuses[] = {0, 200};
    const enum hf_saga_outcome outcomes[] = {HF_OUTCOME_SUCCESS, HF_OUTCOME_SUCCESS};
    struct hf_saga_status_rules rules = {2, statuses, outcomes};
    for (size_t i = 0; i < HF_ARRAY_COUNT(ends); i++) {
        for (int op = ACTION; op <= COMPENSATION; op++) {
            for (int profile = 0; profile < 2; profile++) {
                /* A status or word that came before the call broke counts for nothing. */
                struct hf_saga_answer answer = {
                    .error = ends[i].error, .status = 200, .outcome = HF_STR("success")};
                assert_int_equal(
                    hf_saga_classify(&answer, (enum hf_saga_op)op, profile == 1, &rules),
                    ends[i].outcome);
                assert_int_equal(hf_saga_leaves_unknown(&answer, ends[i].outcome), ends[i].unknown);
            }
        }
    }
}

static bool unknown(int status, const char *word, bool profile)
{
    struct hf_saga_answer answer = {.status = (uint16_t)status, .outcome = hf_str_from(word)};
    return hf_saga_leaves_unknown(&answer,
                                  hf_saga_classify(&answer, HF_SAGA_ACTION, profile, NULL));
}

static void test_what_leaves_the_outcome_unknown(void **state)
{
    (void)state;
    for (int status = 100; status <= 599; status++) {
        /* "timed out, cut off, 5xx"; 501 is a mistake of deployment, 408 is a time-out. */
        bool open = (status >= 500 && status != 501) || status == 408;
        assert_int_equal(unknown(status, NULL, false), open);
        /* A definite word is definite. */
        assert_false(unknown(status, "success", false));
        assert_false(unknown(status, "fail", false));
        assert_false(unknown(status, "pending", false));
        /* "retry" says that it may be done; not where the door sent it away. */
        assert_int_equal(unknown(status, "retry", false), status != 429);
        /* Parked though it was taken. */
        bool taken = (status >= 200 && status <= 299) || (status >= 500 && status != 501);
        assert_int_equal(unknown(status, "park", false), taken);
    }
    assert_false(unknown(200, NULL, true));
    assert_false(unknown(409, NULL, true));
    assert_false(unknown(425, NULL, true));
    assert_true(unknown(404, NULL, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_status_operation_profile_and_word),
        cmocka_unit_test(test_the_steps_own_rules_win_over_both_tables_and_the_word_over_them),
        cmocka_unit_test(test_calls_without_an_answer),
        cmocka_unit_test(test_what_leaves_the_outcome_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
