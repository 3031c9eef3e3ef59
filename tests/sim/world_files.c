#include <stdio.h>

#include "base/check.h"
#include "base/checksum.h"
#include "sim/sim_memory.h"
#include "sim/world_priv.h"

/* What becomes of an operation. */
enum verdict {
    VERDICT_GO,
    VERDICT_DEAD,         /* the process had ended before */
    VERDICT_CRASH_BEFORE, /* the process ends, no effect */
    VERDICT_CRASH_MIDDLE, /* write and sync only: a part, then the process ends */
    VERDICT_CRASH_AFTER,  /* the effect, then the process ends */
    VERDICT_FAIL,         /* HF_ERR_IO, no effect (sync: strands) */
    VERDICT_SHORT,        /* write only: a part, then HF_ERR_IO */
    VERDICT_NO_SPACE,     /* HF_ERR_NO_SPACE, no effect */
};

static const char *const op_names[HF_WORLD_OP_COUNT] = {
    [HF_WORLD_OP_OPEN] = "open",
    [HF_WORLD_OP_CREATE] = "create",
    [HF_WORLD_OP_READ] = "read",
    [HF_WORLD_OP_WRITE] = "write",
    [HF_WORLD_OP_SYNC] = "sync",
    [HF_WORLD_OP_TRUNCATE] = "truncate",
    [HF_WORLD_OP_RENAME] = "rename",
    [HF_WORLD_OP_REMOVE] = "remove",
    [HF_WORLD_OP_LIST] = "list",
    [HF_WORLD_OP_MAKE_DIRECTORY] = "make directory",
    [HF_WORLD_OP_SYNC_DIRECTORY] = "sync directory",
    [HF_WORLD_OP_LOCK] = "lock",
};

static const char *const class_names[HF_CLASS_COUNT] = {
    [HF_CLASS_SEGMENT] = "segment",
    [HF_CLASS_STATE] = "state",
    [HF_CLASS_CHECKPOINT] = "checkpoint",
    [HF_CLASS_RUN] = "run",
    [HF_CLASS_LOCK] = "lock",
    [HF_CLASS_OTHER] = "other",
};

static const char *const action_names[HF_ACT_COUNT] = {
    [HF_ACT_CRASH_BEFORE] = "crash before",
    [HF_ACT_CRASH_MIDDLE] = "crash middle",
    [HF_ACT_CRASH_AFTER] = "crash after",
    [HF_ACT_FAIL] = "fail",
    [HF_ACT_SHORT] = "short",
    [HF_ACT_NO_SPACE] = "no space",
};

const char *hf_world_op_name(enum hf_world_op op)
{
    return op < HF_WORLD_OP_COUNT ? op_names[op] : "any";
}

const char *hf_world_class_name(enum hf_world_class file)
{
    return file < HF_CLASS_COUNT ? class_names[file] : "any";
}

const char *hf_world_action_name(enum hf_world_action action)
{
    return action < HF_ACT_COUNT ? action_names[action] : "none";
}

enum hf_world_class hf_world_class_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    size_t parent = (size_t)(name - path); /* with the slash */
    bool in_log = (parent == 4 && memcmp(path, "log/", 4) == 0) ||
                  (parent > 4 && memcmp(name - 5, "/log/", 5) == 0);
    if (strcmp(name, "lock") == 0) {
        return HF_CLASS_LOCK;
    }
    if (in_log || strcmp(name, "log") == 0) {
        return strcmp(name, "state") == 0 ? HF_CLASS_STATE : HF_CLASS_SEGMENT;
    }
    if (strstr(name, "checkpoint") != NULL) {
        return HF_CLASS_CHECKPOINT;
    }
    if (strstr(name, "run") != NULL || strstr(name, "index") != NULL) {
        return HF_CLASS_RUN;
    }
    return HF_CLASS_OTHER;
}

/* ---- judging ---- */

static bool takes_space(enum hf_world_op op)
{
    return op == HF_WORLD_OP_WRITE || op == HF_WORLD_OP_TRUNCATE || op == HF_WORLD_OP_CREATE ||
           op == HF_WORLD_OP_MAKE_DIRECTORY || op == HF_WORLD_OP_RENAME;
}

