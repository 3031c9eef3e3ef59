/*
 * Answers: a commit's results, or problem details (RFC 9457).
 *
 * Owns: the form of answers, frozen by tests/golden: a replayed answer is the same, byte for byte.
 * Must never: depend on anything but the commit record. Called by: the library, cli, http.
 *
 *   accepted   201 {"position":17,"time":"…","results":[…]}, one result an operation
 *   refused    {"type":"urn:holdfast:problem:<code>","title","status","detail","code",
 *               "failed":"/do/0","current":{"kind","id","version",…}|null,"instance":"/v1/commits/17"}
 *   dry run    200 with "position":null, or the problem without instance: nothing is recorded
 *   resource   {"position":17,"op":"transfer",…}: one operation's result, as the answer to a resource's own
 *              route; the same commit may be answered in either form
 */
#ifndef HF_API_ANSWER_JSON_H
#define HF_API_ANSWER_JSON_H

#include "base/buffer.h"
#include "core/commit.h"

/* OK, a refusal's code, or CANCELLED for a key's cancellation. */
enum hf_err hf_answer_code(const struct hf_commit *commit);
/* HTTP status of a commit's answer. */
int hf_answer_status(const struct hf_commit *commit, bool dry_run);

/* Appends the answer of a client's commit. A refusal with position 0 was not recorded: no instance. */
void hf_answer_json(struct hf_buffer *to, const struct hf_commit *commit, bool dry_run);

/* How an answer speaks to the one who asks: as a commit, or as the resource that was asked. */
enum hf_failed_form {
    HF_FAILED_IN_COMMIT, /* "/do/3", "/if/0": the request is a commit */
    HF_FAILED_IN_OBJECT, /* nothing: the request is the one operation itself */
    HF_FAILED_IN_ARRAY,  /* "/3": the request is the array of operations */
};

struct hf_answer_form {
    bool dry_run;      /* nothing was recorded */
    bool one_result;   /* the last operation's result with the position, not all of them */
    bool hide_current; /* the asker may not read the thing: no `current`, no sentence about it */
    enum hf_failed_form failed; /* where `failed` points to */
};

void hf_answer_json_as(struct hf_buffer *to, const struct hf_commit *commit,
                       const struct hf_answer_form *form);

/* Appends the result of one event of a commit, with the position: {"position":17,"op":"open_account",…}. */
void hf_answer_event_json(struct hf_buffer *to, const struct hf_commit *commit,
                          const struct hf_event *event);

/* The event that the last operation came to; NULL in a refusal. */
const struct hf_event *hf_answer_last_event(const struct hf_commit *commit);

/* Appends {"key":…,"position":…,"status":…,"body":…}: what is recorded under a key. */
void hf_key_json(struct hf_buffer *to, const struct hf_commit *commit);

/* Appends a problem without a decision: malformed requests, overload, nothing found. pointer: JSON pointer
 * to the failed place, or "" for none. */
void hf_problem_json(struct hf_buffer *to, enum hf_err code, const char *detail,
                     const char *pointer);

#endif
