/*
 * The rules of docs/protocol.md on the core alone, request by request: once with everything in RAM, once with everything
 * cold after each commit. After every request the state is whole and equal to what its log says.
 */
#include <stdio.h>
#include <stdlib.h>

#include "api/packed.h"
#include "unit/core_rig.h"
#include "unit/packed_records.h"
#include "unit/support.h"

#define BEGIN_US    UINT64_C(1700000000000000) /* 2023-11-14T22:13:20Z */
#define RECORDS_MAX 12
#define MANY        HOLDFAST_PACKED_RECORDS_MAX

/* A row names what it needs; all else is none. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

/* Records and what must come of them ("2+1 3:insufficient_funds 4:account_frozen/R": accepted, replayed, and the refused
 * ones, R replayed, C chain), or a question as core_rig_ask takes it, with ' for ". */
struct row {            /* NOLINT(clang-analyzer-optin.performance.Padding) */
    const char *ask;    /* or NULL */
    const char *key;    /* of ask, or NULL */
    int status;         /* of the answer to ask */
    const char *part;   /* in it, or NULL */
    const char *absent; /* not in it, or NULL */
    const char *wanted; /* of records */
    uint64_t at_us;     /* since the begin; 0: a microsecond after the row before */
    bool replayed;      /* of ask */
    struct record_spec records[RECORDS_MAX]; /* until an id of 0 */
};

struct running {
    struct core_rig rig;
    struct core_rig_answer answer;
    uint64_t now_us;
    char came[4096];
};

/* ---- asking ---- */

/* What came of the last request, out of the bytes of its answer. */
static void describe(struct running *r, uint32_t count)
{
    const struct hf_draft *draft = &r->rig.draft;
    struct hf_buffer bytes;
    hf_buffer_init(&bytes);
    hf_packed_results(&bytes, draft->commit.position, draft->commit.time_us, draft->outcomes,
                      count);
    uint32_t accepted = hf_get_u32(bytes.data + 16);
    uint32_t replayed = hf_get_u32(bytes.data + 20);
    uint32_t refused = hf_get_u32(bytes.data + 24);
    assert_int_equal(accepted + replayed + refused, count);
    assert_int_equal(bytes.size_bytes, 32 + (size_t)refused * 8);
    assert_true(accepted == 0 || draft->commit.position == r->rig.state.position);
    int at = snprintf(r->came, sizeof(r->came), "%u+%u", accepted, replayed);
    for (uint32_t i = 0; i < refused && at < (int)sizeof(r->came) - 80; i++) {
        const uint8_t *entry = bytes.data + 32 + (size_t)i * 8;
        uint16_t flags = hf_get_u16(entry + 6);
        at += snprintf(r->came + at, sizeof(r->came) - (size_t)at, " %u:%s%s%s", hf_get_u32(entry),
                       hf_err_wire((enum hf_err)hf_get_u16(entry + 4)),
                       (flags & 1) != 0 ? "/R" : "", (flags & 2) != 0 ? "/C" : "");
    }
    hf_buffer_release(&bytes);
}

static void send(struct running *r, enum hf_packed_kind kind, const uint8_t *body, uint32_t count)
{
    struct hf_command command;
    struct hf_malformed malformed = {0};
    hf_command_init(&command, HF_COMMAND_EACH);
    if (!hf_packed_decode(kind, (struct hf_str){(const char *)body, (size_t)count * RECORD_BYTES},
                          &command, &malformed) ||
        !hf_command_finish(&command, &malformed)) {
        fail_msg("%s %s", malformed.pointer, malformed.text);
    }
    enum hf_decision decision = core_rig_run(&r->rig, &command, r->now_us);
    assert_true(decision == HF_DECISION_COMMIT || decision == HF_DECISION_ANSWER);
    const struct hf_refused *whole = hf_commit_refusal(&r->rig.draft.commit);
    if (whole != NULL) {
        (void)snprintf(r->came, sizeof(r->came), "all: %s", hf_err_wire(whole->code));
    } else {
        describe(r, count);
    }
    hf_command_release(&command);
}

static void send_row(struct running *r, const struct row *row)
{
    uint8_t body[RECORDS_MAX * RECORD_BYTES];
    uint32_t count = 0;
    while (count < RECORDS_MAX && row->records[count].id != 0) {
        record_write(&row->records[count], body + (size_t)count * RECORD_BYTES);
        count++;
    }
    send(r, row->records[0].kind == RECORD_ACCOUNT ? HF_PACKED_ACCOUNTS : HF_PACKED_TRANSFERS, body,
         count);
}

static void unquote(const char *from, char *to, size_t bytes)
{
    size_t i = 0;
    for (; from[i] != '\0'; i++) {
        assert_true(i + 1 < bytes);
        to[i] = from[i] == '\'' ? '"' : from[i];
    }
    to[i] = '\0';
}

static bool is_in(const struct running *r, const char *part)
{
    char wanted[2048];
    unquote(part, wanted, sizeof(wanted));
    return strstr((const char *)r->answer.text.data, wanted) != NULL;
}

static void ask(struct running *r, const struct row *row, size_t number)
{
    char text[2048];
    unquote(row->ask, text, sizeof(text));
    core_rig_ask(&r->rig,
                 &(struct core_rig_ask){.text = text, .key = row->key, .now_us = r->now_us},
                 &r->answer);
    if (r->answer.status != row->status || r->answer.replayed != row->replayed ||
        (row->part != NULL && !is_in(r, row->part)) ||
        (row->absent != NULL && is_in(r, row->absent))) {
        fail_msg("row %zu: %s\nwanted %d %s, came %d%s %s", number, row->ask, row->status,
                 row->part == NULL ? "" : row->part, r->answer.status,
                 r->answer.replayed ? " replayed" : "", (const char *)r->answer.text.data);
    }
}

static void begin(struct running *r, enum core_rig_mode mode)
{
    *r = (struct running){.now_us = BEGIN_US};
    core_rig_init(&r->rig, mode);
    hf_buffer_init(&r->answer.text);
}

