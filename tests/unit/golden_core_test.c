/*
 * The stored form of commits and of the state is frozen: a fixed script gives these bytes for ever.
 *
 * tests/golden/core.txt holds a line a commit (record and payload in hex, the chain's hash behind it) and the
 * SHA-256 of the canonical state at the end; core_queue.txt the same of messages (feature level 2), core_units.txt of commits
 * of units (feature level 4), core_strips.txt of transfers alone, which are stored as columns, core_strips_holds.txt of such
 * columns with holds (feature level 6). The test decides the
 * script anew and compares; and it replays the golden lines alone, as a later version must. GOLDEN_WRITE=1 writes the file
 * (only before a release). core.txt is of versions whose changes of accounts did not tell the asset: it is only replayed, to
 * the same state; core_asset.txt is what the script gives now.
 */
#include <stdio.h>
#include <stdlib.h>

#include "api/commit_json.h"
#include "api/packed.h"
#include "base/bytes.h"
#include "core/decide.h"
#include "log/log.h"
#include "unit/packed_records.h"
#include "unit/support.h"

/* A step names what it needs; all else is none. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#define LINE_BYTES 65536

/* Every operation once at least, conditions, a refusal of each kind that stores something. */
struct step {
    const char *key;
    const char *json;                  /* NULL: the timer, or records */
    const struct record_spec *records; /* packed, until an id of 0; or NULL */
};

