#include "base/arena.h"

#include "base/alloc.h"

#define CHUNK_BYTES     4096u
#define CHUNK_BYTES_MAX (1u << 20)
#define ALIGN_BYTES     16u

struct hf_arena_chunk {
    struct hf_arena_chunk *next; /* older chunk or NULL */
    size_t size_bytes;           /* room in data */
    _Alignas(ALIGN_BYTES) unsigned char data[];
};

void hf_arena_init(struct hf_arena *arena)
{
    *arena = (struct hf_arena){0};
}

void hf_arena_release(struct hf_arena *arena)
{
    struct hf_arena_chunk *chunk = arena->first;
    while (chunk != NULL) {
        struct hf_arena_chunk *next = chunk->next;
        hf_free(chunk);
        chunk = next;
    }
    hf_arena_init(arena);
}

void hf_arena_clear(struct hf_arena *arena)
{
    struct hf_arena_chunk *kept = arena->first;
    if (kept == NULL || kept->size_bytes > CHUNK_BYTES_MAX) {
        hf_arena_release(arena);
        return;
    }
    struct hf_arena_chunk *chunk = kept->next;
    while (chunk != NULL) {
        struct hf_arena_chunk *next = chunk->next;
        hf_free(chunk);
        chunk = next;
    }
    kept->next = NULL;
    arena->used_bytes = 0;
    arena->total_bytes = kept->size_bytes;
}

static bool add_chunk(struct hf_arena *arena, size_t needed_bytes)
{
    size_t size_bytes = arena->first == NULL ? CHUNK_BYTES : arena->first->size_bytes * 2;
    if (size_bytes > CHUNK_BYTES_MAX) {
        size_bytes = CHUNK_BYTES_MAX;
    }
    if (size_bytes < needed_bytes) {
        size_bytes = needed_bytes;
    }
    if (size_bytes > SIZE_MAX - sizeof(struct hf_arena_chunk)) {
        return false;
    }
    struct hf_arena_chunk *chunk = hf_malloc(sizeof(*chunk) + size_bytes);
    if (chunk == NULL) {
        return false;
    }
    chunk->next = arena->first;
    chunk->size_bytes = size_bytes;
    arena->first = chunk;
    arena->used_bytes = 0;
    arena->total_bytes += size_bytes;
    return true;
}

void *hf_arena_alloc(struct hf_arena *arena, size_t size_bytes)
{
    if (size_bytes > SIZE_MAX - ALIGN_BYTES) {
        return NULL;
    }
    size_t rounded = (size_bytes + ALIGN_BYTES - 1) & ~(size_t)(ALIGN_BYTES - 1);
    if (arena->first == NULL || arena->first->size_bytes - arena->used_bytes < rounded) {
        if (!add_chunk(arena, rounded)) {
            return NULL;
        }
    }
    void *result = arena->first->data + arena->used_bytes;
    arena->used_bytes += rounded;
    return result;
}

void *hf_arena_alloc_zero(struct hf_arena *arena, size_t count, size_t size_bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, size_bytes, &total)) {
        return NULL;
    }
    void *result = hf_arena_alloc(arena, total);
    if (result != NULL) {
        memset(result, 0, total);
    }
    return result;
}

struct hf_str hf_arena_copy(struct hf_arena *arena, struct hf_str text)
{
    if (text.ptr == NULL) {
        return HF_STR_NONE;
    }
    char *copy = hf_arena_alloc(arena, text.len + 1);
    if (copy == NULL) {
        return HF_STR_NONE;
    }
    if (text.len > 0) {
        memcpy(copy, text.ptr, text.len);
    }
    copy[text.len] = '\0';
    return (struct hf_str){copy, text.len};
}
