#include "api/precondition.h"

#include <strings.h>

#include "base/json.h"
#include "holdfast_packed.h"

static bool refuse(struct hf_malformed *malformed, const char *what)
{
    return hf_malformed_set(malformed, HF_ERR_INVALID_REQUEST, "", "%s", what);
}

static bool short_memory(struct hf_malformed *malformed)
{
    return hf_malformed_set(malformed, HF_ERR_NO_MEMORY, "", "out of memory while decoding");
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* ---- entity tags ---- */

struct scan {
    const char *next;     /* not read yet */
    const char *end;      /* behind the text */
    bool weak;            /* of the tag that was read */
    struct hf_str tag;    /* the tag that was read, with W/ and quotes */
    struct hf_str opaque; /* what stands between its quotes */
};

static void skip_blanks(struct scan *scan)
{
    while (scan->next < scan->end && is_blank(*scan->next)) {
        scan->next++;
    }
}

/* entity-tag = [ "W/" ] DQUOTE *etagc DQUOTE */
static bool scan_tag(struct scan *scan)
{
    const char *start = scan->next;
    scan->weak = scan->end - scan->next > 2 && memcmp(scan->next, "W/", 2) == 0;
    scan->next += scan->weak ? 2 : 0;
    if (scan->next == scan->end || *scan->next != '"') {
        return false;
    }
    const char *opaque = ++scan->next;
    while (scan->next < scan->end && *scan->next != '"') {
        unsigned char c = (unsigned char)*scan->next++;
        if (c < 0x21 || c == 0x7F) {
            return false;
        }
    }
    if (scan->next == scan->end) {
        return false;
    }
    scan->opaque = (struct hf_str){opaque, (size_t)(scan->next - opaque)};
    scan->next++;
    scan->tag = (struct hf_str){start, (size_t)(scan->next - start)};
    return true;
}

static bool add_version(struct hf_tag_list *list, const struct scan *scan,
                        struct hf_malformed *malformed)
{
    uint64_t version;
    if (!hf_json_integer(scan->opaque, &version)) {
        return true; /* a tag that we never gave: matches nothing */
    }
    uint32_t count = list->strong_count + list->weak_count;
    if (count == HF_CONDITION_VERSIONS_MAX) {
        return refuse(malformed, "more than 32 entity tags");
    }
    if (scan->weak) {
        list->versions[count] = version;
        list->weak_count++;
    } else {
        list->versions[count] = list->versions[list->strong_count];
        list->versions[list->strong_count++] = version;
    }
    return true;
}

/* One header line's tags; `text` has room and grows by the tags and commas. */
static bool take_tags(struct hf_tag_list *list, struct hf_str value, char *text,
                      struct hf_malformed *malformed)
{
    struct scan scan = {.next = value.ptr, .end = value.ptr + value.len};
    bool separated = true;
    for (skip_blanks(&scan); scan.next < scan.end; skip_blanks(&scan)) {
        if (*scan.next == ',') { /* empty elements are allowed (RFC 9110 §5.6.1) */
            separated = true;
            scan.next++;
            continue;
        }
        if (!separated || !scan_tag(&scan)) {
            return refuse(malformed, "If-Match and If-None-Match are * or a list of versions in "
                                     "quotes, for example \"3\"");
        }
        separated = false;
        if (list->text.len > 0) {
            text[list->text.len++] = ',';
        }
        memcpy(text + list->text.len, scan.tag.ptr, scan.tag.len);
        list->text.len += scan.tag.len;
        if (!add_version(list, &scan, malformed)) {
            return false;
        }
    }
    return true;
}

static bool take_list(const struct hf_http_exchange *exchange, struct hf_str name,
                      struct hf_tag_list *list, struct hf_malformed *malformed)
{
    size_t bytes = 0;
    for (size_t i = 0; i < exchange->header_count; i++) {
        if (hf_str_equal(exchange->headers[i].name, name)) {
            list->given = true;
            bytes += exchange->headers[i].value.len + 1;
        }
    }
    if (!list->given) {
        return true;
    }
    char *text = hf_arena_alloc(exchange->arena, bytes + 1);
    if (text == NULL) {
        return short_memory(malformed);
    }
    list->text = (struct hf_str){text, 0};
    bool star = false;
    for (size_t i = 0; i < exchange->header_count; i++) {
        if (!hf_str_equal(exchange->headers[i].name, name)) {
            continue;
        }
        if (hf_str_equal(exchange->headers[i].value, HF_STR("*"))) {
            star = true;
        } else if (!take_tags(list, exchange->headers[i].value, text, malformed)) {
            return false;
        }
    }
    if (star == (list->text.len > 0)) {
        return refuse(malformed, "If-Match and If-None-Match are either * or a list of versions "
                                 "in quotes, for example \"3\"");
    }
    if (star) {
        list->any = true;
        list->text = HF_STR("*");
    }
    return true;
}

bool hf_precondition_parse(const struct hf_http_exchange *exchange,
                           struct hf_precondition *precondition, struct hf_malformed *malformed)
{
    *precondition =
        (struct hf_precondition){.match.text = HF_STR(""), .none_match.text = HF_STR("")};
    return take_list(exchange, HF_STR("if-match"), &precondition->match, malformed) &&
           take_list(exchange, HF_STR("if-none-match"), &precondition->none_match, malformed);
}

/* ---- what they mean ---- */

bool hf_precondition_single(const struct hf_precondition *precondition, uint64_t *version)
{
    const struct hf_tag_list *match = &precondition->match;
    if (!match->given || match->any || match->strong_count != 1 || match->versions[0] == 0) {
        return false;
    }
    *version = match->versions[0];
    return true;
}

bool hf_precondition_add(const struct hf_precondition *precondition,
                         const struct hf_condition_fields *subject, struct hf_command *command,
                         struct hf_malformed *malformed)
{
    const struct hf_tag_list *match = &precondition->match;
    const struct hf_tag_list *none_match = &precondition->none_match;
    if (none_match->given && !none_match->any) {
        return refuse(malformed, "of If-None-Match a change takes * alone: create only");
    }
    if (match->given) {
        struct hf_condition_fields fields = *subject;
        if (match->any) {
            fields.has_exists = true;
            fields.exists = true;
        } else {
            fields.has_versions = true;
            fields.versions = match->versions;
            fields.version_count = match->strong_count;
        }
        if (!hf_command_add_condition(command, &fields, malformed)) {
            return false;
        }
    }
    if (none_match->given) {
        struct hf_condition_fields fields = *subject;
        fields.has_exists = true;
        fields.exists = false;
        return hf_command_add_condition(command, &fields, malformed);
    }
    return true;
}

static bool among(const uint64_t *versions, uint32_t count, uint64_t version)
{
    for (uint32_t i = 0; i < count; i++) {
        if (versions[i] == version) {
            return true;
        }
    }
    return false;
}

int hf_precondition_of_read(const struct hf_precondition *precondition, uint64_t version)
{
    const struct hf_tag_list *match = &precondition->match;
    const struct hf_tag_list *none_match = &precondition->none_match;
    if (match->given && !match->any && !among(match->versions, match->strong_count, version)) {
        return 412;
    }
    bool same =
        none_match->any ||
        among(none_match->versions, none_match->strong_count + none_match->weak_count, version);
    return none_match->given && same ? 304 : 200;
}

/* ---- Idempotency-Key ---- */

static const char key_form[] =
    "Idempotency-Key is 1 to 255 characters of U+0021 to U+007E, in quotes or bare";

/* sf-string (RFC 8941 §3.3.3): in quotes, with \" and \\. */
static bool unquote(struct hf_str value, struct hf_arena *arena, struct hf_str *key,
                    struct hf_malformed *malformed)
{
    char *text = hf_arena_alloc(arena, value.len);
    if (text == NULL) {
        return short_memory(malformed);
    }
    size_t used = 0;
    for (size_t i = 1; i < value.len; i++) {
        char c = value.ptr[i];
        if (c == '"') {
            *key = (struct hf_str){text, used};
            return i == value.len - 1 || refuse(malformed, key_form);
        }
        if (c == '\\') {
            i++;
            c = i < value.len ? value.ptr[i] : '\0';
            if (c != '"' && c != '\\') {
                return refuse(malformed, key_form);
            }
        }
        text[used++] = c;
    }
    return refuse(malformed, key_form); /* no closing quote */
}

bool hf_idempotency_key_parse(const struct hf_http_exchange *exchange, struct hf_str *key,
                              struct hf_malformed *malformed)
{
    size_t count = 0;
    *key = HF_STR_NONE;
    struct hf_str value = hf_http_header(exchange, HF_STR("idempotency-key"), &count);
    if (count == 0) {
        return true;
    }
    if (count > 1) {
        return refuse(malformed, "Idempotency-Key is given more than once");
    }
    *key = value;
    if (value.len > 0 && value.ptr[0] == '"' && !unquote(value, exchange->arena, key, malformed)) {
        return false;
    }
    bool valid = key->len > 0 && key->len <= HF_KEY_BYTES_MAX;
    for (size_t i = 0; valid && i < key->len; i++) {
        valid = key->ptr[i] >= 0x21 && key->ptr[i] <= 0x7E;
    }
    return valid || refuse(malformed, key_form);
}

/* ---- Content-Type ---- */

static bool equal_ignoring_case(struct hf_str text, const char *literal)
{
    return text.len == strlen(literal) && strncasecmp(text.ptr, literal, text.len) == 0;
}

static struct hf_str trimmed(struct hf_str text)
{
    while (text.len > 0 && is_blank(text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    while (text.len > 0 && is_blank(text.ptr[text.len - 1])) {
        text.len--;
    }
    return text;
}

enum hf_media hf_media_of(const struct hf_http_exchange *exchange)
{
    static const struct {
        const char *name;
        enum hf_media media;
    } rows[] = {
        {"application/json", HF_MEDIA_JSON},
        {"application/x-ndjson", HF_MEDIA_NDJSON},
        {"application/merge-patch+json", HF_MEDIA_MERGE_PATCH},
        {HOLDFAST_PACKED_TRANSFERS, HF_MEDIA_PACKED_TRANSFERS},
        {HOLDFAST_PACKED_ACCOUNTS, HF_MEDIA_PACKED_ACCOUNTS},
    };
    size_t count = 0;
    struct hf_str value = hf_http_header(exchange, HF_STR("content-type"), &count);
    if (count == 0) {
        return HF_MEDIA_ABSENT;
    }
    if (count > 1) {
        return HF_MEDIA_OTHER;
    }
    const char *semicolon = value.len == 0 ? NULL : memchr(value.ptr, ';', value.len);
    struct hf_str essence = value;
    if (semicolon != NULL) {
        essence.len = (size_t)(semicolon - value.ptr);
        struct hf_str parameter = {semicolon + 1, value.len - essence.len - 1};
        parameter = trimmed(parameter);
        if (!equal_ignoring_case(parameter, "charset=utf-8") &&
            !equal_ignoring_case(parameter, "charset=\"utf-8\"")) {
            return HF_MEDIA_OTHER;
        }
    }
    essence = trimmed(essence);
    for (size_t i = 0; i < HF_ARRAY_COUNT(rows); i++) {
        if (equal_ignoring_case(essence, rows[i].name)) {
            return rows[i].media;
        }
    }
    return HF_MEDIA_OTHER;
}
