/*
 * Fuzz target of commits: JSON texts, divided by 0xFF, one after the other on a state that begins empty.
 *
 * Whatever they are, the answer is JSON with a known code; the same commit under its key answers the same
 * again; a core with everything in RAM and one with everything cold answer alike; and (in the rig) each
 * commit's frame decodes to itself and makes the same state when it is applied from the log.
 */
#include <stdio.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/json.h"
#include "unit/core_rig.h"

#define COMMITS_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_answer(const struct core_rig_answer *answer)
{
    struct hf_str text = {(const char *)answer->text.data, answer->text.size_bytes - 1};
    HF_CHECK(hf_json_validate(text, NULL) == HF_ERR_OK);
    HF_CHECK(answer->status == 200 || answer->status == 201 ||
             (answer->status >= 400 && answer->status < 500));
}

static void check_same(const struct core_rig_answer *a, const struct core_rig_answer *b)
{
    HF_CHECK(a->status == b->status && a->position == b->position && a->replayed == b->replayed);
    HF_CHECK(a->text.size_bytes == b->text.size_bytes &&
             memcmp(a->text.data, b->text.data, a->text.size_bytes) == 0);
}

struct pair {
    struct core_rig rigs[2];           /* hot, cold */
    struct core_rig_answer answers[2]; /* of the newest commit */
    struct core_rig_answer again;      /* of its repetition */
};

static void try_commit(struct pair *pair, const char *json, size_t number)
{
    char key[16];
    (void)snprintf(key, sizeof(key), "k%zu", number);
    struct core_rig_ask ask = {
        .text = json,
        .key = number % 2 == 0 ? key : NULL,
        .now_us = 1700000000000000u + number * 700000,
    };
    for (int i = 0; i < 2; i++) {
        core_rig_ask(&pair->rigs[i], &ask, &pair->answers[i]);
        check_answer(&pair->answers[i]);
        core_rig_check(&pair->rigs[i]);
    }
    check_same(&pair->answers[0], &pair->answers[1]);
    struct core_rig_answer *answer = &pair->answers[0];
    if (ask.key == NULL || answer->position == 0 || answer->replayed) {
        return;
    }
    core_rig_ask(&pair->rigs[0], &ask, &pair->again);
    HF_CHECK(pair->again.replayed);
    answer->replayed = true;
    check_same(answer, &pair->again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pair pair;
    core_rig_init(&pair.rigs[0], CORE_RIG_HOT);
    core_rig_init(&pair.rigs[1], CORE_RIG_COLD);
    hf_buffer_init(&pair.answers[0].text);
    hf_buffer_init(&pair.answers[1].text);
    hf_buffer_init(&pair.again.text);
    size_t at = 0;
    for (size_t number = 1; at < size && number <= COMMITS_MAX; number++) {
        const uint8_t *divider = memchr(data + at, 0xFF, size - at);
        size_t length = divider == NULL ? size - at : (size_t)(divider - data) - at;
        char *json = hf_malloc(length + 1);
        HF_CHECK(json != NULL);
        memcpy(json, data + at, length);
        json[length] = '\0';
        /* The rig takes other words for other questions; here all is a commit. */
        if (json[0] == '{' || json[0] == ' ') {
            try_commit(&pair, json, number);
        }
        hf_free(json);
        at += length + 1;
    }
    hf_buffer_release(&pair.answers[0].text);
    hf_buffer_release(&pair.answers[1].text);
    hf_buffer_release(&pair.again.text);
    core_rig_release(&pair.rigs[0]);
    core_rig_release(&pair.rigs[1]);
    return 0;
}
