/* Answers: their texts, and values out of their JSON. */
#include "base/alloc.h"
#include "base/json.h"
#include "base/u128.h"
#include "client/client_priv.h"

#define POINTER_STEP_BYTES_MAX 256 /* of one name in a JSON pointer */

/* The public part comes first: a pointer to it is one to the whole. */
struct whole_answer {
    struct holdfast_client_answer answer;
    struct hf_buffer body; /* with a NUL behind */
    struct hf_arena arena; /* the other texts */
};

/* ---- JSON pointer ---- */

/* The next step of a pointer that stands on '/', unescaped. Absent if it is none or too long. */
static struct hf_str next_step(const char **pointer, char step[POINTER_STEP_BYTES_MAX])
{
    size_t length = 0;
    const char *at = *pointer + 1;
    if (**pointer != '/') {
        return HF_STR_NONE;
    }
    for (; *at != '\0' && *at != '/'; at++) {
        char c = *at;
        if (c == '~') {
            at++;
            if (*at != '0' && *at != '1') {
                return HF_STR_NONE;
            }
            c = *at == '0' ? '~' : '/';
        }
        if (length == POINTER_STEP_BYTES_MAX) {
            return HF_STR_NONE;
        }
        step[length++] = c;
    }
    *pointer = at;
    return (struct hf_str){step, length};
}

/* From the object or array that the reader has just entered to the value of the step: the reader stands on the
 * value's first token. */
static bool enter(struct hf_json *json, struct hf_str step)
{
    if (json->token == HF_JSON_OBJECT_BEGIN) {
        while (hf_json_next(json) == HF_JSON_NAME) {
            if (hf_json_is(json, step)) {
                return hf_json_next(json) != HF_JSON_ERROR;
            }
            if (!hf_json_skip(json, NULL)) {
                return false;
            }
        }
        return false;
    }
    uint64_t index;
    if (json->token != HF_JSON_ARRAY_BEGIN || !hf_json_integer(step, &index)) {
        return false;
    }
    for (;; index--) {
        enum hf_json_token token = hf_json_next(json);
        if (token == HF_JSON_ARRAY_END || token == HF_JSON_ERROR) {
            return false;
        }
        if (index == 0) {
            return true;
        }
        if (!hf_json_skip(json, NULL)) {
            return false;
        }
    }
}

struct hf_str hf_client_json_find(struct hf_str text, const char *pointer, struct hf_arena *arena,
                                  bool *string)
{
    char room[POINTER_STEP_BYTES_MAX];
    struct hf_json json;
    struct hf_str raw = HF_STR_NONE;
    *string = false;
    hf_json_init(&json, text, arena);
    if (hf_json_next(&json) == HF_JSON_ERROR) {
        return HF_STR_NONE;
    }
    while (*pointer != '\0') {
        struct hf_str step = next_step(&pointer, room);
        if (!hf_str_present(step) || !enter(&json, step)) {
            return HF_STR_NONE;
        }
    }
    if (json.token == HF_JSON_STRING) {
        *string = true;
        return hf_json_string(&json, arena);
    }
    return hf_json_skip(&json, &raw) ? raw : HF_STR_NONE;
}

static struct hf_str body_of(const struct holdfast_client_answer *answer)
{
    return (struct hf_str){answer->body, answer->body_bytes};
}

bool holdfast_client_answer_text(const struct holdfast_client_answer *answer, const char *pointer,
                                 char *text, size_t text_bytes)
{
    struct hf_arena arena;
    bool string;
    hf_arena_init(&arena);
    struct hf_str value = hf_client_json_find(body_of(answer), pointer, &arena, &string);
    bool fits = hf_str_present(value) && value.len < text_bytes;
    if (fits) {
        memcpy(text, value.ptr, value.len);
    }
    if (text_bytes > 0) {
        text[fits ? value.len : 0] = '\0';
    }
    hf_arena_release(&arena);
    return fits;
}