static const struct step script[] = {
    {NULL, "{\"do\":[{\"op\":\"open_account\",\"account\":\"world\",\"asset\":\"USD/"
           "2\",\"floor\":null}]}"},
    {"k1", "{\"do\":[{\"op\":\"open_account\",\"account\":\"users:1\",\"asset\":\"USD/"
           "2\",\"ceiling\":\"5000\","
           "\"metadata\":{\"name\" : \"\\u00e9\"}},{\"op\":\"open_account\",\"account\":"
           "\"6ba7b810-9dad-11d1-80b4-00c04fd430c8\",\"asset\":\"USD/"
           "2\"}],\"metadata\":{\"by\":\"test\"}}"},
    {NULL, "{\"do\":[{\"op\":\"transfer\",\"id\":\"t1\",\"from\":\"world\",\"to\":\"users:1\","
           "\"asset\":\"USD/2\","
           "\"amount\":\"1000\",\"effective_at\":\"2020-08-30T17:44:25.000000Z\",\"metadata\":{"
           "\"n\":1}}]}"},
    {NULL,
     "{\"if\":[{\"account\":\"users:1\",\"available\":{\"gte\":\"1000\"}}],\"do\":[{\"op\":"
     "\"transfer\","
     "\"from\":\"users:1\",\"to\":\"6ba7b810-9dad-11d1-80b4-00c04fd430c8\",\"asset\":\"USD/2\","
     "\"amount\":\"5000\",\"up_to\":true}]}"},
    {"k2", "{\"do\":[{\"op\":\"transfer\",\"id\":\"t2\",\"from\":\"users:1\",\"to\":\"world\","
           "\"asset\":\"USD/2\","
           "\"amount\":\"1\"}]}"},
    {NULL, "{\"do\":[{\"op\":\"reverse\",\"transfer\":\"t1\",\"id\":\"r1\",\"amount\":\"1\"}]}"},
    {NULL, "{\"do\":[{\"op\":\"hold\",\"id\":\"h1\",\"from\":\"world\",\"to\":\"users:1\","
           "\"asset\":\"USD/2\","
           "\"amount\":\"300\",\"timeout_ms\":60000},{\"op\":\"hold\",\"id\":\"h2\",\"from\":"
           "\"world\",\"to\":"
           "\"users:1\",\"asset\":\"USD/2\",\"amount\":\"7\"}]}"},
    {NULL, "{\"do\":[{\"op\":\"capture\",\"hold\":\"h1\",\"amount\":\"100\"},{\"op\":\"extend\","
           "\"hold\":\"h1\","
           "\"timeout_ms\":120000},{\"op\":\"void\",\"hold\":\"h2\"}]}"},
    {NULL, "{\"do\":[{\"op\":\"append\",\"stream\":\"o:1\",\"type\":\"created\",\"id\":\"e1\","
           "\"data\":{ \"a\" : 1 },"
           "\"expected_version\":0},{\"op\":\"append\",\"stream\":\"o:1\",\"type\":\"paid\","
           "\"data\":null}]}"},
    {NULL, "{\"do\":[{\"op\":\"put\",\"document\":\"d1\",\"data\":{\"a\":1,\"b\":{\"c\":[1, 2]}}},"
           "{\"op\":\"patch\",\"document\":\"d1\",\"data\":{\"b\":{\"d\":true},\"a\":null}}]}"},
    {"k3", "{\"do\":[{\"op\":\"put\",\"document\":\"d1\",\"data\":1,\"expected_version\":1}]}"},
    {NULL, "{\"do\":[{\"op\":\"delete\",\"document\":\"d1\"},{\"op\":\"acquire\",\"lease\":\"l1\","
           "\"owner\":\"me\","
           "\"ttl_ms\":60000}]}"},
    {NULL, "{\"do\":[{\"op\":\"renew\",\"lease\":\"l1\",\"token\":13,\"ttl_ms\":60000}]}"},
    {"k4", "{\"do\":[{\"op\":\"acquire\",\"lease\":\"l1\",\"owner\":\"you\",\"ttl_ms\":60000}]}"},
    {NULL, "{\"do\":[{\"op\":\"release\",\"lease\":\"l1\",\"token\":13}]}"},
    {NULL,
     "{\"do\":[{\"op\":\"set_limits\",\"account\":\"users:1\",\"floor\":\"-5\",\"ceiling\":null},"
     "{\"op\":\"set_metadata\",\"account\":\"users:1\",\"metadata\":{}},"
     "{\"op\":\"freeze\",\"account\":\"users:1\"}]}"},
    {"k5", "{\"do\":[{\"op\":\"hold\",\"id\":\"h3\",\"from\":\"users:1\",\"to\":\"world\","
           "\"asset\":\"USD/2\","
           "\"amount\":\"1\"}]}"},
    {NULL, "{\"do\":[{\"op\":\"unfreeze\",\"account\":\"users:1\"},{\"op\":\"open_account\","
           "\"account\":\"gone\","
           "\"asset\":\"BTC/8\"},{\"op\":\"close_account\",\"account\":\"gone\"}]}"},
    {"k6", "{\"do\":[{\"op\":\"capture\",\"hold\":\"h1\"}]}"}, /* past its time: expires first */
};

/* Messages at once and delayed, with and without id, beside other operations; one is due, one still waits. */
static const struct step queue_script[] = {
    {NULL,
     "{\"do\":[{\"op\":\"publish\",\"topic\":\"refunds\",\"key\":\"order-7\",\"type\":\"paid\","
     "\"data\":{ \"n\" : 1 }}]}"},
    {NULL,
     "{\"do\":[{\"op\":\"append\",\"stream\":\"o:1\",\"type\":\"created\",\"data\":1},"
     "{\"op\":\"publish\",\"topic\":\"mail\",\"id\":\"m1\",\"key\":\"a@b.c\",\"type\":\"sent\","
     "\"data\":null,\"deliver_at\":\"2020-09-13T12:27:00Z\"},"
     "{\"op\":\"publish\",\"topic\":\"mail\",\"id\":\"6ba7b810-9dad-11d1-80b4-00c04fd430c8\","
     "\"key\":\"k\",\"type\":\"sent\",\"data\":2,\"deliver_at\":\"2030-01-01T00:00:00Z\"}]}"},
    {"k1", "{\"do\":[{\"op\":\"publish\",\"topic\":\"mail\",\"id\":\"m1\",\"key\":\"k\",\"type\":"
           "\"sent\","
           "\"data\":3}]}"}, /* taken */
    {"k2", "{\"do\":[{\"op\":\"ack\",\"subscription\":\"s\",\"receipt\":"
           "\"AQEBAQEAAQEBAQEBAQEBAQEBAQEBAWu8DYI\"}]}"}, /* no such subscription */
    {NULL, NULL},
};

