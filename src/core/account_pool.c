#include "core/account_pool.h"

#include "base/alloc.h"
#include "base/check.h"

#define LINE_BYTES      ((uintptr_t)64)
#define PIECE_BYTES_MIN ((size_t)4096)
#define PIECE_BYTES_MAX ((size_t)32 << 20) /* many huge pages */

/* Four cache lines. */
struct cell {
    struct hf_account account;
    struct hf_names_node node;
    uint64_t unused;
};

_Static_assert(sizeof(struct cell) % LINE_BYTES == 0, "each cell begins a cache line");
_Static_assert(offsetof(struct cell, node) == sizeof(struct hf_account),
               "a node lies right behind its thing (state_new.c)");
_Static_assert(offsetof(struct hf_account, opened_position) <= 3 * LINE_BYTES,
               "what deciding looks at is in three lines");

struct hf_account_piece {
    struct hf_account_piece *next;
    size_t size_bytes; /* from `data` on */
    size_t used_bytes;
    char *data; /* in the same allocation, at the beginning of a cache line */
};

static struct hf_account_piece *piece_new(size_t size_bytes)
{
    struct hf_account_piece *piece = hf_malloc(sizeof(*piece) + LINE_BYTES + size_bytes);
    if (piece != NULL) {
        uintptr_t end = (uintptr_t)(piece + 1);
        *piece = (struct hf_account_piece){
            .size_bytes = size_bytes,
            .data = (char *)(piece + 1) + (LINE_BYTES - end % LINE_BYTES) % LINE_BYTES,
        };
    }
    return piece;
}

static void release_list(struct hf_account_piece *piece)
{
    while (piece != NULL) {
        struct hf_account_piece *next = piece->next;
        hf_free(piece);
        piece = next;
    }
}

void hf_account_pool_release(struct hf_account_pool *pool)
{
    release_list(pool->first);
    release_list(pool->texts);
    *pool = (struct hf_account_pool){0};
}

void hf_account_pool_begin(struct hf_account_pool *pool)
{
    pool->reserved = 0;
    pool->reserved_text_bytes = 0;
}

/* Twice the last one's size, within limits, and never less than is needed. */
static size_t next_size(const struct hf_account_piece *last, size_t needed_bytes)
{
    size_t size = last == NULL ? PIECE_BYTES_MIN : 2 * last->size_bytes;
    size = size > PIECE_BYTES_MAX ? PIECE_BYTES_MAX : size;
    return size < needed_bytes ? needed_bytes : size;
}

static bool add_cells(struct hf_account_pool *pool)
{
    struct hf_account_piece *piece = piece_new(next_size(pool->last, sizeof(struct cell)));
    if (piece == NULL) {
        return false;
    }
    if (pool->last == NULL) {
        pool->first = piece;
        pool->current = piece;
    } else {
        pool->last->next = piece;
    }
    pool->last = piece;
    pool->room += piece->size_bytes / sizeof(struct cell);
    return true;
}

/* What is left of the newest piece of texts is not used any more: that is less than a commit's texts. */
static bool add_texts(struct hf_account_pool *pool, size_t needed_bytes)
{
    struct hf_account_piece *piece = piece_new(next_size(pool->texts, needed_bytes));
    if (piece == NULL) {
        return false;
    }
    piece->next = pool->texts;
    pool->texts = piece;
    return true;
}

bool hf_account_pool_reserve(struct hf_account_pool *pool, const struct hf_name *name)
{
    size_t text_bytes = pool->reserved_text_bytes + name->text.len;
    size_t text_room = pool->texts == NULL ? 0 : pool->texts->size_bytes - pool->texts->used_bytes;
    if ((pool->reserved == pool->room && !add_cells(pool)) ||
        (text_bytes > text_room && !add_texts(pool, text_bytes))) {
        return false;
    }
    pool->reserved++;
    pool->reserved_text_bytes = text_bytes;
    return true;
}

static struct cell *take_cell(struct hf_account_pool *pool)
{
    if (pool->current->size_bytes - pool->current->used_bytes < sizeof(struct cell)) {
        pool->current = pool->current->next;
    }
    struct cell *cell = (void *)(pool->current->data + pool->current->used_bytes);
    pool->current->used_bytes += sizeof(*cell);
    pool->room--;
    pool->count++;
    return cell;
}

static struct hf_str take_text(struct hf_account_pool *pool, struct hf_str from)
{
    struct hf_account_piece *texts = pool->texts;
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
    HF_CHECK(pool->reserved > 0 && pool->room > 0);
    pool->reserved--;
    struct hf_account *account = &take_cell(pool)->account;
    *account = *from;
    account->name.text = take_text(pool, from->name.text);
    account->hex_name = account->name.text.len == HF_UUID_TEXT_BYTES &&
                        hf_name_is_hex_of(account->name.text, &account->name.id);
    return account;
}

struct hf_account_walk hf_account_pool_walk(const struct hf_account_pool *pool)
{
    return (struct hf_account_walk){pool->first, 0};
}

struct hf_account *hf_account_pool_next(struct hf_account_walk *walk)
{
    while (walk->piece != NULL && walk->number * sizeof(struct cell) >= walk->piece->used_bytes) {
        *walk = (struct hf_account_walk){walk->piece->next, 0};
    }
    if (walk->piece == NULL) {
        return NULL;
    }
    struct cell *cell = (void *)(walk->piece->data + walk->number * sizeof(struct cell));
    walk->number++;
    return &cell->account;
}

uint64_t hf_account_pool_bytes(const struct hf_account_pool *pool)
{
    return pool->count * sizeof(struct cell) + pool->text_bytes;
}
