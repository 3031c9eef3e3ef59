#include "sim/queue_news.h"

#include "base/check.h"

static struct hf_str join(struct hf_arena *arena, const char *prefix, struct hf_str name)
{
    size_t head = strlen(prefix);
    char *text = hf_arena_alloc(arena, head + name.len + 1);
    HF_CHECK(text != NULL);
    memcpy(text, prefix, head);
    memcpy(text + head, name.ptr, name.len);
    return (struct hf_str){text, head + name.len};
}

static struct hf_str keep(struct hf_arena *arena, struct hf_str text)
{
    struct hf_str copy = hf_arena_copy(arena, text);
    HF_CHECK(copy.ptr != NULL);
    return copy;
}

static void about(struct hf_naive_news *news, struct hf_arena *arena, const char *type,
                  const char *prefix, const struct hf_name *name)
{
    news->arrives = true;
    news->type = hf_str_from(type);
    news->subject = join(arena, prefix, name->text);
    news->key = news->subject;
}

static void about_stream(struct hf_naive_news *news, struct hf_arena *arena,
                         const struct hf_appended *appended)
{
    about(news, arena, "", "streams/", &appended->stream);
    news->type = keep(arena, appended->type);
    news->key = keep(arena, appended->stream.text);
    news->place.bytes = (uint32_t)appended->data.text.len;
}

static void about_message(struct hf_naive_news *news, struct hf_arena *arena,
                          const struct hf_name *topic, struct hf_str type, struct hf_str key)
{
    about(news, arena, "", "topics/", topic);
    news->type = keep(arena, type);
    news->key = keep(arena, key);
    news->topic = keep(arena, topic->text);
}

static void about_document(struct hf_naive_news *news, struct hf_arena *arena,
                           const struct hf_event *event)
{
    bool put = event->type == HF_EVENT_DOCUMENT_PUT;
    about(news, arena, put ? "holdfast.document.put" : "holdfast.document.deleted", "documents/",
          &event->document.document);
    news->place.bytes = put ? (uint32_t)event->document.data.text.len : 0;
}

static void about_hold(struct hf_naive_news *news, struct hf_arena *arena, const char *type,
                       const struct hf_event *event)
{
    about(news, arena, type, "holds/", &event->posting.hold.name);
    news->asset = event->posting.hold.asset;
}

static void about_lease(struct hf_naive_news *news, struct hf_arena *arena, const char *type,
                        const struct hf_event *event)
{
    about(news, arena, type, "leases/", &event->lease.name);
}

/* Things with a subject; false: a system event. */
static bool fill(struct hf_naive_news *news, struct hf_arena *arena, const struct hf_event *event)
{
    switch ((int)event->type) {
    case HF_EVENT_ACCOUNT_OPENED:
        about(news, arena, "holdfast.account.opened", "accounts/", &event->opened.name);
        news->asset = event->opened.asset;
        return true;
    case HF_EVENT_ACCOUNT_CHANGED:
        about(news, arena, "holdfast.account.changed", "accounts/", &event->changed.side.account);
        news->asset = event->changed.asset;
        return true;
    case HF_EVENT_TRANSFER_POSTED:
        about(news, arena, "holdfast.transfer.posted", "transfers/", &event->posting.transfer.name);
        news->asset = event->posting.transfer.asset;
        return true;
    case HF_EVENT_HOLD_OPENED:
        about_hold(news, arena, "holdfast.hold.opened", event);
        return true;
    case HF_EVENT_HOLD_CAPTURED:
        about_hold(news, arena, "holdfast.hold.captured", event);
        return true;
    case HF_EVENT_HOLD_VOIDED:
        about_hold(news, arena, "holdfast.hold.voided", event);
        return true;
    case HF_EVENT_HOLD_EXPIRED:
        about_hold(news, arena, "holdfast.hold.expired", event);
        return true;
    case HF_EVENT_HOLD_EXTENDED:
        about_hold(news, arena, "holdfast.hold.extended", event);
        return true;
    case HF_EVENT_STREAM_APPENDED:
        about_stream(news, arena, &event->appended);
        return true;
    case HF_EVENT_DOCUMENT_PUT:
    case HF_EVENT_DOCUMENT_DELETED:
        about_document(news, arena, event);
        return true;
    case HF_EVENT_LEASE_ACQUIRED:
        about_lease(news, arena, "holdfast.lease.acquired", event);
        return true;
    case HF_EVENT_LEASE_RENEWED:
        about_lease(news, arena, "holdfast.lease.renewed", event);
        return true;
    case HF_EVENT_LEASE_RELEASED:
        about_lease(news, arena, "holdfast.lease.released", event);
        return true;
    case HF_EVENT_LEASE_EXPIRED:
        about_lease(news, arena, "holdfast.lease.expired", event);
        return true;
    default:
        return false;
    }
}

