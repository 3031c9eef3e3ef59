/*
 * Packed calls: one request of records, sent until there is an answer to all of them.
 *
 *   200 of the right type and shape   the result
 *   200 of anything else              no answer: again, and unknown at the end
 *   a refusal as a whole              REFUSED; UNKNOWN if an earlier sending may have been done, for what refuses the
 *                                     repetition (a token withdrawn, known ids in too many commits) says nothing of that one
 */
#include "base/alloc.h"
#include "base/bytes.h"
#include "client/packed_priv.h"

/* The public part comes first: a pointer to it is one to the whole. */
struct whole_result {
    struct holdfast_client_packed_result result;
    struct holdfast_client_answer *answer; /* owned; the address lives in it */
    struct holdfast_client_not_accepted refused[];
};

bool hf_client_results_fit(const uint8_t *body, size_t body_bytes, size_t record_count)
{
    if (body_bytes < HOLDFAST_RESULTS_BYTES) {
        return false;
    }
    uint64_t position = hf_get_u64(body + HOLDFAST_RESULTS_POSITION);
    uint64_t accepted = hf_get_u32(body + HOLDFAST_RESULTS_ACCEPTED);
    uint64_t replayed = hf_get_u32(body + HOLDFAST_RESULTS_REPLAYED);
    uint64_t refused = hf_get_u32(body + HOLDFAST_RESULTS_REFUSED);
    if (accepted + replayed + refused != record_count ||
        body_bytes != HOLDFAST_RESULTS_BYTES + refused * HOLDFAST_RESULT_BYTES ||
        (accepted > 0 && position == 0)) {
        return false;
    }
    uint64_t least = 0; /* index of the next entry */
    for (uint64_t i = 0; i < refused; i++) {
        const uint8_t *entry = body + HOLDFAST_RESULTS_BYTES + i * HOLDFAST_RESULT_BYTES;
        uint64_t index = hf_get_u32(entry + HOLDFAST_RESULT_INDEX);
        if (index < least || index >= record_count ||
            hf_get_u16(entry + HOLDFAST_RESULT_CODE) == 0) {
            return false;
        }
        least = index + 1;
    }
    return true;
}

static bool fits(const struct hf_client_attempt *attempt, const void *context)
{
    const struct holdfast_client_packed *packed = context;
    return attempt->status == 200 && strcmp(attempt->content_type, HOLDFAST_PACKED_RESULTS) == 0 &&
           hf_client_results_fit(attempt->body.data, attempt->body.size_bytes,
                                 packed->record_count);
}

/* Takes the answer; NULL if memory is short, and the answer is then freed. */
static struct holdfast_client_packed_result *result_of(struct holdfast_client_answer *answer)
{
    const uint8_t *body = (const uint8_t *)answer->body;
    uint32_t refused = hf_get_u32(body + HOLDFAST_RESULTS_REFUSED);
    struct whole_result *whole =
        hf_malloc(sizeof(*whole) + refused * sizeof(struct holdfast_client_not_accepted));
    if (whole == NULL) {
        holdfast_client_answer_free(answer);
        return NULL;
    }
    whole->answer = answer;
    whole->result = (struct holdfast_client_packed_result){
        .position = hf_get_u64(body + HOLDFAST_RESULTS_POSITION),
        .time_us = hf_get_u64(body + HOLDFAST_RESULTS_TIME_US),
        .accepted = hf_get_u32(body + HOLDFAST_RESULTS_ACCEPTED),
        .replayed = hf_get_u32(body + HOLDFAST_RESULTS_REPLAYED),
        .refused_count = refused,
        .refused = whole->refused,
        .address = answer->address,
        .attempts = answer->attempts,
    };
    for (uint32_t i = 0; i < refused; i++) {
        const uint8_t *entry = body + HOLDFAST_RESULTS_BYTES + (size_t)i * HOLDFAST_RESULT_BYTES;
        whole->refused[i] = (struct holdfast_client_not_accepted){
            .index = hf_get_u32(entry + HOLDFAST_RESULT_INDEX),
            .code = hf_get_u16(entry + HOLDFAST_RESULT_CODE),
            .flags = hf_get_u16(entry + HOLDFAST_RESULT_FLAGS),
        };
    }
    return &whole->result;
}

