/* The moves of sealed segments. Each ends with the directory synced and the new form read back, before the old one goes. */
#include "log/log_keep.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/check.h"
#include "log/log_pack.h"

#define COPY_BYTES       (256u << 10)
#define SYNC_EVERY_BYTES (1u << 20) /* so that no sync of an append waits behind much of ours */

enum form {
    FORM_PLAIN = 1,
    FORM_COMPRESSED = 2,
    FORM_REFERENCE = 4,
};

/* A run of hf_log_keep or hf_log_check_packs. */
struct keeping {
    struct hf_log_file *log;                 /* a reader */
    struct hf_outside *outside;              /* the log's */
    const struct hf_log_keep_policy *policy; /* NULL: only looking */
    const struct hf_log_work *work;          /* may be NULL */
    struct hf_log_kept *kept;                /* counts */
    uint64_t first;                          /* number of the log's first segment */
    uint8_t *forms;                          /* owned; of [first + i], bits of enum form */
    size_t count;                            /* of forms */
    char directory[HF_LOG_PATH_BYTES];       /* DIR/log */
};

static enum hf_err go_on(const struct keeping *keeping, uint64_t bytes, struct hf_error *error)
{
    const struct hf_log_work *work = keeping->work;
    if (work != NULL && work->go_on != NULL && !work->go_on(work->context, bytes)) {
        return hf_error_set(error, HF_ERR_CLOSED, "stopped");
    }
    return HF_ERR_OK;
}

/* --- what is there --- */

static void note_form(void *context, struct hf_str name)
{
    struct keeping *keeping = context;
    const struct {
        const char *suffix;
        enum form form;
    } kinds[] = {{".log", FORM_PLAIN}, {".zst", FORM_COMPRESSED}, {".ref", FORM_REFERENCE}};
    for (size_t i = 0; i < HF_ARRAY_COUNT(kinds); i++) {
        uint64_t number = hf_log_number_of(name, kinds[i].suffix);
        if (number >= keeping->first && number - keeping->first < keeping->count) {
            keeping->forms[number - keeping->first] |= (uint8_t)kinds[i].form;
        }
    }
}

static enum hf_err begin(struct keeping *keeping, struct hf_error *error)
{
    struct hf_log_file *log = keeping->log;
    hf_log_lock(&log->mutex);
    HF_CHECK(!log->owner);
    enum hf_err code = hf_log_file_refresh(log, error);
    hf_log_unlock(&log->mutex);
    if (code != HF_ERR_OK || log->map.count == 0) {
        return code;
    }
    keeping->first = log->map.segments[0].header.number;
    keeping->count = log->map.count;
    keeping->forms = hf_calloc(keeping->count, sizeof(*keeping->forms));
    if (keeping->forms == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "no memory to list the segments");
    }
    hf_log_path_log(log, keeping->directory);
    return log->outside->list(log->outside, keeping->directory, note_form, keeping, error);
}

static void end(struct keeping *keeping)
{
    hf_free(keeping->forms);
}

/* --- steps that both moves share --- */

/* Takes the name that it is to have. */
static enum hf_err publish(struct hf_outside *o, const char *directory, const char *from,
                           const char *to, struct hf_error *error)
{
    enum hf_err code = o->rename(o, from, to, error);
    return code == HF_ERR_OK ? o->sync_directory(o, directory, error) : code;
}

static enum hf_err remove_form(struct keeping *keeping, uint64_t number, const char *suffix,
                               struct hf_error *error)
{
    struct hf_outside *o = keeping->outside;
    char path[HF_LOG_PATH_BYTES];
    hf_log_path_segment_in(keeping->directory, number, suffix, path);
    enum hf_err code = o->remove(o, path, error);
    if (code != HF_ERR_OK && code != HF_ERR_NOT_FOUND) {
        return code;
    }
    return o->sync_directory(o, keeping->directory, error);
}

/* What a run before this one left in the making. */
static enum hf_err remove_unfinished(struct hf_outside *o, const char *path, struct hf_error *error)
{
    enum hf_err code = o->remove(o, path, error);
    return code == HF_ERR_NOT_FOUND ? HF_ERR_OK : code;
}