bool holdfast_client_answer_number(const struct holdfast_client_answer *answer, const char *pointer,
                                   uint64_t *number)
{
    char text[HF_U128_TEXT_BYTES];
    hf_u128 value;
    if (!holdfast_client_answer_text(answer, pointer, text, sizeof(text)) ||
        !hf_u128_parse(hf_str_from(text), &value) || value > UINT64_MAX) {
        return false;
    }
    *number = (uint64_t)value;
    return true;
}

/* ---- the answer itself ---- */

/* A copy with a NUL behind, "" for an absent text; NULL if memory is short. */
static const char *copy(struct hf_arena *arena, struct hf_str text)
{
    if (text.len == 0) {
        return "";
    }
    char *room = hf_arena_alloc(arena, text.len + 1);
    if (room != NULL) {
        memcpy(room, text.ptr, text.len);
        room[text.len] = '\0';
    }
    return room;
}

static const char *copy_member(struct whole_answer *whole, const char *pointer)
{
    bool string;
    struct hf_str value =
        hf_client_json_find(body_of(&whole->answer), pointer, &whole->arena, &string);
    return copy(&whole->arena, value);
}

/* "\"17\"" is version 17. */
static uint64_t version_of(const char *etag)
{
    size_t length = strlen(etag);
    uint64_t version = 0;
    bool quoted = length > 2 && etag[0] == '"' && etag[length - 1] == '"';
    return quoted && hf_json_integer((struct hf_str){etag + 1, length - 2}, &version) ? version : 0;
}

static bool fill_problem(struct whole_answer *whole, const struct hf_client_attempt *attempt)
{
    struct holdfast_client_answer *answer = &whole->answer;
    bool problem = attempt->code[0] != '\0';
    answer->code = attempt->status < 300 ? "ok" : copy(&whole->arena, hf_str_from(attempt->code));
    answer->detail = problem ? copy_member(whole, "/detail") : "";
    answer->failed = problem ? copy_member(whole, "/failed") : "";
    answer->current = problem ? copy_member(whole, "/current") : "";
    return answer->code != NULL && answer->detail != NULL && answer->failed != NULL &&
           answer->current != NULL;
}

struct holdfast_client_answer *hf_client_answer_new(struct hf_client_attempt *attempt,
                                                    const char *key, const char *address,
                                                    unsigned attempts)
{
    struct whole_answer *whole = hf_calloc(1, sizeof(*whole));
    if (whole == NULL) {
        return NULL;
    }
    hf_arena_init(&whole->arena);
    hf_buffer_u8(&attempt->body, 0);
    bool failed = attempt->body.failed;
    whole->body = attempt->body;
    hf_buffer_init(&attempt->body);
    struct holdfast_client_answer *answer = &whole->answer;
    if (!failed) {
        answer->status = attempt->status;
        answer->body = (const char *)whole->body.data;
        answer->body_bytes = whole->body.size_bytes - 1;
        answer->version = version_of(attempt->etag);
        answer->position = attempt->position;
        answer->replayed = attempt->replayed;
        answer->attempts = attempts;
        answer->content_type = copy(&whole->arena, hf_str_from(attempt->content_type));
        answer->etag = copy(&whole->arena, hf_str_from(attempt->etag));
        answer->key = copy(&whole->arena, hf_str_from(key));
        answer->address = copy(&whole->arena, hf_str_from(address));
        failed = !fill_problem(whole, attempt) || answer->content_type == NULL ||
                 answer->etag == NULL || answer->key == NULL || answer->address == NULL;
    }
    if (failed) {
        holdfast_client_answer_free(answer);
        return NULL;
    }
    return answer;
}

void holdfast_client_answer_free(struct holdfast_client_answer *answer)
{
    if (answer != NULL) {
        struct whole_answer *whole = HF_CONTAINER_OF(answer, struct whole_answer, answer);
        hf_buffer_release(&whole->body);
        hf_arena_release(&whole->arena);
        hf_free(whole);
    }
}