static void end(struct running *r)
{
    core_rig_check(&r->rig);
    hf_buffer_release(&r->answer.text);
    core_rig_release(&r->rig);
}

static void run(const struct row *rows, size_t count)
{
    static const enum core_rig_mode modes[] = {CORE_RIG_HOT, CORE_RIG_COLD};
    for (size_t m = 0; m < HF_ARRAY_COUNT(modes); m++) {
        struct running r;
        begin(&r, modes[m]);
        for (size_t i = 0; i < count; i++) {
            r.now_us = rows[i].at_us != 0 ? BEGIN_US + rows[i].at_us : r.now_us + 1;
            if (rows[i].ask != NULL) {
                ask(&r, &rows[i], i);
            } else {
                send_row(&r, &rows[i]);
                if (strcmp(r.came, rows[i].wanted) != 0) {
                    fail_msg("%s: row %zu: wanted %s, came %s", m == 0 ? "hot" : "cold", i,
                             rows[i].wanted, r.came);
                }
            }
            core_rig_check(&r.rig);
        }
        core_rig_reload(&r.rig);
        end(&r);
    }
}

#define RUN(rows) run(rows, HF_ARRAY_COUNT(rows))

/* ---- words of the tables ---- */

enum { WORLD = 1, A, B, EURO, FROZEN, CLOSED, CAPPED, NOBODY };

/* clang-format off */
/* The kind stands last, so that there always is something behind the fields that every record of it has. */
#define ACCOUNT_IS(...)           ACCOUNT_AND(__VA_ARGS__, .kind = RECORD_ACCOUNT)
#define ACCOUNT_AND(n, ...)       {.id = (n), __VA_ARGS__}
#define T(...)                    MOVE_AND("USD/2", __VA_ARGS__, .kind = RECORD_TRANSFER)
#define T_IN(a, ...)              MOVE_AND(a, __VA_ARGS__, .kind = RECORD_TRANSFER)
#define H(...)                    MOVE_AND("USD/2", __VA_ARGS__, .kind = RECORD_HOLD)
#define MOVE_AND(a, n, f, t, x, ...) {.id = (n), .from = (f), .to = (t), .amount = (x), .asset = (a), __VA_ARGS__}
#define C(...)                    C_AND(__VA_ARGS__, .kind = RECORD_CAPTURE)
#define C_AND(n, h, x, ...)       {.id = (n), .hold = (h), .amount = (x), __VA_ARGS__}
#define V(...)                    V_AND(__VA_ARGS__, .kind = RECORD_VOID)
#define V_AND(n, h, ...)          {.id = (n), .hold = (h), __VA_ARGS__}
#define LINK .linked = true

#define ACC(n) "0a000000-0000-0000-0000-00000000000" n
#define ID(n)  "0b000000-0000-0000-0000-0000000000" n
#define SIDES(f, t, x) "'from':'" ACC(f) "','to':'" ACC(t) "','asset':'USD/2','amount':'" x "'"
#define DO(ops) "{'do':[" ops "]}"
#define MOVE(n, f, t, x, more) "{'op':'transfer','id':'" n "'," SIDES(f, t, x) more "}"
#define RESERVE(n, f, t, x, more) "{'op':'hold','id':'" n "'," SIDES(f, t, x) more "}"

/* World without a floor, two people, one of another asset, one frozen, one closed, one with a ceiling. A has 100. */
#define SET_UP \
    {.wanted = "7+0", .records = {ACCOUNT_IS(WORLD, .no_floor = true), ACCOUNT_IS(A), ACCOUNT_IS(B), \
        ACCOUNT_IS(EURO, .asset = "EUR/2"), ACCOUNT_IS(FROZEN), ACCOUNT_IS(CLOSED), \
        ACCOUNT_IS(CAPPED, .has_ceiling = true, .ceiling = 50)}}, \
    {.ask = DO("{'op':'freeze','account':'" ACC("5") "'},{'op':'close_account','account':'" ACC("6") "'}"), .status = 201}, \
    {.wanted = "1+0", .records = {T(1, WORLD, A, 100)}}

#define BIG ((hf_u128)HF_TOTAL_MAX)

/* ---- the rules ---- */

static void precedence(void **state)
{
    (void)state;
    static const struct row rows[] = {
        SET_UP,
        /* id: before all else, known earlier or in this request. */
        {.wanted = "0+0 0:transfer_exists 1:transfer_exists", .records = {T(1, WORLD, NOBODY, 0), V(1, 99)}},
        {.wanted = "1+0 1:transfer_exists 2:transfer_exists", .records = {T(2, WORLD, A, 1), T(2, WORLD, NOBODY, 0), C(2, 99, 0)}},
        {.wanted = "1+0 1:hold_exists", .records = {H(2, WORLD, A, 1), H(2, NOBODY, A, 0)}},
        {.wanted = "0+0 0:hold_exists", .records = {H(2, NOBODY, A, 0)}},
        /* amount 0 */
        {.wanted = "0+0 0:amount_invalid 1:amount_invalid 2:amount_invalid",
         .records = {T(3, NOBODY, CLOSED, 0), H(3, CLOSED, NOBODY, 0), C(4, 99, 0)}},
        /* not found: either side, before the state of the other */
        {.wanted = "0+0 0:account_not_found 1:account_not_found 2:account_not_found 3:hold_not_found 4:hold_not_found",
         .records = {T(5, NOBODY, CLOSED, 1), T(6, CLOSED, NOBODY, 1), H(6, FROZEN, NOBODY, 1), C(7, 99, 1), V(8, 99)}},
        /* state, before the asset */
        {.wanted = "0+0 0:account_closed 1:account_frozen 2:account_closed 3:account_frozen",
         .records = {T(10, CLOSED, EURO, BIG), T(11, EURO, FROZEN, BIG), H(10, EURO, CLOSED, 1), H(11, FROZEN, EURO, 1)}},
        /* asset, before limits: of either side, and of both against the record's */
        {.wanted = "0+0 0:asset_mismatch 1:asset_mismatch 2:asset_mismatch 3:asset_mismatch",
         .records = {T(12, EURO, CAPPED, 51), T(13, B, EURO, BIG), T_IN("EUR/2", 14, B, CAPPED, 51), H(12, EURO, CAPPED, 51)}},
        /* limits, before funds */
        {.wanted = "0+0 0:limit_exceeded 1:limit_exceeded 2:insufficient_funds 3:insufficient_funds",
         .records = {T(15, B, CAPPED, 51), H(15, B, CAPPED, 51), T(16, B, CAPPED, 50), H(16, B, CAPPED, 50)}},
        {.wanted = "1+0 1:limit_exceeded", .records = {H(17, A, B, 7), C(18, 17, 8)}},
        {.wanted = "1+0 1:hold_not_open 2:hold_not_open", .records = {V(19, 17), C(20, 17, 8), V(21, 17)}},
    };
    RUN(rows);
}

