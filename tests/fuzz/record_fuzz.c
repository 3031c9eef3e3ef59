/*
 * Bytes as a commit's frame: u32 bytes of the record, the record, the payload. What is taken has one form: encoded
 * again it is the same; it can be asked for its feed events, its names and hashes; a glance gives the same events. Of what is not
 * taken a glance may give anything, but reads nothing that is not there.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "core/feed_event.h"
#include "core/strip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode_again(const struct hf_commit *commit, const uint8_t *record, size_t record_bytes,
                         const uint8_t *payload, size_t payload_bytes)
{
    struct hf_buffer frame;
    hf_buffer_init(&frame);
    HF_CHECK(hf_commit_encode(commit, &frame));
    HF_CHECK(hf_get_u32(frame.data) == record_bytes && hf_get_u32(frame.data + 4) == payload_bytes);
    HF_CHECK(record_bytes == 0 || memcmp(frame.data + 8, record, record_bytes) == 0);
    HF_CHECK(payload_bytes == 0 ||
             memcmp(frame.data + 8 + record_bytes, payload, payload_bytes) == 0);
    hf_buffer_release(&frame);
}

static void look_at(const struct hf_commit *commit)
{
    struct hf_error error = {0};
    enum hf_err verified = hf_commit_verify_texts(commit, &error);
    HF_CHECK(verified == HF_ERR_OK || verified == HF_ERR_CORRUPT);
    for (uint32_t i = 0; i < commit->event_count; i++) {
        struct hf_feed_event event;
        hf_feed_event_of(commit, i, &event);
        struct hf_id hash = hf_feed_key_hash(&event);
        HF_CHECK(hf_feed_bucket(&hash, 16) < 16);
    }
}

static bool same_side(const struct hf_side *a, const struct hf_side *b)
{
    return hf_id_equal(&a->account.id, &b->account.id) && a->version == b->version &&
           memcmp(&a->totals, &b->totals, sizeof(a->totals)) == 0 &&
           a->previous_position == b->previous_position;
}

/* Is the account in the strip once? A record may say otherwise: only evolve refuses it (core/strip_apply.c). */
static bool is_once(const struct hf_strip *strip, const struct hf_id *account)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < strip->account_count; i++) {
        count += hf_id_equal(&strip->accounts[i].name.id, account);
    }
    return count == 1;
}

/* Entries of the account behind event `number`, all at once; whole: NULL, or the commit as it was decoded. */
static void look_at_entries(const struct hf_commit *glance, uint32_t number,
                            const struct hf_commit *whole)
{
    struct hf_strip_entries entries;
    const struct hf_event *event = hf_commit_event(glance, number);
    if (event == NULL) {
        HF_CHECK(whole == NULL);
        return;
    }
    const struct hf_side *side = &event->posting.credit;
    bool made = hf_strip_entries(glance, &side->account.id, 0, UINT64_MAX, &entries);
    HF_CHECK(made || whole == NULL);
    if (whole != NULL && is_once(whole->strip, &side->account.id)) {
        const struct hf_side *wanted = &whole->events[number]->posting.credit;
        uint64_t at = wanted->version - entries.first;
        HF_CHECK(same_side(side, wanted) && at < entries.count);
        const struct hf_posting *posting = &entries.events[at]->posting;
        HF_CHECK(same_side(&posting->credit, wanted) &&
                 same_side(&posting->debit, &whole->events[number]->posting.debit));
    }
}

static void look_briefly(const uint8_t *record, size_t record_bytes, const uint8_t *payload,
                         size_t payload_bytes, const struct hf_commit *whole)
{
    struct hf_arena arena;
    struct hf_commit glance;
    hf_arena_init(&arena);
    enum hf_err err =
        hf_commit_glance(record, record_bytes, payload, payload_bytes, &arena, &glance, NULL);
    HF_CHECK(err == HF_ERR_OK || (err == HF_ERR_CORRUPT && whole == NULL));
    if (err == HF_ERR_OK && glance.strip != NULL) {
        uint32_t total = hf_commit_event_total(&glance);
        look_at_entries(&glance, glance.event_count, whole);
        look_at_entries(&glance, total - 1, whole);
        HF_CHECK(hf_commit_expand(&glance) || whole == NULL);
    }
    hf_arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4) {
        return 0;
    }
    size_t record_bytes = hf_min_u64(hf_get_u32(data), size - 4);
    const uint8_t *record = data + 4;
    const uint8_t *payload = record + record_bytes;
    size_t payload_bytes = size - 4 - record_bytes;
    struct hf_arena arena;
    struct hf_commit commit;
    hf_arena_init(&arena);
    enum hf_err err =
        hf_commit_decode(record, record_bytes, payload, payload_bytes, &arena, &commit, NULL);
    HF_CHECK(err == HF_ERR_OK || err == HF_ERR_CORRUPT);
    if (err == HF_ERR_OK) {
        encode_again(&commit, record, record_bytes, payload, payload_bytes);
        look_at(&commit);
    }
    look_briefly(record, record_bytes, payload, payload_bytes, err == HF_ERR_OK ? &commit : NULL);
    hf_arena_release(&arena);
    return 0;
}
