/*
 * A run's file: layout, pages, filter. Private to src/store and its tests.
 *
 *   offset 0      header, HF_STORE_HEADER_BYTES (fields in run_format.c)
 *   then pages of block_bytes each, numbered from 0 through the file:
 *     data pages    records (HF_INDEX_RECORD_BYTES each), ascending
 *     fence pages   the first key of each data page (HF_INDEX_KEY_BYTES each)
 *     filter pages  lines of a Bloom filter (64 bytes each, from byte 64 of the page)
 *   A page: checksum of the rest u64, tag u64, number u32, count of entries u32, entries, zeros.
 *   tag = checksum of header bytes 16..48 (space, block size, positions, generation): a page of
 *   another run or of another place is not taken for this one. All pages of a section are full but
 *   the last one.
 *
 * Filter: line = hash × lines / 2^64; in the line six bits, by six 9-bit pieces of a second hash.
 */
#ifndef HF_STORE_RUN_PRIV_H
#define HF_STORE_RUN_PRIV_H

#include <stdatomic.h>

#include "base/bytes.h"
#include "store/run.h"
#include "store/sink.h"

#define HF_RUN_VERSION                                                                             \
    2u /* of runs that a merge has left something out of; all others are still written as version 1 */
#define HF_RUN_PAGE_HEAD_BYTES  24u
#define HF_RUN_LINE_BYTES       64u
#define HF_RUN_FILTER_BITS_MIN  10u /* as early runs have it */
#define HF_RUN_KINDS_MAX        32u /* kinds of keys whose ranges are known */
#define HF_RUN_RECORD_COUNT_MAX ((uint64_t)1 << 37)

/* A header in memory, with what follows from it. */
struct hf_run_layout {
    struct hf_run_info info;     /* without ref.hash while writing */
    uint64_t data_pages;         /* pages of records, from page 0 */
    uint64_t fence_pages;        /* behind them */
    uint64_t filter_pages;       /* behind these */
    uint64_t filter_lines;       /* in all filter pages */
    struct hf_hash content_hash; /* of all pages */
    uint64_t tag;                /* of all pages */
    uint32_t records_a_page;     /* capacity of a data page */
    uint32_t fences_a_page;      /* capacity of a fence page */
    uint32_t lines_a_page;       /* capacity of a filter page */
};

/* Sets tag and capacities from info.space, .block_bytes and .ref. */
void hf_run_layout_derive(struct hf_run_layout *layout);
/* Filter lines for so many records. */
uint64_t hf_run_filter_lines(uint64_t record_count);
/* No run has fewer. */
uint64_t hf_run_filter_lines_min(uint64_t record_count);

/* Also sets info.ref.hash, which is the hash of these bytes. */
void hf_run_header_encode(struct hf_run_layout *layout, uint8_t header[HF_STORE_HEADER_BYTES]);
/* Every number is compared with all others and with file_bytes before it is believed. */
enum hf_err hf_run_header_decode(const uint8_t header[HF_STORE_HEADER_BYTES], uint64_t file_bytes,
                                 const char *name, struct hf_run_layout *layout,
                                 struct hf_error *error) HF_WARN_UNUSED;

/* Fills in a page's head; the rest of the page must be there. */
void hf_run_page_seal(const struct hf_run_layout *layout, uint8_t *page, uint64_t number,
                      uint32_t count);
/* NULL if the page is that page with that count, else what is wrong (a static text). */
const char *hf_run_page_check(const struct hf_run_layout *layout, const uint8_t *page,
                              uint64_t number, uint32_t count);
/* Entries that page `number` of a section holds: `capacity` but for the last page. */
uint32_t hf_run_page_count(uint64_t page_in_section, uint64_t entry_count, uint32_t capacity);
static inline uint64_t hf_run_page_offset(const struct hf_run_layout *layout, uint64_t number)
{
    return HF_STORE_HEADER_BYTES + number * layout->info.block_bytes;
}