static void totals(void **state)
{
    (void)state;
    static const struct row rows[] = {
        SET_UP,
        {.wanted = "1+0 1:limit_exceeded 2:limit_exceeded 3:limit_exceeded",
         .records = {T(2, WORLD, B, BIG - 100), T(3, WORLD, B, 1), T(4, WORLD, A, HF_U128_MAX), H(5, WORLD, A, HF_U128_MAX)}},
        {.wanted = "1+0 1:limit_exceeded", .records = {T(6, B, A, BIG - 100), T(7, A, CAPPED, 51)}},
        {.wanted = "0+2 1:limit_exceeded/R 2:limit_exceeded/R 3:limit_exceeded/R",
         .records = {T(2, WORLD, B, BIG - 100), T(3, WORLD, B, 1), T(4, WORLD, A, HF_U128_MAX), H(5, WORLD, A, HF_U128_MAX),
                     T(6, B, A, BIG - 100)}},
        {.ask = "get account " ACC("2"), .status = 200, .part = "'posted':'170141183460469231731687303715884105727'"},
    };
    RUN(rows);
}

static void once(void **state)
{
    (void)state;
    static const struct row rows[] = {
        SET_UP,
        {.wanted = "4+0 1:insufficient_funds", .records = {T(2, A, B, 60, .code = 7, .user_data = 9, .effective_us = 5), T(3, A, B, 60),
            H(4, A, B, 10, .timeout_ms = 1000, .code = 1), C(5, 4, 3, .code = 2), V(6, 4, .user_data = 3)}},
        /* The same again, and in another order; funds that came meanwhile change nothing. */
        {.wanted = "1+0", .records = {T(7, WORLD, A, 1000)}},
        {.wanted = "0+4 1:insufficient_funds/R", .records = {T(2, A, B, 60, .code = 7, .user_data = 9, .effective_us = 5), T(3, A, B, 60),
            H(4, A, B, 10, .timeout_ms = 1000, .code = 1), C(5, 4, 3, .code = 2), V(6, 4, .user_data = 3)}},
        {.wanted = "1+2 1:insufficient_funds/R", .records = {V(6, 4, .user_data = 3), T(3, A, B, 60), T(8, A, B, 1),
            H(4, A, B, 10, .timeout_ms = 1000, .code = 1)}},
        /* Content is every field. */
        {.wanted = "0+0 0:transfer_exists 1:transfer_exists 2:transfer_exists 3:transfer_exists 4:transfer_exists 5:transfer_exists "
                   "6:transfer_exists 7:transfer_exists 8:transfer_exists",
         .records = {T(2, B, A, 60, .code = 7, .user_data = 9, .effective_us = 5), T(2, A, WORLD, 60, .code = 7, .user_data = 9, .effective_us = 5),
            T(2, A, B, 61, .code = 7, .user_data = 9, .effective_us = 5), T(2, A, B, 60, .code = 8, .user_data = 9, .effective_us = 5),
            T(2, A, B, 60, .code = 7, .user_data = 8, .effective_us = 5), T(2, A, B, 60, .code = 7, .user_data = 9),
            T_IN("EUR/2", 2, A, B, 60, .code = 7, .user_data = 9, .effective_us = 5), V(2, 4), C(2, 4, 60)}},
        {.wanted = "0+0 0:transfer_exists 1:transfer_exists 2:transfer_exists 3:transfer_exists 4:transfer_exists 5:transfer_exists",
         .records = {T(3, A, B, 59), T(3, A, B, 60, .code = 1), T(3, A, B, 60, .user_data = 1), T(3, A, B, 60, .effective_us = 1),
            T(3, WORLD, B, 60), V(3, 4)}},
        {.wanted = "0+0 0:hold_exists 1:hold_exists 2:hold_exists 3:hold_exists 4:hold_exists 5:hold_exists",
         .records = {H(4, A, B, 10, .timeout_ms = 1001, .code = 1), H(4, A, B, 10, .code = 1), H(4, A, B, 10, .timeout_ms = 1000),
            H(4, A, B, 11, .timeout_ms = 1000, .code = 1), H(4, A, WORLD, 10, .timeout_ms = 1000, .code = 1),
            H(4, A, B, 10, .timeout_ms = 1000, .code = 1, .user_data = 1)}},
        {.wanted = "0+0 0:transfer_exists 1:transfer_exists 2:transfer_exists 3:transfer_exists 4:transfer_exists 5:transfer_exists",
         .records = {C(5, 4, 4, .code = 2), C(5, 4, 3), C(5, 9, 3, .code = 2), V(6, 4), V(6, 9, .user_data = 3), V(5, 4)}},
        /* A hold's id is none of a transfer, and the other way round. */
        {.wanted = "2+0", .records = {T(4, A, B, 1), H(2, A, B, 1)}},
        {.wanted = "0+2", .records = {H(2, A, B, 1), T(4, A, B, 1)}},
    };
    RUN(rows);
}