#define USD      .asset = "USD/2"
#define TRANSFER .kind = RECORD_TRANSFER, USD
#define HOLD     .kind = RECORD_HOLD, USD
#define CAPTURE  .kind = RECORD_CAPTURE
#define VOID     .kind = RECORD_VOID

static const struct record_spec unit_accounts[] = {
    {.id = 1, .kind = RECORD_ACCOUNT, .no_floor = true},
    {.id = 2, .kind = RECORD_ACCOUNT, .floor = -5, .ceiling = 5000, .has_ceiling = true},
    {.id = 2, .kind = RECORD_ACCOUNT}, /* taken: told, not recorded */
    {0},
};

/* User data, code and both; a refused one; a chain that is refused for its second record. */
static const struct record_spec unit_holds[] = {
    {HOLD, .id = 1, .from = 1, .to = 2, .amount = 300, .timeout_ms = 60000, .code = 7,
     .user_data = 0xa5},
    {HOLD, .id = 2, .from = 1, .to = 2, .amount = 9, .user_data = 1},
    {HOLD, .id = 3, .from = 1, .to = 2, .amount = 8, .code = 4294967295u},
    {HOLD, .id = 4, .from = 2, .to = 1, .amount = 400, .code = 1},
    {TRANSFER, .id = 5, .from = 1, .to = 2, .amount = 6, .linked = true, .effective_us = 1000000},
    {HOLD, .id = 6, .from = 2, .to = 1, .amount = 401},
    {0},
};

/* Ends of holds, with all that they may say; a transfer and a void of a chain. */
static const struct record_spec unit_ends[] = {
    {CAPTURE, .id = 10, .hold = 1, .amount = 100, .code = 3, .user_data = 2},
    {CAPTURE, .id = 11, .hold = 1, .amount = 50, .final = true},
    {VOID, .id = 12, .hold = 2, .code = 4, .user_data = 3},
    {TRANSFER, .id = 13, .from = 1, .to = 2, .amount = 1, .linked = true, .effective_us = 1000000,
     .code = 5, .user_data = 6},
    {VOID, .id = 14, .hold = 3},
    {VOID, .id = 15, .hold = 3},
    {CAPTURE, .id = 16, .hold = 77, .amount = ALL_LEFT},
    {0},
};

/* The first of it is known, the last one refused again: neither is recorded. */
static const struct record_spec unit_repeated[] = {
    {VOID, .id = 14, .hold = 3},
    {HOLD, .id = 20, .from = 1, .to = 2, .amount = 1},
    {VOID, .id = 15, .hold = 3},
    {0},
};

static const struct step units_script[] = {
    {.records = unit_accounts},
    {.records = unit_holds},
    {.records = unit_ends},
    {.records = unit_repeated},
    {NULL, "{\"do\":[{\"op\":\"capture\",\"hold\":\"0b000000-0000-0000-0000-000000000014\"}]}"},
};

static const struct record_spec strip_accounts[] = {
    {.id = 1, .kind = RECORD_ACCOUNT, .no_floor = true},
    {.id = 2, .kind = RECORD_ACCOUNT},
    {.id = 3, .kind = RECORD_ACCOUNT},
    {.id = 4, .kind = RECORD_ACCOUNT, .asset = "BTC/8", .no_floor = true},
    {.id = 5, .kind = RECORD_ACCOUNT, .asset = "BTC/8"},
    {0},
};

