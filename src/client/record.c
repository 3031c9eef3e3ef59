/*
 * Ids and packed records, made from what C programs have (docs/protocol.md has the layout).
 *
 * Owns: nothing. Must never: allocate; judge what the server judges. Called by: users of the library.
 */
#include "holdfast_client_packed.h"

#include <assert.h>
#include <time.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/errors.h"
#include "base/sha256.h"
#include "client/packed_priv.h"

#define UUID_TEXT_BYTES 36
#define STAMPS_OF_MS                                                                               \
    4096 /* parts of a millisecond that an id tells: the 12 bits behind its version */
#define NS_OF_MS         1000000
#define ASSET_HASH_BYTES 8

static_assert(sizeof(struct holdfast_client_record) == HOLDFAST_PACKED_BYTES, "an array is a body");
static_assert(_Alignof(struct holdfast_client_record) == 1, "records may stand anywhere");

/* ---- ids ---- */

struct holdfast_client_id holdfast_client_id_new(void)
{
    static _Thread_local uint64_t last;
    struct holdfast_client_id id;
    struct timespec now;
    HF_CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
    uint64_t ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / NS_OF_MS;
    uint64_t part = (uint64_t)now.tv_nsec % NS_OF_MS * STAMPS_OF_MS / NS_OF_MS;
    uint64_t stamp = ms * STAMPS_OF_MS + part;
    last = stamp > last ? stamp : last + 1;
    hf_client_random(id.bytes, sizeof(id.bytes));
    for (unsigned i = 0; i < 6; i++) {
        id.bytes[i] = (uint8_t)(last >> (52 - 8 * i));
    }
    id.bytes[6] = (uint8_t)(0x70 | (last >> 8 & 0x0F));
    id.bytes[7] = (uint8_t)last;
    id.bytes[8] = (uint8_t)(0x80 | (id.bytes[8] & 0x3F));
    return id;
}

