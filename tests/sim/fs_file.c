#include "sim/fs_sim.h"

#include "base/check.h"
#include "sim/fs_priv.h"
#include "sim/sim_memory.h"

#define CAPACITY_BYTES_MIN 4096
#define FILE_BYTES_MAX     (1u << 30)

/* ---- sectors ---- */

static void file_reserve(struct hf_fs_file *file, size_t size_bytes)
{
    HF_CHECK(size_bytes <= FILE_BYTES_MAX);
    if (size_bytes <= file->capacity_bytes) {
        return;
    }
    size_t capacity = file->capacity_bytes == 0 ? CAPACITY_BYTES_MIN : file->capacity_bytes;
    while (capacity < size_bytes) {
        capacity *= 2;
    }
    size_t old = file->capacity_bytes;
    file->cached = hf_sim_realloc(file->cached, capacity);
    file->durable = hf_sim_realloc(file->durable, capacity);
    file->sectors = hf_sim_realloc(file->sectors, capacity / HF_FS_SECTOR_BYTES);
    memset(file->cached + old, 0, capacity - old);
    memset(file->durable + old, 0, capacity - old);
    memset(file->sectors + old / HF_FS_SECTOR_BYTES, SECTOR_CLEAN,
           (capacity - old) / HF_FS_SECTOR_BYTES);
    file->capacity_bytes = capacity;
}

static void mark_dirty(struct hf_fs_file *file, size_t offset, size_t size_bytes)
{
    if (size_bytes == 0) {
        return;
    }
    size_t first = offset / HF_FS_SECTOR_BYTES;
    size_t end = (offset + size_bytes - 1) / HF_FS_SECTOR_BYTES + 1;
    for (size_t i = first; file->stranded_count > 0 && i < end; i++) {
        file->stranded_count -= file->sectors[i] == SECTOR_STRANDED;
    }
    memset(file->sectors + first, SECTOR_DIRTY, end - first);
    bool none = file->touched_first == file->touched_end;
    file->touched_first = none || first < file->touched_first ? first : file->touched_first;
    file->touched_end = none || end > file->touched_end ? end : file->touched_end;
}

static void sector_to_durable(struct hf_fs_file *file, size_t sector)
{
    size_t at = sector * HF_FS_SECTOR_BYTES;
    memcpy(file->durable + at, file->cached + at, HF_FS_SECTOR_BYTES);
    file->sectors[sector] = SECTOR_CLEAN;
}

static void sector_to_cached(struct hf_fs_file *file, size_t sector)
{
    size_t at = sector * HF_FS_SECTOR_BYTES;
    memcpy(file->cached + at, file->durable + at, HF_FS_SECTOR_BYTES);
    file->stranded_count -= file->sectors[sector] == SECTOR_STRANDED;
    file->sectors[sector] = SECTOR_CLEAN;
}

/* What lies behind the end of the file (it was truncated) is gone for good. */
static void cut_sector(struct hf_fs_file *file, size_t sector)
{
    size_t start = sector * HF_FS_SECTOR_BYTES;
    size_t end = start + HF_FS_SECTOR_BYTES;
    if (file->size_bytes < end) {
        start = file->size_bytes > start ? file->size_bytes : start;
        memset(file->durable + start, 0, end - start);
    }
}

/* Shrinks what counts as touched to what is not clean. */
static void touched_trim(struct hf_fs_file *file)
{
    while (file->touched_first < file->touched_end &&
           file->sectors[file->touched_first] == SECTOR_CLEAN) {
        file->touched_first++;
    }
    while (file->touched_first < file->touched_end &&
           file->sectors[file->touched_end - 1] == SECTOR_CLEAN) {
        file->touched_end--;
    }
}

static enum hf_err resize_allowed(const struct hf_fs *fs, const struct hf_fs_file *file,
                                  size_t size_bytes)
{
    if (size_bytes > file->size_bytes && file->linked &&
        fs->used_bytes + (size_bytes - file->size_bytes) > fs->budget_bytes) {
        return HF_ERR_NO_SPACE;
    }
    return HF_ERR_OK;
}

static void size_set(struct hf_fs *fs, struct hf_fs_file *file, size_t size_bytes)
{
    if (file->linked) {
        fs->used_bytes += size_bytes - file->size_bytes;
    }
    file->size_bytes = size_bytes;
}

/* ---- power loss, eviction ---- */