/* Nothing but what each has. */
static const struct record_spec strip_lean[] = {
    {TRANSFER, .id = 1, .from = 1, .to = 2, .amount = 1000},
    {TRANSFER, .id = 2, .from = 2, .to = 3, .amount = 1},
    {TRANSFER, .id = 3, .from = 1, .to = 2, .amount = 70000},
    {0},
};

/* Every column, two assets, and refused ones between them, which stand in front. */
static const struct record_spec strip_full[] = {
    {TRANSFER, .id = 10, .from = 3, .to = 2, .amount = 2},
    {.kind = RECORD_TRANSFER,
     .id = 11,
     .from = 4,
     .to = 5,
     .asset = "BTC/8",
     .amount = UINT64_MAX,
     .code = 7},
    {TRANSFER, .id = 12, .from = 2, .to = 1, .amount = 500, .effective_us = 1000000},
    {TRANSFER, .id = 13, .from = 2, .to = 77, .amount = 1},
    {TRANSFER, .id = 14, .from = 2, .to = 3, .amount = 3, .user_data = 9, .code = UINT32_MAX},
    {0},
};

static const struct step strips_script[] = {
    {.records = strip_accounts},
    {.records = strip_lean},
    {.records = strip_full},
};

/* Two holds of the first commit are left to the next ones; the third is settled by its own. A refused one in front. */
static const struct record_spec strip_holds[] = {
    {HOLD, .id = 1, .from = 1, .to = 2, .amount = 300, .timeout_ms = 60000, .code = 7},
    {HOLD, .id = 2, .from = 1, .to = 3, .amount = 70000},
    {.kind = RECORD_HOLD,
     .id = 3,
     .from = 4,
     .to = 5,
     .asset = "BTC/8",
     .amount = 9,
     .user_data = 1},
    {HOLD, .id = 4, .from = 2, .to = 1, .amount = 1},
    {CAPTURE, .id = 5, .hold = 3, .amount = 4},
    {VOID, .id = 6, .hold = 3},
    {TRANSFER, .id = 7, .from = 1, .to = 2, .amount = 6, .effective_us = 1000000},
    {0},
};

/* A part of what is held, all of another hold; an ended one is refused. */
static const struct record_spec strip_captures[] = {
    {CAPTURE, .id = 10, .hold = 1, .amount = 100},
    {CAPTURE, .id = 11, .hold = 2, .amount = ALL_LEFT},
    {CAPTURE, .id = 12, .hold = 2, .amount = 1},
    {0},
};

/* The rest of what is held is given back: a hold that has changed before, and expires. */
static const struct record_spec strip_last_captures[] = {
    {CAPTURE, .id = 20, .hold = 1, .amount = 50, .final = true, .code = 3, .user_data = 2},
    {0},
};

static const struct step strips_holds_script[] = {
    {.records = strip_accounts},
    {.records = strip_holds},
    {.records = strip_captures},
    {.records = strip_last_captures},
};

struct golden {
    const char *file; /* environment variable with its path */
    const struct step *steps;
    size_t step_count;
};

static struct golden goldens[] = {
    {"GOLDEN_CORE", script, HF_ARRAY_COUNT(script)},
    {"GOLDEN_QUEUE", queue_script, HF_ARRAY_COUNT(queue_script)},
    {"GOLDEN_CORE_ASSET", script, HF_ARRAY_COUNT(script)},
    {"GOLDEN_UNITS", units_script, HF_ARRAY_COUNT(units_script)},
    {"GOLDEN_STRIPS", strips_script, HF_ARRAY_COUNT(strips_script)},
    {"GOLDEN_STRIPS_HOLDS", strips_holds_script, HF_ARRAY_COUNT(strips_holds_script)},
};

struct core {
    struct hf_state state;
    struct hf_draft draft;
    struct hf_hash hash;
};