/* -1: none. */
static int digit_of(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool is_dash_before(unsigned byte)
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

static bool parse_uuid(const char *text, struct holdfast_client_id *id)
{
    if (strlen(text) != UUID_TEXT_BYTES) {
        return false;
    }
    for (unsigned i = 0; i < sizeof(id->bytes); i++) {
        if (is_dash_before(i) && *text++ != '-') {
            return false;
        }
        int high = digit_of(text[0]);
        int low = digit_of(text[1]);
        if (high < 0 || low < 0) {
            return false;
        }
        id->bytes[i] = (uint8_t)(high * 16 + low);
        text += 2;
    }
    return true;
}

struct holdfast_client_id holdfast_client_id_of(const char *name)
{
    struct holdfast_client_id id;
    if (!parse_uuid(name, &id)) {
        struct hf_hash hash = hf_sha256(name, strlen(name));
        memcpy(id.bytes, hash.bytes, sizeof(id.bytes));
    }
    return id;
}

void holdfast_client_id_text(const struct holdfast_client_id *id, char text[UUID_TEXT_BYTES + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (unsigned i = 0; i < sizeof(id->bytes); i++) {
        if (is_dash_before(i)) {
            *text++ = '-';
        }
        *text++ = digits[id->bytes[i] >> 4];
        *text++ = digits[id->bytes[i] & 15];
    }
    *text = '\0';
}

/* ---- records ---- */

static bool is_zero(const uint8_t *bytes, size_t count)
{
    uint8_t any = 0;
    for (size_t i = 0; i < count; i++) {
        any |= bytes[i];
    }
    return any == 0;
}

static void put_id(uint8_t *to, const struct holdfast_client_id *id)
{
    memcpy(to, id->bytes, sizeof(id->bytes));
}

bool holdfast_client_pack_transfer(const struct holdfast_client_packed_transfer *transfer,
                                   struct holdfast_client_record *record)
{
    uint8_t *to = record->bytes;
    memset(to, 0, sizeof(record->bytes));
    if (is_zero(transfer->id.bytes, sizeof(transfer->id.bytes))) {
        return false;
    }
    put_id(to + HOLDFAST_TRANSFER_ID, &transfer->id);
    put_id(to + HOLDFAST_TRANSFER_FROM, &transfer->from);
    put_id(to + HOLDFAST_TRANSFER_TO, &transfer->to);
    put_id(to + HOLDFAST_TRANSFER_PENDING, &transfer->pending);
    put_id(to + HOLDFAST_TRANSFER_USER_DATA, &transfer->user_data);
    hf_put_u64(to + HOLDFAST_TRANSFER_AMOUNT, transfer->amount);
    hf_put_u64(to + HOLDFAST_TRANSFER_AMOUNT + 8, transfer->amount_high);
    hf_put_u64(to + HOLDFAST_TRANSFER_EFFECTIVE_US, transfer->effective_us);
    hf_put_u64(to + HOLDFAST_TRANSFER_TIMEOUT_MS, transfer->timeout_ms);
    hf_put_u32(to + HOLDFAST_TRANSFER_CODE, transfer->code);
    hf_put_u32(to + HOLDFAST_TRANSFER_FLAGS, transfer->flags);
    if (transfer->asset != NULL) {
        struct hf_hash hash = hf_sha256(transfer->asset, strlen(transfer->asset));
        memcpy(to + HOLDFAST_TRANSFER_ASSET, hash.bytes, ASSET_HASH_BYTES);
    }
    return true;
}

bool holdfast_client_pack_account(const struct holdfast_client_packed_account *account,
                                  struct holdfast_client_record *record)
{
    uint8_t *to = record->bytes;
    size_t asset_bytes = account->asset == NULL ? 0 : strlen(account->asset);
    memset(to, 0, sizeof(record->bytes));
    if (is_zero(account->id.bytes, sizeof(account->id.bytes)) || asset_bytes == 0 ||
        asset_bytes > HOLDFAST_ACCOUNT_ASSET_BYTES) {
        return false;
    }
    put_id(to + HOLDFAST_ACCOUNT_ID, &account->id);
    hf_put_u64(to + HOLDFAST_ACCOUNT_FLOOR, account->floor);
    hf_put_u64(to + HOLDFAST_ACCOUNT_FLOOR + 8, (uint64_t)account->floor_high);
    hf_put_u64(to + HOLDFAST_ACCOUNT_CEILING, account->ceiling);
    hf_put_u64(to + HOLDFAST_ACCOUNT_CEILING + 8, (uint64_t)account->ceiling_high);
    memcpy(to + HOLDFAST_ACCOUNT_ASSET, account->asset, asset_bytes);
    hf_put_u32(to + HOLDFAST_ACCOUNT_FLAGS, account->flags);
    return true;
}

const char *hf_client_records_wrong(enum holdfast_client_packed_kind kind,
                                    const struct holdfast_client_record *records, size_t count,
                                    size_t count_max)
{
    if (records == NULL || count == 0) {
        return "records: none";
    }
    if (count > count_max) {
        return "records: more than go in one request";
    }
    for (size_t i = 0; i < count; i++) {
        static_assert(HOLDFAST_TRANSFER_ID == HOLDFAST_ACCOUNT_ID, "ids stand at one place");
        if (is_zero(records[i].bytes + HOLDFAST_TRANSFER_ID, sizeof(struct holdfast_client_id))) {
            return "records: an id that is zero";
        }
    }
    bool open_chain = kind == HOLDFAST_CLIENT_TRANSFERS &&
                      (hf_get_u32(records[count - 1].bytes + HOLDFAST_TRANSFER_FLAGS) &
                       HOLDFAST_FLAG_LINKED) != 0;
    return open_chain ? "records: the last one is LINKED, the chain has no end" : NULL;
}

const char *holdfast_client_code_text(uint16_t code)
{
    return code == 0 ? "ok" : hf_err_wire((enum hf_err)code);
}
