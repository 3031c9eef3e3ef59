#include "base/hash_memo.h"

#include <stdatomic.h>

#include "base/bytes.h"
#include "base/sha256.h"

#define PLACES     2048u /* a power of two; 128 KiB: they stay near the processor */
#define TEXT_WORDS 5u    /* the text, zeroes, and its length in the last byte */
#define WORDS      7u    /* the same and half of the digest */

_Static_assert(TEXT_WORDS * 8 == HF_HASH_MEMO_BYTES_MAX + 1, "a text and its length");

struct place {
    _Alignas(64) atomic_uint_least64_t version; /* odd: being written; 0: never was */
    atomic_uint_least64_t words[WORDS];
};

_Static_assert(sizeof(struct place) == 64, "one line");

static struct place places[PLACES];

/* Word by word and not by memcpy: the words are needed at once. */
static void pack(struct hf_str text, uint64_t words[TEXT_WORDS])
{
    const uint8_t *bytes = (const uint8_t *)text.ptr;
    size_t whole = text.len / 8;
    size_t rest = text.len % 8;
    for (size_t i = 0; i < TEXT_WORDS; i++) {
        words[i] = i < whole ? hf_get_u64(bytes + 8 * i) : 0;
    }
    if (whole > 0 && rest > 0) {
        words[whole] = hf_get_u64(bytes + text.len - 8) >> (64 - 8 * rest);
    } else {
        for (size_t i = 0; i < rest; i++) {
            words[0] |= (uint64_t)bytes[i] << (8 * i);
        }
    }
    words[TEXT_WORDS - 1] |= (uint64_t)text.len << 56;
}

static struct place *place_of(const uint64_t words[TEXT_WORDS])
{
    hf_u128 first = (hf_u128)(words[0] ^ 0x9E3779B97F4A7C15u) * (words[1] ^ 0xD1B54A32D192ED03u);
    hf_u128 second =
        (hf_u128)(words[2] ^ 0xBF58476D1CE4E5B9u) * (words[3] ^ words[4] ^ 0x94D049BB133111EBu);
    uint64_t hash =
        (uint64_t)first ^ (uint64_t)(first >> 64) ^ (uint64_t)second ^ (uint64_t)(second >> 64);
    return &places[(hash ^ hash >> 32) & (PLACES - 1)];
}

/* Each word is loaded with acquire: whoever sees one of a later writer sees its odd version, too. */
static bool look_up(struct place *place, const uint64_t words[TEXT_WORDS], uint64_t half[2])
{
    uint64_t version = atomic_load_explicit(&place->version, memory_order_acquire);
    bool same = version != 0 && version % 2 == 0;
    for (size_t i = 0; same && i < TEXT_WORDS; i++) {
        same = atomic_load_explicit(&place->words[i], memory_order_acquire) == words[i];
    }
    if (!same) {
        return false;
    }
    half[0] = atomic_load_explicit(&place->words[TEXT_WORDS], memory_order_acquire);
    half[1] = atomic_load_explicit(&place->words[TEXT_WORDS + 1], memory_order_acquire);
    return atomic_load_explicit(&place->version, memory_order_relaxed) == version;
}

static void keep(struct place *place, const uint64_t words[TEXT_WORDS], const uint64_t half[2])
{
    uint64_t version = atomic_load_explicit(&place->version, memory_order_relaxed);
    if (version % 2 != 0 ||
        !atomic_compare_exchange_strong_explicit(&place->version, &version, version + 1,
                                                 memory_order_acq_rel, memory_order_relaxed)) {
        return;
    }
    for (size_t i = 0; i < TEXT_WORDS; i++) {
        atomic_store_explicit(&place->words[i], words[i], memory_order_release);
    }
    atomic_store_explicit(&place->words[TEXT_WORDS], half[0], memory_order_release);
    atomic_store_explicit(&place->words[TEXT_WORDS + 1], half[1], memory_order_release);
    atomic_store_explicit(&place->version, version + 2, memory_order_release);
}

void hf_hash_memo(struct hf_str text, uint8_t half[16])
{
    uint64_t words[TEXT_WORDS];
    uint64_t digest[2];
    if (text.len > HF_HASH_MEMO_BYTES_MAX) {
        struct hf_hash hash = hf_sha256(text.ptr, text.len);
        memcpy(half, hash.bytes, 16);
        return;
    }
    pack(text, words);
    struct place *place = place_of(words);
    if (!look_up(place, words, digest)) {
        struct hf_hash hash = hf_sha256(text.ptr, text.len);
        memcpy(digest, hash.bytes, sizeof(digest));
        keep(place, words, digest);
    }
    memcpy(half, digest, sizeof(digest));
}