static FILE *open_golden(const struct golden *golden, const char *mode)
{
    const char *path = getenv(golden->file);
    assert_non_null(path);
    FILE *file = fopen(path, mode);
    assert_non_null(file);
    return file;
}

/* Returns the end, where a NUL stands. */
static char *hex(char *to, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        *to++ = digits[bytes[i] >> 4];
        *to++ = digits[bytes[i] & 15];
    }
    *to = '\0';
    return to;
}

static void end_line(char *at)
{
    at[0] = '\n';
    at[1] = '\0';
}

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1);
}

static size_t unhex(const char *text, uint8_t *to)
{
    size_t size = 0;
    while (digit_of(text[0]) >= 0 && digit_of(text[1]) >= 0) {
        to[size++] = (uint8_t)(digit_of(text[0]) * 16 + digit_of(text[1]));
        text += 2;
    }
    return size;
}

/* "<record> <payload> <hash>" of the draft's commit, which is applied. */
static void apply_draft(struct core *core, char *line)
{
    struct hf_buffer frame;
    struct hf_error error = {0};
    hf_buffer_init(&frame);
    assert_true(hf_commit_encode(&core->draft.commit, &frame));
    assert_true(hf_state_reserve(&core->state, &core->draft.commit));
    if (hf_state_apply(&core->state, &core->draft.commit, &error) != HF_ERR_OK) {
        fail_msg("%s", error.text);
    }
    struct hf_shared_bytes *kept = hf_shared_bytes_new(frame.size_bytes);
    memcpy(kept->data, frame.data, frame.size_bytes);
    hf_recent_add_frame(&core->state.recent, core->state.position, kept);
    hf_shared_bytes_unref(kept);
    size_t record = hf_get_u32(frame.data);
    core->hash = hf_log_chain(&core->hash, frame.data + 8, record);
    assert_true(frame.size_bytes * 2 + 80 < LINE_BYTES);
    line = hex(line, frame.data + 8, record);
    *line++ = ' ';
    *line++ = '-';
    line = hex(line, frame.data + 8 + record, frame.size_bytes - 8 - record);
    *line++ = ' ';
    end_line(hex(line, core->hash.bytes, 32));
    hf_buffer_release(&frame);
}

static void decide_due(struct core *core, uint64_t now_us)
{
    struct hf_due due[8];
    size_t count = hf_state_take_due(&core->state, now_us, due, HF_ARRAY_COUNT(due));
    assert_int_equal(hf_decide_expiries(&core->state, NULL, due, count, now_us, &core->draft),
                     HF_DECISION_COMMIT);
}

static bool decode(const struct step *step, struct hf_command *command,
                   struct hf_malformed *malformed)
{
    uint8_t body[16 * RECORD_BYTES];
    size_t count = 0;
    if (step->json != NULL) {
        return hf_commit_json_decode(hf_str_from(step->json), command, malformed);
    }
    for (; step->records[count].id != 0; count++) {
        assert_true(count < 16);
        record_write(&step->records[count], body + count * RECORD_BYTES);
    }
    return hf_packed_decode(
        step->records[0].kind == RECORD_ACCOUNT ? HF_PACKED_ACCOUNTS : HF_PACKED_TRANSFERS,
        (struct hf_str){(const char *)body, count * RECORD_BYTES}, command, malformed);
}

static void decide_line(struct core *core, const struct step *step, size_t i, char *line)
{
    uint64_t now_us = 1600000000000000u + i * 10000000u; /* ten seconds a line */
    if (step->json == NULL && step->records == NULL) {
        decide_due(core, now_us);
        apply_draft(core, line);
        return;
    }
    struct hf_command command;
    struct hf_malformed malformed;
    hf_command_init(&command, step->json == NULL ? HF_COMMAND_EACH : HF_COMMAND_COMMIT);
    if (!decode(step, &command, &malformed) ||
        (step->key != NULL && !hf_command_set_key(&command, hf_str_from(step->key), &malformed)) ||
        !hf_command_finish(&command, &malformed)) {
        fail_msg("line %zu: %s %s", i, malformed.pointer, malformed.text);
    }
    assert_int_equal(hf_decide(&core->state, NULL, &command, now_us, UINT64_MAX / 2, &core->draft),
                     HF_DECISION_COMMIT);
    apply_draft(core, line);
    hf_command_release(&command);
}