static void tear_sector(struct hf_fs_file *file, size_t sector, const struct hf_fs_loss *loss,
                        struct hf_sim_random *random)
{
    uint8_t *durable = file->durable + sector * HF_FS_SECTOR_BYTES;
    const uint8_t *cached = file->cached + sector * HF_FS_SECTOR_BYTES;
    if (loss->torn_garbage) {
        hf_sim_random_bytes(random, durable, HF_FS_SECTOR_BYTES);
    } else {
        memcpy(durable, cached, (size_t)hf_sim_random_below(random, HF_FS_SECTOR_BYTES));
    }
}

static size_t dirty_count(const struct hf_fs_file *file)
{
    size_t count = 0;
    for (size_t i = file->touched_first; i < file->touched_end; i++) {
        count += file->sectors[i] == SECTOR_DIRTY;
    }
    return count;
}

static size_t size_after_loss(const struct hf_fs_file *file, uint32_t lost_ppm,
                              struct hf_sim_random *random)
{
    if (file->size_bytes == file->durable_bytes || hf_sim_random_chance(random, lost_ppm)) {
        return file->durable_bytes;
    }
    if (file->size_bytes > file->durable_bytes && hf_sim_random_chance(random, HF_PPM / 4)) {
        return (size_t)hf_sim_random_between(random, file->durable_bytes, file->size_bytes);
    }
    return file->size_bytes;
}

void fs_file_power_loss(struct hf_fs *fs, struct hf_fs_file *file, const struct hf_fs_loss *loss,
                        struct hf_sim_random *random)
{
    uint32_t lost_ppm = loss->sector_lost_ppm;
    if (hf_sim_random_chance(random, loss->all_or_none_ppm)) {
        lost_ppm = hf_sim_random_chance(random, lost_ppm) ? HF_PPM : 0;
    }
    size_t dirty = dirty_count(file);
    size_t torn = SIZE_MAX; /* counted among the dirty ones */
    if (dirty > 0 && hf_sim_random_chance(random, loss->torn_ppm)) {
        torn = (size_t)hf_sim_random_below(random, dirty);
    }
    size_t size_bytes = size_after_loss(file, lost_ppm, random);
    size_t nth = 0;
    for (size_t i = file->touched_first; i < file->touched_end; i++) {
        if (file->sectors[i] == SECTOR_DIRTY) {
            if (nth++ == torn) {
                tear_sector(file, i, loss, random);
            } else if (!hf_sim_random_chance(random, lost_ppm)) {
                sector_to_durable(file, i);
            }
        }
        if (file->sectors[i] != SECTOR_CLEAN) {
            sector_to_cached(file, i);
        }
    }
    /* A torn or kept sector, or what was there before a truncation, may reach past the end. */
    size_t used = file->touched_end * HF_FS_SECTOR_BYTES;
    used = file->size_bytes > used ? file->size_bytes : used;
    used = file->durable_bytes > used ? file->durable_bytes : used;
    file->touched_first = file->touched_end = 0;
    if (size_bytes < used) {
        memset(file->cached + size_bytes, 0, used - size_bytes);
        memset(file->durable + size_bytes, 0, used - size_bytes);
    }
    size_set(fs, file, size_bytes);
    file->durable_bytes = size_bytes;
}

void fs_file_evict(struct hf_fs_file *file)
{
    for (size_t i = file->touched_first; file->stranded_count > 0 && i < file->touched_end; i++) {
        if (file->sectors[i] == SECTOR_STRANDED) {
            cut_sector(file, i);
            sector_to_cached(file, i);
        }
    }
    touched_trim(file);
}

void fs_file_verify(const struct hf_fs_file *file)
{
    size_t sectors = file->capacity_bytes / HF_FS_SECTOR_BYTES;
    size_t stranded = 0;
    for (size_t i = 0; i < sectors; i++) {
        stranded += file->sectors[i] == SECTOR_STRANDED;
        bool touched = i >= file->touched_first && i < file->touched_end;
        HF_CHECK(touched || file->sectors[i] == SECTOR_CLEAN);
        if (file->sectors[i] == SECTOR_CLEAN) {
            HF_CHECK(memcmp(file->cached + i * HF_FS_SECTOR_BYTES,
                            file->durable + i * HF_FS_SECTOR_BYTES, HF_FS_SECTOR_BYTES) == 0);
        }
    }
    HF_CHECK(stranded == file->stranded_count);
    HF_CHECK(file->size_bytes <= file->capacity_bytes);
    for (size_t i = file->size_bytes; i < file->capacity_bytes; i++) {
        HF_CHECK(file->cached[i] == 0);
    }
    HF_CHECK(file->references > 0);
}

