#include "api/http_accept.h"

#include "http/http_text.h"

/* How well an offer is wanted. */
struct wish {
    int exactness; /* 0: not named, 1: by a range of all, 2: of its type, 3: itself */
    int quality;   /* of the most exact one: 0 to 1000 */
};

static struct hf_str trim(const char *from, const char *to)
{
    while (from < to && (*from == ' ' || *from == '\t')) {
        from++;
    }
    while (to > from && (to[-1] == ' ' || to[-1] == '\t')) {
        to--;
    }
    return (struct hf_str){from, (size_t)(to - from)};
}

/* "0.8", "1", "1.000"; -1: malformed. */
static int parse_quality(struct hf_str text)
{
    if (text.len == 0 || text.len > 5 || (text.ptr[0] != '0' && text.ptr[0] != '1') ||
        (text.len > 1 && text.ptr[1] != '.')) {
        return -1;
    }
    int quality = (text.ptr[0] - '0') * 1000;
    int place = 100;
    for (size_t i = 2; i < text.len; i++, place /= 10) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return -1;
        }
        quality += (text.ptr[i] - '0') * place;
    }
    return quality <= 1000 ? quality : -1;
}

/* The q among the parameters behind a range; 1000 if there is none, -1: malformed. */
static int quality_of(struct hf_str parameters)
{
    const char *at = parameters.ptr;
    const char *end = at + parameters.len;
    while (at < end) {
        const char *stop = memchr(at, ';', (size_t)(end - at));
        stop = stop == NULL ? end : stop;
        struct hf_str parameter = trim(at, stop);
        if (parameter.len >= 2 && hf_http_lower(parameter.ptr[0]) == 'q' &&
            parameter.ptr[1] == '=') {
            return parse_quality((struct hf_str){parameter.ptr + 2, parameter.len - 2});
        }
        at = stop + 1;
    }
    return 1000;
}

static int exactness_of(struct hf_str range, struct hf_str offer)
{
    if (hf_str_equal(range, HF_STR("*/*"))) {
        return 1;
    }
    const char *slash = memchr(offer.ptr, '/', offer.len);
    size_t type = (size_t)(slash - offer.ptr) + 1;
    if (range.len == type + 1 && range.ptr[type] == '*' &&
        hf_http_same((struct hf_str){range.ptr, type}, (struct hf_str){offer.ptr, type})) {
        return 2;
    }
    return hf_http_same(range, offer) ? 3 : 0;
}

static void take_range(struct hf_str range, struct hf_str offer, struct wish *wish)
{
    const char *semicolon = range.len == 0 ? NULL : memchr(range.ptr, ';', range.len);
    const char *end = range.ptr + range.len;
    struct hf_str name = trim(range.ptr, semicolon == NULL ? end : semicolon);
    int quality = semicolon == NULL
                      ? 1000
                      : quality_of((struct hf_str){semicolon + 1, (size_t)(end - semicolon) - 1});
    int exactness = exactness_of(name, offer);
    if (quality < 0 || exactness == 0 || exactness < wish->exactness) {
        return;
    }
    bool better = exactness > wish->exactness || quality > wish->quality;
    wish->exactness = exactness;
    wish->quality = better ? quality : wish->quality;
}

static void take_header(struct hf_str value, struct hf_str offer, struct wish *wish)
{
    const char *at = value.ptr;
    const char *end = at + value.len;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        comma = comma == NULL ? end : comma;
        struct hf_str range = trim(at, comma);
        if (range.len > 0) {
            take_range(range, offer, wish);
        }
        at = comma + 1;
    }
}

int hf_http_accept(const struct hf_http_exchange *exchange, const struct hf_str *offers,
                   size_t count)
{
    int best = -1;
    struct wish most = {0};
    size_t headers = 0;
    (void)hf_http_header(exchange, HF_STR("accept"), &headers);
    if (headers == 0) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        struct wish wish = {0};
        for (size_t k = 0; k < exchange->header_count; k++) {
            if (hf_str_equal(exchange->headers[k].name, HF_STR("accept"))) {
                take_header(exchange->headers[k].value, offers[i], &wish);
            }
        }
        if (wish.quality > most.quality ||
            (wish.quality > 0 && wish.quality == most.quality && wish.exactness > most.exactness)) {
            most = wish;
            best = (int)i;
        }
    }
    return best;
}