static void compare_line(FILE *golden, const char *line)
{
    if (getenv("GOLDEN_WRITE") != NULL) {
        assert_true(fputs(line, golden) >= 0);
        return;
    }
    static char expected[LINE_BYTES];
    assert_non_null(fgets(expected, sizeof(expected), golden));
    assert_string_equal(line, expected);
}

static void the_script_gives_these_bytes(void **state)
{
    const struct golden *which = *state;
    struct core core = {0};
    static char line[LINE_BYTES];
    FILE *golden = open_golden(which, getenv("GOLDEN_WRITE") != NULL ? "w" : "r");
    hf_state_init(&core.state, 7);
    hf_draft_init(&core.draft);
    struct hf_system takeover = {.epoch = 1, .owner = HF_STR("golden")};
    assert_int_equal(
        hf_decide_system(&core.state, HF_EVENT_TAKEOVER, &takeover, 1500000000000000u, &core.draft),
        HF_DECISION_COMMIT);
    apply_draft(&core, line);
    compare_line(golden, line);
    for (size_t i = 0; i < which->step_count; i++) {
        decide_line(&core, &which->steps[i], i, line);
        compare_line(golden, line);
    }
    struct hf_hash hash;
    assert_true(hf_state_hash(&core.state, &hash));
    end_line(hex(line, hash.bytes, 32));
    compare_line(golden, line);
    (void)fclose(golden);
    hf_state_release(&core.state);
    hf_draft_release(&core.draft);
}

typedef enum hf_err (*decode_fn)(const void *record, size_t record_bytes, const void *payload,
                                 size_t payload_bytes, struct hf_arena *arena,
                                 struct hf_commit *commit, struct hf_error *error);

/* What an older version has stored: decoded, encoded to the same bytes, applied, the same state. */
static void replay(const struct golden *which, decode_fn decode_frame)
{
    struct core core = {0};
    static char line[LINE_BYTES];
    static uint8_t bytes[LINE_BYTES];
    struct hf_arena arena;
    hf_arena_init(&arena);
    hf_state_init(&core.state, 8);
    FILE *golden = open_golden(which, "r");
    unsigned commits = 0;
    while (fgets(line, sizeof(line), golden) != NULL && strchr(line, ' ') != NULL) {
        struct hf_commit commit;
        struct hf_error error = {0};
        size_t record = unhex(line, bytes);
        size_t payload = unhex(strchr(line, '-') + 1, bytes + record);
        hf_arena_clear(&arena);
        if (decode_frame(bytes, record, bytes + record, payload, &arena, &commit, &error) !=
                HF_ERR_OK ||
            hf_commit_verify_texts(&commit, &error) != HF_ERR_OK ||
            !hf_state_reserve(&core.state, &commit) ||
            hf_state_apply(&core.state, &commit, &error) != HF_ERR_OK) {
            fail_msg("commit %u: %s", commits + 1, error.text);
        }
        struct hf_buffer again;
        hf_buffer_init(&again);
        assert_true(hf_commit_encode(&commit, &again));
        assert_int_equal(again.size_bytes, 8 + record + payload);
        assert_memory_equal(again.data + 8, bytes, record + payload);
        hf_buffer_release(&again);
        commits++;
    }
    (void)fclose(golden);
    assert_int_equal(commits, which->step_count + 1);
    struct hf_hash hash, expected;
    assert_true(hf_state_hash(&core.state, &hash));
    assert_int_equal(unhex(line, expected.bytes), 32);
    assert_memory_equal(hash.bytes, expected.bytes, 32);
    hf_state_release(&core.state);
    hf_arena_release(&arena);
}

