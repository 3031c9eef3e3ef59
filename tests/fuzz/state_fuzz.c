/*
 * Bytes as a state's canonical records: the first byte says how large the pieces are that it comes in. What is taken has one
 * form: saved again it is the same. A checkpoint's checksum stands before all this; here wrong records get in.
 */
#include "base/check.h"
#include "core/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct compared {
    const uint8_t *at; /* what comes next */
    size_t left;       /* bytes of it */
};

static bool compare_piece(void *context, const void *data, size_t size_bytes)
{
    struct compared *compared = context;
    HF_CHECK(size_bytes <= compared->left && memcmp(compared->at, data, size_bytes) == 0);
    compared->at += size_bytes;
    compared->left -= size_bytes;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    size_t piece = data[0] == 0 ? size : data[0];
    struct hf_state state;
    struct hf_state_loader loader;
    struct hf_error error = {0};
    hf_state_init(&state, 1);
    hf_state_loader_init(&loader, &state);
    enum hf_err err = HF_ERR_OK;
    for (size_t at = 1; err == HF_ERR_OK && at < size; at += piece) {
        err = hf_state_loader_feed(&loader, data + at, hf_min_u64(piece, size - at), &error);
    }
    enum hf_err finished = hf_state_loader_finish(&loader, err == HF_ERR_OK ? &error : NULL);
    HF_CHECK(err == HF_ERR_OK || err == HF_ERR_CORRUPT);
    if (err == HF_ERR_OK && finished == HF_ERR_OK) {
        struct compared compared = {data + 1, size - 1};
        HF_CHECK(hf_state_save(&state, compare_piece, &compared) && compared.left == 0);
    }
    hf_state_release(&state);
    return 0;
}
