#include "fault/fault_outside.h"

#include <pthread.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/check.h"

/* Bytes that a write replaced, for SYNC_LOST. */
struct undo {
    struct undo *next;    /* older */
    struct hf_file *file; /* of the write */
    uint64_t offset;      /* where */
    size_t size_bytes;    /* how many */
    uint8_t bytes[];      /* as they were; zeroes behind the end of the file */
};

struct fault_outside {
    struct hf_outside base;   /* first */
    struct hf_outside *inner; /* does the work */
    pthread_mutex_t mutex;    /* guards what follows */
    bool armed;               /* a fault is to come, or goes on */
    bool on;                  /* it goes on after the first */
    bool hit;                 /* it came */
    enum fault_kind kind;     /* of the fault */
    uint64_t left;            /* calls of the kind until it comes */
    struct undo *undo;        /* newest first; kept for SYNC_LOST alone */
};

const char *fault_kind_name(enum fault_kind kind)
{
    static const char *const names[] = {
#define FAULT_KIND_TEXT(name, text) #name,
        FAULT_KINDS(FAULT_KIND_TEXT)
#undef FAULT_KIND_TEXT
    };
    return names[kind];
}

static struct fault_outside *self_of(struct hf_outside *o)
{
    return HF_CONTAINER_OF(o, struct fault_outside, base);
}

/* Shall this call fail, being of `kind`? Counts it if that is the armed kind. */
static bool due(struct fault_outside *self, enum fault_kind kind)
{
    HF_CHECK(pthread_mutex_lock(&self->mutex) == 0);
    bool fail = false;
    if (self->armed && self->kind == kind) {
        if (self->left > 0) {
            self->left--;
            fail = self->left == 0;
        } else {
            fail = self->on || kind == FAULT_CRASH;
        }
        self->hit = self->hit || fail;
    }
    HF_CHECK(pthread_mutex_unlock(&self->mutex) == 0);
    return fail;
}

/* Did the machine crash already? For calls that change nothing. */
static bool dead(struct fault_outside *self)
{
    HF_CHECK(pthread_mutex_lock(&self->mutex) == 0);
    bool is = self->armed && self->kind == FAULT_CRASH && self->hit;
    HF_CHECK(pthread_mutex_unlock(&self->mutex) == 0);
    return is;
}

static enum hf_err planned(struct hf_error *error, enum hf_err code, const char *what)
{
    return hf_error_set(error, code, "%s: failed on purpose", what);
}

static enum hf_err make_directory(struct hf_outside *o, const char *path, struct hf_error *error)
{
    struct fault_outside *self = self_of(o);
    if (due(self, FAULT_MAKE_DIRECTORY) || due(self, FAULT_CRASH)) {
        return planned(error, HF_ERR_IO, "make directory");
    }
    return self->inner->make_directory(self->inner, path, error);
}

static enum hf_err list(struct hf_outside *o, const char *path, hf_list_fn each, void *context,
                        struct hf_error *error)
{
    struct fault_outside *self = self_of(o);
    if (due(self, FAULT_LIST) || dead(self)) {
        return planned(error, HF_ERR_IO, "list");
    }
    return self->inner->list(self->inner, path, each, context, error);
}

static enum hf_err sync_directory(struct hf_outside *o, const char *path, struct hf_error *error)
{
    struct fault_outside *self = self_of(o);
    if (due(self, FAULT_SYNC_DIRECTORY) || due(self, FAULT_CRASH)) {
        return planned(error, HF_ERR_IO, "sync directory");
    }
    return self->inner->sync_directory(self->inner, path, error);
}

static enum hf_err rename_file(struct hf_outside *o, const char *from, const char *to,
                               struct hf_error *error)
{
    struct fault_outside *self = self_of(o);
    if (due(self, FAULT_RENAME) || due(self, FAULT_CRASH)) {
        return planned(error, HF_ERR_IO, "rename");
    }
    return self->inner->rename(self->inner, from, to, error);
}

static enum hf_err remove_file(struct hf_outside *o, const char *path, struct hf_error *error)
{
    struct fault_outside *self = self_of(o);
    if (due(self, FAULT_REMOVE) || due(self, FAULT_CRASH)) {
        return planned(error, HF_ERR_IO, "remove");
    }
    return self->inner->remove(self->inner, path, error);
}

static enum hf_err open_file(struct hf_outside *o, const char *path, enum hf_open_mode mode,
                             struct hf_file **file, struct hf_error *error)
{
    struct fault_outside *self = self_of(o);
    *file = NULL;
    bool creates = mode == HF_OPEN_CREATE_NEW;
    if (creates && due(self, FAULT_OPEN_NO_SPACE)) {
        return planned(error, HF_ERR_NO_SPACE, "open");
    }
    if (due(self, FAULT_OPEN) || (creates ? due(self, FAULT_CRASH) : dead(self))) {
        return planned(error, HF_ERR_IO, "open");
    }
    return self->inner->open(self->inner, path, mode, file, error);
}