/* A line is HF_RUN_LINE_BYTES. */
uint64_t hf_run_filter_line(uint64_t key_hash, uint64_t line_count);
void hf_run_filter_set(uint8_t *line, uint64_t key_hash);
bool hf_run_filter_test(const uint8_t *line, uint64_t key_hash);

/* Compares an encoded key with a key: <0, 0, >0. */
static inline int hf_run_key_compare(const uint8_t *encoded, const struct hf_index_key *key)
{
    if (encoded[0] != key->kind) {
        return encoded[0] < key->kind ? -1 : 1;
    }
    int order = memcmp(encoded + 1, key->id.bytes, 16);
    if (order != 0) {
        return order;
    }
    uint64_t sub = hf_get_u64(encoded + 17);
    return sub < key->sub ? -1 : sub > key->sub;
}

/* The first 8 bytes of an encoded key: they order all but those that have the same. */
static inline uint64_t hf_run_prefix(const uint8_t *encoded)
{
    return __builtin_bswap64(hf_get_u64(encoded));
}

/* Compares the keys of two encoded records: <0, 0, >0. */
static inline int hf_run_record_compare(const uint8_t *a, const uint8_t *b)
{
    uint64_t left = hf_run_prefix(a);
    uint64_t right = hf_run_prefix(b);
    if (left == right) {
        left = hf_run_prefix(a + 8);
        right = hf_run_prefix(b + 8);
    }
    if (left == right) {
        left = a[16];
        right = b[16];
    }
    if (left == right) {
        left = hf_get_u64(a + 17);
        right = hf_get_u64(b + 17);
    }
    return left < right ? -1 : left > right;
}

/* First and last key of a kind. */
struct hf_run_range {
    struct hf_index_key first, last;
    uint64_t count; /* of records from first to last */
};

struct hf_run {
    struct hf_run_layout layout; /* the header */
    struct hf_outside *outside;  /* borrowed */
    struct hf_file *file;        /* open for reading */
    struct hf_index_key *fences; /* data_pages of them, owned; NULL if there is none */
    uint8_t *filter;             /* filter_lines lines, owned; NULL = they stay on disk */
    struct hf_run_range ranges[HF_RUN_KINDS_MAX]; /* range_count of them, by kind, none left out… */
    uint32_t range_count;
    bool ranges_known;            /* …unless there are too many kinds */
    atomic_uint reference_count;  /* the last one closes */
    char name[HF_RUN_NAME_BYTES]; /* file name, for texts */
};

/* ---- Writer, for merges ---- */

/* count encoded records that ascend; the first is above the last one that came (HF_CHECK). */
enum hf_err hf_run_writer_add_records(struct hf_run_writer *writer, const uint8_t *records,
                                      uint32_t count, struct hf_error *error) HF_WARN_UNUSED;
/* A record of this position is left out, or was left out of what is merged; 0: none. */
void hf_run_writer_dropped(struct hf_run_writer *writer, uint64_t position);

/* Reads and compares one page. */
enum hf_err hf_run_page_read(struct hf_run *run, uint64_t number, uint32_t count, uint8_t *page,
                             struct hf_error *error) HF_WARN_UNUSED;
/* Is what was read as data page `block` that page? Also its first key must be the fence's. */
enum hf_err hf_run_block_accept(const struct hf_run *run, uint64_t block, const uint8_t *page,
                                uint32_t *count, struct hf_error *error) HF_WARN_UNUSED;
/* Reads data page `block`; also its first key must be the fence's. */
enum hf_err hf_run_block_read(struct hf_run *run, uint64_t block, uint8_t *page, uint32_t *count,
                              struct hf_error *error) HF_WARN_UNUSED;
/* First record of a data page whose key is >= *key; count if there is none. */
uint32_t hf_run_block_search(const uint8_t *page, uint32_t count, const struct hf_index_key *key);
/* Data page in which *key would be: the last one that begins at or below it; 0 if none does. */
uint64_t hf_run_fence_search(const struct hf_run *run, const struct hf_index_key *key);

#endif
