/*
 * Bytes as packed records: as they are, and as a script of small ones that meet each other often: few ids, few accounts, every
 * flag, several requests. What is decided must fit the state, come back from its bytes, and make the twin's state.
 */
#include "api/packed.h"
#include "base/bytes.h"
#include "base/check.h"
#include "holdfast_packed.h"
#include "unit/core_rig.h"

#define SCRIPT_BYTES 8u /* a record */
#define RECORDS_MAX  24u
#define ACCOUNTS     5u /* and one that is not there */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool decode(enum hf_packed_kind kind, const uint8_t *bytes, size_t size,
                   struct hf_command *command)
{
    struct hf_malformed malformed = {0};
    hf_command_init(command, HF_COMMAND_EACH);
    bool ok =
        hf_packed_decode(kind, (struct hf_str){(const char *)bytes, size}, command, &malformed) &&
        hf_command_finish(command, &malformed);
    HF_CHECK(ok || (malformed.code != 0 && malformed.text[0] != '\0'));
    return ok;
}

static void run(struct core_rig *rig, enum hf_packed_kind kind, const uint8_t *bytes, size_t size,
                uint64_t now_us)
{
    struct hf_command command;
    if (decode(kind, bytes, size, &command)) {
        enum hf_decision decision = core_rig_run(rig, &command, now_us);
        HF_CHECK(decision == HF_DECISION_COMMIT || decision == HF_DECISION_ANSWER);
        struct hf_buffer answer;
        hf_buffer_init(&answer);
        hf_packed_results(&answer, 1, now_us, rig->draft.outcomes, command.op_count);
        hf_packed_results_json(&answer, 1, now_us, rig->draft.outcomes, command.op_count);
        HF_CHECK(!answer.failed);
        hf_buffer_release(&answer);
    }
    hf_command_release(&command);
}

static void put_number(uint8_t *to, uint8_t kind, uint8_t number)
{
    to[0] = kind;
    to[15] = number;
}

static void open_accounts(struct core_rig *rig)
{
    uint8_t records[ACCOUNTS * HOLDFAST_PACKED_BYTES] = {0};
    for (uint8_t i = 0; i < ACCOUNTS; i++) {
        uint8_t *record = records + i * HOLDFAST_PACKED_BYTES;
        put_number(record + HOLDFAST_ACCOUNT_ID, 1, i);
        memcpy(record + HOLDFAST_ACCOUNT_ASSET, i == 4 ? "EUR/2" : "USD/2", 5);
        hf_put_u32(record + HOLDFAST_ACCOUNT_FLAGS, i == 0 ? HOLDFAST_FLAG_NO_FLOOR : 0);
    }
    run(rig, HF_PACKED_ACCOUNTS, records, sizeof(records), 1000);
}

/* id, from and to, amount, flags, pending, asset and high amounts, timeout, code. */
static void write_record(const uint8_t script[SCRIPT_BYTES], uint8_t *record)
{
    uint32_t flags = script[3] & 31u;
    bool ends = (flags & (HOLDFAST_FLAG_CAPTURE | HOLDFAST_FLAG_VOID)) != 0;
    struct hf_asset asset = {0};
    HF_CHECK(hf_asset_parse((script[5] & 7) == 0 ? HF_STR("EUR/2") : HF_STR("USD/2"), &asset));
    memset(record, 0, HOLDFAST_PACKED_BYTES);
    put_number(record + HOLDFAST_TRANSFER_ID, 2, script[0] & 63);
    if (ends) {
        put_number(record + HOLDFAST_TRANSFER_PENDING, 2, script[4] & 63);
    } else {
        put_number(record + HOLDFAST_TRANSFER_FROM, 1,
                   (uint8_t)((script[1] & 15) % (ACCOUNTS + 1)));
        put_number(record + HOLDFAST_TRANSFER_TO, 1, (uint8_t)((script[1] >> 4) % (ACCOUNTS + 1)));
        hf_asset_hash(&asset, record + HOLDFAST_TRANSFER_ASSET);
    }
    if ((flags & HOLDFAST_FLAG_VOID) == 0) {
        hf_put_u64(record + HOLDFAST_TRANSFER_AMOUNT, script[2]);
        hf_put_u64(record + HOLDFAST_TRANSFER_AMOUNT + 8, (script[5] & 248) == 248 ? 1u << 30 : 0);
    }
    if (flags == HOLDFAST_FLAG_HOLD || flags == (HOLDFAST_FLAG_HOLD | HOLDFAST_FLAG_LINKED)) {
        hf_put_u64(record + HOLDFAST_TRANSFER_TIMEOUT_MS, script[6]);
    } else if (flags == 0) {
        hf_put_u64(record + HOLDFAST_TRANSFER_EFFECTIVE_US, script[6]);
    }
    hf_put_u32(record + HOLDFAST_TRANSFER_CODE, script[7]);
    hf_put_u32(record + HOLDFAST_TRANSFER_FLAGS, flags);
}

static void play(const uint8_t *data, size_t size)
{
    struct core_rig rig;
    uint8_t records[RECORDS_MAX * HOLDFAST_PACKED_BYTES];
    uint64_t now_us = 2000;
    core_rig_init(&rig, (size & 1) != 0 ? CORE_RIG_COLD : CORE_RIG_HOT);
    open_accounts(&rig);
    while (size > SCRIPT_BYTES) {
        size_t wanted = 1 + data[0] % RECORDS_MAX;
        size_t count = 0;
        data++;
        size--;
        for (; count < wanted && size >= SCRIPT_BYTES; count++) {
            write_record(data, records + count * HOLDFAST_PACKED_BYTES);
            data += SCRIPT_BYTES;
            size -= SCRIPT_BYTES;
        }
        run(&rig, HF_PACKED_TRANSFERS, records, count * HOLDFAST_PACKED_BYTES, now_us);
        now_us += 20000; /* short holds have expired by then */
    }
    core_rig_check(&rig);
    core_rig_release(&rig);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_command command;
    (void)decode(HF_PACKED_TRANSFERS, data, size, &command);
    hf_command_release(&command);
    (void)decode(HF_PACKED_ACCOUNTS, data, size, &command);
    hf_command_release(&command);
    play(data, size);
    return 0;
}