static void refusals_spend(void **state)
{
    (void)state;
    static const struct row rows[] = {
        SET_UP,
        {.wanted = "0+0 0:account_not_found 1:hold_not_found 2:hold_not_found 3:account_frozen 4:amount_invalid 5:asset_mismatch",
         .records = {T(20, NOBODY, A, 1), C(21, 70, 1), V(22, 70), H(23, FROZEN, A, 1), T(24, WORLD, A, 0), T(25, A, EURO, 1)}},
        /* What was missing is there now. */
        {.wanted = "1+0", .records = {ACCOUNT_IS(NOBODY, .no_floor = true)}},
        {.wanted = "1+0", .records = {H(70, A, B, 1)}},
        {.ask = DO("{'op':'unfreeze','account':'" ACC("5") "'}"), .status = 201},
        {.wanted = "0+0 0:account_not_found/R 1:hold_not_found/R 2:hold_not_found/R 3:account_frozen/R 4:amount_invalid/R 5:asset_mismatch/R",
         .records = {T(20, NOBODY, A, 1), C(21, 70, 1), V(22, 70), H(23, FROZEN, A, 1), T(24, WORLD, A, 0), T(25, A, EURO, 1)}},
        {.wanted = "0+0 0:transfer_exists 1:hold_exists", .records = {T(21, WORLD, A, 1), H(23, WORLD, A, 1)}},
        {.wanted = "0+0 0:hold_not_found", .records = {C(26, 23, 1)}},
        {.ask = "get transfer " ID("14"), .status = 404},
        {.ask = DO(MOVE(ID("14"), "1", "2", "1", "")), .status = 409, .part = "'code':'transfer_exists'"},
    };
    RUN(rows);
}

static void twice_in_one_request(void **state)
{
    (void)state;
    static const struct row rows[] = {
        SET_UP,
        {.wanted = "1+2 2:transfer_exists", .records = {T(2, A, B, 5), T(2, A, B, 5), T(2, A, B, 6), T(2, A, B, 5)}},
        {.wanted = "0+0 0:insufficient_funds 1:insufficient_funds/R 2:transfer_exists", .records = {T(3, B, A, 50), T(3, B, A, 50), T(3, B, A, 0)}},
        /* Refused, then funds, then the same once more: the first answer stands. */
        {.wanted = "1+0 0:insufficient_funds 2:insufficient_funds/R", .records = {T(4, B, A, 50), T(5, WORLD, B, 50), T(4, B, A, 50)}},
        {.wanted = "0+0 0:amount_invalid 1:amount_invalid/R 2:amount_invalid 3:amount_invalid/R",
         .records = {T(6, B, A, 0), T(6, B, A, 0), H(6, B, A, 0), H(6, B, A, 0)}},
        {.wanted = "3+3 6:hold_not_open", .records = {H(7, A, B, 5), H(7, A, B, 5), C(8, 7, 2), C(8, 7, 2), V(9, 7), V(9, 7), V(10, 7)}},
        {.wanted = "0+3 3:hold_not_open/R", .records = {V(9, 7), C(8, 7, 2), H(7, A, B, 5), V(10, 7)}},
    };
    RUN(rows);
}

static void captures(void **state)
{
    (void)state;
    static const struct row rows[] = {
        SET_UP,
        {.wanted = "3+0 1:limit_exceeded", .records = {H(2, A, B, 60), C(3, 2, 61), C(4, 2, 10), C(5, 2, ALL_LEFT)}},
        {.ask = "get hold " ID("02"), .status = 200, .part = "'state':'captured','asset':'USD/2','amount':'60','captured':'60','remaining':'0'"},
        {.ask = "get transfer " ID("05"), .status = 200, .part = "'type':'capture','hold':'" ID("02") "'"},
        {.ask = "get transfer " ID("05"), .status = 200, .part = "'amount':'50'"},
        {.wanted = "2+0 2:hold_not_open", .records = {H(6, A, B, 20), C(7, 6, 5, .final = true), C(8, 6, 1)}},
        {.ask = "get hold " ID("06"), .status = 200, .part = "'state':'captured','asset':'USD/2','amount':'20','captured':'5','remaining':'0'"},
        {.ask = "get account " ACC("2"), .status = 200, .part = "'posted':'35','available':'35'"},
        {.wanted = "0+3 3:transfer_exists 4:transfer_exists", .records = {C(4, 2, 10), C(5, 2, ALL_LEFT), C(7, 6, 5, .final = true), C(7, 6, 5), C(4, 2, ALL_LEFT)}},
    };
    RUN(rows);
}

/* What a capture or void gives back is there for the records behind it, on both sides, also in the same request. */
static void freed(void **state)
{
    (void)state;
    static const struct row rows[] = {
        SET_UP,
        {.wanted = "3+0 1:insufficient_funds", .records = {H(2, A, B, 100), T(3, A, B, 1), V(4, 2), T(5, A, WORLD, 20)}},
        {.wanted = "1+0", .records = {H(6, A, B, 80)}},
        {.wanted = "2+0 2:insufficient_funds", .records = {C(7, 6, 30, .final = true), T(8, A, B, 50), T(9, A, B, 1)}},
        {.wanted = "3+0 1:limit_exceeded", .records = {H(10, WORLD, CAPPED, 50), T(11, WORLD, CAPPED, 1), V(12, 10), T(13, WORLD, CAPPED, 30)}},
        {.wanted = "1+0", .records = {H(14, WORLD, CAPPED, 20)}},
        {.wanted = "2+0 2:limit_exceeded", .records = {C(15, 14, 5, .final = true), T(16, WORLD, CAPPED, 15), T(17, WORLD, CAPPED, 1)}},
    };
    RUN(rows);
}

