/*
 * What operations on sagas have beyond the fields of struct hf_op.
 *
 * Owns: struct hf_saga_op_fields and struct hf_saga_command, their syntax rules, their frozen encoding (a part of fingerprints).
 * Must never: look at state or a clock. Called by: commands are built of them; decide reads them.
 *
 *   op              hf_op.subject   hf_saga_command
 *   define_saga     definition      definition (parsed), version, canonical text       own route
 *   start_saga      saga, also id   definition name@version or inline, input, …        in commits too
 *   complete_step   saga            step, token or operator, result                    in commits too
 *   fail_step       saga            step, token or operator, error                     in commits too
 *   saga_answer     saga            step, op, attempt, uid, answer                     the runner's alone
 *   saga_verb       saga            verb, step, result, reason, actor, delay_ms        own route
 *   saga_verbs      —               verb, filter, after, limit …                       own route: a page of a bulk
 *
 * A start that names no saga (has_id false, no subject) is named by the server, "~<position>.<operation>", as transfers are.
 * An id is spent for ever by the saga that was started with it, not by a refusal (hf_op_spends_id).
 */
#ifndef HF_CORE_SAGA_OP_H
#define HF_CORE_SAGA_OP_H

#include "core/saga_definition.h"

#define HF_SAGA_INPUT_BYTES_MAX     262144u
#define HF_SAGA_TAGS_MAX            16u
#define HF_SAGA_TAG_KEY_BYTES_MAX   64u /* A-Z a-z 0-9 . _ - */
#define HF_SAGA_TAG_VALUE_BYTES_MAX 128u
#define HF_SAGA_VERBS_MAX           1000u /* sagas of one saga_verbs */

/* Which sagas: all that are given must hold. */
struct hf_saga_filter {
    bool has_state;
    enum hf_saga_state state;
    struct hf_str definition;         /* "name" or "name@3", or absent */
    struct hf_str tag_key, tag_value; /* or absent */
    struct hf_str business_key;
    struct hf_str step; /* the name of a step that is running, waiting, compensating or parked */
    bool failing;       /* only those */
    uint64_t older_than_us; /* started before; 0 = any */
};

/* JSON members and callers' values; absent texts have ptr NULL. */
struct hf_saga_op_fields {
    enum hf_op_type type; /* DEFINE_SAGA … SAGA_VERBS */
    struct hf_str saga;
    /* define_saga */
    struct hf_str name;
    uint64_t version;
    struct hf_str definition_json;
    /* start_saga */
    struct hf_str definition;  /* "order@3", or a definition (JSON object) */
    struct hf_str input, tags; /* JSON */
    struct hf_str business_key, not_before;
    uint8_t secret[16]; /* made of the command's and the operation's index; not the caller's */
    /* complete_step, fail_step, saga_answer, saga_verb */
    struct hf_str step;
    struct hf_str token; /* absent: an operator (the door has checked the scope) */
    struct hf_str result, error, reason, actor;
    enum hf_saga_act verb; /* RETRY … ABANDON */
    uint64_t uid;
    enum hf_saga_op op;
    uint32_t attempt;
    bool poll; /* the answer of a poll */
    uint32_t duration_ms;
    struct hf_saga_answer answer;
    bool has_expected_version;
    uint64_t expected_version; /* saga_verb: If-Match */
    /* saga_verbs */
    struct hf_saga_filter filter;
    struct hf_str after; /* saga id to begin behind */
    uint32_t limit;      /* 1–1,000 */
    uint64_t jitter_ms;  /* retry: due within this, spread by a hash */
};

/* In an hf_op's arena, checked. */
struct hf_saga_command {
    struct hf_saga_op_fields fields;
    struct hf_name
        definition; /* define_saga, start_saga; inline: "~<32 hex of the text's SHA-256>" */
    uint64_t definition_version; /* inline: 1 */
    struct hf_saga_definition
        *parsed; /* define_saga, start_saga with an inline one; as long as the command */
    struct hf_payload definition_text; /* canonical; with `parsed` */
    struct hf_payload input, tags, result;
    uint64_t not_before_us;
};

/* Adds the one operation of a command that has a route of its own (all but start_saga, complete_step and fail_step, which may stand in any
 * commit). saga_answer has no key and is never refused but for memory: an answer that no longer counts is recorded as late, or, if
 * the saga is gone, not at all. */
bool hf_command_add_saga_op(struct hf_command *command, const struct hf_saga_op_fields *fields,
                            struct hf_malformed *malformed) HF_WARN_UNUSED;

/* 32 hex digits: first 16 bytes of SHA-256(secret ‖ step name ‖ op). */
void hf_saga_token(const uint8_t secret[16], struct hf_str step, enum hf_saga_op op, char out[33]);

#endif
