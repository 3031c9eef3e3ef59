#include "base/shared_bytes.h"

#include "base/alloc.h"

struct hf_shared_bytes *hf_shared_bytes_new(size_t size_bytes)
{
    if (size_bytes > SIZE_MAX - sizeof(struct hf_shared_bytes)) {
        return NULL;
    }
    struct hf_shared_bytes *bytes = hf_malloc(sizeof(*bytes) + size_bytes);
    if (bytes != NULL) {
        atomic_init(&bytes->references, 1);
        bytes->size_bytes = size_bytes;
    }
    return bytes;
}

struct hf_shared_bytes *hf_shared_bytes_ref(struct hf_shared_bytes *bytes)
{
    atomic_fetch_add_explicit(&bytes->references, 1, memory_order_relaxed);
    return bytes;
}

void hf_shared_bytes_unref(struct hf_shared_bytes *bytes)
{
    if (bytes != NULL &&
        atomic_fetch_sub_explicit(&bytes->references, 1, memory_order_acq_rel) == 1) {
        hf_free(bytes);
    }
}
