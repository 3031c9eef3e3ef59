#include "unit/store_outside.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"

#define FILES_MAX  64
#define PATH_BYTES 160

struct bytes {
    uint8_t *data;     /* malloc'd; NULL if size is 0 and nothing was ever there */
    size_t size_bytes; /* of data */
};

struct inode {
    struct bytes now;    /* as read and written */
    struct bytes synced; /* as of the last sync */
    unsigned use_count;  /* names and open files */
};

struct entry {
    char path[PATH_BYTES]; /* "" = free */
    struct inode *inode;   /* counted */
};

struct hf_file {
    struct inode *inode; /* counted */
    bool writable;       /* opened for writing */
};

struct store_outside {
    struct hf_outside outside;      /* the table of functions; first, so that casts fit */
    pthread_mutex_t mutex;          /* for all of this */
    struct entry now[FILES_MAX];    /* the directory's names */
    struct entry synced[FILES_MAX]; /* as of its last sync */
    uint64_t calls;                 /* since fail or crash_at */
    uint64_t fail_at;               /* 0 = never */
    enum hf_err fail_code;          /* of the failing call */
    bool crashing;                  /* all calls from fail_at on fail */
    bool failed;                    /* one did */
    size_t open_count;              /* open files */
};

static struct store_outside *world_of(struct hf_outside *o)
{
    return HF_CONTAINER_OF(o, struct store_outside, outside);
}

static void lock(const struct store_outside *world)
{
    HF_CHECK(pthread_mutex_lock((pthread_mutex_t *)&world->mutex) == 0);
}

static void unlock(const struct store_outside *world)
{
    HF_CHECK(pthread_mutex_unlock((pthread_mutex_t *)&world->mutex) == 0);
}

/* Counts a call that can fail; true = this one does. */
static bool fails(struct store_outside *world)
{
    world->calls++;
    bool now = world->fail_at != 0 &&
               (world->crashing ? world->calls >= world->fail_at : world->calls == world->fail_at);
    world->failed = world->failed || now;
    return now;
}

static enum hf_err failure(const struct store_outside *world, struct hf_error *error)
{
    return hf_error_set(error, world->fail_code, "fault in call %llu",
                        (unsigned long long)world->calls);
}

static void bytes_set(struct bytes *to, const void *data, size_t size_bytes)
{
    uint8_t *copy = malloc(size_bytes + 1);
    HF_CHECK(copy != NULL);
    if (size_bytes > 0) {
        memcpy(copy, data, size_bytes);
    }
    free(to->data);
    *to = (struct bytes){copy, size_bytes};
}

static void unuse(struct inode *inode)
{
    HF_CHECK(inode->use_count > 0);
    if (--inode->use_count == 0) {
        free(inode->now.data);
        free(inode->synced.data);
        free(inode);
    }
}

static struct entry *find(struct entry *entries, const char *path)
{
    for (size_t i = 0; i < FILES_MAX; i++) {
        if (strcmp(entries[i].path, path) == 0) {
            return &entries[i];
        }
    }
    return NULL;
}

static void entry_clear(struct entry *entry)
{
    HF_CHECK(entry != NULL);
    if (entry->inode != NULL) {
        unuse(entry->inode);
    }
    *entry = (struct entry){0};
}

static void entry_set(struct entry *entry, const char *path, struct inode *inode)
{
    HF_CHECK(entry != NULL && strlen(path) < PATH_BYTES);
    inode->use_count++;
    entry_clear(entry);
    memcpy(entry->path, path, strlen(path) + 1);
    entry->inode = inode;
}

static void copy_entries(struct entry *to, const struct entry *from)
{
    for (size_t i = 0; i < FILES_MAX; i++) {
        if (from[i].inode != NULL) {
            entry_set(&to[i], from[i].path, from[i].inode);
        } else {
            entry_clear(&to[i]);
        }
    }
}

