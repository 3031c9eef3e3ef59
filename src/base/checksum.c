#include "base/checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t hf_checksum(const void *data, size_t size_bytes)
{
    return XXH3_64bits(data, size_bytes);
}
