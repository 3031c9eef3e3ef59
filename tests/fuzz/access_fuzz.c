/*
 * Bytes as a tokens file, as the tokens in one whose checksum is right, and as the Host, Origin and Authorization of a
 * request. A set that was read is written and read again: the same file. Nobody gets in with what nobody was given.
 */
#include "api/access_priv.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_file(struct hf_str text)
{
    struct hf_token_set set;
    struct hf_token_set again;
    struct hf_buffer first;
    struct hf_buffer second;
    if (hf_token_set_parse(text, &set, NULL) != HF_ERR_OK) {
        HF_CHECK(set.count == 0 && set.entries == NULL);
        return;
    }
    hf_buffer_init(&first);
    hf_buffer_init(&second);
    hf_token_set_write(&set, &first);
    HF_CHECK(hf_token_set_parse((struct hf_str){(const char *)first.data, first.size_bytes}, &again,
                                NULL) == HF_ERR_OK);
    hf_token_set_write(&again, &second);
    HF_CHECK(again.count == set.count && first.size_bytes == second.size_bytes &&
             memcmp(first.data, second.data, first.size_bytes) == 0);
    HF_CHECK(hf_token_set_find(&set, HF_STR("hft_")) == NULL);
    hf_buffer_release(&first);
    hf_buffer_release(&second);
    hf_token_set_release(&again);
    hf_token_set_release(&set);
}

static void read_tokens(struct hf_str tokens)
{
    struct hf_buffer text;
    struct hf_hash checksum = hf_sha256(tokens.ptr, tokens.len);
    char hex[2 * HF_SHA256_BYTES + 1];
    hf_hash_hex(&checksum, hex);
    hf_buffer_init(&text);
    hf_buffer_format(&text, "{\"format\":1,\"checksum\":\"%s\",\"tokens\":", hex);
    hf_buffer_bytes(&text, tokens.ptr, tokens.len);
    hf_buffer_text(&text, "}");
    read_file((struct hf_str){(const char *)text.data, text.size_bytes});
    hf_buffer_release(&text);
}

/* One of the three headers, by the first byte. */
static void send_header(struct hf_access *access, uint8_t which, struct hf_str value)
{
    static const struct hf_str names[] = {
        {"host", 4}, {"origin", 6}, {"authorization", 13}, {"sec-fetch-site", 14}};
    struct hf_http_header headers[] = {{HF_STR("host"), HF_STR("localhost")},
                                       {names[which % 4], value}};
    struct hf_arena arena;
    struct hf_caller caller;
    const char *detail;
    hf_arena_init(&arena);
    bool host_alone = which % 4 == 0;
    struct hf_http_exchange exchange = {.method = which % 8 < 4 ? HF_HTTP_POST : HF_HTTP_OPTIONS,
                                        .headers = host_alone ? headers + 1 : headers,
                                        .header_count = host_alone ? 1 : 2,
                                        .arena = &arena};
    enum hf_err code = hf_access_check(access, &exchange, &caller, &detail);
    HF_CHECK((code == HF_ERR_OK) == (caller.principal.ptr != NULL));
    HF_CHECK(code == HF_ERR_OK || code == HF_ERR_FORBIDDEN || code == HF_ERR_UNAUTHORIZED);
    if (code == HF_ERR_OK && which % 4 == 1) {
        HF_CHECK(hf_str_equal(value, HF_STR("https://a.example")));
    }
    HF_CHECK((hf_access_cors(access, &exchange).len > 0) ==
             (which % 4 == 1 && hf_str_equal(value, HF_STR("https://a.example"))));
    (void)hf_name_pattern_valid(value);
    hf_arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct hf_outside *outside;
    static struct hf_access *access;
    static const char *const hosts[] = {"api.example"};
    static const char *const origins[] = {"https://a.example"};
    if (access == NULL) {
        outside = hf_outside_linux_new();
        HF_CHECK(outside != NULL);
        struct hf_access_options options = {.outside = outside,
                                            .loopback_only = true,
                                            .hosts = hosts,
                                            .host_count = 1,
                                            .origins = origins,
                                            .origin_count = 1};
        HF_CHECK(hf_access_new(&options, &access, NULL) == HF_ERR_OK);
    }
    if (size == 0) {
        return 0;
    }
    struct hf_str rest = {(const char *)data + 1, size - 1};
    if (data[0] == 0) {
        read_file(rest);
    } else if (data[0] == 1) {
        read_tokens(rest);
    } else {
        send_header(access, data[0], rest);
    }
    return 0;
}