/* Messages; a delayed one does not come with its own commit. */
static bool fill_message(struct hf_naive_news *news, struct hf_arena *arena,
                         const struct hf_commit *commit, const struct hf_event *event)
{
    if (event->type == HF_EVENT_MESSAGE_PUBLISHED) {
        const struct hf_published *message = &event->published;
        about_message(news, arena, &message->topic, message->type, message->key);
        news->place.bytes = (uint32_t)message->data.text.len;
        news->arrives = message->deliver_at_us <= commit->time_us;
        return true;
    }
    if (event->type == HF_EVENT_MESSAGE_DUE) {
        const struct hf_message_due *due = &event->due;
        about_message(news, arena, &due->topic, due->type, due->key);
        news->place = due->message;
        return true;
    }
    return false;
}

struct hf_naive_news hf_naive_news_of(const struct hf_commit *commit, uint32_t index,
                                      struct hf_arena *arena)
{
    struct hf_naive_news news = {.place = {.position = commit->position, .index = index}};
    const struct hf_event *event = commit->events[index];
    if (fill(&news, arena, event) || fill_message(&news, arena, commit, event)) {
        struct hf_hash hash = hf_sha256(news.key.ptr, news.key.len);
        memcpy(news.key_hash.bytes, hash.bytes, sizeof(news.key_hash.bytes));
    }
    return news;
}

/* A type, or "order.*": everything that begins with "order.". */
static bool type_wanted(struct hf_str wanted, struct hf_str type)
{
    bool pattern = wanted.len >= 2 && memcmp(wanted.ptr + wanted.len - 2, ".*", 2) == 0;
    if (!pattern) {
        return hf_str_equal(wanted, type);
    }
    return type.len >= wanted.len - 1 && memcmp(wanted.ptr, type.ptr, wanted.len - 1) == 0;
}

static bool in_bucket(const struct hf_filter *filter, const struct hf_naive_news *news)
{
    uint64_t number = 0;
    for (size_t i = 0; i < 8; i++) {
        number = number * 256 + news->key_hash.bytes[i];
    }
    return number % filter->bucket_count == filter->bucket;
}

bool hf_naive_wants(const struct hf_filter *filter, const struct hf_naive_news *news)
{
    bool type = filter->type_count == 0;
    for (uint32_t i = 0; !type && i < filter->type_count; i++) {
        type = type_wanted(filter->types[i], news->type);
    }
    bool topic = !hf_str_present(filter->topic.text) ||
                 (hf_str_present(news->topic) && hf_str_equal(filter->topic.text, news->topic));
    bool prefix = !hf_str_present(filter->prefix) ||
                  (news->subject.len >= filter->prefix.len &&
                   memcmp(news->subject.ptr, filter->prefix.ptr, filter->prefix.len) == 0);
    bool asset = !filter->has_asset ||
                 (news->asset.len == filter->asset.len &&
                  memcmp(news->asset.text, filter->asset.text, filter->asset.len) == 0);
    return type && topic && prefix && asset && (!filter->has_bucket || in_bucket(filter, news));
}