/* The server refuses all of it: what is to be told. Takes the answer. */
static enum holdfast_client_error refused(struct holdfast_client_answer *answer, bool maybe_done,
                                          struct holdfast_client_failure *failure)
{
    bool stranger =
        answer->code[0] == '\0'; /* something in between, which may have let it through */
    bool unknown = maybe_done || stranger;
    enum holdfast_client_error error = unknown ? HOLDFAST_CLIENT_UNKNOWN : HOLDFAST_CLIENT_REFUSED;
    failure->status = answer->status;
    (void)snprintf(failure->code, sizeof(failure->code), "%s", answer->code);
    (void)hf_client_fail(failure, error, "%s: status %d %s%s%s%s%s; %s", answer->address,
                         answer->status, answer->code, answer->detail[0] == '\0' ? "" : ": ",
                         answer->detail, answer->failed[0] == '\0' ? "" : " at ", answer->failed,
                         stranger     ? "no answer of Holdfast; perhaps done"
                         : maybe_done ? "an earlier sending is perhaps done"
                                      : "nothing has changed");
    holdfast_client_answer_free(answer);
    return error;
}

const char *hf_client_packed_wrong(const struct holdfast_client_packed *packed)
{
    return packed->kind != HOLDFAST_CLIENT_TRANSFERS && packed->kind != HOLDFAST_CLIENT_ACCOUNTS
               ? "kind: transfers or accounts"
               : hf_client_records_wrong(packed->kind, packed->records, packed->record_count,
                                         HOLDFAST_PACKED_RECORDS_MAX);
}

enum holdfast_client_error holdfast_client_packed(struct holdfast_client *client,
                                                  const struct holdfast_client_packed *packed,
                                                  struct holdfast_client_packed_result **result,
                                                  struct holdfast_client_failure *failure)
{
    struct holdfast_client_failure unwanted;
    struct holdfast_client_answer *answer;
    bool accounts = packed->kind == HOLDFAST_CLIENT_ACCOUNTS;
    bool maybe_done;
    *result = NULL;
    failure = failure == NULL ? &unwanted : failure;
    *failure = (struct holdfast_client_failure){0};
    const char *wrong = hf_client_packed_wrong(packed);
    if (wrong != NULL) {
        return hf_client_fail(failure, HOLDFAST_CLIENT_INVALID, "%s", wrong);
    }
    struct holdfast_client_call call = {.total_timeout_ms = packed->total_timeout_ms};
    struct holdfast_client_request request = {
        .method = "POST",
        .path = accounts ? "/v1/accounts" : "/v1/transfers",
        .body = packed->records,
        .body_bytes = packed->record_count * HOLDFAST_PACKED_BYTES,
        .content_type = accounts ? HOLDFAST_PACKED_ACCOUNTS : HOLDFAST_PACKED_TRANSFERS,
        .accept = HOLDFAST_PACKED_RESULTS,
        .no_key = true,
    };
    struct hf_client_check check = {.fits = fits, .context = packed};
    enum holdfast_client_error error =
        hf_client_send(client, &call, &request, &check, &maybe_done, &answer, failure);
    if (error != HOLDFAST_CLIENT_OK) {
        return error;
    }
    if (answer->status != 200) {
        return refused(answer, maybe_done, failure);
    }
    *result = result_of(answer);
    return *result != NULL ? HOLDFAST_CLIENT_OK
                           : hf_client_fail(failure, HOLDFAST_CLIENT_NO_MEMORY, "out of memory");
}

void holdfast_client_packed_result_free(struct holdfast_client_packed_result *result)
{
    if (result != NULL) {
        struct whole_result *whole = HF_CONTAINER_OF(result, struct whole_result, result);
        holdfast_client_answer_free(whole->answer);
        hf_free(whole);
    }
}