/* Reads a compressed segment back from the disk. CORRUPT too if it is not the one with these pages or this header. */
static enum hf_err read_back(struct keeping *keeping, const char *path,
                             const struct hf_log_segment_header *segment,
                             const struct hf_log_pack_head *same, struct hf_error *error)
{
    struct hf_log_pack *pack;
    enum hf_err code = hf_log_pack_open(keeping->outside, path, HF_OPEN_READ_DIRECT, &pack, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    const struct hf_log_pack_head *head = hf_log_pack_head(pack);
    uint8_t page[HF_LOG_PAGE_BYTES];
    hf_log_segment_header_encode(segment, page);
    if (memcmp(head->pages + HF_LOG_PAGE_BYTES, page, sizeof(page)) != 0 ||
        (same != NULL && memcmp(head->pages, same->pages, sizeof(same->pages)) != 0)) {
        code = hf_error_set(error, HF_ERR_EXISTS,
                            "%s holds another segment of that name: give each data directory an "
                            "archive of its own",
                            path);
    } else {
        code = hf_log_pack_check(pack, keeping->work, error);
    }
    hf_log_pack_close(pack);
    return code;
}

/* --- compress --- */

static enum hf_err make_compressed(struct keeping *keeping, size_t i, const char *path,
                                   struct hf_error *error)
{
    struct hf_outside *o = keeping->outside;
    const struct hf_log_segment *segments = keeping->log->map.segments;
    char from[HF_LOG_PATH_BYTES];
    char making[HF_LOG_PATH_BYTES];
    hf_log_path_segment_in(keeping->directory, keeping->first + i, ".log", from);
    hf_log_path_segment_in(keeping->directory, keeping->first + i, ".tmp", making);
    enum hf_err code = remove_unfinished(o, making, error);
    if (code == HF_ERR_OK) {
        code = hf_log_pack_write(o, from, making, &segments[i].header, &segments[i + 1].header,
                                 keeping->work, error);
    }
    if (code == HF_ERR_OK) {
        code = publish(o, keeping->directory, making, path, error);
    }
    return code == HF_ERR_OK ? read_back(keeping, path, &segments[i].header, NULL, error) : code;
}

static enum hf_err compress(struct keeping *keeping, size_t i, struct hf_error *error)
{
    uint64_t number = keeping->first + i;
    const struct hf_log_segment_header *header = &keeping->log->map.segments[i].header;
    char path[HF_LOG_PATH_BYTES];
    hf_log_path_segment_in(keeping->directory, number, ".zst", path);
    enum hf_err code = HF_ERR_NOT_FOUND;
    if ((keeping->forms[i] & FORM_COMPRESSED) != 0) { /* a run was cut off behind the rename */
        code = read_back(keeping, path, header, NULL, error);
        if (code == HF_ERR_CORRUPT || code == HF_ERR_EXISTS) {
            code = remove_form(keeping, number, ".zst", error);
            code = code == HF_ERR_OK ? HF_ERR_NOT_FOUND : code;
        }
    }
    if (code == HF_ERR_NOT_FOUND) {
        code = make_compressed(keeping, i, path, error);
    }
    if (code == HF_ERR_OK) {
        code = remove_form(keeping, number, ".log", error);
    }
    struct hf_log_pack_head head;
    if (code == HF_ERR_OK) {
        code = hf_log_pack_head_load(keeping->outside, path, HF_OPEN_READ, &head, error);
    }
    if (code == HF_ERR_OK) {
        keeping->forms[i] = FORM_COMPRESSED;
        keeping->kept->compressed++;
        keeping->kept->from_bytes += head.header.size_bytes;
        keeping->kept->to_bytes += head.header.file_bytes;
    }
    return code;
}

/* --- archive --- */

static enum hf_err copy_bytes(struct keeping *keeping, struct hf_file *from, struct hf_file *to,
                              uint64_t size_bytes, uint8_t *piece, struct hf_error *error)
{
    struct hf_outside *o = keeping->outside;
    enum hf_err code = HF_ERR_OK;
    for (uint64_t at = 0; code == HF_ERR_OK && at < size_bytes; at += COPY_BYTES) {
        size_t size = (size_t)hf_min_u64(size_bytes - at, COPY_BYTES);
        size_t got = 0;
        code = o->read(o, from, at, piece, size, &got, error);
        if (code == HF_ERR_OK && got < size) {
            code = hf_error_set(error, HF_ERR_CORRUPT, "offset %llu: the file is cut short",
                                (unsigned long long)at + got);
        }
        if (code == HF_ERR_OK) {
            code = o->write(o, to, at, piece, size, error);
        }
        if (code == HF_ERR_OK && (at + size == size_bytes || (at + size) % SYNC_EVERY_BYTES == 0)) {
            code = o->sync(o, to, error);
        }
        if (code == HF_ERR_OK) {
            code = go_on(keeping, size, error);
        }
    }
    return code;
}

static enum hf_err copy(struct keeping *keeping, const char *from_path, const char *to_path,
                        uint64_t size_bytes, struct hf_error *error)
{
    struct hf_outside *o = keeping->outside;
    struct hf_file *from = NULL;
    struct hf_file *to = NULL;
    uint8_t *piece = hf_malloc(COPY_BYTES);
    enum hf_err code =
        piece == NULL ? hf_error_set(error, HF_ERR_NO_MEMORY, "no memory to copy %s", from_path)
                      : remove_unfinished(o, to_path, error);
    if (code == HF_ERR_OK) {
        code = o->open(o, from_path, HF_OPEN_READ_DIRECT, &from, error);
    }
    if (code == HF_ERR_OK) {
        code = o->open(o, to_path, HF_OPEN_CREATE_NEW, &to, error);
    }
    if (code == HF_ERR_OK) {
        code = copy_bytes(keeping, from, to, size_bytes, piece, error);
        if (code != HF_ERR_OK) {
            (void)hf_error_wrap(error, "copy %s", from_path);
        }
    }
    o->close(o, from);
    o->close(o, to);
    hf_free(piece);
    return code;
}

/* In place of the segment, durably. */
static enum hf_err put_reference(struct keeping *keeping, const struct hf_log_ref *ref,
                                 struct hf_error *error)
{
    struct hf_outside *o = keeping->outside;
    uint64_t number = ref->head.header.number;
    char making[HF_LOG_PATH_BYTES];
    char path[HF_LOG_PATH_BYTES];
    uint8_t page[HF_LOG_PAGE_BYTES];
    struct hf_file *file = NULL;
    hf_log_path_segment_in(keeping->directory, number, ".tmp", making);
    hf_log_path_segment_in(keeping->directory, number, ".ref", path);
    hf_log_ref_encode(ref, page);
    enum hf_err code = remove_unfinished(o, making, error);
    if (code == HF_ERR_OK) {
        code = o->open(o, making, HF_OPEN_CREATE_NEW, &file, error);
    }
    if (code == HF_ERR_OK) {
        code = o->write(o, file, 0, ref->head.pages, sizeof(ref->head.pages), error);
    }
    if (code == HF_ERR_OK) {
        code = o->write(o, file, sizeof(ref->head.pages), page, sizeof(page), error);
    }
    if (code == HF_ERR_OK) {
        code = o->sync(o, file, error);
    }
    o->close(o, file);
    return code == HF_ERR_OK ? publish(o, keeping->directory, making, path, error) : code;
}

/* The archive's file, whole and ours; made if it is not there, made again if it is damaged. */
static enum hf_err make_archived(struct keeping *keeping, size_t i,
                                 const struct hf_log_pack_head *head, struct hf_error *error)
{
    struct hf_outside *o = keeping->outside;
    const char *archive = keeping->policy->archive;
    const struct hf_log_segment_header *segment = &keeping->log->map.segments[i].header;
    char from[HF_LOG_PATH_BYTES];
    char making[HF_LOG_PATH_BYTES];
    char path[HF_LOG_PATH_BYTES];
    hf_log_path_segment_in(keeping->directory, segment->number, ".zst", from);
    hf_log_path_segment_in(archive, segment->number, ".tmp", making);
    hf_log_path_segment_in(archive, segment->number, ".zst", path);
    struct hf_log_pack_head there;
    enum hf_err code = hf_log_pack_head_load(o, path, HF_OPEN_READ_DIRECT, &there, error);
    bool ours = code == HF_ERR_OK && memcmp(there.pages, head->pages, sizeof(head->pages)) == 0;
    if (code == HF_ERR_OK) { /* of a run that was cut off, or not ours: then it says so */
        code = read_back(keeping, path, segment, head, error);
    }
    if (code != HF_ERR_NOT_FOUND && !(code == HF_ERR_CORRUPT && ours)) {
        return code;
    }
    code = copy(keeping, from, making, head->header.file_bytes, error);
    if (code == HF_ERR_OK) {
        code = publish(o, archive, making, path, error);
    }
    return code == HF_ERR_OK ? read_back(keeping, path, segment, head, error) : code;
}

static enum hf_err archive(struct keeping *keeping, size_t i, struct hf_error *error)
{
    struct hf_log_ref ref;
    uint64_t number = keeping->first + i;
    char path[HF_LOG_PATH_BYTES];
    hf_log_path_segment_in(keeping->directory, number, ".zst", path);
    enum hf_err code =
        hf_log_pack_head_load(keeping->outside, path, HF_OPEN_READ_DIRECT, &ref.head, error);
    if (code == HF_ERR_OK) {
        code = make_archived(keeping, i, &ref.head, error);
    }
    if (code == HF_ERR_OK) {
        (void)snprintf(ref.directory, sizeof(ref.directory), "%s", keeping->policy->archive);
        code = put_reference(keeping, &ref, error);
    }
    if (code == HF_ERR_OK) {
        code = remove_form(keeping, number, ".zst", error);
    }
    if (code == HF_ERR_OK) {
        keeping->forms[i] = FORM_REFERENCE;
        keeping->kept->archived++;
    }
    return code;
}

/* An archived segment whose directory has moved: the reference follows, if its file is in the archive that is told. */
static enum hf_err follow(struct keeping *keeping, size_t i, struct hf_error *error)
{
    struct hf_outside *o = keeping->outside;
    struct hf_log_ref ref;
    struct hf_log_pack_head there;
    char path[HF_LOG_PATH_BYTES];
    hf_log_path_segment_in(keeping->directory, keeping->first + i, ".ref", path);
    enum hf_err code = hf_log_ref_load(o, path, HF_OPEN_READ, &ref, error);
    if (code != HF_ERR_OK || strcmp(ref.directory, keeping->policy->archive) == 0) {
        return code;
    }
    hf_log_path_segment_in(keeping->policy->archive, keeping->first + i, ".zst", path);
    code = hf_log_pack_head_load(o, path, HF_OPEN_READ, &there, error);
    if (code == HF_ERR_NOT_FOUND) {
        return HF_ERR_OK; /* it is where it was */
    }
    if (code == HF_ERR_OK && memcmp(there.pages, ref.head.pages, sizeof(there.pages)) == 0) {
        (void)snprintf(ref.directory, sizeof(ref.directory), "%s", keeping->policy->archive);
        code = put_reference(keeping, &ref, error);
        keeping->kept->followed += code == HF_ERR_OK;
    }
    return code;
}

/* --- the policy --- */

/* Segments from the first one on whose commits are all at or below the position; the active one never is among them. */
static size_t count_behind(const struct hf_log_map *map, uint64_t position)
{
    size_t count = 0;
    while (count + 1 < map->count &&
           map->segments[count + 1].header.first_position - 1 <= position) {
        count++;
    }
    return count;
}

static size_t all_but(size_t count, uint64_t newest)
{
    return newest >= count ? 0 : count - (size_t)newest;
}

static enum hf_err keep_one(struct keeping *keeping, size_t i, bool to_archive,
                            struct hf_error *error)
{
    enum hf_err code = HF_ERR_OK;
    if ((keeping->forms[i] & FORM_PLAIN) != 0) {
        code = compress(keeping, i, error);
    }
    if (code == HF_ERR_OK && to_archive && (keeping->forms[i] & FORM_COMPRESSED) != 0) {
        code = archive(keeping, i, error);
    }
    if (code == HF_ERR_OK && to_archive && keeping->policy->archive_moved &&
        keeping->forms[i] == FORM_REFERENCE) {
        code = follow(keeping, i, error);
    }
    if (code != HF_ERR_OK) {
        (void)hf_error_wrap(error, "segment %llu", (unsigned long long)(keeping->first + i));
    }
    return code;
}

enum hf_err hf_log_keep(struct hf_log *log, const struct hf_log_keep_policy *policy,
                        const struct hf_log_work *work, struct hf_log_kept *kept,
                        struct hf_error *error)
{
    struct hf_log_file *file = hf_log_file_of(log);
    struct keeping keeping = {
        .log = file, .outside = file->outside, .policy = policy, .work = work, .kept = kept};
    *kept = (struct hf_log_kept){0};
    if (policy->archive != NULL && strlen(policy->archive) >= HF_LOG_DIRECTORY_BYTES) {
        return hf_error_set(error, HF_ERR_LIMIT, "the archive's path is too long");
    }
    enum hf_err code = begin(&keeping, error);
    size_t behind = code == HF_ERR_OK ? count_behind(&file->map, policy->position) : 0;
    size_t to_archive = policy->archive == NULL ? 0 : all_but(behind, policy->archive_after);
    size_t to_compress = all_but(behind, policy->compress_after);
    uint64_t moved = 0;
    if (code == HF_ERR_OK && to_archive > 0) {
        code = keeping.outside->make_directory(keeping.outside, policy->archive, error);
        if (code == HF_ERR_OK) {
            code = hf_log_sync_parent(keeping.outside, policy->archive, error);
        }
    }
    for (size_t i = 0; code == HF_ERR_OK && (i < to_compress || i < to_archive); i++) {
        if (moved > 0 && moved == policy->segments_max) {
            break;
        }
        uint64_t before = kept->compressed + kept->archived;
        code = keep_one(&keeping, i, i < to_archive, error);
        moved += kept->compressed + kept->archived > before;
    }
    end(&keeping);
    return code;
}

/* --- looking --- */

static enum hf_err check_one(struct keeping *keeping, size_t i, struct hf_error *error)
{
    struct hf_log_pack *pack;
    enum hf_err code =
        hf_log_place_open(keeping->log, keeping->first + i, HF_OPEN_READ_DIRECT, &pack, error);
    if (code == HF_ERR_OK) {
        code = hf_log_pack_check(pack, keeping->work, error);
        hf_log_pack_close(pack);
    }
    return code;
}

enum hf_err hf_log_check_packs(struct hf_log *log, const struct hf_log_work *work,
                               hf_log_finding_fn each, void *context, struct hf_error *error)
{
    struct hf_log_file *file = hf_log_file_of(log);
    struct keeping keeping = {.log = file, .outside = file->outside, .work = work};
    enum hf_err code = begin(&keeping, error);
    for (size_t i = 0; code == HF_ERR_OK && i + 1 < keeping.count; i++) {
        if ((keeping.forms[i] & FORM_PLAIN) != 0) {
            continue; /* it is what readers take, and check */
        }
        struct hf_error finding = {0};
        code = check_one(&keeping, i, &finding);
        if (code == HF_ERR_NO_MEMORY || code == HF_ERR_CLOSED) {
            if (error != NULL) {
                *error = finding;
            }
        } else if (code != HF_ERR_OK) {
            (void)hf_error_wrap(&finding, "segment %llu", (unsigned long long)(keeping.first + i));
            each(context, &finding);
            code = HF_ERR_OK;
        }
    }
    end(&keeping);
    return code;
}

/* --- weighing --- */

struct weighing {
    struct hf_outside *outside;
    char directory[HF_LOG_PATH_BYTES];
    struct hf_log_bytes *bytes;
};

static uint64_t size_of(struct hf_outside *o, const char *path)
{
    struct hf_file *file;
    uint64_t size_bytes = 0;
    if (o->open(o, path, HF_OPEN_READ, &file, NULL) == HF_ERR_OK) {
        if (o->size(o, file, &size_bytes, NULL) != HF_ERR_OK) {
            size_bytes = 0;
        }
        o->close(o, file);
    }
    return size_bytes; /* 0: it has gone on meanwhile */
}

static void weigh(void *context, struct hf_str name)
{
    struct weighing *weighing = context;
    struct hf_log_bytes *bytes = weighing->bytes;
    char path[HF_LOG_PATH_BYTES];
    int used =
        snprintf(path, sizeof(path), "%s/%.*s", weighing->directory, (int)name.len, name.ptr);
    if (used < 0 || (size_t)used >= sizeof(path)) {
        return; /* no name of ours is so long */
    }
    struct hf_log_pack_head head;
    if (hf_log_number_of(name, ".log") > 0 || hf_log_number_of(name, ".new") > 0) {
        bytes->plain_segments++;
        bytes->plain_bytes += size_of(weighing->outside, path);
    } else if (hf_log_number_of(name, ".zst") > 0) {
        bytes->compressed_segments++;
        bytes->compressed_bytes += size_of(weighing->outside, path);
    } else if (hf_log_number_of(name, ".ref") > 0) {
        bytes->archived_segments++;
        if (hf_log_pack_head_load(weighing->outside, path, HF_OPEN_READ, &head, NULL) ==
            HF_ERR_OK) {
            bytes->archived_bytes += head.header.file_bytes;
        }
    }
}

enum hf_err hf_log_bytes(struct hf_outside *outside, const char *directory,
                         struct hf_log_bytes *bytes, struct hf_error *error)
{
    struct weighing weighing = {.outside = outside, .bytes = bytes};
    *bytes = (struct hf_log_bytes){0};
    int used = snprintf(weighing.directory, sizeof(weighing.directory), "%s/log", directory);
    if (used < 0 || (size_t)used >= sizeof(weighing.directory)) {
        return hf_error_set(error, HF_ERR_LIMIT, "the data directory's path is too long");
    }
    return outside->list(outside, weighing.directory, weigh, &weighing, error);
}