static void expiry(void **state)
{
    (void)state;
    static const struct row rows[] = {
        SET_UP,
        {.wanted = "2+0", .at_us = 1000000, .records = {H(2, A, B, 60, .timeout_ms = 1000), H(3, A, B, 40)}},
        {.wanted = "0+0 0:insufficient_funds", .at_us = 1999999, .records = {T(4, A, B, 1)}},
        /* Nobody booked it: the request that names it does so first, and funds are free for all of its records. */
        {.wanted = "1+0 1:hold_not_open", .at_us = 2000000, .records = {T(5, A, B, 60), C(6, 2, 1)}},
        {.ask = "get hold " ID("02"), .status = 200, .part = "'state':'expired'"},
        {.wanted = "0+2 1:hold_not_open/R", .records = {T(5, A, B, 60), C(6, 2, 1), H(2, A, B, 60, .timeout_ms = 1000)}},
        {.ask = "get account " ACC("2"), .status = 200, .part = "'posted':'40','available':'0'"},
    };
    RUN(rows);
}

static void chains(void **state)
{
    (void)state;
    static const struct row rows[] = {
        SET_UP,
        {.wanted = "3+0", .records = {T(2, A, B, 90, LINK), T(3, B, A, 80, LINK), T(4, A, WORLD, 1)}},
        {.wanted = "0+3", .records = {T(2, A, B, 90, LINK), T(3, B, A, 80, LINK), T(4, A, WORLD, 1)}},
        {.wanted = "0+3", .records = {T(4, A, WORLD, 1), T(2, A, B, 90), T(3, B, A, 80)}}, /* linked or not */
        /* The second of three: all are refused, nothing moved, their ids are spent. */
        {.wanted = "1+0 1:insufficient_funds/C 2:insufficient_funds 3:insufficient_funds/C",
         .records = {T(5, A, B, 9), T(6, A, B, 10, LINK), T(7, A, B, 1000, LINK), T(8, WORLD, A, 1)}},
        {.ask = "get account " ACC("2"), .status = 200, .part = "'version':5"},
        {.wanted = "1+0 1:insufficient_funds/R/C 2:insufficient_funds/R 3:insufficient_funds/R/C",
         .records = {T(9, WORLD, A, 5000), T(6, A, B, 10, LINK), T(7, A, B, 1000, LINK), T(8, WORLD, A, 1)}},
        {.wanted = "0+0 0:transfer_exists 1:transfer_exists 2:transfer_exists", .records = {T(6, A, B, 10), T(7, A, B, 1000), T(8, WORLD, A, 1)}},
        /* Another chain of the same ids is other content: its first one that is known is the cause. */
        {.wanted = "0+0 0:transfer_exists 1:transfer_exists/C", .records = {T(7, A, B, 1000, LINK), T(8, WORLD, A, 1)}},
        /* Partly known: refused as a whole, its new ids are spent. */
        {.wanted = "0+0 0:transfer_exists/C 1:transfer_exists", .records = {T(10, WORLD, A, 1, LINK), T(5, A, B, 9)}},
        {.wanted = "0+0 0:transfer_exists", .records = {T(10, WORLD, A, 1)}},
        {.wanted = "0+0 0:transfer_exists/R/C 1:transfer_exists/R", .records = {T(10, WORLD, A, 1, LINK), T(5, A, B, 9)}},
        {.wanted = "0+0 0:transfer_exists/C 1:transfer_exists/C 2:transfer_exists",
         .records = {T(11, WORLD, A, 1, LINK), T(5, A, B, 9, LINK), T(9, WORLD, A, 1)}},
        /* The same id twice in a chain. */
        {.wanted = "0+0 0:transfer_exists/C 1:transfer_exists", .records = {T(12, WORLD, A, 1, LINK), T(12, WORLD, A, 1)}},
        {.wanted = "0+0 0:transfer_exists/R/C 1:transfer_exists/R", .records = {T(12, WORLD, A, 1, LINK), T(12, WORLD, A, 1)}},
        /* A chain twice in one request; and a refused one. */
        {.wanted = "2+2", .records = {T(13, A, B, 1, LINK), T(14, A, B, 1), T(13, A, B, 1, LINK), T(14, A, B, 1)}},
        {.wanted = "0+0 0:account_frozen/C 1:account_frozen 2:account_frozen/R/C 3:account_frozen/R",
         .records = {T(15, A, B, 1, LINK), T(16, A, FROZEN, 1), T(15, A, B, 1, LINK), T(16, A, FROZEN, 1)}},
    };
    RUN(rows);
}

static void chains_of_holds(void **state)
{
    (void)state;
    static const struct row rows[] = {
        SET_UP,
        {.wanted = "3+0", .records = {H(2, A, B, 10, LINK), C(3, 2, 4, LINK), V(4, 2)}},
        {.wanted = "0+3", .records = {H(2, A, B, 10, LINK), C(3, 2, 4, LINK), V(4, 2)}},
        {.wanted = "1+0", .records = {H(5, A, B, 10)}},
        /* What was taken back: the capture of a hold that is older, and of one that is the chain's own. */
        {.wanted = "0+0 0:hold_not_found/C 1:hold_not_found/C 2:hold_not_found/C 3:hold_not_found",
         .records = {C(6, 5, 3, LINK), H(7, A, B, 1, LINK), C(8, 7, 1, LINK), V(9, 77)}},
        {.ask = "get hold " ID("05"), .status = 200, .part = "'version':1,'state':'open'"},
        {.ask = "get hold " ID("07"), .status = 404},
        {.wanted = "1+0 1:hold_exists 2:transfer_exists", .records = {C(10, 5, 10), H(7, A, B, 1), T(8, A, B, 1)}},
        {.ask = "get account " ACC("2"), .status = 200, .part = "'posted':'86','available':'86'"},
        /* Another record in the same request sees what is left after the chain was taken back. */
        {.wanted = "1+0 0:insufficient_funds/C 1:insufficient_funds", .records = {T(11, A, B, 86, LINK), T(12, A, B, 1), T(13, A, B, 86)}},
    };
    RUN(rows);
}

