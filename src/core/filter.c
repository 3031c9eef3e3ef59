#include "core/filter.h"

#include "base/check.h"
#include "core/codec_priv.h"
#include "core/feed_event.h"

#define PREFIX_BYTES_MAX (16u + HF_NAME_BYTES_MAX)

static bool refuse(struct hf_malformed *malformed, const char *pointer, const char *text)
{
    return hf_malformed_set(malformed, HF_ERR_INVALID_REQUEST, pointer, "%s", text);
}

static bool starts_with(struct hf_str text, struct hf_str beginning)
{
    return text.len >= beginning.len && memcmp(text.ptr, beginning.ptr, beginning.len) == 0;
}

/* "streams/orders:": a collection, a slash, and the beginning of a name or nothing. */
static bool prefix_valid(struct hf_str prefix)
{
    if (prefix.len > PREFIX_BYTES_MAX) {
        return false;
    }
    for (int i = HF_SUBJECT_ACCOUNTS; i < HF_SUBJECT_COUNT; i++) {
        struct hf_str collection = hf_feed_subject_prefix((enum hf_feed_subject)i);
        if (!starts_with(prefix, collection)) {
            continue;
        }
        struct hf_str name = {prefix.ptr + collection.len, prefix.len - collection.len};
        return name.len == 0 || hf_name_valid(name) ||
               (name.ptr[0] == '~' &&
                (name.len == 1 || hf_name_valid((struct hf_str){name.ptr + 1, name.len - 1})));
    }
    return false;
}

/* As types of events, and a pattern is one too. */
static bool type_valid(struct hf_str type)
{
    if (type.len == 0 || type.len > HF_TYPE_BYTES_MAX || hf_str_equal(type, HF_STR(".*"))) {
        return false;
    }
    for (size_t i = 0; i < type.len; i++) {
        unsigned char c = (unsigned char)type.ptr[i];
        if (c <= 0x20 || c >= 0x7F) {
            return false;
        }
    }
    return true;
}

static bool number_of(const char *at, size_t len, uint32_t max, uint32_t *value)
{
    if (len == 0 || len > 5 || (len > 1 && at[0] == '0')) {
        return false;
    }
    uint32_t sum = 0;
    for (size_t i = 0; i < len; i++) {
        if (at[i] < '0' || at[i] > '9') {
            return false;
        }
        sum = sum * 10 + (uint32_t)(at[i] - '0');
    }
    *value = sum;
    return sum <= max;
}

/* "3/16" */
static bool parse_bucket(struct hf_str text, struct hf_filter *filter)
{
    const char *slash = text.len == 0 ? NULL : memchr(text.ptr, '/', text.len);
    if (slash == NULL) {
        return false;
    }
    size_t first = (size_t)(slash - text.ptr);
    filter->has_bucket = true;
    return number_of(text.ptr, first, HF_FILTER_BUCKETS_MAX, &filter->bucket) &&
           number_of(slash + 1, text.len - first - 1, HF_FILTER_BUCKETS_MAX,
                     &filter->bucket_count) &&
           filter->bucket < filter->bucket_count;
}

static bool keep(struct hf_arena *arena, struct hf_str text, struct hf_str *to,
                 struct hf_malformed *malformed)
{
    *to = hf_arena_copy(arena, text);
    return to->ptr != NULL ||
           hf_malformed_set(malformed, HF_ERR_NO_MEMORY, "", "out of memory while decoding");
}

static bool make_types(const struct hf_filter_fields *fields, struct hf_arena *arena,
                       struct hf_filter *filter, struct hf_malformed *malformed)
{
    if (fields->type_count > HF_FILTER_TYPES_MAX) {
        return refuse(malformed, "/filter/types", "at most 16 types");
    }
    for (uint32_t i = 0; i < fields->type_count; i++) {
        if (!type_valid(fields->types[i])) {
            return refuse(
                malformed, "/filter/types",
                "a type is 1 to 128 characters of U+0021 to U+007E; \"order.*\" stands for "
                "all that begin with \"order.\"");
        }
        if (!keep(arena, fields->types[i], &filter->types[i], malformed)) {
            return false;
        }
        filter->type_count = i + 1;
    }
    return true;
}

bool hf_filter_make(const struct hf_filter_fields *fields, struct hf_arena *arena,
                    struct hf_filter *filter, struct hf_malformed *malformed)
{
    *filter = (struct hf_filter){0};
    if (hf_str_present(fields->topic)) {
        struct hf_str text;
        if (!hf_name_valid(fields->topic)) {
            return refuse(malformed, "/filter/topic", "a topic has the syntax of names");
        }
        if (!keep(arena, fields->topic, &text, malformed)) {
            return false;
        }
        if (!hf_name_make(text, arena, &filter->topic)) {
            return hf_malformed_set(malformed, HF_ERR_NO_MEMORY, "", "out of memory");
        }
    }
    if (hf_str_present(fields->prefix)) {
        if (!prefix_valid(fields->prefix)) {
            return refuse(malformed, "/filter/prefix",
                          "a prefix is a collection, a slash and the beginning of a name: "
                          "\"streams/orders:\"");
        }
        if (!keep(arena, fields->prefix, &filter->prefix, malformed)) {
            return false;
        }
    }
    if (hf_str_present(fields->asset)) {
        filter->has_asset = true;
        if (!hf_asset_parse(fields->asset, &filter->asset)) {
            return refuse(malformed, "/filter/asset", "an asset is CODE/scale: \"USD/2\"");
        }
    }
    if (hf_str_present(fields->bucket) && !parse_bucket(fields->bucket, filter)) {
        return refuse(malformed, "/filter/bucket",
                      "a bucket is i/N with i < N and N at most 65536: \"3/16\"");
    }
    return make_types(fields, arena, filter, malformed);
}