static enum hf_err make_directory(struct hf_outside *o, const char *path, struct hf_error *error)
{
    (void)o, (void)path, (void)error;
    return HF_ERR_OK;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum hf_err list(struct hf_outside *o, const char *path, hf_list_fn each, void *context,
                        struct hf_error *error)
{
    struct store_outside *world = world_of(o);
    char *names[FILES_MAX];
    size_t count = 0;
    size_t prefix = strlen(path);
    lock(world);
    enum hf_err err = fails(world) ? failure(world, error) : HF_ERR_OK;
    for (size_t i = 0; i < FILES_MAX && err == HF_ERR_OK; i++) {
        struct entry *entry = &world->now[i];
        if (entry->inode != NULL && strncmp(entry->path, path, prefix) == 0 &&
            entry->path[prefix] == '/') {
            names[count++] = entry->path + prefix + 1;
        }
    }
    if (count > 0) {
        qsort(names, count, sizeof(names[0]), by_path);
    }
    for (size_t i = 0; i < count; i++) {
        each(context, hf_str_from(names[i]));
    }
    unlock(world);
    return err;
}

static enum hf_err sync_directory(struct hf_outside *o, const char *path, struct hf_error *error)
{
    struct store_outside *world = world_of(o);
    (void)path;
    lock(world);
    enum hf_err err = fails(world) ? failure(world, error) : HF_ERR_OK;
    if (err == HF_ERR_OK) {
        copy_entries(world->synced, world->now);
    }
    unlock(world);
    return err;
}

static enum hf_err move(struct hf_outside *o, const char *from, const char *to,
                        struct hf_error *error)
{
    struct store_outside *world = world_of(o);
    lock(world);
    enum hf_err err = fails(world) ? failure(world, error) : HF_ERR_OK;
    struct entry *source = find(world->now, from);
    if (err == HF_ERR_OK && source == NULL) {
        err = hf_error_set(error, HF_ERR_NOT_FOUND, "rename %s: not there", from);
    }
    if (err == HF_ERR_OK) {
        HF_CHECK(source != NULL);
        struct entry *target = find(world->now, to);
        entry_set(target != NULL ? target : find(world->now, ""), to, source->inode);
        entry_clear(source);
    }
    unlock(world);
    return err;
}

static enum hf_err remove_file(struct hf_outside *o, const char *path, struct hf_error *error)
{
    struct store_outside *world = world_of(o);
    lock(world);
    enum hf_err err = fails(world) ? failure(world, error) : HF_ERR_OK;
    struct entry *entry = find(world->now, path);
    if (err == HF_ERR_OK && entry == NULL) {
        err = hf_error_set(error, HF_ERR_NOT_FOUND, "remove %s: not there", path);
    }
    if (err == HF_ERR_OK) {
        entry_clear(entry);
    }
    unlock(world);
    return err;
}

static struct hf_file *file_new(struct inode *inode, bool writable)
{
    struct hf_file *file = malloc(sizeof(*file));
    HF_CHECK(file != NULL);
    inode->use_count++;
    *file = (struct hf_file){inode, writable};
    return file;
}

static enum hf_err open_file(struct hf_outside *o, const char *path, enum hf_open_mode mode,
                             struct hf_file **file, struct hf_error *error)
{
    struct store_outside *world = world_of(o);
    *file = NULL;
    lock(world);
    enum hf_err err = fails(world) ? failure(world, error) : HF_ERR_OK;
    struct entry *entry = find(world->now, path);
    bool create = mode == HF_OPEN_CREATE_NEW;
    if (err == HF_ERR_OK && create && entry != NULL) {
        err = hf_error_set(error, HF_ERR_EXISTS, "create %s: it exists", path);
    } else if (err == HF_ERR_OK && !create && entry == NULL) {
        err = hf_error_set(error, HF_ERR_NOT_FOUND, "open %s: not there", path);
    }
    if (err == HF_ERR_OK && create) {
        struct inode *inode = calloc(1, sizeof(*inode));
        HF_CHECK(inode != NULL);
        entry = find(world->now, "");
        entry_set(entry, path, inode);
    }
    if (err == HF_ERR_OK) {
        HF_CHECK(entry != NULL);
        *file = file_new(entry->inode, mode == HF_OPEN_READ_WRITE || create);
        world->open_count++;
    }
    unlock(world);
    return err;
}

static void close_file(struct hf_outside *o, struct hf_file *file)
{
    struct store_outside *world = world_of(o);
    if (file != NULL) {
        lock(world);
        unuse(file->inode);
        free(file);
        world->open_count--;
        unlock(world);
    }
}

static enum hf_err size_of(struct hf_outside *o, struct hf_file *file, uint64_t *size_bytes,
                           struct hf_error *error)
{
    struct store_outside *world = world_of(o);
    lock(world);
    enum hf_err err = fails(world) ? failure(world, error) : HF_ERR_OK;
    *size_bytes = err == HF_ERR_OK ? file->inode->now.size_bytes : 0;
    unlock(world);
    return err;
}

static enum hf_err read_file(struct hf_outside *o, struct hf_file *file, uint64_t offset,
                             void *data, size_t size_bytes, size_t *read_bytes,
                             struct hf_error *error)
{
    struct store_outside *world = world_of(o);
    *read_bytes = 0;
    lock(world);
    enum hf_err err = fails(world) ? failure(world, error) : HF_ERR_OK;
    const struct bytes *now = &file->inode->now;
    if (err == HF_ERR_OK && offset < now->size_bytes) {
        *read_bytes = (size_t)hf_min_u64(size_bytes, now->size_bytes - offset);
        memcpy(data, now->data + offset, *read_bytes);
    }
    unlock(world);
    return err;
}

static enum hf_err write_file(struct hf_outside *o, struct hf_file *file, uint64_t offset,
                              const void *data, size_t size_bytes, struct hf_error *error)
{
    struct store_outside *world = world_of(o);
    lock(world);
    HF_CHECK(file->writable);
    enum hf_err err = fails(world) ? failure(world, error) : HF_ERR_OK;
    if (err != HF_ERR_OK) {
        size_bytes /= 2; /* a failed write leaves a part */
    }
    struct bytes *now = &file->inode->now;
    if (size_bytes > 0 && offset + size_bytes > now->size_bytes) {
        now->data = realloc(now->data, offset + size_bytes);
        HF_CHECK(now->data != NULL);
        memset(now->data + now->size_bytes, 0, offset + size_bytes - now->size_bytes);
        now->size_bytes = offset + size_bytes;
    }
    if (size_bytes > 0) {
        memcpy(now->data + offset, data, size_bytes);
    }
    unlock(world);
    return err;
}

static enum hf_err sync_file(struct hf_outside *o, struct hf_file *file, struct hf_error *error)
{
    struct store_outside *world = world_of(o);
    lock(world);
    enum hf_err err = fails(world) ? failure(world, error) : HF_ERR_OK;
    if (err == HF_ERR_OK) {
        bytes_set(&file->inode->synced, file->inode->now.data, file->inode->now.size_bytes);
    }
    unlock(world);
    return err;
}

struct store_outside *store_outside_new(void)
{
    struct store_outside *world = calloc(1, sizeof(*world));
    HF_CHECK(world != NULL);
    HF_CHECK(pthread_mutex_init(&world->mutex, NULL) == 0);
    /* What the store never calls stays NULL. */
    world->outside = (struct hf_outside){
        .make_directory = make_directory,
        .list = list,
        .sync_directory = sync_directory,
        .rename = move,
        .remove = remove_file,
        .open = open_file,
        .close = close_file,
        .size = size_of,
        .read = read_file,
        .write = write_file,
        .sync = sync_file,
    };
    return world;
}

void store_outside_free(struct store_outside *world)
{
    HF_CHECK(world->open_count == 0);
    for (size_t i = 0; i < FILES_MAX; i++) {
        entry_clear(&world->now[i]);
        entry_clear(&world->synced[i]);
    }
    HF_CHECK(pthread_mutex_destroy(&world->mutex) == 0);
    free(world);
}

struct hf_outside *store_outside_of(struct store_outside *world)
{
    return &world->outside;
}

void store_outside_fail(struct store_outside *world, uint64_t n, enum hf_err code)
{
    world->calls = 0;
    world->fail_at = n;
    world->fail_code = code;
    world->crashing = false;
    world->failed = false;
}

void store_outside_crash_at(struct store_outside *world, uint64_t n)
{
    store_outside_fail(world, n, HF_ERR_CRASHED);
    world->crashing = true;
}

uint64_t store_outside_calls(const struct store_outside *world)
{
    return world->calls;
}

bool store_outside_failed(const struct store_outside *world)
{
    return world->failed;
}

void store_outside_power_cycle(struct store_outside *world, uint64_t seed)
{
    HF_CHECK(world->open_count == 0);
    uint64_t random = seed;
    store_outside_fail(world, 0, HF_ERR_OK);
    if (seed == 0 || store_random(&random) % 2 == 0) {
        copy_entries(world->now, world->synced);
    }
    for (size_t i = 0; i < FILES_MAX; i++) {
        struct inode *inode = world->now[i].inode;
        if (inode == NULL) {
            continue;
        }
        bool same = inode->now.size_bytes == inode->synced.size_bytes &&
                    (inode->now.size_bytes == 0 ||
                     memcmp(inode->now.data, inode->synced.data, inode->now.size_bytes) == 0);
        uint64_t fate = seed == 0 || same ? 0 : store_random(&random) % 4;
        if (fate == 0) { /* lost */
            bytes_set(&inode->now, inode->synced.data, inode->synced.size_bytes);
        } else if (fate == 1 && inode->now.size_bytes > 0) { /* torn */
            inode->now.size_bytes = store_random(&random) % inode->now.size_bytes;
        } else if (fate == 2 && inode->now.size_bytes > 0) { /* garbage in the middle */
            size_t from = store_random(&random) % inode->now.size_bytes;
            size_t to = from + store_random(&random) % (inode->now.size_bytes - from);
            memset(inode->now.data + from, 0, to - from);
        }
        bytes_set(&inode->synced, inode->now.data, inode->now.size_bytes);
    }
    copy_entries(world->synced, world->now);
}

bool store_outside_exists(const struct store_outside *world, const char *path)
{
    return find((struct entry *)world->now, path) != NULL;
}

size_t store_outside_file_count(const struct store_outside *world)
{
    size_t count = 0;
    for (size_t i = 0; i < FILES_MAX; i++) {
        count += world->now[i].inode != NULL;
    }
    return count;
}

size_t store_outside_open_count(const struct store_outside *world)
{
    return world->open_count;
}

uint8_t *store_outside_get(const struct store_outside *world, const char *path, size_t *size_bytes)
{
    const struct entry *entry = find((struct entry *)world->now, path);
    HF_CHECK(entry != NULL);
    struct bytes copy = {0};
    bytes_set(&copy, entry->inode->now.data, entry->inode->now.size_bytes);
    *size_bytes = copy.size_bytes;
    return copy.data;
}

void store_outside_put(struct store_outside *world, const char *path, const void *data,
                       size_t size_bytes)
{
    struct inode *inode = calloc(1, sizeof(*inode));
    HF_CHECK(inode != NULL);
    bytes_set(&inode->now, data, size_bytes);
    bytes_set(&inode->synced, data, size_bytes);
    struct entry *entry = find(world->now, path);
    entry_set(entry != NULL ? entry : find(world->now, ""), path, inode);
    copy_entries(world->synced, world->now);
}
