/* Whole commits for those who render what is in them: from RAM, else from the log. */
#include "base/check.h"
#include "node/node_priv.h"

void hf_node_release_frames(struct hf_request *request)
{
    for (size_t i = 0; i < request->position_count; i++) {
        hf_shared_bytes_unref(request->frames[i]);
        request->frames[i] = NULL;
    }
}

/* What was asked for is durable, so its answer waits for nothing. */
void hf_node_read_frames(struct hf_node *node, struct hf_request *request)
{
    bool complete = true;
    bool missing = false;
    hf_needs_clear(&request->needs);
    for (size_t i = 0; i < request->position_count; i++) {
        uint64_t position = request->positions[i];
        if (position == 0 || position > node->durable.position) {
            hf_node_refuse(node, request, HF_ERR_COMMIT_NOT_FOUND);
            return;
        }
        if (request->frames[i] == NULL) {
            struct hf_shared_bytes *frame = hf_recent_frame(&node->state.recent, position);
            frame = frame == NULL ? hf_records_frame(&request->records, position) : frame;
            request->frames[i] = frame == NULL ? NULL : hf_shared_bytes_ref(frame);
        }
        if (request->frames[i] == NULL) {
            missing = true;
            complete = complete && hf_needs_add_position(&request->needs, position);
        }
    }
    if (missing) {
        hf_node_ask_for_records(node, request, complete);
        return;
    }
    node->counts.reads++;
    request->answer.decided = true;
    request->answer.seen_position = node->durable.position;
    hf_node_answer(node, request);
}
