#include "core/account_pool.h"

#include "base/alloc.h"
#include "base/check.h"

#define LINE_BYTES      ((uintptr_t)64)
#define CELLS_FIRST     16u /* of the first piece */
#define PIECES          8u /* in which the room is doubled: at most an eighth is waiting for accounts */
#define TEXTS_BYTES_MIN ((size_t)1024)
#define TEXTS_BYTES_MAX ((size_t)4 << 20)

/* Four cache lines. */
struct hf_account_cell {
    struct hf_account account;
    struct hf_names_node node;
    uint64_t unused;
};

_Static_assert(CELLS_FIRST / PIECES == 2, "a shift by doubling + 1 divides by a piece's cells");
_Static_assert(sizeof(struct hf_account_cell) % LINE_BYTES == 0, "each cell begins a cache line");
_Static_assert(offsetof(struct hf_account_cell, node) == sizeof(struct hf_account),
               "a node lies right behind its thing (state_new.c)");
_Static_assert(offsetof(struct hf_account, opened_position) <= 3 * LINE_BYTES,
               "what deciding looks at is in three lines");

struct hf_account_texts {
    struct hf_account_texts *next; /* older */
    size_t size_bytes;             /* of data */
    size_t used_bytes;
    char data[];
};

void hf_account_pool_init(struct hf_account_pool *pool, uint64_t seed)
{
    *pool = (struct hf_account_pool){.seed = seed};
}

void hf_account_pool_release(struct hf_account_pool *pool)
{
    for (size_t i = 0; i < pool->piece_count; i++) {
        hf_free(pool->pieces[i].memory);
    }
    while (pool->texts != NULL) {
        struct hf_account_texts *next = pool->texts->next;
        hf_free(pool->texts);
        pool->texts = next;
    }
    hf_free(pool->pieces);
    hf_places_release(&pool->places);
    hf_account_pool_init(pool, pool->seed);
}

/* ---- room ---- */

void hf_account_pool_begin(struct hf_account_pool *pool)
{
    pool->reserved = 0;
    pool->reserved_text_bytes = 0;
}

static bool add_piece(struct hf_account_pool *pool)
{
    if (pool->piece_count == pool->piece_capacity) {
        size_t capacity = pool->piece_capacity == 0 ? 4 : 2 * pool->piece_capacity;
        struct hf_account_piece *pieces = hf_realloc(pool->pieces, capacity * sizeof(*pieces));
        if (pieces == NULL) {
            return false;
        }
        pool->pieces = pieces;
        pool->piece_capacity = capacity;
    }
    size_t cells = pool->piece_count == 0
                       ? CELLS_FIRST
                       : (size_t)(CELLS_FIRST / PIECES) << (pool->piece_count - 1) / PIECES;
    char *memory = hf_malloc(cells * sizeof(struct hf_account_cell) + LINE_BYTES);
    if (memory == NULL) {
        return false;
    }
    char *first = memory + (LINE_BYTES - (uintptr_t)memory % LINE_BYTES) % LINE_BYTES;
    pool->pieces[pool->piece_count++] = (struct hf_account_piece){memory, (void *)first};
    pool->room += cells;
    return true;
}

/* What is left of the newest texts is not used any more: that is less than a commit's. */
static bool add_texts(struct hf_account_pool *pool, size_t needed_bytes)
{
    size_t size = pool->texts == NULL ? TEXTS_BYTES_MIN : 2 * pool->texts->size_bytes;
    size = size > TEXTS_BYTES_MAX ? TEXTS_BYTES_MAX : size;
    size = size < needed_bytes ? needed_bytes : size;
    struct hf_account_texts *texts = hf_malloc(sizeof(*texts) + size);
    if (texts == NULL) {
        return false;
    }
    *texts = (struct hf_account_texts){.next = pool->texts, .size_bytes = size};
    pool->texts = texts;
    return true;
}