static enum verdict at_point(struct world_process *process, enum hf_world_op op,
                             enum hf_world_class class)
{
    struct hf_world *world = process->world;
    struct hf_world_machine *machine = process->machine;
    enum hf_world_action action = machine->point.action;
    machine->armed = false;
    world->counters.points[op][class][action]++;
    world_note(world, action_names[action], machine->number, op, class);
    if (action == HF_ACT_CRASH_MIDDLE && op != HF_WORLD_OP_WRITE && op != HF_WORLD_OP_SYNC) {
        action = hf_sim_random_chance(&world->chance, HF_PPM / 2) ? HF_ACT_CRASH_BEFORE
                                                                  : HF_ACT_CRASH_AFTER;
    }
    switch (action) {
    case HF_ACT_CRASH_BEFORE:
        return VERDICT_CRASH_BEFORE;
    case HF_ACT_CRASH_MIDDLE:
        return VERDICT_CRASH_MIDDLE;
    case HF_ACT_CRASH_AFTER:
        return VERDICT_CRASH_AFTER;
    case HF_ACT_SHORT:
        return op == HF_WORLD_OP_WRITE ? VERDICT_SHORT : VERDICT_FAIL;
    case HF_ACT_NO_SPACE:
        return takes_space(op) ? VERDICT_NO_SPACE : VERDICT_FAIL;
    case HF_ACT_FAIL:
    case HF_ACT_COUNT:
        break;
    }
    return VERDICT_FAIL;
}

static uint32_t error_ppm(const struct hf_world_knobs *knobs, enum hf_world_op op)
{
    switch (op) {
    case HF_WORLD_OP_OPEN:
    case HF_WORLD_OP_CREATE:
        return knobs->open_error_ppm;
    case HF_WORLD_OP_READ:
        return knobs->read_error_ppm;
    case HF_WORLD_OP_WRITE:
    case HF_WORLD_OP_TRUNCATE:
        return knobs->write_error_ppm;
    case HF_WORLD_OP_SYNC:
        return knobs->sync_error_ppm;
    case HF_WORLD_OP_RENAME:
    case HF_WORLD_OP_REMOVE:
    case HF_WORLD_OP_LIST:
    case HF_WORLD_OP_MAKE_DIRECTORY:
    case HF_WORLD_OP_SYNC_DIRECTORY:
        return knobs->directory_error_ppm;
    case HF_WORLD_OP_LOCK:
    case HF_WORLD_OP_COUNT:
        break;
    }
    return 0;
}

static enum verdict judge(struct world_process *process, enum hf_world_op op,
                          enum hf_world_class class)
{
    struct hf_world *world = process->world;
    struct hf_world_machine *machine = process->machine;
    if (!process->alive) {
        return VERDICT_DEAD;
    }
    world->counters.operations[op]++;
    struct hf_world_point *point = &machine->point;
    if (machine->armed && (point->op == HF_WORLD_OP_COUNT || point->op == op) &&
        (point->file == HF_CLASS_COUNT || point->file == class) && --point->n == 0) {
        return at_point(process, op, class);
    }
    if (hf_sim_random_chance(&world->chance, error_ppm(&world->knobs, op))) {
        world->counters.faults[op][class]++;
        return VERDICT_FAIL;
    }
    if (op == HF_WORLD_OP_WRITE &&
        hf_sim_random_chance(&world->chance, world->knobs.write_short_ppm)) {
        world->counters.faults[op][class]++;
        return VERDICT_SHORT;
    }
    return VERDICT_GO;
}

static bool has_effect(enum verdict verdict)
{
    return verdict == VERDICT_GO || verdict == VERDICT_CRASH_AFTER;
}

/* Ends an operation: crashes if it must, turns verdict and result into what the caller hears. */
static enum hf_err settle(struct world_process *process, enum hf_world_op op, enum verdict verdict,
                          enum hf_err result, const char *path, struct hf_error *error)
{
    struct hf_world *world = process->world;
    switch (verdict) {
    case VERDICT_GO:
        break;
    case VERDICT_DEAD:
        result = HF_ERR_CRASHED;
        break;
    case VERDICT_CRASH_BEFORE:
    case VERDICT_CRASH_MIDDLE:
    case VERDICT_CRASH_AFTER:
        world_crash_at_point(process->machine, process->machine->point.crash);
        result = HF_ERR_CRASHED;
        break;
    case VERDICT_FAIL:
    case VERDICT_SHORT:
        result = HF_ERR_IO;
        break;
    case VERDICT_NO_SPACE:
        result = HF_ERR_NO_SPACE;
        break;
    }
    if (verdict != VERDICT_DEAD) {
        world_note(world, op_names[op], process->machine->number, op, (uint64_t)result);
    }
    if (result == HF_ERR_OK) {
        return result;
    }
    world->counters.no_space += result == HF_ERR_NO_SPACE;
    return hf_error_set(error, result, "%s %s: %s (simulated)", op_names[op], path,
                        hf_err_title(result));
}

