/*
 * Bytes as the answer to a packed request of the client's: the first two tell the records of the request. What is taken
 * tells of each record once, and nothing behind the answer's end is read.
 */
#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"
#include "client/packed_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_entries(const uint8_t *body, size_t count)
{
    uint64_t told = (uint64_t)hf_get_u32(body + HOLDFAST_RESULTS_ACCEPTED) +
                    hf_get_u32(body + HOLDFAST_RESULTS_REPLAYED);
    uint32_t refused = hf_get_u32(body + HOLDFAST_RESULTS_REFUSED);
    bool *seen = hf_calloc(count, sizeof(*seen));
    for (uint32_t i = 0; seen != NULL && i < refused; i++) {
        uint32_t index = hf_get_u32(body + HOLDFAST_RESULTS_BYTES +
                                    (size_t)i * HOLDFAST_RESULT_BYTES + HOLDFAST_RESULT_INDEX);
        HF_CHECK(index < count && !seen[index]);
        seen[index] = true;
    }
    HF_CHECK(told + refused == count);
    hf_free(seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    size_t count = 1 + hf_get_u16(data) % HOLDFAST_PACKED_RECORDS_MAX;
    uint8_t *body = hf_malloc(size - 2);
    if (body != NULL) {
        memcpy(body, data + 2, size - 2);
        if (hf_client_results_fit(body, size - 2, count)) {
            check_entries(body, count);
        }
        hf_free(body);
    }
    return 0;
}