static void json_and_packed(void **state)
{
    (void)state;
    static const struct row rows[] = {
        SET_UP,
        /* Packed, then JSON. */
        {.wanted = "2+0 1:insufficient_funds", .records = {T(2, A, B, 5, .effective_us = 1000000), T(3, A, B, 500), H(4, A, B, 6, .timeout_ms = 9000)}},
        {.ask = DO(MOVE(ID("02"), "2", "3", "5", ",'effective_at':'1970-01-01T00:00:01Z'")), .status = 201, .replayed = true, .part = "'transfer':'" ID("02") "'"},
        {.ask = DO(MOVE(ID("03"), "2", "3", "500", "")), .status = 422, .replayed = true, .part = "'code':'insufficient_funds'"},
        {.ask = DO(RESERVE(ID("04"), "2", "3", "6", ",'timeout_ms':9000")), .status = 201, .replayed = true, .part = "'hold':'" ID("04") "'"},
        {.ask = DO(MOVE(ID("02"), "2", "3", "5", "")), .status = 409, .part = "'code':'transfer_exists'"},
        {.ask = DO(MOVE(ID("02"), "2", "3", "5", ",'effective_at':'1970-01-01T00:00:01Z','metadata':{}")), .status = 409},
        {.ask = DO(MOVE(ID("02"), "2", "3", "5", ",'effective_at':'1970-01-01T00:00:01Z','up_to':true")), .status = 409},
        {.ask = DO(MOVE(ID("03"), "2", "3", "501", "")), .status = 409, .part = "'code':'transfer_exists'"},
        {.ask = DO(RESERVE(ID("04"), "2", "3", "6", "")), .status = 409, .part = "'code':'hold_exists'"},
        /* User data and code are fields that JSON does not have. */
        {.wanted = "2+0", .records = {T(5, A, B, 1, .code = 1), H(6, A, B, 1, .user_data = 1)}},
        {.ask = DO(MOVE(ID("05"), "2", "3", "1", "")), .status = 409},
        {.ask = DO(RESERVE(ID("06"), "2", "3", "1", "")), .status = 409},
        /* JSON, then packed: alone, and of a commit of several. */
        {.ask = DO(MOVE(ID("07"), "2", "3", "2", "")), .status = 201},
        {.ask = DO(MOVE(ID("08"), "2", "3", "2", ",'effective_at':'1970-01-01T00:00:01Z'") "," RESERVE(ID("09"), "2", "3", "3", ",'timeout_ms':9000")), .status = 201},
        {.wanted = "0+3", .records = {T(7, A, B, 2), T(8, A, B, 2, .effective_us = 1000000), H(9, A, B, 3, .timeout_ms = 9000)}},
        {.wanted = "0+0 0:transfer_exists 1:transfer_exists 2:hold_exists", .records = {T(7, A, B, 2, .code = 1), T(8, A, B, 2), H(9, A, B, 3)}},
        {.ask = DO("{'op':'transfer','id':'" ID("0a") "'," SIDES("2", "3", "2") ",'metadata':{'a':1}},"
                   "{'op':'transfer','id':'" ID("0b") "'," SIDES("2", "3", "2") ",'up_to':true},"
                   "{'op':'reverse','id':'" ID("0c") "','transfer':'" ID("07") "'}"), .status = 201},
        {.wanted = "0+0 0:transfer_exists 1:transfer_exists 2:transfer_exists", .records = {T(10, A, B, 2), T(11, A, B, 2), T(12, B, A, 2)}},
    };
    RUN(rows);
}

static void what_is_shown(void **state)
{
    (void)state;
    static const struct row rows[] = {
        SET_UP,
        {.wanted = "5+0", .records = {T(2, A, B, 5, .code = 4294967295u, .user_data = 0xa5, .effective_us = 1000000), T(3, A, B, 1),
            H(4, A, B, 6, .code = 77), C(5, 4, 1, .user_data = 0x5a), V(6, 4, .code = 88)}},
        {.ask = "get transfer " ID("02"), .status = 200, .part = "'effective_at':'1970-01-01T00:00:01.000000Z','user_data':'a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5','code':4294967295"},
        {.ask = "get transfer " ID("03"), .status = 200, .absent = "user_data"},
        {.ask = "get transfer " ID("03"), .status = 200, .absent = "'code'"},
        {.ask = "get transfer " ID("05"), .status = 200, .part = "'user_data':'5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a'"},
        {.ask = "get transfer " ID("05"), .status = 200, .absent = "'code'"},
        {.ask = "get transfer " ID("06"), .status = 404},
        {.ask = "get commit 4", .status = 200, .part = "'type':'holdfast.hold.opened','operation':2,'hold':'"},
        {.ask = "get commit 4", .status = 200, .part = "'code':77"},
        {.ask = "get commit 4", .status = 200, .part = "'code':88"},
        {.ask = "get entries " ACC("2") " 0 10", .status = 200, .part = "'transfer':'" ID("02") "'"},
        {.wanted = "1+0", .records = {T(7, WORLD, A, 1)}}, /* a reversal shows nothing of it */
        {.ask = DO("{'op':'reverse','transfer':'" ID("02") "','id':'back','amount':'2'}"), .status = 201, .absent = "user_data"},
        {.ask = "get transfer " ID("02"), .status = 200, .part = "'reversed':'2'"},
        /* What stands in the way is told whole, and again out of the log. */
        {.ask = DO(MOVE(ID("02"), "2", "3", "6", "")), .key = "k", .status = 409, .part = "'user_data':'a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5','code':4294967295"},
        {.ask = DO(MOVE(ID("02"), "2", "3", "6", "")), .key = "k", .status = 409, .replayed = true,
         .part = "'user_data':'a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5','code':4294967295"},
        {.ask = DO(MOVE(ID("05"), "2", "3", "6", "")), .key = "l", .status = 409, .part = "'user_data':'5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a'"},
        {.ask = DO(MOVE(ID("05"), "2", "3", "6", "")), .key = "l", .status = 409, .replayed = true, .part = "'user_data':'5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a'"},
        {.ask = DO(MOVE(ID("03"), "2", "3", "6", "")), .key = "m", .status = 409, .absent = "user_data"},
        {.ask = DO(MOVE(ID("03"), "2", "3", "6", "")), .key = "m", .status = 409, .replayed = true, .absent = "user_data"},
    };
    RUN(rows);
}