static struct world_process *process_of(struct hf_outside *o)
{
    return (struct world_process *)o;
}

static struct hf_fs *fs_of(const struct world_process *process)
{
    return process->machine->disk->fs;
}

/* ---- directories ---- */

static enum hf_err make_directory(struct hf_outside *o, const char *path, struct hf_error *error)
{
    struct world_process *process = process_of(o);
    enum verdict verdict = judge(process, HF_WORLD_OP_MAKE_DIRECTORY, hf_world_class_of(path));
    enum hf_err result = HF_ERR_OK;
    if (has_effect(verdict)) {
        result = hf_fs_make_directory(fs_of(process), process->machine->number, path);
    }
    return settle(process, HF_WORLD_OP_MAKE_DIRECTORY, verdict, result, path, error);
}

static enum hf_err list(struct hf_outside *o, const char *path, hf_list_fn each, void *context,
                        struct hf_error *error)
{
    struct world_process *process = process_of(o);
    enum verdict verdict = judge(process, HF_WORLD_OP_LIST, hf_world_class_of(path));
    enum hf_err result = HF_ERR_OK;
    if (has_effect(verdict)) {
        result = hf_fs_list(fs_of(process), path, each, context);
    }
    return settle(process, HF_WORLD_OP_LIST, verdict, result, path, error);
}

static enum hf_err sync_directory(struct hf_outside *o, const char *path, struct hf_error *error)
{
    struct world_process *process = process_of(o);
    enum verdict verdict = judge(process, HF_WORLD_OP_SYNC_DIRECTORY, hf_world_class_of(path));
    enum hf_err result = HF_ERR_OK;
    if (has_effect(verdict)) {
        result = hf_fs_sync_directory(fs_of(process), path);
    }
    return settle(process, HF_WORLD_OP_SYNC_DIRECTORY, verdict, result, path, error);
}

static enum hf_err rename_file(struct hf_outside *o, const char *from, const char *to,
                               struct hf_error *error)
{
    struct world_process *process = process_of(o);
    enum verdict verdict = judge(process, HF_WORLD_OP_RENAME, hf_world_class_of(to));
    enum hf_err result = HF_ERR_OK;
    if (has_effect(verdict)) {
        result = hf_fs_rename(fs_of(process), process->machine->number, from, to);
    }
    return settle(process, HF_WORLD_OP_RENAME, verdict, result, from, error);
}

static enum hf_err remove_file(struct hf_outside *o, const char *path, struct hf_error *error)
{
    struct world_process *process = process_of(o);
    enum verdict verdict = judge(process, HF_WORLD_OP_REMOVE, hf_world_class_of(path));
    enum hf_err result = HF_ERR_OK;
    if (has_effect(verdict)) {
        result = hf_fs_remove(fs_of(process), process->machine->number, path);
    }
    return settle(process, HF_WORLD_OP_REMOVE, verdict, result, path, error);
}

/* ---- files ---- */

static struct hf_file *handle_new(struct world_process *process, struct hf_fs_file *opened,
                                  const char *path, enum hf_open_mode mode)
{
    struct hf_file *file = hf_sim_calloc(1, sizeof(*file));
    file->process = process;
    file->file = opened;
    file->class = hf_world_class_of(path);
    file->direct = mode == HF_OPEN_READ_DIRECT;
    file->writable = mode == HF_OPEN_READ_WRITE || mode == HF_OPEN_CREATE_NEW;
    (void)snprintf(file->path, sizeof(file->path), "%s", path);
    file->next = process->files;
    if (file->next != NULL) {
        file->next->previous = file;
    }
    process->files = file;
    return file;
}

