/*
 * DIR/log/state: epoch, seal and the segments that count, in two slots of one page.
 *
 * An update writes and syncs the older slot, then the other one; so a tear leaves the state before
 * or after the update, and damage to one slot leaves the other. Nothing is acted upon before both
 * are durable. Whoever takes over syncs what it has read before its first update (log_recover.c).
 */
#include "base/check.h"
#include "log/log_priv.h"

#define SLOT_COUNT 2

static enum hf_err read_slots(struct hf_log_file *log, const char *path,
                              uint8_t pages[SLOT_COUNT * HF_LOG_PAGE_BYTES], struct hf_error *error)
{
    struct hf_outside *o = log->outside;
    struct hf_file *file;
    enum hf_err code = o->open(o, path, HF_OPEN_READ_DIRECT, &file, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    size_t got;
    memset(pages, 0, SLOT_COUNT * HF_LOG_PAGE_BYTES);
    code = o->read(o, file, 0, pages, SLOT_COUNT * HF_LOG_PAGE_BYTES, &got, error);
    o->close(o, file);
    return code;
}

enum hf_err hf_log_state_load(struct hf_log_file *log, struct hf_log_state *state, unsigned *slot,
                              struct hf_error *error)
{
    *state = (struct hf_log_state){0};
    *slot = 0;
    char path[HF_LOG_PATH_BYTES];
    hf_log_path_in_log(log, "state", path);
    uint8_t pages[SLOT_COUNT * HF_LOG_PAGE_BYTES];
    enum hf_err code = read_slots(log, path, pages, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    bool newer = false;
    for (unsigned i = 0; i < SLOT_COUNT; i++) {
        struct hf_log_state read;
        enum hf_log_page page = hf_log_state_decode(pages + i * HF_LOG_PAGE_BYTES, &read);
        newer = newer || page == HF_LOG_PAGE_NEWER;
        if (page == HF_LOG_PAGE_VALID && read.generation > state->generation) {
            *state = read;
            *slot = i;
        }
    }
    if (newer) {
        return hf_error_set(error, HF_ERR_VERSION, "%s: written by a newer version", path);
    }
    if (state->generation == 0) {
        return hf_error_set(error, HF_ERR_CORRUPT,
                            "%s: neither slot is valid; restore it from a copy of this directory",
                            path);
    }
    return HF_ERR_OK;
}

static enum hf_err write_new(struct hf_log_file *log, const char *path,
                             const struct hf_log_state *state, struct hf_error *error)
{
    struct hf_outside *o = log->outside;
    struct hf_file *file;
    enum hf_err code = o->open(o, path, HF_OPEN_CREATE_NEW, &file, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    uint8_t pages[SLOT_COUNT * HF_LOG_PAGE_BYTES];
    for (unsigned i = 0; i < SLOT_COUNT; i++) {
        hf_log_state_encode(state, pages + i * HF_LOG_PAGE_BYTES);
    }
    code = o->write(o, file, 0, pages, sizeof(pages), error);
    if (code == HF_ERR_OK) {
        code = o->sync(o, file, error);
    }
    o->close(o, file);
    return code;
}

enum hf_err hf_log_state_create(struct hf_log_file *log, struct hf_error *error)
{
    struct hf_outside *o = log->outside;
    struct hf_log_state state = {.generation = 1, .first_segment = 1};
    o->random(o, state.log_id, sizeof(state.log_id));
    char directory[HF_LOG_PATH_BYTES];
    char path[HF_LOG_PATH_BYTES];
    char path_new[HF_LOG_PATH_BYTES];
    hf_log_path_log(log, directory);
    hf_log_path_in_log(log, "state", path);
    hf_log_path_in_log(log, "state.new", path_new);
    enum hf_err code = o->remove(o, path_new, error); /* of a creation that was cut off */
    if (code != HF_ERR_OK && code != HF_ERR_NOT_FOUND) {
        return code;
    }
    code = write_new(log, path_new, &state, error);
    if (code == HF_ERR_OK) {
        code = o->rename(o, path_new, path, error);
    }
    if (code == HF_ERR_OK) {
        code = o->sync_directory(o, directory, error);
    }
    return code;
}

enum hf_err hf_log_state_update(struct hf_log_file *log, struct hf_log_state next,
                                struct hf_error *error)
{
    struct hf_outside *o = log->outside;
    HF_CHECK(log->state_file != NULL && next.epoch >= log->state.epoch);
    if (atomic_load(&log->failed)) {
        return hf_error_set(error, HF_ERR_IO, "a write to the log failed before: restart");
    }
    next.generation = log->state.generation + 1;
    uint8_t page[HF_LOG_PAGE_BYTES];
    hf_log_state_encode(&next, page);
    unsigned slot = log->state_slot;
    for (unsigned i = 0; i < SLOT_COUNT; i++) {
        slot = (slot + 1) % SLOT_COUNT;
        enum hf_err code = o->write(o, log->state_file, (uint64_t)slot * HF_LOG_PAGE_BYTES, page,
                                    sizeof(page), error);
        if (code == HF_ERR_OK) {
            code = o->sync(o, log->state_file, error);
        }
        if (code != HF_ERR_OK) {
            atomic_store(&log->failed, true);
            (void)hf_error_wrap(error, "log state");
            return code;
        }
    }
    log->state = next;
    log->state_slot = slot;
    return HF_ERR_OK;
}