/* Forgets the undo records of a file, or of all. */
static void drop_undo(struct fault_outside *self, const struct hf_file *file, bool restore)
{
    HF_CHECK(pthread_mutex_lock(&self->mutex) == 0);
    struct undo **at = &self->undo;
    while (*at != NULL) {
        struct undo *undo = *at;
        if (file != NULL && undo->file != file) {
            at = &undo->next;
            continue;
        }
        if (restore) {
            HF_CHECK(self->inner->write(self->inner, undo->file, undo->offset, undo->bytes,
                                        undo->size_bytes, NULL) == HF_ERR_OK);
        }
        *at = undo->next;
        hf_free(undo);
    }
    HF_CHECK(pthread_mutex_unlock(&self->mutex) == 0);
}

static void close_file(struct hf_outside *o, struct hf_file *file)
{
    struct fault_outside *self = self_of(o);
    if (file != NULL) {
        drop_undo(self, file, false);
    }
    self->inner->close(self->inner, file);
}

static enum hf_err file_size(struct hf_outside *o, struct hf_file *file, uint64_t *size_bytes,
                             struct hf_error *error)
{
    struct fault_outside *self = self_of(o);
    *size_bytes = 0;
    if (due(self, FAULT_SIZE) || dead(self)) {
        return planned(error, HF_ERR_IO, "size");
    }
    return self->inner->size(self->inner, file, size_bytes, error);
}

static enum hf_err read_file(struct hf_outside *o, struct hf_file *file, uint64_t offset,
                             void *data, size_t size_bytes, size_t *read_bytes,
                             struct hf_error *error)
{
    struct fault_outside *self = self_of(o);
    *read_bytes = 0;
    if (due(self, FAULT_READ) || dead(self)) {
        return planned(error, HF_ERR_IO, "read");
    }
    size_t ask = due(self, FAULT_SHORT_READ) ? size_bytes / 2 : size_bytes;
    return self->inner->read(self->inner, file, offset, data, ask, read_bytes, error);
}

/* Keeps what the write will replace. */
static void remember(struct fault_outside *self, struct hf_file *file, uint64_t offset,
                     size_t size_bytes)
{
    struct undo *undo = hf_malloc(sizeof(*undo) + size_bytes);
    HF_CHECK(undo != NULL);
    memset(undo->bytes, 0, size_bytes);
    size_t got;
    HF_CHECK(self->inner->read(self->inner, file, offset, undo->bytes, size_bytes, &got, NULL) ==
             HF_ERR_OK);
    undo->file = file;
    undo->offset = offset;
    undo->size_bytes = size_bytes;
    HF_CHECK(pthread_mutex_lock(&self->mutex) == 0);
    undo->next = self->undo;
    self->undo = undo;
    HF_CHECK(pthread_mutex_unlock(&self->mutex) == 0);
}

static enum hf_err write_part(struct fault_outside *self, struct hf_file *file, uint64_t offset,
                              const void *data, size_t size_bytes, enum hf_err code,
                              struct hf_error *error)
{
    if (size_bytes > 0) {
        HF_CHECK(self->inner->write(self->inner, file, offset, data, size_bytes, NULL) ==
                 HF_ERR_OK);
    }
    return planned(error, code, "write");
}

static enum hf_err write_file(struct hf_outside *o, struct hf_file *file, uint64_t offset,
                              const void *data, size_t size_bytes, struct hf_error *error)
{
    struct fault_outside *self = self_of(o);
    if (due(self, FAULT_WRITE)) {
        return write_part(self, file, offset, data, 0, HF_ERR_IO, error);
    }
    if (due(self, FAULT_SHORT_WRITE)) {
        return write_part(self, file, offset, data, size_bytes / 2, HF_ERR_IO, error);
    }
    if (due(self, FAULT_WHOLE_WRITE)) {
        return write_part(self, file, offset, data, size_bytes, HF_ERR_IO, error);
    }
    if (due(self, FAULT_NO_SPACE)) {
        return write_part(self, file, offset, data, size_bytes / 2, HF_ERR_NO_SPACE, error);
    }
    bool dead_before = dead(self);
    if (due(self, FAULT_CRASH)) {
        return write_part(self, file, offset, data, dead_before ? 0 : size_bytes / 2, HF_ERR_IO,
                          error);
    }
    HF_CHECK(pthread_mutex_lock(&self->mutex) == 0);
    bool keep = self->armed && self->kind == FAULT_SYNC_LOST;
    HF_CHECK(pthread_mutex_unlock(&self->mutex) == 0);
    if (keep) {
        remember(self, file, offset, size_bytes);
    }
    return self->inner->write(self->inner, file, offset, data, size_bytes, error);
}

