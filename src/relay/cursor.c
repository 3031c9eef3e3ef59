/* The cursor's JSON. */
#include "relay/cursor.h"

#include <inttypes.h>

#include "base/arena.h"
#include "base/json.h"
#include "relay/outbox.h"
#include "relay/pgoutput.h"

#define FORMAT 1

void hf_cursor_text(char to[HF_CURSOR_TEXT_BYTES], struct hf_str text)
{
    size_t length = text.len < HF_CURSOR_TEXT_BYTES ? text.len : HF_CURSOR_TEXT_BYTES - 1;
    if (length > 0) {
        memcpy(to, text.ptr, length);
    }
    to[length] = '\0';
}

void hf_cursor_show(const struct hf_cursor *cursor, char text[64])
{
    if (cursor->kind == HF_CURSOR_SQLITE) {
        (void)snprintf(text, 64, "%" PRIu64, cursor->at.sequence);
    } else {
        hf_lsn_format(cursor->at.lsn, text);
    }
}

static void put_number(struct hf_buffer *out, const char *name, uint64_t number)
{
    hf_buffer_format(out, ",\"%s\":%" PRIu64, name, number);
}

static void put_lsn(struct hf_buffer *out, const char *name, uint64_t lsn)
{
    char text[HF_LSN_TEXT_BYTES];
    hf_lsn_format(lsn, text);
    hf_outbox_put_member(out, name, hf_str_from(text));
}

void hf_cursor_write(const struct hf_cursor *cursor, struct hf_buffer *out)
{
    hf_buffer_format(out, "{\"format\":%d", FORMAT);
    hf_outbox_put_member(
        out, "source", cursor->kind == HF_CURSOR_SQLITE ? HF_STR("sqlite") : HF_STR("postgresql"));
    hf_outbox_put_member(out, "table", hf_str_from(cursor->table));
    put_number(out, "published", cursor->published);
    put_number(out, "parked", cursor->parked);
    if (cursor->kind == HF_CURSOR_SQLITE) {
        put_number(out, "sequence", cursor->at.sequence);
        hf_outbox_put_member(out, "id", hf_str_from(cursor->id));
    } else {
        hf_outbox_put_member(out, "system", hf_str_from(cursor->system));
        put_number(out, "timeline", cursor->timeline);
        hf_outbox_put_member(out, "database", hf_str_from(cursor->database));
        hf_outbox_put_member(out, "slot", hf_str_from(cursor->slot));
        put_lsn(out, "lsn", cursor->at.lsn);
        if (cursor->at.transaction != 0) {
            put_lsn(out, "transaction", cursor->at.transaction);
            put_number(out, "rows", cursor->at.rows);
        }
        if (cursor->copying[0] != '\0') {
            hf_outbox_put_member(out, "copying", hf_str_from(cursor->copying));
        }
    }
    hf_buffer_u8(out, '}');
}

/* One member whose name the reader has just passed. */
struct member {
    const char *name;
    char *text;        /* room of HF_CURSOR_TEXT_BYTES, or NULL */
    size_t text_bytes; /* of it */
    uint64_t *number;  /* or NULL */
    uint64_t *lsn;     /* or NULL */
};

static bool take_value(struct hf_json *json, struct hf_arena *arena, const struct member *member)
{
    enum hf_json_token token = hf_json_next(json);
    if (member->number != NULL) {
        return token == HF_JSON_NUMBER && hf_json_integer(json->raw, member->number);
    }
    if (token != HF_JSON_STRING) {
        return false;
    }
    struct hf_str text = hf_json_string(json, arena);
    if (member->lsn != NULL) {
        return hf_str_present(text) && hf_lsn_parse(text, member->lsn);
    }
    if (!hf_str_present(text) || text.len >= member->text_bytes) {
        return false;
    }
    memcpy(member->text, text.ptr, text.len);
    member->text[text.len] = '\0';
    return true;
}

static bool take_member(struct hf_json *json, struct hf_arena *arena, const struct member *members,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (hf_json_is(json, hf_str_from(members[i].name))) {
            return take_value(json, arena, &members[i]);
        }
    }
    return hf_json_skip(json, NULL); /* of a later relay that kept the format's number */
}

bool hf_cursor_read(struct hf_str text, uint64_t version, struct hf_cursor *cursor)
{
    struct hf_json json;
    struct hf_arena arena;
    uint64_t format = 0;
    char source[32] = "";
    *cursor = (struct hf_cursor){.version = version};
    const struct member members[] = {
        {"format", .number = &format},
        {"source", .text = source, .text_bytes = sizeof(source)},
        {"table", .text = cursor->table, .text_bytes = sizeof(cursor->table)},
        {"published", .number = &cursor->published},
        {"parked", .number = &cursor->parked},
        {"system", .text = cursor->system, .text_bytes = sizeof(cursor->system)},
        {"timeline", .number = &cursor->timeline},
        {"database", .text = cursor->database, .text_bytes = sizeof(cursor->database)},
        {"slot", .text = cursor->slot, .text_bytes = sizeof(cursor->slot)},
        {"lsn", .lsn = &cursor->at.lsn},
        {"transaction", .lsn = &cursor->at.transaction},
        {"rows", .number = &cursor->at.rows},
        {"copying", .text = cursor->copying, .text_bytes = sizeof(cursor->copying)},
        {"sequence", .number = &cursor->at.sequence},
        {"id", .text = cursor->id, .text_bytes = sizeof(cursor->id)},
    };
    hf_arena_init(&arena);
    hf_json_init(&json, text, &arena);
    bool good = hf_json_next(&json) == HF_JSON_OBJECT_BEGIN;
    while (good && hf_json_next(&json) == HF_JSON_NAME) {
        good = take_member(&json, &arena, members, HF_ARRAY_COUNT(members));
    }
    good = good && hf_json_next(&json) == HF_JSON_END && format == FORMAT;
    hf_arena_release(&arena);
    cursor->kind = strcmp(source, "postgresql") == 0 ? HF_CURSOR_POSTGRESQL
                   : strcmp(source, "sqlite") == 0   ? HF_CURSOR_SQLITE
                                                     : HF_CURSOR_NONE;
    return good && cursor->kind != HF_CURSOR_NONE;
}
