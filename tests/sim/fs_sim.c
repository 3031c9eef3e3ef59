#include "sim/fs_sim.h"

#include "base/check.h"
#include "base/checksum.h"
#include "sim/fs_priv.h"
#include "sim/sim_memory.h"

/* Drops "./", "name/..", doubled and outer slashes: one path has one form; the root is "", also its
 * own parent. */
static void normalise(const char *path, char normal[HF_FS_PATH_BYTES_MAX])
{
    size_t used = 0;
    const char *at = path;
    while (*at != '\0') {
        const char *end = strchrnul(at, '/');
        size_t length = (size_t)(end - at);
        if (length == 2 && at[0] == '.' && at[1] == '.') {
            while (used > 0 && normal[--used] != '/') {
            }
        } else if (length > 0 && !(length == 1 && at[0] == '.')) {
            HF_CHECK(used + length + 2 <= HF_FS_PATH_BYTES_MAX);
            if (used > 0) {
                normal[used++] = '/';
            }
            memcpy(normal + used, at, length);
            used += length;
        }
        at = *end == '\0' ? end : end + 1;
    }
    normal[used] = '\0';
}

/* Bytes of the parent's path; 0 = the root. */
static size_t parent_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? 0 : (size_t)(slash - path);
}

static bool is_in(const char *path, const char *directory)
{
    size_t length = parent_length(path);
    return path[0] != '\0' && strlen(directory) == length && memcmp(path, directory, length) == 0;
}

/* ---- files ---- */

static struct hf_fs_file *file_new(struct hf_fs *fs, uint32_t machine, bool directory)
{
    struct hf_fs_file *file = hf_sim_calloc(1, sizeof(*file));
    file->machine = machine;
    file->directory = directory;
    file->previous = fs->last;
    if (fs->last != NULL) {
        fs->last->next = file;
    } else {
        fs->first = file;
    }
    fs->last = file;
    return file;
}

static void file_free(struct hf_fs *fs, struct hf_fs_file *file)
{
    *(file->previous != NULL ? &file->previous->next : &fs->first) = file->next;
    *(file->next != NULL ? &file->next->previous : &fs->last) = file->previous;
    free(file->cached);
    free(file->durable);
    free(file->sectors);
    free(file);
}

static void file_drop(struct hf_fs *fs, struct hf_fs_file *file)
{
    HF_CHECK(file->references > 0);
    if (--file->references == 0) {
        file_free(fs, file);
    }
}

static void set_linked(struct hf_fs *fs, struct hf_fs_file *file, bool linked)
{
    if (file->linked != linked) {
        file->linked = linked;
        fs->used_bytes += linked ? file->size_bytes : 0 - file->size_bytes;
    }
}