static enum hf_err sync_file(struct hf_outside *o, struct hf_file *file, struct hf_error *error)
{
    struct fault_outside *self = self_of(o);
    if (due(self, FAULT_SYNC) || due(self, FAULT_CRASH)) {
        return planned(error, HF_ERR_IO, "sync");
    }
    bool lost = due(self, FAULT_SYNC_LOST);
    drop_undo(self, file, lost);
    if (lost) {
        return planned(error, HF_ERR_IO, "sync");
    }
    return self->inner->sync(self->inner, file, error);
}

static enum hf_err truncate_file(struct hf_outside *o, struct hf_file *file, uint64_t size_bytes,
                                 struct hf_error *error)
{
    struct fault_outside *self = self_of(o);
    if (due(self, FAULT_TRUNCATE) || due(self, FAULT_CRASH)) {
        return planned(error, HF_ERR_IO, "truncate");
    }
    return self->inner->truncate(self->inner, file, size_bytes, error);
}

static enum hf_err lock_directory(struct hf_outside *o, const char *path, bool wait,
                                  struct hf_lock **lock, struct hf_error *error)
{
    struct fault_outside *self = self_of(o);
    *lock = NULL;
    if (due(self, FAULT_LOCK) || dead(self)) {
        return planned(error, HF_ERR_IO, "lock");
    }
    return self->inner->lock(self->inner, path, wait, lock, error);
}

static void unlock_directory(struct hf_outside *o, struct hf_lock *lock)
{
    self_of(o)->inner->unlock(self_of(o)->inner, lock);
}

static uint64_t monotonic_us(struct hf_outside *o)
{
    return self_of(o)->inner->monotonic_us(self_of(o)->inner);
}

static uint64_t wall_us(struct hf_outside *o)
{
    return self_of(o)->inner->wall_us(self_of(o)->inner);
}

static void random_bytes(struct hf_outside *o, void *data, size_t size_bytes)
{
    self_of(o)->inner->random(self_of(o)->inner, data, size_bytes);
}

static void submit(struct hf_outside *o, enum hf_worker worker, struct hf_job *job)
{
    self_of(o)->inner->submit(self_of(o)->inner, worker, job);
}

static void drain(struct hf_outside *o, enum hf_worker worker)
{
    self_of(o)->inner->drain(self_of(o)->inner, worker);
}

static void ring(struct hf_outside *o)
{
    self_of(o)->inner->ring(self_of(o)->inner);
}

struct hf_outside *fault_outside_new(struct hf_outside *inner)
{
    struct fault_outside *self = hf_calloc(1, sizeof(*self));
    if (self == NULL) {
        return NULL;
    }
    self->inner = inner;
    self->base = (struct hf_outside){
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
        .lock = lock_directory,
        .unlock = unlock_directory,
        .monotonic_us = monotonic_us,
        .wall_us = wall_us,
        .random = random_bytes,
        .submit = submit,
        .drain = drain,
        .ring = ring,
    };
    HF_CHECK(pthread_mutex_init(&self->mutex, NULL) == 0);
    return &self->base;
}

void fault_outside_free(struct hf_outside *outside)
{
    if (outside != NULL) {
        struct fault_outside *self = self_of(outside);
        drop_undo(self, NULL, false);
        HF_CHECK(pthread_mutex_destroy(&self->mutex) == 0);
        hf_free(self);
    }
}

void fault_outside_arm(struct hf_outside *outside, enum fault_kind kind, uint64_t n, bool on)
{
    struct fault_outside *self = self_of(outside);
    HF_CHECK(n > 0 && kind < FAULT_KIND_COUNT);
    drop_undo(self, NULL, false);
    HF_CHECK(pthread_mutex_lock(&self->mutex) == 0);
    self->armed = true;
    self->on = on;
    self->hit = false;
    self->kind = kind;
    self->left = n;
    HF_CHECK(pthread_mutex_unlock(&self->mutex) == 0);
}

void fault_outside_disarm(struct hf_outside *outside)
{
    struct fault_outside *self = self_of(outside);
    HF_CHECK(pthread_mutex_lock(&self->mutex) == 0);
    self->armed = false;
    HF_CHECK(pthread_mutex_unlock(&self->mutex) == 0);
    drop_undo(self, NULL, false);
}

bool fault_outside_hit(struct hf_outside *outside)
{
    struct fault_outside *self = self_of(outside);
    HF_CHECK(pthread_mutex_lock(&self->mutex) == 0);
    bool hit = self->hit;
    HF_CHECK(pthread_mutex_unlock(&self->mutex) == 0);
    return hit;
}
