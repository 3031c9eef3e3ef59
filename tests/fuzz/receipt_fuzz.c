/*
 * Bytes as a receipt's text, and as what is inside of one whose checksum is right; and as a message's id. What is taken
 * has one form: written again it is the same.
 */
#include "base/base64url.h"
#include "base/check.h"
#include "base/sha256.h"
#include "core/queue_op.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_receipt(struct hf_str text)
{
    struct hf_receipt receipt;
    if (!hf_receipt_decode(text, &receipt)) {
        return;
    }
    struct hf_buffer again;
    hf_buffer_init(&again);
    hf_receipt_encode(&again, &receipt);
    HF_CHECK(again.size_bytes == text.len && memcmp(again.data, text.ptr, text.len) == 0);
    hf_buffer_release(&again);
}

static void read_inside(const uint8_t *data, size_t size)
{
    struct hf_sha256_part parts[] = {{"holdfast receipt", 16}, {data, size}};
    struct hf_hash sum = hf_sha256_parts(parts, HF_ARRAY_COUNT(parts));
    struct hf_buffer bytes;
    struct hf_buffer text;
    hf_buffer_init(&bytes);
    hf_buffer_init(&text);
    hf_buffer_bytes(&bytes, data, size);
    hf_buffer_bytes(&bytes, sum.bytes, 4);
    hf_base64url_encode(&text, bytes.data, bytes.size_bytes);
    read_receipt((struct hf_str){(const char *)text.data, text.size_bytes});
    hf_buffer_release(&bytes);
    hf_buffer_release(&text);
}

static void read_message_id(struct hf_str text)
{
    uint64_t position;
    uint32_t index;
    if (hf_message_id_parse(text, &position, &index)) {
        struct hf_buffer again;
        hf_buffer_init(&again);
        hf_buffer_format(&again, "%llu-%u", (unsigned long long)position, index);
        HF_CHECK(again.size_bytes == text.len && memcmp(again.data, text.ptr, text.len) == 0);
        hf_buffer_release(&again);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_str text = {size == 0 ? "" : (const char *)data, size};
    read_receipt(text);
    read_inside(data, size);
    read_message_id(text);
    return 0;
}