static void accounts(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {.wanted = "2+1 2:account_exists", .records = {ACCOUNT_IS(1), ACCOUNT_IS(2, .no_floor = true, .has_ceiling = true, .ceiling = -7),
            ACCOUNT_IS(1, .asset = "EUR/2"), ACCOUNT_IS(1)}},
        {.ask = "get account " ACC("2"), .status = 200, .part = "'floor':null,'ceiling':'-7'"},
        {.wanted = "0+2 1:account_exists 2:account_exists 3:account_exists 4:account_exists",
         .records = {ACCOUNT_IS(1), ACCOUNT_IS(1, .floor = -1), ACCOUNT_IS(1, .no_floor = true), ACCOUNT_IS(1, .has_ceiling = true),
            ACCOUNT_IS(2, .no_floor = true, .has_ceiling = true, .ceiling = 7), ACCOUNT_IS(2, .no_floor = true, .has_ceiling = true, .ceiling = -7)}},
        /* It counts how it was opened, not what it has become. */
        {.ask = DO("{'op':'set_limits','account':'" ACC("1") "','floor':'-9'},{'op':'set_metadata','account':'" ACC("1") "','metadata':{'a':1}},"
                   "{'op':'freeze','account':'" ACC("1") "'}"), .status = 201},
        {.wanted = "0+1 1:account_exists", .records = {ACCOUNT_IS(1), ACCOUNT_IS(1, .floor = -9)}},
        {.ask = DO("{'op':'open_account','account':'" ACC("3") "','asset':'USD/2','metadata':{'a':1}}"), .status = 201},
        {.wanted = "1+1", .records = {ACCOUNT_IS(3), ACCOUNT_IS(4)}},
        {.ask = DO("{'op':'open_account','account':'world','asset':'USD/2'}"), .status = 201},
        {.wanted = "1+0 0:id_collision", .records = {ACCOUNT_IS(5, .named = "world"), ACCOUNT_IS(6)}},
        {.ask = DO("{'op':'open_account','account':'" ACC("4") "','asset':'USD/2'}"), .status = 409, .part = "'code':'account_exists'"},
    };
    RUN(rows);
}

/* An id that stands for a name of its own is nobody's to take. */
static void collisions(void **state)
{
    (void)state;
    static const struct row rows[] = {
        SET_UP,
        {.ask = DO(MOVE("t1", "1", "2", "5", "") "," RESERVE("h1", "1", "2", "5", "")), .status = 201},
        {.wanted = "0+0 0:id_collision 1:id_collision 2:id_collision 3:id_collision",
         .records = {T(2, WORLD, A, 5, .named = "t1"), H(3, WORLD, A, 5, .named = "h1"), C(4, 99, 5, .named = "t1"), V(5, 99, .named = "t1")}},
        {.wanted = "0+0 0:id_collision/C 1:id_collision", .records = {T(6, WORLD, A, 5, LINK), T(2, WORLD, A, 5, .named = "t1")}},
        /* …also if a refusal has spent it. */
        {.ask = DO(MOVE("t2", "3", "2", "5", "")), .status = 422},
        {.wanted = "0+0 0:id_collision", .records = {T(2, B, A, 5, .named = "t2")}},
        {.ask = DO(MOVE("t1", "1", "2", "5", "") "," RESERVE("h1", "1", "2", "5", "")), .status = 201, .replayed = true},
    };
    RUN(rows);
}
/* clang-format on */

/* ---- as many as there may be ---- */

struct many {
    struct running r;
    uint8_t *body;
};

static void long_named_accounts(struct running *r)
{
    char json[2048];
    char name[3][129];
    for (size_t i = 0; i < 3; i++) {
        memset(name[i], "wab"[i], 128);
        name[i][128] = '\0';
        (void)snprintf(json, sizeof(json),
                       "{\"do\":[{\"op\":\"open_account\",\"account\":\"%s\",\"asset\":"
                       "\"ABCDEFGHIJKLMNOPQ/18\",\"floor\":%s}]}",
                       name[i], i == 0 ? "null" : "\"0\"");
        core_rig_ask(&r->rig, &(struct core_rig_ask){.text = json, .now_us = r->now_us},
                     &r->answer);
        assert_int_equal(r->answer.status, 201);
    }
}

static void put_name(uint8_t *to, char letter)
{
    char name[128];
    memset(name, letter, sizeof(name));
    struct hf_hash hash = hf_sha256(name, sizeof(name));
    memcpy(to, hash.bytes, 16);
}

/* MANY records of a kind, between accounts whose names are as long as may be. */
static void fill(uint8_t *body, uint32_t first_id, uint32_t first_hold, enum record_kind kind,
                 char from, bool linked)
{
    for (uint32_t i = 0; i < MANY; i++) {
        uint8_t *record = body + (size_t)i * RECORD_BYTES;
        bool ends = kind == RECORD_CAPTURE || kind == RECORD_VOID;
        record_write(&(struct record_spec){.id = first_id + i,
                                           .hold = ends ? first_hold + i : 0,
                                           .amount = kind == RECORD_VOID ? 0 : (hf_u128)1 << 90,
                                           .asset = ends ? NULL : "ABCDEFGHIJKLMNOPQ/18",
                                           .timeout_ms = kind == RECORD_HOLD ? 1000000000 : 0,
                                           .code = UINT32_MAX - i,
                                           .user_data = 255,
                                           .linked = linked && i + 1 < MANY,
                                           .kind = kind},
                     record);
        if (!ends) {
            put_name(record + 16, from);
            put_name(record + 32, 'a');
        }
    }
}

