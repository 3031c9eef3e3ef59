/* What the routes of subscriptions share: events of commits that are read as a whole, and the position of a time. */
#include "api/door_priv.h"
#include "base/bytes.h"
#include "base/check.h"

const struct hf_event *hf_call_last_event(const struct hf_commit *commit, enum hf_event_type type)
{
    for (uint32_t i = commit->event_count; i > 0; i--) {
        const struct hf_event *event = commit->events[i - 1];
        if (event->type == type && event->operation != HF_NO_OPERATION) {
            return event;
        }
    }
    return NULL;
}

/* ---- whole commits ---- */

/* A read of what is not in RAM, while the call's own request and answer rest. */
struct reading_frames {
    struct hf_request request; /* the call's, before; its answer is owned */
    bool has_answer;           /* of it */
    enum hf_progress (*ready)(struct hf_call *call);
    enum hf_err otherwise;
};

static void frames_done(struct hf_request *request)
{
    struct hf_call *call = request->context;
    hf_http_resume(call->exchange);
}

static void put_back(struct hf_call *call, const struct reading_frames *reading)
{
    uint64_t answered_us = call->request.answered_us;
    call->request = reading->request;
    call->request.answered_us = answered_us;
    call->has_answer = reading->has_answer;
}

static enum hf_progress frames_read(struct hf_call *call)
{
    struct reading_frames *reading = call->reading_frames;
    bool decided = call->request.answer.decided;
    put_back(call, reading);
    return decided ? reading->ready(call) : hf_call_undecided(call, reading->otherwise);
}

/* From the tail's ring; false: some are not there. */
static bool take_hot(struct hf_call *call, const uint64_t *positions, size_t count)
{
    struct hf_tail *tail = hf_node_tail(call->door->options.node);
    bool all = true;
    for (size_t i = 0; i < count; i++) {
        size_t taken = 0;
        if (i > 0 && positions[i] == positions[i - 1]) {
            call->frames[i] =
                call->frames[i - 1] == NULL ? NULL : hf_shared_bytes_ref(call->frames[i - 1]);
        } else if (hf_tail_take(tail, positions[i], &call->frames[i], 1, &taken) !=
                       HF_TAIL_FRAMES ||
                   taken != 1) {
            call->frames[i] = NULL;
        }
        all = all && call->frames[i] != NULL;
    }
    return all;
}

enum hf_progress hf_call_frames(struct hf_call *call, const uint64_t *positions, size_t count,
                                enum hf_progress (*ready)(struct hf_call *call),
                                enum hf_err otherwise)
{
    struct hf_arena *arena = call->exchange->arena;
    for (size_t i = 0; i < call->frame_count; i++) { /* of a step before */
        hf_shared_bytes_unref(call->frames[i]);
    }
    call->frame_count = 0;
    call->frames = hf_arena_alloc_zero(arena, count + 1, sizeof(struct hf_shared_bytes *));
    if (call->frames == NULL) {
        return hf_call_undecided(call, otherwise);
    }
    call->frame_count = count;
    if (take_hot(call, positions, count)) {
        return ready(call);
    }
    struct reading_frames *reading = hf_arena_alloc_zero(arena, 1, sizeof(*reading));
    if (reading == NULL) {
        return hf_call_undecided(call, otherwise);
    }
    *reading = (struct reading_frames){
        .request = call->request,
        .has_answer = call->has_answer,
        .ready = ready,
        .otherwise = otherwise,
    };
    call->reading_frames = reading;
    call->has_answer = false;
    call->finish = frames_read;
    call->request = (struct hf_request){
        .positions = positions,
        .position_count = count,
        .frames = call->frames,
        .done = frames_done,
        .context = call,
    };
    if (hf_node_submit(call->door->options.node, &call->request) == HF_ERR_OK) {
        return HF_CALL_UNDER_WAY;
    }
    put_back(call, reading);
    return hf_call_undecided(call, otherwise);
}

bool hf_call_put_event(struct hf_call *call, struct hf_buffer *to, const struct hf_place *place,
                       struct hf_shared_bytes *frame)
{
    const struct hf_cached_commit *cached =
        hf_commit_cache_get(&call->door->commits, place->position, frame);
    struct hf_feed_event event;
    if (cached == NULL) {
        return false;
    }
    HF_CHECK(place->index < cached->commit->event_count);
    hf_feed_event_of(cached->commit, place->index, &event);
    if (!hf_caller_may(&call->caller, HF_SCOPE_READ, event.subject_name.text)) {
        hf_buffer_text(to, "null");
        return true;
    }
    hf_cloud_event_json(to, cached->commit, &event, &cached->context);
    return true;
}

/* ---- the position of a time ---- */

/* Commits' times strictly increase: a search by halves, a commit a step. */
struct finding {
    uint64_t low;  /* its time is before… */
    uint64_t high; /* …and this one's is not, or it is not there */
    uint64_t time_us;
    uint64_t middle; /* that is being read */
    void *work;      /* the call's, before */
    enum hf_progress (*found)(struct hf_call *call, uint64_t position);
};

static enum hf_progress find_on(struct hf_call *call);

static enum hf_progress middle_read(struct hf_call *call)
{
    struct finding *finding = call->work;
    struct hf_commit commit;
    const struct hf_shared_bytes *frame = call->frames[0];
    size_t record_bytes = hf_get_u32(frame->data);
    const uint8_t *record = frame->data + HF_COMMIT_FRAME_BYTES;
    struct hf_arena arena;
    hf_arena_init(&arena);
    enum hf_err err = hf_commit_decode(record, record_bytes, record + record_bytes,
                                       frame->size_bytes - HF_COMMIT_FRAME_BYTES - record_bytes,
                                       &arena, &commit, NULL);
    if (err == HF_ERR_OK && commit.time_us < finding->time_us) {
        finding->low = finding->middle;
    } else {
        finding->high = finding->middle;
    }
    hf_arena_release(&arena);
    return err == HF_ERR_OK ? find_on(call) : hf_call_undecided(call, HF_ERR_NO_MEMORY);
}

static enum hf_progress find_on(struct hf_call *call)
{
    struct finding *finding = call->work;
    if (finding->high - finding->low <= 1) {
        call->work = finding->work;
        return finding->found(call, finding->low);
    }
    finding->middle = finding->low + (finding->high - finding->low) / 2;
    return hf_call_frames(call, &finding->middle, 1, middle_read, HF_ERR_NOT_READY);
}

enum hf_progress hf_call_find_time(struct hf_call *call, uint64_t time_us,
                                   enum hf_progress (*found)(struct hf_call *call,
                                                             uint64_t position))
{
    struct finding *finding = hf_arena_alloc_zero(call->exchange->arena, 1, sizeof(*finding));
    struct hf_node_status status;
    if (finding == NULL) {
        return hf_call_undecided(call, HF_ERR_NO_MEMORY);
    }
    hf_node_status(call->door->options.node, &status);
    finding->high = status.durable_position + 1;
    finding->time_us = time_us;
    finding->found = found;
    finding->work = call->work;
    call->work = finding;
    return find_on(call);
}