bool hf_account_pool_reserve(struct hf_account_pool *pool, const struct hf_name *name)
{
    size_t text_bytes = pool->reserved_text_bytes + name->text.len;
    size_t text_room = pool->texts == NULL ? 0 : pool->texts->size_bytes - pool->texts->used_bytes;
    if ((pool->places.count + pool->reserved == pool->room && !add_piece(pool)) ||
        (text_bytes > text_room && !add_texts(pool, text_bytes)) ||
        !hf_places_reserve(&pool->places, pool->reserved + 1)) {
        return false;
    }
    pool->reserved++;
    pool->reserved_text_bytes = text_bytes;
    return true;
}

/* ---- accounts ---- */

static uint32_t hash_of(const struct hf_account_pool *pool, const struct hf_id *id)
{
    uint64_t hash = hf_id_hash(id, pool->seed);
    return (uint32_t)(hash ^ hash >> 32);
}

/* The numbers from CELLS_FIRST * 2^d to twice as many are in PIECES pieces of equal size. */
struct hf_account *hf_account_pool_at(const struct hf_account_pool *pool, size_t number)
{
    if (number < CELLS_FIRST) {
        return &pool->pieces[0].cells[number].account;
    }
    unsigned doubling = 63u - (unsigned)__builtin_clzll(number / CELLS_FIRST);
    size_t behind = number - ((size_t)CELLS_FIRST << doubling);
    size_t cells = (size_t)(CELLS_FIRST / PIECES) << doubling;
    size_t piece = 1 + (size_t)PIECES * doubling + (behind >> (doubling + 1));
    return &pool->pieces[piece].cells[behind & (cells - 1)].account;
}

static struct hf_str take_text(struct hf_account_pool *pool, struct hf_str from)
{
    struct hf_account_texts *texts = pool->texts;
    HF_CHECK(from.len <= pool->reserved_text_bytes &&
             from.len <= texts->size_bytes - texts->used_bytes);
    char *text = texts->data + texts->used_bytes;
    memcpy(text, from.ptr, from.len);
    texts->used_bytes += from.len;
    pool->reserved_text_bytes -= from.len;
    pool->text_bytes += from.len;
    return (struct hf_str){text, from.len};
}

struct hf_account *hf_account_pool_put(struct hf_account_pool *pool, const struct hf_account *from)
{
    HF_CHECK(pool->reserved > 0 && pool->places.count < pool->room);
    struct hf_account *account = hf_account_pool_at(pool, pool->places.count);
    *account = *from;
    account->name.text = take_text(pool, from->name.text);
    account->hex_name = account->name.text.len == HF_UUID_TEXT_BYTES &&
                        hf_name_is_hex_of(account->name.text, &account->name.id);
    hf_places_add(&pool->places, hash_of(pool, &account->name.id));
    pool->reserved--;
    return account;
}

void hf_account_pool_settle(struct hf_account_pool *pool)
{
    hf_places_settle(&pool->places);
}

struct hf_account *hf_account_pool_find(const struct hf_account_pool *pool, const struct hf_id *id)
{
    struct hf_place_probe probe = hf_places_probe(&pool->places, hash_of(pool, id));
    while (hf_place_next(&probe)) {
        struct hf_account *account = hf_account_pool_at(pool, probe.number);
        if (hf_id_equal(&account->name.id, id)) {
            return account;
        }
    }
    return NULL;
}

void hf_account_pool_prefetch(const struct hf_account_pool *pool, const struct hf_id *id)
{
    hf_places_prefetch(&pool->places, hash_of(pool, id));
}

struct hf_account *hf_account_pool_guess(const struct hf_account_pool *pool, const struct hf_id *id)
{
    struct hf_place_probe probe = hf_places_probe(&pool->places, hash_of(pool, id));
    struct hf_account *guess =
        hf_place_next(&probe) ? hf_account_pool_at(pool, probe.number) : NULL;
    hf_account_prefetch(guess);
    return guess;
}

uint64_t hf_account_pool_bytes(const struct hf_account_pool *pool)
{
    return pool->places.count * sizeof(struct hf_account_cell) + pool->text_bytes +
           hf_places_bytes(&pool->places);
}