static enum hf_err open_file(struct hf_outside *o, const char *path, enum hf_open_mode mode,
                             struct hf_file **file, struct hf_error *error)
{
    *file = NULL;
    struct world_process *process = process_of(o);
    bool create_new = mode == HF_OPEN_CREATE_NEW;
    enum hf_world_op op = create_new ? HF_WORLD_OP_CREATE : HF_WORLD_OP_OPEN;
    enum verdict verdict = judge(process, op, hf_world_class_of(path));
    enum hf_err result = HF_ERR_OK;
    struct hf_fs_file *opened = NULL;
    if (has_effect(verdict)) {
        result = hf_fs_open(fs_of(process), process->machine->number, path, create_new, &opened);
    }
    result = settle(process, op, verdict, result, path, error);
    if (result == HF_ERR_OK) {
        *file = handle_new(process, opened, path, mode);
    } else if (opened != NULL) {
        hf_fs_close(fs_of(process), opened);
    }
    return result;
}

static void close_file(struct hf_outside *o, struct hf_file *file)
{
    if (file == NULL) {
        return;
    }
    struct world_process *process = process_of(o);
    HF_CHECK(file->process == process);
    *(file->previous != NULL ? &file->previous->next : &process->files) = file->next;
    if (file->next != NULL) {
        file->next->previous = file->previous;
    }
    hf_fs_close(fs_of(process), file->file);
    free(file);
}

void world_files_free(struct world_process *process)
{
    while (process->files != NULL) {
        /* It takes itself out of the list. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
        close_file(&process->outside, process->files);
    }
}

static enum hf_err file_size(struct hf_outside *o, struct hf_file *file, uint64_t *size_bytes,
                             struct hf_error *error)
{
    *size_bytes = 0;
    struct world_process *process = process_of(o);
    HF_CHECK(file->process == process);
    if (!process->alive) {
        return hf_error_set(error, HF_ERR_CRASHED, "size of %s (simulated)", file->path);
    }
    *size_bytes = hf_fs_size(file->file);
    return HF_ERR_OK;
}

static enum hf_err read_file(struct hf_outside *o, struct hf_file *file, uint64_t offset,
                             void *data, size_t size_bytes, size_t *read_bytes,
                             struct hf_error *error)
{
    *read_bytes = 0;
    struct world_process *process = process_of(o);
    HF_CHECK(file->process == process);
    enum verdict verdict = judge(process, HF_WORLD_OP_READ, file->class);
    if (has_effect(verdict)) {
        *read_bytes = hf_fs_read(file->file, file->direct, offset, data, size_bytes);
    } else if (verdict == VERDICT_FAIL && file->direct) {
        /* What a direct read had to write first is as lost as after a failed sync. */
        hf_fs_sync_failed(file->file, &process->world->chance);
    }
    hf_world_trace(process->world, offset ^ size_bytes);
    enum hf_err result = settle(process, HF_WORLD_OP_READ, verdict, HF_ERR_OK, file->path, error);
    if (result != HF_ERR_OK) {
        *read_bytes = 0;
    }
    return result;
}

static enum hf_err write_file(struct hf_outside *o, struct hf_file *file, uint64_t offset,
                              const void *data, size_t size_bytes, struct hf_error *error)
{
    struct world_process *process = process_of(o);
    struct hf_world *world = process->world;
    HF_CHECK(file->process == process && file->writable);
    enum verdict verdict = judge(process, HF_WORLD_OP_WRITE, file->class);
    size_t effect_bytes = has_effect(verdict) ? size_bytes : 0;
    if ((verdict == VERDICT_SHORT || verdict == VERDICT_CRASH_MIDDLE) && size_bytes > 0) {
        effect_bytes = (size_t)hf_sim_random_below(&world->chance, size_bytes);
    }
    enum hf_err result = HF_ERR_OK;
    if (effect_bytes > 0) {
        result = hf_fs_write(fs_of(process), process->machine->number, file->file, offset, data,
                             effect_bytes);
        hf_world_trace(world, hf_checksum(data, effect_bytes) ^ offset);
    }
    return settle(process, HF_WORLD_OP_WRITE, verdict, result, file->path, error);
}