static void all_of_a_kind(struct many *many, uint32_t first_id, uint32_t first_hold,
                          enum record_kind kind)
{
    fill(many->body, first_id, first_hold, kind, 'w', false);
    send(&many->r, HF_PACKED_TRANSFERS, many->body, MANY);
    assert_string_equal(many->r.came, "8190+0");
    send(&many->r, HF_PACKED_TRANSFERS, many->body, MANY);
    assert_string_equal(many->r.came, "0+8190");
}

static void refused_all(struct many *many, uint32_t first_id, bool linked)
{
    const char *first = linked ? "0+0 0:insufficient_funds 1:insufficient_funds/C "
                               : "0+0 0:insufficient_funds 1:insufficient_funds 2";
    const char *again = linked ? "0+0 0:insufficient_funds/R 1:insufficient_funds/R/C "
                               : "0+0 0:insufficient_funds/R 1:insufficient_funds/R 2";
    fill(many->body, first_id, 0, RECORD_TRANSFER, 'b', linked);
    send(&many->r, HF_PACKED_TRANSFERS, many->body, MANY);
    many->r.came[strlen(first)] = '\0';
    assert_string_equal(many->r.came, first);
    send(&many->r, HF_PACKED_TRANSFERS, many->body, MANY);
    many->r.came[strlen(again)] = '\0';
    assert_string_equal(many->r.came, again);
}

/* A refused chain with another content, and holds in no order: work that grows with their number alone. */
static void as_many_known_ones(void **state)
{
    (void)state;
    struct many many = {.body = malloc((size_t)MANY * RECORD_BYTES)};
    assert_non_null(many.body);
    begin(&many.r, CORE_RIG_HOT);
    long_named_accounts(&many.r);
    refused_all(&many, 10000, true);
    many.body[(size_t)(MANY - 1) * RECORD_BYTES + 120] ^= 1; /* the code of the last one */
    send(&many.r, HF_PACKED_TRANSFERS, many.body, MANY);
    many.r.came[strlen("0+0 0:transfer_exists 1:transfer_exists/C ")] = '\0';
    assert_string_equal(many.r.came, "0+0 0:transfer_exists 1:transfer_exists/C ");
    all_of_a_kind(&many, 20000, 0, RECORD_HOLD);
    for (uint32_t i = 0; i < MANY / 2; i++) { /* from both ends to the middle */
        uint8_t record[RECORD_BYTES];
        uint8_t *one = many.body + (size_t)i * RECORD_BYTES;
        uint8_t *other = many.body + (size_t)(i * 4099u % MANY) * RECORD_BYTES;
        memcpy(record, one, RECORD_BYTES);
        memcpy(one, other, RECORD_BYTES);
        memcpy(other, record, RECORD_BYTES);
    }
    send(&many.r, HF_PACKED_TRANSFERS, many.body, MANY);
    assert_string_equal(many.r.came, "0+8190");
    end(&many.r);
    free(many.body);
}

static void as_many_as_there_may_be(void **state)
{
    (void)state;
    struct many many = {.body = malloc((size_t)MANY * RECORD_BYTES)};
    assert_non_null(many.body);
    begin(&many.r, CORE_RIG_HOT);
    long_named_accounts(&many.r);
    all_of_a_kind(&many, 10000, 0, RECORD_TRANSFER);
    all_of_a_kind(&many, 20000, 0, RECORD_HOLD);
    all_of_a_kind(&many, 30000, 20000, RECORD_CAPTURE);
    all_of_a_kind(&many, 40000, 0, RECORD_HOLD);
    all_of_a_kind(&many, 50000, 40000, RECORD_VOID);
    refused_all(&many, 60000, false);
    refused_all(&many, 70000, true);
    end(&many.r);
    free(many.body);
}

/* Accounts of 300 assets: more than a strip has room for, and a refusal before it is known. */
static void many_assets(void **state)
{
    (void)state;
    static uint8_t body[601 * RECORD_BYTES];
    struct running r;
    begin(&r, CORE_RIG_HOT);
    char assets[300][24];
    for (uint32_t i = 0; i < 300; i++) {
        (void)snprintf(assets[i], sizeof(assets[i]), "A%u/2", i);
        record_write(
            &(struct record_spec){
                .id = 2 * i + 1, .asset = assets[i], .no_floor = true, .kind = RECORD_ACCOUNT},
            body + 2 * (size_t)i * RECORD_BYTES);
        record_write(
            &(struct record_spec){.id = 2 * i + 2, .asset = assets[i], .kind = RECORD_ACCOUNT},
            body + (2 * (size_t)i + 1) * RECORD_BYTES);
    }
    send(&r, HF_PACKED_ACCOUNTS, body, 600);
    assert_string_equal(r.came, "600+0");
    for (uint32_t i = 0; i < 300; i++) {
        bool refused = i == 7;
        record_write(&(struct record_spec){.id = i + 1,
                                           .from = 2 * i + (refused ? 2 : 1),
                                           .to = 2 * i + (refused ? 1 : 2),
                                           .amount = 5,
                                           .asset = assets[i]},
                     body + (size_t)i * RECORD_BYTES);
    }
    send(&r, HF_PACKED_TRANSFERS, body, 300);
    assert_string_equal(r.came, "299+0 7:insufficient_funds");
    core_rig_check(&r.rig);
    send(&r, HF_PACKED_TRANSFERS, body, 300);
    assert_string_equal(r.came, "0+299 7:insufficient_funds/R");
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(precedence),
        cmocka_unit_test(totals),
        cmocka_unit_test(once),
        cmocka_unit_test(refusals_spend),
        cmocka_unit_test(twice_in_one_request),
        cmocka_unit_test(captures),
        cmocka_unit_test(freed),
        cmocka_unit_test(expiry),
        cmocka_unit_test(chains),
        cmocka_unit_test(chains_of_holds),
        cmocka_unit_test(json_and_packed),
        cmocka_unit_test(what_is_shown),
        cmocka_unit_test(accounts),
        cmocka_unit_test(collisions),
        cmocka_unit_test(as_many_as_there_may_be),
        cmocka_unit_test(as_many_known_ones),
        cmocka_unit_test(many_assets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
