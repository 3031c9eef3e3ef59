#include "deliver/address.h"

#include <arpa/inet.h>

#include "base/check.h"

struct special {
    uint8_t first[16];
    uint32_t prefix;
    const char *what;
};

static const struct special ipv4_special[] = {
    {{0}, 8, "an address of this network"},
    {{10}, 8, "a private address"},
    {{100, 64}, 10, "an address shared behind a carrier's NAT"},
    {{127}, 8, "a loopback address"},
    {{169, 254}, 16, "a link-local address"},
    {{172, 16}, 12, "a private address"},
    {{192, 0, 0}, 24, "an address assigned to a protocol"},
    {{192, 0, 2}, 24, "an address of documentation"},
    {{192, 31, 196}, 24, "an address assigned to a protocol"},
    {{192, 52, 193}, 24, "an address assigned to a protocol"},
    {{192, 88, 99}, 24, "a 6to4 relay's address"},
    {{192, 168}, 16, "a private address"},
    {{192, 175, 48}, 24, "an address assigned to a protocol"},
    {{198, 18}, 15, "an address of benchmarks"},
    {{198, 51, 100}, 24, "an address of documentation"},
    {{203, 0, 113}, 24, "an address of documentation"},
    {{224}, 4, "a multicast address"},
    {{255, 255, 255, 255}, 32, "the broadcast address"},
    {{240}, 4, "a reserved address"},
};

/* Outside of 2000::/3, for better words than "no public address". */
static const struct special ipv6_special[] = {
    {{0}, 128, "the unspecified address"},
    {{[15] = 1}, 128, "a loopback address"},
    {{[10] = 0xff, [11] = 0xff}, 96, "an IPv4-mapped address"},
    {{0}, 96, "an IPv4-compatible address"},
    {{0xfc}, 7, "a unique local address"},
    {{0xfe, 0x80}, 10, "a link-local address"},
    {{0xfe, 0xc0}, 10, "a site-local address"},
    {{0xff}, 8, "a multicast address"},
    {{0x20, 0x01}, 23, "an address assigned to a protocol"},
    {{0x20, 0x01, 0x0d, 0xb8}, 32, "an address of documentation"},
    {{0x20, 0x02}, 16, "a 6to4 address"},
    {{0x26, 0x20, 0, 0x4f, 0x80}, 48, "an address assigned to a protocol"},
    {{0x3f, 0xff}, 20, "an address of documentation"},
};

static const struct special global_unicast = {{0x20}, 3, ""};
static const struct special nat64 = {{0, 0x64, 0xff, 0x9b}, 96, ""};

static bool in_prefix(const uint8_t *bytes, const uint8_t *first, uint32_t prefix)
{
    uint32_t whole = prefix / 8;
    uint32_t rest = prefix % 8;
    if (memcmp(bytes, first, whole) != 0) {
        return false;
    }
    return rest == 0 || (bytes[whole] ^ first[whole]) >> (8 - rest) == 0;
}

static const char *find_special(const struct special *table, size_t count, const uint8_t *bytes)
{
    for (size_t i = 0; i < count; i++) {
        if (in_prefix(bytes, table[i].first, table[i].prefix)) {
            return table[i].what;
        }
    }
    return NULL;
}

static bool is_allowed(const struct hf_address_rules *rules, const struct hf_address *address)
{
    for (size_t i = 0; i < rules->count; i++) {
        const struct hf_address_range *range = &rules->allowed[i];
        if (range->first.ipv6 == address->ipv6 &&
            in_prefix(address->bytes, range->first.bytes, range->prefix)) {
            return true;
        }
    }
    return false;
}

static const char *ipv4_refusal(const uint8_t *bytes)
{
    return find_special(ipv4_special, HF_ARRAY_COUNT(ipv4_special), bytes);
}

