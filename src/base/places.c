#include "base/places.h"

#include "base/alloc.h"
#include "base/check.h"

#define CAPACITY_MIN 16u
#define MOVED_AN_ADD 4u /* there are as many adds as half of the places before the next growth */

static void forget_before(struct hf_places *places)
{
    hf_free(places->before.at);
    places->before = (struct hf_hashed_list){0};
    places->moved = 0;
}

void hf_places_release(struct hf_places *places)
{
    hf_free(places->now.at);
    hf_free(places->before.at);
    *places = (struct hf_places){0};
}

void hf_places_clear(struct hf_places *places)
{
    forget_before(places);
    places->base += (uint32_t)places->count;
    places->count = 0;
    if (places->base >= HF_PLACES_MAX) { /* once in two thousand million numbers */
        memset(places->now.at, 0, places->now.capacity * sizeof(*places->now.at));
        places->base = 0;
    }
}

static bool is_free(const struct hf_places *places, const struct hf_hashed *place)
{
    return place->number <= places->base;
}

static void put(struct hf_places *places, const struct hf_hashed *place)
{
    size_t mask = places->now.capacity - 1;
    size_t at = place->hash & mask;
    while (!is_free(places, &places->now.at[at])) {
        at = (at + 1) & mask;
    }
    places->now.at[at] = *place;
}

/* So many of the places that are left from before they grew. */
static void move(struct hf_places *places, size_t most)
{
    for (; most > 0 && places->moved < places->before.capacity; most--) {
        const struct hf_hashed *place = &places->before.at[places->moved++];
        if (!is_free(places, place)) {
            put(places, place);
        }
    }
    if (places->moved == places->before.capacity) {
        forget_before(places);
    }
}

void hf_places_settle(struct hf_places *places)
{
    move(places, places->before.capacity);
}

static bool grow(struct hf_places *places, size_t capacity)
{
    struct hf_hashed *at = hf_calloc(capacity, sizeof(*at));
    if (at == NULL) {
        return false;
    }
    hf_places_settle(places); /* of an earlier growth; mostly none is left */
    places->before = places->now;
    places->now = (struct hf_hashed_list){at, capacity};
    return true;
}

bool hf_places_reserve(struct hf_places *places, size_t more)
{
    if (more > HF_PLACES_MAX - places->count) {
        return false;
    }
    size_t capacity = places->now.capacity == 0 ? CAPACITY_MIN : places->now.capacity;
    while (places->count + more > capacity / 4 * 3) {
        capacity *= 2;
    }
    return capacity == places->now.capacity || grow(places, capacity);
}

void hf_places_add(struct hf_places *places, uint32_t hash)
{
    HF_CHECK(places->count < places->now.capacity / 4 * 3);
    places->count++;
    struct hf_hashed place = {hash, places->base + (uint32_t)places->count};
    put(places, &place);
    move(places, MOVED_AN_ADD);
}