/* Points one view's slot of a name to file (or to nothing). */
static void slot_set(struct hf_fs *fs, struct hf_fs_file **slot, struct hf_fs_file *file)
{
    struct hf_fs_file *old = *slot;
    if (file != NULL) {
        file->references++;
    }
    *slot = file;
    if (old != NULL) {
        /* References are counted. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
        file_drop(fs, old);
    }
}

/* ---- names ---- */

static struct name *name_find(const struct hf_fs *fs, const char *path)
{
    uint64_t hash = hf_checksum(path, strlen(path));
    for (size_t i = 0; i < fs->name_count; i++) {
        if (fs->names[i].hash == hash && strcmp(fs->names[i].path, path) == 0) {
            return &fs->names[i];
        }
    }
    return NULL;
}

static struct name *name_make(struct hf_fs *fs, const char *path)
{
    struct name *name = name_find(fs, path);
    if (name != NULL) {
        return name;
    }
    fs->names = hf_sim_grow(fs->names, fs->name_count, &fs->name_capacity, sizeof(*fs->names));
    name = &fs->names[fs->name_count++];
    *name = (struct name){.path = hf_sim_copy_text(path), .hash = hf_checksum(path, strlen(path))};
    return name;
}

/* Forgets names that are in neither view. */
static void names_sweep(struct hf_fs *fs)
{
    size_t kept = 0;
    for (size_t i = 0; i < fs->name_count; i++) {
        if (fs->names[i].cached == NULL && fs->names[i].durable == NULL) {
            free(fs->names[i].path);
        } else {
            fs->names[kept++] = fs->names[i];
        }
    }
    fs->name_count = kept;
}

static struct hf_fs_file *lookup(const struct hf_fs *fs, const char *path)
{
    struct name *name = name_find(fs, path);
    return name == NULL ? NULL : name->cached;
}

static bool directory_exists(const struct hf_fs *fs, const char *path, size_t length)
{
    if (length == 0) {
        return true;
    }
    char copy[HF_FS_PATH_BYTES_MAX];
    memcpy(copy, path, length);
    copy[length] = '\0';
    const struct hf_fs_file *file = lookup(fs, copy);
    return file != NULL && file->directory;
}

static void cached_set(struct hf_fs *fs, const char *path, struct hf_fs_file *file)
{
    struct name *name = name_make(fs, path);
    if (name->cached != NULL) {
        set_linked(fs, name->cached, false);
    }
    if (file != NULL) {
        set_linked(fs, file, true);
    }
    slot_set(fs, &name->cached, file);
}

static void change_apply_cached(struct hf_fs *fs, const struct name_change *change)
{
    if (change->from != NULL) {
        cached_set(fs, change->from, NULL);
    }
    if (change->to != NULL) {
        cached_set(fs, change->to, change->file);
    }
}

static void change_apply_durable(struct hf_fs *fs, const struct name_change *change)
{
    for (size_t i = 0; change->from != NULL && i < fs->name_count; i++) {
        struct name *name = &fs->names[i];
        /* A file has one name: a rename moves it also if an earlier rename of it was lost. */
        if (name->durable == change->file &&
            (change->to != NULL || strcmp(name->path, change->from) == 0)) {
            slot_set(fs, &name->durable, NULL);
        }
    }
    if (change->to != NULL) {
        slot_set(fs, &name_make(fs, change->to)->durable, change->file);
    }
}

static void change_release(struct hf_fs *fs, struct name_change *change)
{
    free(change->from);
    free(change->to);
    file_drop(fs, change->file);
}

/* Does it in the cached view and notes it as not synced. */
static void change_make(struct hf_fs *fs, uint32_t machine, const char *from, const char *to,
                        struct hf_fs_file *file)
{
    fs->changes =
        hf_sim_grow(fs->changes, fs->change_count, &fs->change_capacity, sizeof(*fs->changes));
    struct name_change *change = &fs->changes[fs->change_count++];
    *change = (struct name_change){
        .machine = machine,
        .from = from == NULL ? NULL : hf_sim_copy_text(from),
        .to = to == NULL ? NULL : hf_sim_copy_text(to),
        .file = file,
    };
    file->references++;
    change_apply_cached(fs, change);
}

/* ---- power loss ---- */

static bool has_machine(uint32_t machines, uint32_t machine)
{
    return (machines >> machine & 1) != 0;
}

/* Settles the changes of names of the machines; what is left is that of machines which live on. */
static void changes_settle(struct hf_fs *fs, uint32_t machines, const struct hf_fs_loss *loss,
                           struct hf_sim_random *random)
{
    /* A journal keeps a beginning of the changes; a plainer file system any of them. */
    bool journal = hf_sim_random_chance(random, loss->all_or_none_ppm);
    size_t cut = journal ? (size_t)hf_sim_random_below(random, fs->change_count + 1) : 0;
    size_t left = 0;
    for (size_t i = 0; i < fs->change_count; i++) {
        struct name_change *change = &fs->changes[i];
        if (!has_machine(machines, change->machine)) {
            fs->changes[left++] = *change;
            continue;
        }
        bool kept = journal ? i < cut : !hf_sim_random_chance(random, loss->name_lost_ppm);
        if (kept) {
            change_apply_durable(fs, change);
        }
        change_release(fs, change);
    }
    fs->change_count = left;
}

/* Names below a directory that is gone go with it. */
static void names_prune(struct hf_fs *fs)
{
    bool changed = true;
    while (changed) {
        changed = false;
        for (size_t i = 0; i < fs->name_count; i++) {
            struct name *name = &fs->names[i];
            if (name->cached == NULL ||
                directory_exists(fs, name->path, parent_length(name->path))) {
                continue;
            }
            set_linked(fs, name->cached, false);
            slot_set(fs, &name->cached, NULL);
            slot_set(fs, &name->durable, NULL);
            changed = true;
        }
    }
}

void hf_fs_power_loss(struct hf_fs *fs, uint32_t machines, const struct hf_fs_loss *loss,
                      struct hf_sim_random *random)
{
    for (struct hf_fs_file *file = fs->first; file != NULL; file = file->next) {
        if (has_machine(machines, file->machine)) {
            fs_file_power_loss(fs, file, loss, random);
        }
    }
    changes_settle(fs, machines, loss, random);
    for (size_t i = 0; i < fs->name_count; i++) {
        struct name *name = &fs->names[i];
        if (name->cached != name->durable) {
            if (name->cached != NULL) {
                set_linked(fs, name->cached, false);
            }
            slot_set(fs, &name->cached, name->durable);
        }
    }
    for (size_t i = 0; i < fs->change_count; i++) {
        change_apply_cached(fs, &fs->changes[i]);
    }
    names_prune(fs);
    for (size_t i = 0; i < fs->name_count; i++) {
        if (fs->names[i].cached != NULL) {
            set_linked(fs, fs->names[i].cached, true);
        }
    }
    names_sweep(fs);
}

void hf_fs_evict(struct hf_fs *fs)
{
    for (struct hf_fs_file *file = fs->first; file != NULL; file = file->next) {
        fs_file_evict(file);
    }
}

/* ---- public, in the header's order ---- */

struct hf_fs *hf_fs_new(void)
{
    struct hf_fs *fs = hf_sim_calloc(1, sizeof(*fs));
    fs->budget_bytes = UINT64_MAX;
    return fs;
}

void hf_fs_free(struct hf_fs *fs)
{
    if (fs == NULL) {
        return;
    }
    for (size_t i = 0; i < fs->change_count; i++) {
        change_release(fs, &fs->changes[i]);
    }
    for (size_t i = 0; i < fs->name_count; i++) {
        slot_set(fs, &fs->names[i].cached, NULL);
        slot_set(fs, &fs->names[i].durable, NULL);
        free(fs->names[i].path);
    }
    HF_CHECK(fs->first == NULL); /* else a handle is still open */
    free(fs->changes);
    free(fs->names);
    free(fs);
}

void hf_fs_budget_set(struct hf_fs *fs, uint64_t budget_bytes)
{
    fs->budget_bytes = budget_bytes;
}

uint64_t hf_fs_used_bytes(const struct hf_fs *fs)
{
    return fs->used_bytes;
}

enum hf_err hf_fs_make_directory(struct hf_fs *fs, uint32_t machine, const char *path)
{
    char normal[HF_FS_PATH_BYTES_MAX];
    normalise(path, normal);
    if (normal[0] == '\0') {
        return HF_ERR_OK;
    }
    const struct hf_fs_file *there = lookup(fs, normal);
    if (there != NULL) {
        return there->directory ? HF_ERR_OK : HF_ERR_EXISTS;
    }
    if (!directory_exists(fs, normal, parent_length(normal))) {
        return HF_ERR_NOT_FOUND;
    }
    change_make(fs, machine, NULL, normal, file_new(fs, machine, true));
    return HF_ERR_OK;
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

enum hf_err hf_fs_list(struct hf_fs *fs, const char *path, hf_list_fn each, void *context)
{
    char normal[HF_FS_PATH_BYTES_MAX];
    normalise(path, normal);
    if (!directory_exists(fs, normal, strlen(normal))) {
        return HF_ERR_NOT_FOUND;
    }
    char **found = hf_sim_calloc(fs->name_count + 1, sizeof(*found));
    size_t count = 0;
    size_t skip = normal[0] == '\0' ? 0 : strlen(normal) + 1;
    for (size_t i = 0; i < fs->name_count; i++) {
        if (fs->names[i].cached != NULL && is_in(fs->names[i].path, normal)) {
            /* Copied: `each` may change names. */
            found[count++] = hf_sim_copy_text(fs->names[i].path + skip);
        }
    }
    qsort(found, count, sizeof(*found), compare_text);
    for (size_t i = 0; i < count; i++) {
        each(context, hf_str_from(found[i]));
        free(found[i]);
    }
    free(found);
    return HF_ERR_OK;
}

enum hf_err hf_fs_sync_directory(struct hf_fs *fs, const char *path)
{
    char normal[HF_FS_PATH_BYTES_MAX];
    normalise(path, normal);
    if (!directory_exists(fs, normal, strlen(normal))) {
        return HF_ERR_NOT_FOUND;
    }
    size_t left = 0;
    for (size_t i = 0; i < fs->change_count; i++) {
        struct name_change *change = &fs->changes[i];
        if (is_in(change->to != NULL ? change->to : change->from, normal)) {
            change_apply_durable(fs, change);
            change_release(fs, change);
        } else {
            fs->changes[left++] = *change;
        }
    }
    fs->change_count = left;
    names_sweep(fs);
    return HF_ERR_OK;
}

enum hf_err hf_fs_rename(struct hf_fs *fs, uint32_t machine, const char *from, const char *to)
{
    char from_normal[HF_FS_PATH_BYTES_MAX];
    char to_normal[HF_FS_PATH_BYTES_MAX];
    normalise(from, from_normal);
    normalise(to, to_normal);
    struct hf_fs_file *file = lookup(fs, from_normal);
    if (file == NULL || !directory_exists(fs, to_normal, parent_length(to_normal))) {
        return HF_ERR_NOT_FOUND;
    }
    HF_CHECK(!file->directory); /* not simulated */
    const struct hf_fs_file *target = lookup(fs, to_normal);
    if (target != NULL && target->directory) {
        return HF_ERR_EXISTS;
    }
    if (target != file) {
        change_make(fs, machine, from_normal, to_normal, file);
    }
    return HF_ERR_OK;
}

enum hf_err hf_fs_remove(struct hf_fs *fs, uint32_t machine, const char *path)
{
    char normal[HF_FS_PATH_BYTES_MAX];
    normalise(path, normal);
    struct hf_fs_file *file = lookup(fs, normal);
    if (file == NULL) {
        return HF_ERR_NOT_FOUND;
    }
    if (file->directory) {
        return HF_ERR_IO;
    }
    change_make(fs, machine, normal, NULL, file);
    return HF_ERR_OK;
}

enum hf_err hf_fs_open(struct hf_fs *fs, uint32_t machine, const char *path, bool create_new,
                       struct hf_fs_file **file)
{
    *file = NULL;
    char normal[HF_FS_PATH_BYTES_MAX];
    normalise(path, normal);
    struct hf_fs_file *found = lookup(fs, normal);
    if (create_new) {
        if (found != NULL || normal[0] == '\0') {
            return HF_ERR_EXISTS;
        }
        if (!directory_exists(fs, normal, parent_length(normal))) {
            return HF_ERR_NOT_FOUND;
        }
        found = file_new(fs, machine, false);
        change_make(fs, machine, NULL, normal, found);
    } else if (found == NULL) {
        return HF_ERR_NOT_FOUND;
    } else if (found->directory) {
        return HF_ERR_IO;
    }
    found->references++;
    *file = found;
    return HF_ERR_OK;
}

void hf_fs_close(struct hf_fs *fs, struct hf_fs_file *file)
{
    file_drop(fs, file);
}

enum hf_err hf_fs_damage(struct hf_fs *fs, const char *path, uint64_t offset, uint8_t flip)
{
    char normal[HF_FS_PATH_BYTES_MAX];
    normalise(path, normal);
    struct hf_fs_file *file = lookup(fs, normal);
    if (file == NULL || file->directory) {
        return HF_ERR_NOT_FOUND;
    }
    if (offset >= file->size_bytes) {
        return HF_ERR_LIMIT;
    }
    file->cached[offset] ^= flip;
    if (offset < file->durable_bytes) {
        file->durable[offset] ^= flip;
    }
    return HF_ERR_OK;
}

void hf_fs_verify(const struct hf_fs *fs)
{
    uint64_t used = 0;
    for (const struct hf_fs_file *file = fs->first; file != NULL; file = file->next) {
        fs_file_verify(file);
        used += file->linked ? file->size_bytes : 0;
    }
    HF_CHECK(used == fs->used_bytes);
    for (size_t i = 0; i < fs->name_count; i++) {
        const struct name *name = &fs->names[i];
        HF_CHECK(name->cached == NULL || name->cached->linked);
        if (fs->change_count == 0) {
            HF_CHECK(name->cached == name->durable);
        }
    }
}
