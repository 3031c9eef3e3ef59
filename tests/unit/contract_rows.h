/*
 * The form of the contract's tables: what is asked, what must come.
 *
 * Texts are written with ' for " so that they can be read.
 */
#ifndef HF_TESTS_UNIT_CONTRACT_ROWS_H
#define HF_TESTS_UNIT_CONTRACT_ROWS_H

#include <stdbool.h>
#include <stdint.h>

/* A row names what it needs; all else is none. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

/* In the order of writing, not of sizes. */
struct row { /* NOLINT(clang-analyzer-optin.performance.Padding) */
    const char
        *ask;   /* a commit's JSON; "get account a"; "get document d 2"; "get events s FROM LIMIT";
                        "cancel"; "tick"; "takeover" */
    int status; /* HTTP status; of tick and takeover 0 */
    const char *code;   /* wire code */
    const char *failed; /* JSON pointer; NULL: the answer must have none */
    const char
        *fields; /* parts of the answer, divided by " & "; "=…" is the whole of it; or NULL */
    const char *absent;    /* must not be in the answer; or NULL */
    const char *principal; /* NULL = local */
    const char *key;       /* idempotency key */
    uint64_t at_us;        /* time since the scenario's begin; 0 = 1 µs after the row before */
    bool replayed;         /* decided before */
    bool dry_run;          /* decide only */
    bool unrecorded;       /* a refusal that takes no position */
};

struct scenario {
    const char *name;
    const struct row *rows; /* ends with ask NULL */
};

/* clang-format off */
#define MS(n) ((n) * UINT64_C(1000))
#define S(n)  ((n) * UINT64_C(1000000))
#define DAY   S(86400)

/* Commits. */
#define DO(ops)         "{'do':[" ops "]}"
#define IF(tests, ops)  "{'if':[" tests "],'do':[" ops "]}"
#define AND             ","
#define OP(op, members) "{'op':'" op "'," members "}"

#define OPEN_AS(a, members) OP("open_account", "'account':'" a "','asset':'USD/2'," members)
#define OPEN(a)             OP("open_account", "'account':'" a "','asset':'USD/2'")
#define OPEN_FREE(a)        OPEN_AS(a, "'floor':null")
#define SIDES(from, to, n)  "'from':'" from "','to':'" to "','asset':'USD/2','amount':'" n "'"
#define MOVE(id, from, to, n)        OP("transfer", "'id':'" id "'," SIDES(from, to, n))
#define SEND(from, to, n)            OP("transfer", SIDES(from, to, n))
#define HOLD(id, from, to, n)        OP("hold", "'id':'" id "'," SIDES(from, to, n))
#define HOLD_FOR(id, from, to, n, t) OP("hold", "'id':'" id "','timeout_ms':" t "," SIDES(from, to, n))
#define CAPTURE(h)      OP("capture", "'hold':'" h "'")
#define CAPTURE_N(h, n) OP("capture", "'hold':'" h "','amount':'" n "'")
#define FINAL_N(h, n)   OP("capture", "'hold':'" h "','amount':'" n "','final':true")
#define VOID(h)         OP("void", "'hold':'" h "'")
#define LIMITS(a, members)   OP("set_limits", "'account':'" a "'," members)
#define ACCOUNT_OP(op, a)    OP(op, "'account':'" a "'")
#define REVERSE(t)           OP("reverse", "'transfer':'" t "'")
#define REVERSE_N(id, t, n)  OP("reverse", "'id':'" id "','transfer':'" t "','amount':'" n "'")
#define APPEND(s, id, data)  OP("append", "'stream':'" s "','id':'" id "','type':'x','data':" data)
#define APPEND_NEW(s, data)  OP("append", "'stream':'" s "','type':'x','data':" data)
#define APPEND_AT(s, v, data) \
    OP("append", "'stream':'" s "','type':'x','expected_version':" v ",'data':" data)
#define PUT(d, data)         OP("put", "'document':'" d "','data':" data)
#define PUT_AT(d, v, data)   OP("put", "'document':'" d "','expected_version':" v ",'data':" data)
#define PATCH(d, data)       OP("patch", "'document':'" d "','data':" data)
#define DELETE(d)            OP("delete", "'document':'" d "'")
#define ACQUIRE(l, owner, t) OP("acquire", "'lease':'" l "','owner':'" owner "','ttl_ms':" t)
#define RENEW(l, token)      OP("renew", "'lease':'" l "','token':" token)
#define RELEASE(l, token)    OP("release", "'lease':'" l "','token':" token)

/* Position 1 of most scenarios: the world, a with 100, b with 0. */
#define SET_UP \
    {DO(OPEN_FREE("world") AND OPEN("a") AND OPEN("b") AND MOVE("fund", "world", "a", "100")), 201, \
     "ok", .at_us = S(1)}

#endif