/* ---- public ---- */

uint64_t hf_fs_size(const struct hf_fs_file *file)
{
    return file->size_bytes;
}

size_t hf_fs_read(const struct hf_fs_file *file, bool direct, uint64_t offset, void *data,
                  size_t size_bytes)
{
    if (offset >= file->size_bytes || size_bytes == 0) {
        return 0;
    }
    size_t start = (size_t)offset;
    size_t count = file->size_bytes - start < size_bytes ? file->size_bytes - start : size_bytes;
    memcpy(data, file->cached + start, count);
    if (direct && file->stranded_count > 0) {
        for (size_t at = start; at < start + count;) {
            size_t sector = at / HF_FS_SECTOR_BYTES;
            size_t end = (sector + 1) * HF_FS_SECTOR_BYTES;
            end = end < start + count ? end : start + count;
            if (file->sectors[sector] == SECTOR_STRANDED) {
                memcpy((uint8_t *)data + (at - start), file->durable + at, end - at);
            }
            at = end;
        }
    }
    return count;
}

enum hf_err hf_fs_write(struct hf_fs *fs, uint32_t machine, struct hf_fs_file *file,
                        uint64_t offset, const void *data, size_t size_bytes)
{
    if (size_bytes == 0) {
        return HF_ERR_OK;
    }
    HF_CHECK(offset <= FILE_BYTES_MAX && size_bytes <= FILE_BYTES_MAX);
    size_t start = (size_t)offset;
    size_t end = start + size_bytes;
    enum hf_err result = resize_allowed(fs, file, end);
    if (result != HF_ERR_OK) {
        return result;
    }
    file_reserve(file, end);
    memcpy(file->cached + start, data, size_bytes);
    mark_dirty(file, start, size_bytes);
    file->machine = machine;
    if (end > file->size_bytes) {
        size_set(fs, file, end);
    }
    return HF_ERR_OK;
}

enum hf_err hf_fs_truncate(struct hf_fs *fs, uint32_t machine, struct hf_fs_file *file,
                           uint64_t size_bytes)
{
    HF_CHECK(size_bytes <= FILE_BYTES_MAX);
    size_t size = (size_t)size_bytes;
    enum hf_err result = resize_allowed(fs, file, size);
    if (result != HF_ERR_OK) {
        return result;
    }
    file_reserve(file, size);
    if (size < file->size_bytes) {
        memset(file->cached + size, 0, file->size_bytes - size);
        mark_dirty(file, size, file->size_bytes - size);
    }
    file->machine = machine;
    size_set(fs, file, size);
    return HF_ERR_OK;
}

void hf_fs_sync(struct hf_fs_file *file)
{
    for (size_t i = file->touched_first; i < file->touched_end; i++) {
        if (file->sectors[i] == SECTOR_DIRTY) {
            sector_to_durable(file, i);
        }
    }
    touched_trim(file);
    file->durable_bytes = file->size_bytes;
}

void hf_fs_sync_failed(struct hf_fs_file *file, struct hf_sim_random *random)
{
    size_t dirty = dirty_count(file);
    if (dirty == 0) {
        return;
    }
    size_t certain = (size_t)hf_sim_random_below(random, dirty);
    size_t nth = 0;
    for (size_t i = file->touched_first; i < file->touched_end; i++) {
        if (file->sectors[i] != SECTOR_DIRTY) {
            continue;
        }
        if (nth++ == certain || hf_sim_random_chance(random, HF_PPM / 2)) {
            file->sectors[i] = SECTOR_STRANDED;
            file->stranded_count++;
        } else {
            sector_to_durable(file, i);
        }
    }
    touched_trim(file);
    if (hf_sim_random_chance(random, HF_PPM / 2)) {
        file->durable_bytes = file->size_bytes;
    }
}

void hf_fs_sync_partly(struct hf_fs_file *file, struct hf_sim_random *random)
{
    for (size_t i = file->touched_first; i < file->touched_end; i++) {
        if (file->sectors[i] == SECTOR_DIRTY && hf_sim_random_chance(random, HF_PPM / 2)) {
            sector_to_durable(file, i);
        }
    }
    touched_trim(file);
}