static enum hf_err sync_file(struct hf_outside *o, struct hf_file *file, struct hf_error *error)
{
    struct world_process *process = process_of(o);
    HF_CHECK(file->process == process);
    enum verdict verdict = judge(process, HF_WORLD_OP_SYNC, file->class);
    if (has_effect(verdict)) {
        hf_fs_sync(file->file);
    } else if (verdict == VERDICT_CRASH_MIDDLE) {
        hf_fs_sync_partly(file->file, &process->world->chance);
    } else if (verdict == VERDICT_FAIL) {
        hf_fs_sync_failed(file->file, &process->world->chance);
    }
    return settle(process, HF_WORLD_OP_SYNC, verdict, HF_ERR_OK, file->path, error);
}

static enum hf_err truncate_file(struct hf_outside *o, struct hf_file *file, uint64_t size_bytes,
                                 struct hf_error *error)
{
    struct world_process *process = process_of(o);
    HF_CHECK(file->process == process && file->writable);
    enum verdict verdict = judge(process, HF_WORLD_OP_TRUNCATE, file->class);
    enum hf_err result = HF_ERR_OK;
    if (has_effect(verdict)) {
        result = hf_fs_truncate(fs_of(process), process->machine->number, file->file, size_bytes);
    }
    hf_world_trace(process->world, size_bytes);
    return settle(process, HF_WORLD_OP_TRUNCATE, verdict, result, file->path, error);
}

/* ---- locks ---- */

static bool lock_is_held(const struct world_disk *disk, const char *path)
{
    for (const struct hf_lock *lock = disk->locks; lock != NULL; lock = lock->next) {
        if (lock->held && strcmp(lock->path, path) == 0) {
            return true;
        }
    }
    return false;
}

/* The lock is a file, as on Linux: it shows in lists, its directory must be there. */
static enum hf_err lock_file_make(struct world_process *process, const char *path)
{
    struct hf_fs_file *file;
    enum hf_err result = hf_fs_open(fs_of(process), process->machine->number, path, true, &file);
    if (result == HF_ERR_EXISTS) {
        return HF_ERR_OK;
    }
    if (result == HF_ERR_OK) {
        hf_fs_close(fs_of(process), file);
    }
    return result;
}

static enum hf_err lock_path(struct hf_outside *o, const char *path, bool wait,
                             struct hf_lock **lock, struct hf_error *error)
{
    (void)wait; /* nothing blocks here */
    *lock = NULL;
    struct world_process *process = process_of(o);
    struct world_disk *disk = process->machine->disk;
    enum verdict verdict = judge(process, HF_WORLD_OP_LOCK, HF_CLASS_LOCK);
    enum hf_err result = HF_ERR_OK;
    if (has_effect(verdict)) {
        result = lock_file_make(process, path);
        if (result == HF_ERR_OK && lock_is_held(disk, path)) {
            process->world->counters.lock_refusals++;
            result = HF_ERR_LOCKED;
        }
    }
    result = settle(process, HF_WORLD_OP_LOCK, verdict, result, path, error);
    if (result == HF_ERR_OK) {
        *lock = hf_sim_calloc(1, sizeof(**lock));
        **lock = (struct hf_lock){
            .process = process,
            .path = hf_sim_copy_text(path),
            .held = true,
            .next = disk->locks,
        };
        disk->locks = *lock;
    }
    return result;
}

static void unlock(struct hf_outside *o, struct hf_lock *lock)
{
    if (lock == NULL) {
        return;
    }
    struct world_process *process = process_of(o);
    HF_CHECK(lock->process == process);
    struct hf_lock **at = &process->machine->disk->locks;
    while (*at != lock) {
        HF_CHECK(*at != NULL);
        at = &(*at)->next;
    }
    *at = lock->next;
    free(lock->path);
    free(lock);
}

struct hf_outside world_outside_functions(void)
{
    return (struct hf_outside){
        .make_directory = make_directory,
        .list = list,
        .sync_directory = sync_directory,
        .rename = rename_file,
        .remove = remove_file,
        .open = open_file,
        .close = close_file,
        .size = file_size,
        .read = read_file,
        .write = write_file,
        .sync = sync_file,
        .truncate = truncate_file,
        .lock = lock_path,
        .unlock = unlock,
        .monotonic_us = world_monotonic_us,
        .wall_us = world_wall_us,
        .random = world_random_bytes,
        .submit = world_submit,
        .drain = world_drain_worker,
        .ring = world_ring,
    };
}
