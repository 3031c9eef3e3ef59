/* Answers: what is known of them at once, and their text when it is asked for. */
#include "api/answer_json.h"
#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"
#include "lib/lib_priv.h"

int holdfast_answer_status(const struct holdfast_answer *answer)
{
    return answer->status;
}

const char *holdfast_answer_code(const struct holdfast_answer *answer)
{
    return hf_err_wire(answer->answer.code);
}

uint64_t holdfast_answer_position(const struct holdfast_answer *answer)
{
    return answer->answer.position;
}

uint64_t holdfast_answer_seen_position(const struct holdfast_answer *answer)
{
    return answer->answer.seen_position;
}

bool holdfast_answer_replayed(const struct holdfast_answer *answer)
{
    return answer->answer.replayed;
}

/* false: memory is short. The frame was written by this process or verified when it was fetched. */
static bool render(struct holdfast_answer *answer)
{
    const struct hf_shared_bytes *frame = answer->answer.frame;
    size_t record_bytes = hf_get_u32(frame->data);
    size_t payload_bytes = hf_get_u32(frame->data + 4);
    const uint8_t *record = frame->data + HF_COMMIT_FRAME_BYTES;
    HF_CHECK(HF_COMMIT_FRAME_BYTES + record_bytes + payload_bytes == frame->size_bytes);
    struct hf_arena arena;
    struct hf_commit commit;
    hf_arena_init(&arena);
    enum hf_err err = hf_commit_decode(record, record_bytes, record + record_bytes, payload_bytes,
                                       &arena, &commit, NULL);
    HF_CHECK(err == HF_ERR_OK || err == HF_ERR_NO_MEMORY);
    if (err == HF_ERR_OK) {
        hf_buffer_clear(&answer->text);
        if (answer->kind == ANSWER_CANCEL) {
            hf_key_json(&answer->text, &commit);
        } else {
            hf_answer_json(&answer->text, &commit, answer->dry_run);
        }
        hf_buffer_u8(&answer->text, 0);
    }
    hf_arena_release(&arena);
    return err == HF_ERR_OK && !answer->text.failed;
}

const char *holdfast_answer_text(struct holdfast_answer *answer, size_t *bytes)
{
    if (bytes != NULL) {
        *bytes = 0;
    }
    if (!answer->rendered && !render(answer)) {
        return NULL;
    }
    answer->rendered = true;
    if (bytes != NULL) {
        *bytes = answer->text.size_bytes - 1;
    }
    return (const char *)answer->text.data;
}

void holdfast_answer_free(struct holdfast_answer *answer)
{
    if (answer != NULL) {
        hf_answer_release(&answer->answer);
        hf_buffer_release(&answer->text);
        hf_free(answer);
    }
}