static bool is_pattern(struct hf_str type)
{
    return type.len >= 2 && memcmp(type.ptr + type.len - 2, ".*", 2) == 0;
}

/* Pattern "order.*": everything that begins with "order.". */
static bool type_matches(struct hf_str wanted, struct hf_str type)
{
    if (is_pattern(wanted)) {
        return starts_with(type, (struct hf_str){wanted.ptr, wanted.len - 1});
    }
    return hf_str_equal(wanted, type);
}

static bool any_type_matches(const struct hf_filter *filter, struct hf_str type)
{
    for (uint32_t i = 0; i < filter->type_count; i++) {
        if (type_matches(filter->types[i], type)) {
            return true;
        }
    }
    return false;
}

static bool prefix_matches(struct hf_str prefix, const struct hf_feed_event *event)
{
    struct hf_str collection = hf_feed_subject_prefix(event->subject);
    if (event->subject == HF_SUBJECT_NONE || !starts_with(prefix, collection)) {
        return false;
    }
    return starts_with(event->subject_name.text,
                       (struct hf_str){prefix.ptr + collection.len, prefix.len - collection.len});
}

/* All parts but the types. */
static bool rest_matches(const struct hf_filter *filter, const struct hf_feed_event *event)
{
    if (hf_str_present(filter->topic.text) &&
        (event->subject != HF_SUBJECT_TOPICS ||
         !hf_name_equal(&filter->topic, &event->subject_name))) {
        return false;
    }
    if (hf_str_present(filter->prefix) && !prefix_matches(filter->prefix, event)) {
        return false;
    }
    if (filter->has_asset &&
        (event->asset == NULL || !hf_asset_equal(&filter->asset, event->asset))) {
        return false;
    }
    if (filter->has_bucket) { /* last: it hashes */
        struct hf_id hash = hf_feed_key_hash(event);
        return hf_feed_bucket(&hash, filter->bucket_count) == filter->bucket;
    }
    return true;
}

bool hf_filter_matches(const struct hf_filter *filter, const struct hf_feed_event *event)
{
    bool type_wanted =
        filter->type_count == 0 ? !event->system : any_type_matches(filter, event->type);
    return type_wanted && rest_matches(filter, event);
}

bool hf_filter_arrives(const struct hf_filter *filter, const struct hf_feed_event *event)
{
    return event->arrives &&
           (filter->type_count == 0 ? !event->by_type
                                    : any_type_matches(filter, event->arrival_type)) &&
           rest_matches(filter, event);
}

bool hf_filter_equal(const struct hf_filter *a, const struct hf_filter *b)
{
    if (hf_str_present(a->topic.text) != hf_str_present(b->topic.text) ||
        hf_str_present(a->prefix) != hf_str_present(b->prefix) || a->has_asset != b->has_asset ||
        a->has_bucket != b->has_bucket || a->type_count != b->type_count) {
        return false;
    }
    for (uint32_t i = 0; i < a->type_count; i++) {
        if (!hf_str_equal(a->types[i], b->types[i])) {
            return false;
        }
    }
    return (!hf_str_present(a->topic.text) || hf_name_equal(&a->topic, &b->topic)) &&
           hf_str_equal(a->prefix, b->prefix) &&
           (!a->has_asset || hf_asset_equal(&a->asset, &b->asset)) &&
           (!a->has_bucket || (a->bucket == b->bucket && a->bucket_count == b->bucket_count));
}

static void code_types(struct hf_codec *codec, struct hf_filter *filter)
{
    hf_code_u32(codec, &filter->type_count, HF_FILTER_TYPES_MAX, "filter types");
    for (uint32_t i = 0; i < filter->type_count && hf_codec_ok(codec); i++) {
        hf_code_text(codec, &filter->types[i], HF_TYPE_BYTES_MAX, "filter type");
        if (hf_codec_ok(codec) && !type_valid(filter->types[i])) {
            hf_codec_fail(codec, "filter type");
        }
    }
}

static void code_bucket(struct hf_codec *codec, struct hf_filter *filter)
{
    hf_code_u32(codec, &filter->bucket, HF_FILTER_BUCKETS_MAX, "filter bucket");
    hf_code_u32(codec, &filter->bucket_count, HF_FILTER_BUCKETS_MAX, "filter bucket count");
    if (filter->bucket >= filter->bucket_count) {
        hf_codec_fail(codec, "filter bucket");
    }
}

void hf_code_filter(struct hf_codec *codec, struct hf_filter *filter)
{
    bool has_topic = hf_str_present(filter->topic.text);
    bool has_prefix = hf_str_present(filter->prefix);
    if (!hf_codec_writing(codec)) {
        *filter = (struct hf_filter){0};
    }
    hf_code_bool(codec, &has_topic, "filter topic");
    if (has_topic) {
        hf_code_name(codec, &filter->topic, "filter topic");
        if (hf_codec_ok(codec) && !hf_name_valid(filter->topic.text)) {
            hf_codec_fail(codec, "filter topic");
        }
    }
    hf_code_bool(codec, &has_prefix, "filter prefix");
    if (has_prefix) {
        hf_code_text(codec, &filter->prefix, PREFIX_BYTES_MAX, "filter prefix");
        if (hf_codec_ok(codec) && !prefix_valid(filter->prefix)) {
            hf_codec_fail(codec, "filter prefix");
        }
    }
    hf_code_bool(codec, &filter->has_asset, "filter asset");
    if (filter->has_asset) {
        hf_code_asset(codec, &filter->asset, "filter asset");
    }
    hf_code_bool(codec, &filter->has_bucket, "filter bucket");
    if (filter->has_bucket) {
        code_bucket(codec, filter);
    }
    code_types(codec, filter);
}
