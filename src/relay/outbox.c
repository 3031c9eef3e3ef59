/* From a row to a message. */
#include "relay/outbox.h"

#include "base/errors.h"
#include "base/json.h"
#include "base/limits.h"
#include "core/name.h"

static const char *const default_columns[HF_OUTBOX_FIELDS] = {
    [HF_OUTBOX_ID] = "id",     [HF_OUTBOX_TOPIC] = "aggregatetype", [HF_OUTBOX_KEY] = "aggregateid",
    [HF_OUTBOX_TYPE] = "type", [HF_OUTBOX_PAYLOAD] = "payload",
};

const char *hf_outbox_default_column(enum hf_outbox_field field)
{
    return default_columns[field];
}

const char *hf_outbox_column(const struct hf_outbox_names *names, enum hf_outbox_field field)
{
    return names->columns[field] != NULL ? names->columns[field] : default_columns[field];
}

bool hf_outbox_take_column(struct hf_outbox_names *names, const char *text)
{
    size_t length = strcspn(text, "=");
    for (int i = 0; i < HF_OUTBOX_FIELDS; i++) {
        if (strlen(default_columns[i]) == length && memcmp(default_columns[i], text, length) == 0 &&
            text[length] == '=' && text[length + 1] != '\0') {
            names->columns[i] = text + length + 1;
            return true;
        }
    }
    return false;
}

/* What is shown of a text in a message for people: no control characters, not too much. */
static const char *shown(struct hf_str text, char room[64])
{
    size_t length = 0;
    for (size_t i = 0; i < text.len && length < 40; i++) {
        room[length++] = text.ptr[i] >= 0x20 && text.ptr[i] < 0x7F ? text.ptr[i] : '?';
    }
    (void)snprintf(room + length, 64 - length, "%s", text.len > 40 ? "…" : "");
    return room;
}

static bool prefixed(struct hf_arena *arena, const char *prefix, struct hf_str text,
                     struct hf_str *out, bool *no_memory)
{
    size_t length = prefix == NULL ? 0 : strlen(prefix);
    *out = text;
    if (length == 0) {
        return true;
    }
    char *room = hf_arena_alloc(arena, length + text.len);
    if (room == NULL) {
        *no_memory = true;
        return false;
    }
    memcpy(room, prefix, length);
    memcpy(room + length, text.ptr, text.len);
    *out = (struct hf_str){room, length + text.len};
    return true;
}

static bool check_name(const struct hf_outbox_names *names, enum hf_outbox_field field,
                       struct hf_str text, char why[HF_OUTBOX_WHY_BYTES])
{
    char room[64];
    if (!hf_name_valid(text)) {
        (void)snprintf(why, HF_OUTBOX_WHY_BYTES,
                       "%s \"%s\" is no name: 1 to %d of A-Z a-z 0-9 . _ : @ + = , ~ -, the first "
                       "one a letter or digit",
                       hf_outbox_column(names, field), shown(text, room), HF_NAME_BYTES_MAX);
        return false;
    }
    return true;
}

static bool begins(struct hf_str text, struct hf_str with)
{
    return text.len >= with.len && memcmp(text.ptr, with.ptr, with.len) == 0;
}

static bool check_type(const struct hf_outbox_names *names, struct hf_str type,
                       char why[HF_OUTBOX_WHY_BYTES])
{
    char room[64];
    bool visible = type.len > 0 && type.len <= HF_TYPE_BYTES_MAX;
    for (size_t i = 0; visible && i < type.len; i++) {
        visible = type.ptr[i] > 0x20 && type.ptr[i] < 0x7F;
    }
    if (!visible || begins(type, HF_STR("holdfast.")) || begins(type, HF_STR("system."))) {
        (void)snprintf(why, HF_OUTBOX_WHY_BYTES,
                       "%s \"%s\": 1 to %d characters of U+0021 to U+007E, not beginning with "
                       "holdfast. or system.",
                       hf_outbox_column(names, HF_OUTBOX_TYPE), shown(type, room),
                       HF_TYPE_BYTES_MAX);
        return false;
    }
    return true;
}

static bool check_data(const struct hf_outbox_names *names, struct hf_str data,
                       char why[HF_OUTBOX_WHY_BYTES])
{
    struct hf_error error = {0};
    const char *column = hf_outbox_column(names, HF_OUTBOX_PAYLOAD);
    if (data.len > HF_DATA_BYTES_MAX) {
        (void)snprintf(why, HF_OUTBOX_WHY_BYTES, "%s has %zu bytes; at most %u are possible",
                       column, data.len, HF_DATA_BYTES_MAX);
        return false;
    }
    if (data.len == 0 || hf_json_validate(data, &error) != HF_ERR_OK) {
        (void)snprintf(why, HF_OUTBOX_WHY_BYTES, "%s is not JSON: %.200s", column,
                       data.len == 0 ? "it is empty" : error.text);
        return false;
    }
    return true;
}

bool hf_outbox_message_of(const struct hf_outbox_names *names, const struct hf_outbox_row *row,
                          struct hf_arena *arena, struct hf_outbox_message *message,
                          char why[HF_OUTBOX_WHY_BYTES], bool *no_memory)
{
    *message = (struct hf_outbox_message){0};
    *no_memory = false;
    for (int i = 0; i < HF_OUTBOX_PAYLOAD; i++) {
        if (!hf_str_present(row->fields[i])) {
            (void)snprintf(why, HF_OUTBOX_WHY_BYTES, "%s is NULL",
                           hf_outbox_column(names, (enum hf_outbox_field)i));
            return false;
        }
    }
    struct hf_str payload = row->fields[HF_OUTBOX_PAYLOAD];
    message->data = hf_str_present(payload) ? payload : HF_STR("null");
    message->key = row->fields[HF_OUTBOX_KEY];
    message->type = row->fields[HF_OUTBOX_TYPE];
    if (!prefixed(arena, names->id_prefix, row->fields[HF_OUTBOX_ID], &message->id, no_memory) ||
        !prefixed(arena, names->topic_prefix, row->fields[HF_OUTBOX_TOPIC], &message->topic,
                  no_memory)) {
        (void)snprintf(why, HF_OUTBOX_WHY_BYTES, "out of memory");
        return false;
    }
    return check_name(names, HF_OUTBOX_ID, message->id, why) &&
           check_name(names, HF_OUTBOX_TOPIC, message->topic, why) &&
           check_name(names, HF_OUTBOX_KEY, message->key, why) &&
           check_type(names, message->type, why) && check_data(names, message->data, why);
}

void hf_outbox_put_member(struct hf_buffer *out, const char *name, struct hf_str text)
{
    bool first = out->size_bytes > 0 && out->data[out->size_bytes - 1] == '{';
    hf_buffer_format(out, "%s\"%s\":", first ? "" : ",", name);
    hf_json_write_string(out, text);
}

void hf_outbox_put_operation(const struct hf_outbox_message *message, struct hf_buffer *out)
{
    hf_buffer_text(out, "{\"op\":\"publish\"");
    hf_outbox_put_member(out, "topic", message->topic);
    hf_outbox_put_member(out, "key", message->key);
    hf_outbox_put_member(out, "type", message->type);
    hf_outbox_put_member(out, "id", message->id);
    hf_buffer_text(out, ",\"data\":");
    hf_buffer_bytes(out, message->data.ptr, message->data.len);
    hf_buffer_u8(out, '}');
}
