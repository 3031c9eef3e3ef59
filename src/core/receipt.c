#include "core/receipt.h"

#include "base/base64url.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/sha256.h"

#define VERSION   1u
#define SUM_BYTES 4u

_Static_assert(HF_RECEIPT_BYTES_MAX == 1 + 4 * 10 + 5 + 16 + SUM_BYTES, "as its parts");
_Static_assert(HF_RECEIPT_CHARS_MAX == HF_BASE64URL_CHARS(HF_RECEIPT_BYTES_MAX), "as its bytes");

static void checksum(const uint8_t *bytes, size_t count, uint8_t sum[SUM_BYTES])
{
    struct hf_sha256_part parts[] = {{"holdfast receipt", 16}, {bytes, count}};
    struct hf_hash whole = hf_sha256_parts(parts, HF_ARRAY_COUNT(parts));
    memcpy(sum, whole.bytes, SUM_BYTES);
}

void hf_receipt_encode(struct hf_buffer *to, const struct hf_receipt *receipt)
{
    uint8_t bytes[HF_RECEIPT_BYTES_MAX + HF_VARINT_BYTES_MAX];
    size_t count = 0;
    bytes[count++] = VERSION;
    count += hf_put_varint(bytes + count, receipt->uid);
    count += hf_put_varint(bytes + count, receipt->number);
    count += hf_put_varint(bytes + count, receipt->token);
    count += hf_put_varint(bytes + count, receipt->position);
    count += hf_put_varint(bytes + count, receipt->index);
    memcpy(bytes + count, receipt->line.bytes, sizeof(receipt->line.bytes));
    count += sizeof(receipt->line.bytes);
    checksum(bytes, count, bytes + count);
    count += SUM_BYTES;
    HF_CHECK(count <= HF_RECEIPT_BYTES_MAX);
    hf_base64url_encode(to, bytes, count);
}

bool hf_receipt_decode(struct hf_str text, struct hf_receipt *receipt)
{
    uint8_t bytes[HF_RECEIPT_BYTES_MAX];
    uint8_t sum[SUM_BYTES];
    size_t count = hf_base64url_decode(text, bytes, sizeof(bytes));
    *receipt = (struct hf_receipt){0};
    if (count <= SUM_BYTES) {
        return false;
    }
    checksum(bytes, count - SUM_BYTES, sum);
    if (memcmp(sum, bytes + count - SUM_BYTES, SUM_BYTES) != 0) {
        return false;
    }
    struct hf_reader in = hf_reader_over(bytes, count - SUM_BYTES);
    uint8_t version = hf_read_u8(&in);
    receipt->uid = (uint64_t)hf_read_varint(&in, UINT64_MAX);
    receipt->number = (uint64_t)hf_read_varint(&in, UINT64_MAX);
    receipt->token = (uint64_t)hf_read_varint(&in, UINT64_MAX);
    receipt->position = (uint64_t)hf_read_varint(&in, UINT64_MAX);
    receipt->index = (uint32_t)hf_read_varint(&in, UINT32_MAX);
    const uint8_t *line = hf_read_bytes(&in, sizeof(receipt->line.bytes));
    if (in.failed || version != VERSION || hf_reader_left(&in) != 0) {
        return false;
    }
    memcpy(receipt->line.bytes, line, sizeof(receipt->line.bytes));
    return receipt->uid != 0 && receipt->number != 0 && receipt->token != 0 &&
           receipt->position != 0;
}
