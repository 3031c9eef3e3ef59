#include "node/time_marks.h"

#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"

struct mark {
    uint64_t position;
    uint64_t time_us;
};

struct hf_time_marks {
    pthread_mutex_t mutex;
    size_t capacity;
    size_t count;
    uint64_t every; /* positions between two of them, at least */
    struct mark items[];
};

struct hf_time_marks *hf_time_marks_new(size_t capacity)
{
    HF_CHECK(capacity >= 2);
    struct hf_time_marks *marks = hf_calloc(1, sizeof(*marks) + capacity * sizeof(marks->items[0]));
    if (marks != NULL) {
        HF_CHECK(pthread_mutex_init(&marks->mutex, NULL) == 0);
        marks->capacity = capacity;
        marks->every = 1;
    }
    return marks;
}

void hf_time_marks_free(struct hf_time_marks *marks)
{
    if (marks != NULL) {
        HF_CHECK(pthread_mutex_destroy(&marks->mutex) == 0);
        hf_free(marks);
    }
}

static void lock(struct hf_time_marks *marks)
{
    HF_CHECK(pthread_mutex_lock(&marks->mutex) == 0);
}

static void unlock(struct hf_time_marks *marks)
{
    HF_CHECK(pthread_mutex_unlock(&marks->mutex) == 0);
}

void hf_time_marks_clear(struct hf_time_marks *marks)
{
    lock(marks);
    marks->count = 0;
    marks->every = 1;
    unlock(marks);
}

/* How many marks have positions up to this one? Mostly all: commits are noted as they are made. */
static size_t count_up_to(const struct hf_time_marks *marks, uint64_t position)
{
    size_t low = 0;
    size_t high = marks->count;
    if (high > 0 && marks->items[high - 1].position <= position) {
        return high;
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (marks->items[middle].position <= position) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool has_room_at(const struct hf_time_marks *marks, size_t at, uint64_t position)
{
    return (at == 0 || position - marks->items[at - 1].position >= marks->every) &&
           (at == marks->count || marks->items[at].position - position >= marks->every);
}

static void thin(struct hf_time_marks *marks)
{
    marks->every *= 2;
    size_t kept = 1;
    for (size_t i = 1; i < marks->count; i++) {
        if (marks->items[i].position - marks->items[kept - 1].position >= marks->every) {
            marks->items[kept++] = marks->items[i];
        }
    }
    marks->count = kept;
}

void hf_time_marks_note(struct hf_time_marks *marks, uint64_t position, uint64_t time_us)
{
    lock(marks);
    while (has_room_at(marks, count_up_to(marks, position), position) &&
           marks->count == marks->capacity) {
        thin(marks);
    }
    size_t at = count_up_to(marks, position);
    if (has_room_at(marks, at, position)) {
        memmove(&marks->items[at + 1], &marks->items[at],
                (marks->count - at) * sizeof(marks->items[0]));
        marks->items[at] = (struct mark){position, time_us};
        marks->count++;
    }
    unlock(marks);
}

void hf_time_marks_bracket(struct hf_time_marks *marks, uint64_t time_us, uint64_t *low,
                           uint64_t *high)
{
    lock(marks);
    size_t from = 0;
    size_t to = marks->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (marks->items[middle].time_us <= time_us) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    *low = from == 0 ? 0 : marks->items[from - 1].position;
    *high = from == marks->count ? UINT64_MAX : marks->items[from].position;
    unlock(marks);
}

void hf_time_marks_verify(struct hf_time_marks *marks)
{
    lock(marks);
    HF_CHECK(marks->count <= marks->capacity);
    for (size_t i = 1; i < marks->count; i++) {
        HF_CHECK(marks->items[i].position >= marks->items[i - 1].position + marks->every);
        HF_CHECK(marks->items[i].time_us > marks->items[i - 1].time_us);
    }
    unlock(marks);
}
