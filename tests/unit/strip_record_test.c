/*
 * A strip in a record is refused unless it is what an encoder writes: a column of a stored commit is changed, and the commit
 * is read again.
 */
#include "api/packed.h"
#include "core/strip.h"
#include "unit/core_rig.h"
#include "unit/packed_records.h"
#include "unit/support.h"

#define RECORDS_MAX 8u

/* A step names what it needs; all else is none. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

static const struct record_spec accounts[] = {
    {.id = 1, .no_floor = true, .kind = RECORD_ACCOUNT},
    {.id = 2, .kind = RECORD_ACCOUNT},
    {.id = 3, .kind = RECORD_ACCOUNT},
    {0},
};

static const struct record_spec before[] = {
    {.id = 1, .from = 1, .to = 2, .amount = 90, .asset = "USD/2", .kind = RECORD_HOLD},
    {0},
};

/* Rows: two captures of the hold that was open, the second of which ends it; a hold and its void; a transfer. */
enum { PART, LAST, OPENING, VOIDED, MOVED };
static const struct record_spec rows[] = {
    {.id = 2, .hold = 1, .amount = 20, .kind = RECORD_CAPTURE},
    {.id = 3, .hold = 1, .amount = 30, .final = true, .kind = RECORD_CAPTURE},
    {.id = 4,
     .from = 1,
     .to = 3,
     .amount = 7,
     .asset = "USD/2",
     .timeout_ms = 9000,
     .kind = RECORD_HOLD},
    {.id = 5, .hold = 4, .kind = RECORD_VOID},
    {.id = 6, .from = 1, .to = 3, .amount = 5, .asset = "USD/2", .kind = RECORD_TRANSFER},
    {0},
};

static void send(struct core_rig *rig, const struct record_spec *records)
{
    uint8_t body[RECORDS_MAX * RECORD_BYTES];
    uint32_t count = 0;
    struct hf_command command;
    struct hf_malformed malformed = {0};
    for (; records[count].id != 0; count++) {
        record_write(&records[count], body + (size_t)count * RECORD_BYTES);
    }
    hf_command_init(&command, HF_COMMAND_EACH);
    assert_true(hf_packed_decode(
        records[0].kind == RECORD_ACCOUNT ? HF_PACKED_ACCOUNTS : HF_PACKED_TRANSFERS,
        (struct hf_str){(const char *)body, (size_t)count * RECORD_BYTES}, &command, &malformed));
    assert_true(hf_command_finish(&command, &malformed));
    assert_int_equal(core_rig_run(rig, &command, 1700000000000000u + rig->state.position),
                     HF_DECISION_COMMIT);
    hf_command_release(&command);
}

/* The commit of `rows`, to be changed. */
struct stored {
    struct hf_arena arena;
    uint8_t *record;
    size_t record_bytes;
    struct hf_commit commit; /* as it was read: its columns lie in the record */
};

static enum hf_err read_again(struct stored *stored)
{
    return hf_commit_decode_compact(stored->record, stored->record_bytes,
                                    stored->record + stored->record_bytes, 0, &stored->arena,
                                    &stored->commit, NULL);
}

static void begin(struct stored *stored)
{
    struct core_rig rig;
    core_rig_init(&rig, CORE_RIG_COLD);
    send(&rig, accounts);
    send(&rig, before);
    send(&rig, rows);
    const struct hf_shared_bytes *frame = core_rig_frame(&rig, rig.state.position);
    hf_arena_init(&stored->arena);
    stored->record_bytes = hf_get_u32(frame->data);
    stored->record = hf_arena_alloc(&stored->arena, stored->record_bytes);
    assert_non_null(stored->record);
    memcpy(stored->record, frame->data + 8, stored->record_bytes);
    core_rig_release(&rig);
    assert_int_equal(read_again(stored), HF_ERR_OK);
    assert_int_equal(stored->commit.strip->count, 5);
}

/* The place of a column's value, which may be written to. */
static uint8_t *at(const struct stored *stored, const uint8_t *column, size_t index, size_t width)
{
    assert_non_null(column);
    return stored->record + (column - stored->record) + index * width;
}

static void set_u16(const struct stored *stored, const uint8_t *column, size_t index,
                    uint16_t value)
{
    assert_int_not_equal(hf_get_u16(at(stored, column, index, 2)), value);
    hf_put_u16(at(stored, column, index, 2), value);
}

static void add_u64(const struct stored *stored, const uint8_t *column, size_t index, uint64_t more)
{
    uint8_t *value = at(stored, column, index, 8);
    hf_put_u64(value, hf_get_u64(value) + more);
}

/* What each change is, by its number; false: there are no more. */
static bool change(struct stored *stored, int number)
{
    const struct hf_strip *strip = stored->commit.strip;
    const struct hf_strip_holds *holds = &strip->holds;
    switch (number) {
    case 0: /* no such kind */
        *at(stored, strip->kinds, MOVED, 1) = HF_STRIP_VOID + 1;
        return true;
    case 1: /* no such hold */
        set_u16(stored, strip->settles, PART, 1);
        return true;
    case 2: /* the row opens nothing… */
        set_u16(stored, strip->settles, VOIDED, HF_STRIP_OWN_HOLD | PART);
        return true;
    case 3: /* …or comes later, or not at all */
        set_u16(stored, strip->settles, VOIDED, HF_STRIP_OWN_HOLD | VOIDED);
        return true;
    case 4:
        set_u16(stored, strip->settles, VOIDED, HF_STRIP_OWN_HOLD | 5);
        return true;
    case 5: /* a transfer settles nothing */
        set_u16(stored, strip->settles, MOVED, HF_STRIP_OWN_HOLD | OPENING);
        return true;
    case 6: /* between other accounts than the hold: account 3 is number 2 */
        set_u16(stored, strip->to, LAST, 2);
        return true;
    case 7: /* and the other one */
        set_u16(stored, strip->from, LAST, 2);
        return true;
    case 8: /* more than is left, of what an ending gives back, of what a void does */
        add_u64(stored, strip->amounts, LAST, 41);
        return true;
    case 9:
        add_u64(stored, strip->released, LAST, 1);
        return true;
    case 10:
        add_u64(stored, strip->amounts, VOIDED, UINT64_MAX);
        return true;
    case 11: /* a capture that gives back and is not the end */
        add_u64(stored, strip->released, PART, 1);
        return true;
    case 12: /* a transfer, a void and a hold give nothing back there */
        add_u64(stored, strip->released, MOVED, 1);
        return true;
    case 13:
        add_u64(stored, strip->released, VOIDED, 1);
        return true;
    case 14: /* a capture has no time */
        add_u64(stored, strip->times, PART, 1);
        return true;
    case 15: /* the hold had ended before… */
        add_u64(stored, holds->amounts, 0, UINT64_MAX - 89);
        return true;
    case 16: /* …or had more than is pending on its accounts */
        add_u64(stored, holds->amounts, 0, 1);
        add_u64(stored, strip->released, LAST, 1);
        return true;
    default:
        return false;
    }
}

static void what_no_encoder_writes_is_refused(void **state)
{
    (void)state;
    for (int number = 0;; number++) {
        struct stored stored;
        begin(&stored);
        bool changed = change(&stored, number);
        enum hf_err err = read_again(&stored);
        hf_arena_release(&stored.arena);
        if (!changed) {
            assert_int_equal(err, HF_ERR_OK);
            assert_int_equal(number, 17);
            return;
        }
        if (err != HF_ERR_CORRUPT) {
            fail_msg("change %d: %d", number, (int)err);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_no_encoder_writes_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