/* Event by event, and strips as they stand. */
static void these_bytes_give_the_state(void **state)
{
    replay(*state, hf_commit_decode);
    replay(*state, hf_commit_decode_compact);
}

/* The state saved and loaded again is the same, byte for byte; and so when it comes in small pieces. */
struct pieces {
    struct hf_state_loader *loader;
    size_t size_bytes;
};

static bool feed_pieces(void *context, const void *data, size_t size_bytes)
{
    struct pieces *pieces = context;
    const uint8_t *at = data;
    while (size_bytes > 0) {
        size_t taken = size_bytes < pieces->size_bytes ? size_bytes : pieces->size_bytes;
        struct hf_error error = {0};
        if (hf_state_loader_feed(pieces->loader, at, taken, &error) != HF_ERR_OK) {
            fail_msg("%s", error.text);
        }
        at += taken;
        size_bytes -= taken;
    }
    return true;
}

static void the_state_comes_back(void **state)
{
    const struct golden *which = *state;
    for (size_t piece = 1; piece < 200; piece += 66) {
        struct core core = {0};
        static char line[LINE_BYTES];
        hf_state_init(&core.state, 7);
        hf_draft_init(&core.draft);
        for (size_t i = 0; i < which->step_count; i++) {
            if (which->steps[i].json == NULL || strstr(which->steps[i].json, "lease") == NULL) {
                decide_line(&core, &which->steps[i], i, line); /* tokens are positions */
            }
        }
        struct hf_state again;
        struct hf_state_loader loader;
        struct pieces pieces = {.loader = &loader, .size_bytes = piece};
        hf_state_init(&again, 9);
        hf_state_loader_init(&loader, &again);
        assert_true(hf_state_save(&core.state, feed_pieces, &pieces));
        assert_int_equal(hf_state_loader_finish(&loader, NULL), HF_ERR_OK);
        hf_state_verify(&again);
        struct hf_hash hash, expected;
        assert_true(hf_state_hash(&core.state, &expected) && hf_state_hash(&again, &hash));
        assert_memory_equal(hash.bytes, expected.bytes, 32);
        assert_int_equal(again.queue.delayed.count, core.state.queue.delayed.count);
        /* What waits is due when it was. */
        struct hf_due due[8];
        uint64_t end_us = UINT64_MAX - 1;
        size_t count = hf_state_take_due(&again, end_us, due, HF_ARRAY_COUNT(due));
        struct hf_due before[8];
        assert_int_equal(count, hf_state_take_due(&core.state, end_us, before, 8));
        for (size_t i = 0; i < count; i++) {
            assert_true(due[i].due_us == before[i].due_us && due[i].kind == before[i].kind);
            assert_true(hf_id_equal(&due[i].id, &before[i].id));
        }
        hf_state_release(&again);
        hf_state_release(&core.state);
        hf_draft_release(&core.draft);
    }
}

#define OF(test, number)                                                                           \
    {                                                                                              \
#test " " #number, test, NULL, NULL, &goldens[number]                                      \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        OF(these_bytes_give_the_state, 0),   OF(the_script_gives_these_bytes, 1),
        OF(these_bytes_give_the_state, 1),   OF(the_script_gives_these_bytes, 2),
        OF(these_bytes_give_the_state, 2),   OF(the_state_comes_back, 0),
        OF(the_state_comes_back, 1),         OF(the_script_gives_these_bytes, 3),
        OF(these_bytes_give_the_state, 3),   OF(the_state_comes_back, 3),
        OF(the_script_gives_these_bytes, 4), OF(these_bytes_give_the_state, 4),
        OF(the_state_comes_back, 4),         OF(the_script_gives_these_bytes, 5),
        OF(these_bytes_give_the_state, 5),   OF(the_state_comes_back, 5),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