const char *hf_address_refusal(const struct hf_address_rules *rules,
                               const struct hf_address *address)
{
    if (is_allowed(rules, address)) {
        return NULL;
    }
    if (!address->ipv6) {
        return ipv4_refusal(address->bytes);
    }
    if (in_prefix(address->bytes, nat64.first, nat64.prefix)) {
        return ipv4_refusal(address->bytes + 12);
    }
    const char *what = find_special(ipv6_special, HF_ARRAY_COUNT(ipv6_special), address->bytes);
    bool global = in_prefix(address->bytes, global_unicast.first, global_unicast.prefix);
    return what != NULL || global ? what : "no public address";
}

bool hf_address_parse(struct hf_str text, struct hf_address *address)
{
    char copy[HF_ADDRESS_TEXT_BYTES];
    *address = (struct hf_address){0};
    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.ptr, '\0', text.len) != NULL) {
        return false;
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    address->ipv6 = memchr(copy, ':', text.len) != NULL;
    return inet_pton(address->ipv6 ? AF_INET6 : AF_INET, copy, address->bytes) == 1;
}

/* "8" of "10.0.0.0/8"; at most three digits. */
static bool parse_prefix(struct hf_str text, uint32_t most, uint32_t *prefix)
{
    uint32_t value = 0;
    for (size_t i = 0; i < text.len && i < 4; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        value = 10 * value + (uint32_t)(text.ptr[i] - '0');
    }
    *prefix = value;
    return text.len > 0 && text.len < 4 && value <= most;
}

static bool has_bits_behind(const struct hf_address *address, uint32_t prefix)
{
    uint32_t bits = address->ipv6 ? 128 : 32;
    for (uint32_t i = prefix; i < bits; i++) {
        if ((address->bytes[i / 8] >> (7 - i % 8) & 1) != 0) {
            return true;
        }
    }
    return false;
}

static const char *parse_range(struct hf_str text, struct hf_address_range *range)
{
    const char *slash = memchr(text.ptr, '/', text.len);
    struct hf_str address = {text.ptr, slash == NULL ? text.len : (size_t)(slash - text.ptr)};
    if (!hf_address_parse(address, &range->first)) {
        return "is no IPv4 or IPv6 address";
    }
    range->prefix = range->first.ipv6 ? 128 : 32;
    if (slash == NULL) {
        return NULL;
    }
    struct hf_str prefix = {slash + 1, text.len - address.len - 1};
    if (!parse_prefix(prefix, range->prefix, &range->prefix)) {
        return "has no prefix length that fits";
    }
    return has_bits_behind(&range->first, range->prefix) ? "has bits set behind its prefix" : NULL;
}

static struct hf_str trim(struct hf_str text)
{
    while (text.len > 0 && text.ptr[0] == ' ') {
        text = (struct hf_str){text.ptr + 1, text.len - 1};
    }
    while (text.len > 0 && text.ptr[text.len - 1] == ' ') {
        text.len--;
    }
    return text;
}

enum hf_err hf_address_rules_parse(struct hf_str text, struct hf_address_rules *rules,
                                   struct hf_error *error)
{
    rules->count = 0;
    size_t at = 0;
    while (at < text.len) {
        const char *comma = memchr(text.ptr + at, ',', text.len - at);
        size_t bytes = comma == NULL ? text.len - at : (size_t)(comma - text.ptr) - at;
        struct hf_str item = trim((struct hf_str){text.ptr + at, bytes});
        const char *wrong = item.len == 0 ? "is empty"
                            : rules->count == HF_ADDRESS_RANGES_MAX
                                ? "is one of more than 64"
                                : parse_range(item, &rules->allowed[rules->count]);
        if (wrong != NULL) {
            rules->count = 0;
            return hf_error_set(error, HF_ERR_INVALID_REQUEST, "the range \"%.*s\" %s",
                                (int)hf_min_u64(item.len, HF_ADDRESS_TEXT_BYTES), item.ptr, wrong);
        }
        rules->count++;
        at += bytes + 1;
    }
    return HF_ERR_OK;
}
