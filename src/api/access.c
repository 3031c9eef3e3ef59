/* Who sent a request: Host, Origin, token. And what it may do. */
#include "api/access_priv.h"

#include "base/alloc.h"
#include "base/check.h"

#define RELOAD_EVERY_US 1000000u
#define SEPARATORS      ".:/-_~@+=,"
#define HOST_BYTES_MAX  255u

struct hf_access {
    struct hf_access_options options; /* hosts and origins: own copies below */
    struct hf_arena arena;            /* of the copies */
    struct hf_str *hosts;             /* lower case, without brackets */
    struct hf_str *origins;           /* as the browser sends them */
    struct hf_token_set set;          /* the file as last read */
    struct hf_hash content;           /* of the bytes that set was made of, if whole */
    bool whole;                       /* set is the file's content */
    bool file_seen;                   /* there was a file: without it nobody is let in any more */
    bool unusable;                    /* the file is damaged, unreadable or gone */
    uint64_t looked_us;               /* monotonic time of the last look; 0 = none yet */
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool equal_ignoring_case(struct hf_str a, struct hf_str b)
{
    bool equal = a.len == b.len;
    for (size_t i = 0; equal && i < a.len; i++) {
        equal = lower(a.ptr[i]) == lower(b.ptr[i]);
    }
    return equal;
}

static void complain(struct hf_access *access, bool unusable, const char *what)
{
    if (unusable != access->unusable && access->options.complain != NULL) {
        access->options.complain(access->options.complain_context, unusable ? what : NULL);
    }
    access->unusable = unusable;
}

/* The file's bytes are new, or were not usable before. */
static void take(struct hf_access *access, struct hf_str text, const struct hf_hash *content)
{
    struct hf_error error = {0};
    struct hf_token_set set;
    enum hf_err code = hf_token_set_parse(text, &set, &error);
    hf_token_set_release(&access->set);
    access->set = set;
    access->content = *content;
    access->whole = code == HF_ERR_OK;
    (void)hf_error_wrap(&error, "%s", access->options.tokens_path);
    complain(access, code != HF_ERR_OK, error.text);
}

static void look(struct hf_access *access)
{
    struct hf_error error = {0};
    struct hf_buffer text;
    hf_buffer_init(&text);
    enum hf_err code =
        hf_tokens_read(access->options.outside, access->options.tokens_path, &text, &error);
    if (code == HF_ERR_OK) {
        struct hf_hash content = hf_sha256(text.data, text.size_bytes);
        access->file_seen = true;
        if (!access->whole || !hf_hash_equal(&content, &access->content)) {
            take(access, (struct hf_str){(const char *)text.data, text.size_bytes}, &content);
        }
    } else if (code != HF_ERR_NOT_FOUND || access->file_seen) {
        /* Not to be read, or gone since: that must not open the door. */
        access->file_seen = true;
        access->whole = false;
        hf_token_set_release(&access->set);
        complain(access, true, error.text);
    }
    hf_buffer_release(&text);
}

static void refresh(struct hf_access *access)
{
    if (access->options.tokens_path == NULL) {
        return;
    }
    uint64_t now_us = access->options.outside->monotonic_us(access->options.outside);
    if (access->looked_us == 0 || now_us - access->looked_us >= RELOAD_EVERY_US) {
        look(access);
        access->looked_us = now_us == 0 ? 1 : now_us;
    }
}

/* "[::1]" and "::1" are one host. */
static struct hf_str without_brackets(struct hf_str host)
{
    bool bracketed = host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    return bracketed ? (struct hf_str){host.ptr + 1, host.len - 2} : host;
}

static struct hf_str *copy_list(struct hf_arena *arena, const char *const *texts, size_t count)
{
    struct hf_str *copies = hf_arena_alloc_zero(arena, count + 1, sizeof(*copies));
    for (size_t i = 0; copies != NULL && i < count; i++) {
        copies[i] = hf_arena_copy(arena, hf_str_from(texts[i]));
        if (!hf_str_present(copies[i])) {
            return NULL;
        }
    }
    return copies;
}

/* An origin is scheme://host[:port] in lower case, as browsers send it; anything else would never match. */
static bool origin_valid(struct hf_str origin)
{
    const char *colon = origin.len == 0 ? NULL : memchr(origin.ptr, ':', origin.len);
    size_t scheme = colon == NULL ? 0 : (size_t)(colon - origin.ptr);
    if (scheme == 0 || origin.len <= scheme + 3 || memcmp(colon, "://", 3) != 0) {
        return false;
    }
    for (size_t i = 0; i < origin.len; i++) {
        char c = origin.ptr[i];
        if (c <= 0x20 || c > 0x7E || c != lower(c) || (c == '/' && i >= scheme + 3)) {
            return false;
        }
    }
    return true;
}

enum hf_err hf_access_new(const struct hf_access_options *options, struct hf_access **access,
                          struct hf_error *error)
{
    *access = NULL;
    HF_CHECK(options->outside != NULL);
    for (size_t i = 0; i < options->origin_count; i++) {
        if (!origin_valid(hf_str_from(options->origins[i]))) {
            return hf_error_set(error, HF_ERR_INVALID_REQUEST,
                                "%.200s is no origin: scheme://host or scheme://host:port, in "
                                "lower case, without a path",
                                options->origins[i]);
        }
    }
    for (size_t i = 0; i < options->host_count; i++) {
        size_t length = strlen(options->hosts[i]);
        if (length == 0 || length > HOST_BYTES_MAX || strpbrk(options->hosts[i], " /@") != NULL) {
            return hf_error_set(error, HF_ERR_INVALID_REQUEST,
                                "%.200s is no host: a name or an address, without scheme and port",
                                options->hosts[i]);
        }
    }
    struct hf_access *made = hf_calloc(1, sizeof(*made));
    if (made == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "access: out of memory");
    }
    made->options = *options;
    hf_arena_init(&made->arena);
    made->hosts = copy_list(&made->arena, options->hosts, options->host_count);
    made->origins = copy_list(&made->arena, options->origins, options->origin_count);
    struct hf_str path = HF_STR("");
    if (options->tokens_path != NULL) {
        path = hf_arena_copy(
            &made->arena, (struct hf_str){options->tokens_path, strlen(options->tokens_path) + 1});
        made->options.tokens_path = path.ptr;
    }
    if (made->hosts == NULL || made->origins == NULL || !hf_str_present(path)) {
        hf_access_free(made);
        return hf_error_set(error, HF_ERR_NO_MEMORY, "access: out of memory");
    }
    refresh(made);
    *access = made;
    return HF_ERR_OK;
}

void hf_access_free(struct hf_access *access)
{
    if (access != NULL) {
        hf_token_set_release(&access->set);
        hf_arena_release(&access->arena);
        hf_free(access);
    }
}

bool hf_access_has_tokens(struct hf_access *access)
{
    refresh(access);
    return access->set.count > 0;
}

/* The value of a header; *count: how often it stands. */
static struct hf_str header(const struct hf_http_exchange *exchange, struct hf_str name,
                            size_t *count)
{
    struct hf_str value = HF_STR_NONE;
    *count = 0;
    for (size_t i = 0; i < exchange->header_count; i++) {
        if (hf_str_equal(exchange->headers[i].name, name)) {
            value = *count == 0 ? exchange->headers[i].value : value;
            (*count)++;
        }
    }
    return value;
}

/* 127.0.0.0/8 in four decimal parts without leading zeros: other writings of it (octal, hex, fewer parts) are no
 * value that a client of ours would send. */
static bool is_loopback_address(struct hf_str host)
{
    unsigned parts = 0;
    size_t at = 0;
    while (parts < 4) {
        unsigned value = 0;
        size_t digits = 0;
        while (at < host.len && host.ptr[at] >= '0' && host.ptr[at] <= '9' && digits < 4) {
            value = value * 10 + (unsigned)(host.ptr[at] - '0');
            at++;
            digits++;
        }
        bool leading_zero = digits > 1 && host.ptr[at - digits] == '0';
        if (digits == 0 || value > 255 || leading_zero || (parts == 0 && value != 127)) {
            return false;
        }
        parts++;
        if (parts < 4 && (at == host.len || host.ptr[at++] != '.')) {
            return false;
        }
    }
    return at == host.len;
}

/* Splits "host", "host:port", "[v6]", "[v6]:port"; false if it is none of these. */
static bool split_host(struct hf_str value, struct hf_str *host)
{
    size_t end = 0;
    if (value.len > 0 && value.ptr[0] == '[') {
        const char *close = memchr(value.ptr, ']', value.len);
        end = close == NULL ? 0 : (size_t)(close - value.ptr) + 1;
    } else {
        const char *colon = value.len == 0 ? NULL : memchr(value.ptr, ':', value.len);
        end = colon == NULL ? value.len : (size_t)(colon - value.ptr);
    }
    *host = without_brackets((struct hf_str){value.ptr, end});
    if (end == 0 || (end < value.len && value.ptr[end] != ':') || value.len - end > 6) {
        return false;
    }
    for (size_t i = end + 1; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9') {
            return false;
        }
    }
    return true;
}

static bool host_is_ours(const struct hf_access *access, const struct hf_http_exchange *exchange)
{
    size_t count;
    struct hf_str value = header(exchange, HF_STR("host"), &count);
    struct hf_str host;
    if (exchange->local_socket) {
        return true; /* a web page has no way to a Unix socket */
    }
    if (count != 1 || !split_host(value, &host)) {
        return false;
    }
    if (equal_ignoring_case(host, HF_STR("localhost")) || hf_str_equal(host, HF_STR("::1")) ||
        is_loopback_address(host)) {
        return true;
    }
    for (size_t i = 0; i < access->options.host_count; i++) {
        if (equal_ignoring_case(host, without_brackets(access->hosts[i]))) {
            return true;
        }
    }
    return false;
}

/* The configured origin that sent it; absent if there is none, or another, or several. */
static struct hf_str configured_origin(const struct hf_access *access,
                                       const struct hf_http_exchange *exchange, size_t *count)
{
    struct hf_str origin = header(exchange, HF_STR("origin"), count);
    for (size_t i = 0; *count == 1 && i < access->options.origin_count; i++) {
        if (hf_str_equal(origin, access->origins[i])) {
            return origin;
        }
    }
    return HF_STR_NONE;
}

/* NULL if it may come from there, else why not. */
static const char *refuse_origin(const struct hf_access *access,
                                 const struct hf_http_exchange *exchange, bool *configured)
{
    size_t count;
    *configured = hf_str_present(configured_origin(access, exchange, &count));
    if (*configured) {
        return NULL;
    }
    if (count > 0) {
        return "The Origin of this request is not among the configured origins.";
    }
    struct hf_str site = header(exchange, HF_STR("sec-fetch-site"), &count);
    if (count > 0 && (count > 1 || (!hf_str_equal(site, HF_STR("none")) &&
                                    !hf_str_equal(site, HF_STR("same-origin"))))) {
        return "A page of another site sent this request (Sec-Fetch-Site).";
    }
    return NULL;
}

/* The secret behind "Bearer " (any case, RFC 9110 §11.1); absent if the header is anything else. */
static struct hf_str bearer(struct hf_str value)
{
    if (value.len <= 7 || !equal_ignoring_case((struct hf_str){value.ptr, 6}, HF_STR("bearer")) ||
        value.ptr[6] != ' ') {
        return HF_STR_NONE;
    }
    size_t at = 7;
    while (at < value.len && value.ptr[at] == ' ') {
        at++;
    }
    return (struct hf_str){value.ptr + at, value.len - at};
}

static enum hf_err fill(const struct hf_token_entry *entry, struct hf_arena *arena,
                        struct hf_caller *caller, const char **detail)
{
    struct hf_str *names = NULL;
    caller->principal = hf_arena_copy(arena, entry->principal);
    bool whole = hf_str_present(caller->principal);
    if (entry->names != NULL) {
        names = hf_arena_alloc_zero(arena, entry->name_count, sizeof(*names));
        whole = whole && names != NULL;
        for (size_t i = 0; whole && i < entry->name_count; i++) {
            names[i] = hf_arena_copy(arena, entry->names[i]);
            whole = hf_str_present(names[i]);
        }
    }
    if (!whole) {
        *caller = (struct hf_caller){0};
        *detail = "Memory is short.";
        return HF_ERR_NO_MEMORY;
    }
    caller->scopes = entry->scopes;
    caller->names = names;
    caller->name_count = entry->name_count;
    return HF_ERR_OK;
}

static enum hf_err check_token(struct hf_access *access, const struct hf_http_exchange *exchange,
                               struct hf_caller *caller, const char **detail)
{
    size_t count;
    refresh(access);
    if (access->unusable) {
        *detail = "The server's tokens file can't be read or is damaged; nobody is let in until "
                  "it is mended.";
        return HF_ERR_NOT_READY;
    }
    if (!access->file_seen) {
        if (access->options.loopback_only || access->options.allow_open || exchange->local_socket) {
            *caller = (struct hf_caller){.principal = HF_STR("local"), .scopes = HF_SCOPES_ALL};
            return HF_ERR_OK;
        }
        *detail = "A token is required, and this server has none yet: holdfast token create.";
        return HF_ERR_UNAUTHORIZED;
    }
    struct hf_str value = header(exchange, HF_STR("authorization"), &count);
    struct hf_str secret = count == 1 ? bearer(value) : HF_STR_NONE;
    if (!hf_str_present(secret)) {
        *detail = "A token is required: Authorization: Bearer, once.";
        return HF_ERR_UNAUTHORIZED;
    }
    const struct hf_token_entry *entry = hf_token_set_find(&access->set, secret);
    if (entry == NULL ||
        entry->expires_us <= access->options.outside->wall_us(access->options.outside)) {
        *detail = "The token is unknown, was revoked or has ended.";
        return HF_ERR_UNAUTHORIZED;
    }
    return fill(entry, exchange->arena, caller, detail);
}

enum hf_err hf_access_check(struct hf_access *access, const struct hf_http_exchange *exchange,
                            struct hf_caller *caller, const char **detail)
{
    bool configured;
    *caller = (struct hf_caller){0};
    *detail = "";
    if (!host_is_ours(access, exchange)) {
        *detail = "The Host of this request is neither loopback nor a configured host.";
        return HF_ERR_FORBIDDEN;
    }
    const char *why = refuse_origin(access, exchange, &configured);
    if (why != NULL) {
        *detail = why;
        return HF_ERR_FORBIDDEN;
    }
    if (configured && exchange->method == HF_HTTP_OPTIONS) {
        caller->principal = HF_STR("preflight"); /* browsers send no token with it */
        return HF_ERR_OK;
    }
    return check_token(access, exchange, caller, detail);
}

struct hf_str hf_access_cors(struct hf_access *access, const struct hf_http_exchange *exchange)
{
    size_t count;
    struct hf_str origin = configured_origin(access, exchange, &count);
    static const char common[] = "\r\nVary: Origin\r\nAccess-Control-Expose-Headers: ETag, "
                                 "Holdfast-Position, Holdfast-Cursor, "
                                 "Idempotent-Replayed, Location, Retry-After\r\n";
    static const char preflight[] =
        "Access-Control-Allow-Methods: GET, HEAD, POST, PUT, PATCH, DELETE\r\n"
        "Access-Control-Allow-Headers: Authorization, Content-Type, Idempotency-Key, If-Match, "
        "If-None-Match\r\nAccess-Control-Allow-Private-Network: true\r\n"
        "Access-Control-Max-Age: 600\r\n";
    static const char name[] = "Access-Control-Allow-Origin: ";
    if (!hf_str_present(origin)) {
        return HF_STR("");
    }
    size_t more = exchange->method == HF_HTTP_OPTIONS ? sizeof(preflight) - 1 : 0;
    size_t size = sizeof(name) - 1 + origin.len + sizeof(common) - 1 + more;
    char *text = hf_arena_alloc(exchange->arena, size);
    if (text == NULL) {
        return HF_STR(""); /* the browser then hides the answer: the safe side */
    }
    char *at = text;
    memcpy(at, name, sizeof(name) - 1);
    at += sizeof(name) - 1;
    memcpy(at, origin.ptr, origin.len);
    at += origin.len;
    memcpy(at, common, sizeof(common) - 1);
    at += sizeof(common) - 1;
    memcpy(at, preflight, more);
    return (struct hf_str){text, size};
}

static bool covers(struct hf_str pattern, struct hf_str name)
{
    if (hf_str_equal(pattern, HF_STR("*")) || hf_str_equal(pattern, name)) {
        return true;
    }
    bool prefix = memchr(SEPARATORS, pattern.ptr[pattern.len - 1], sizeof(SEPARATORS) - 1) != NULL;
    return prefix && name.len > pattern.len && memcmp(name.ptr, pattern.ptr, pattern.len) == 0;
}

bool hf_caller_may(const struct hf_caller *caller, enum hf_scope scope, struct hf_str name)
{
    if ((caller->scopes & ((unsigned)scope | HF_SCOPE_ADMIN)) == 0) {
        return false;
    }
    if (caller->names == NULL || !hf_str_present(name)) {
        return true;
    }
    for (size_t i = 0; i < caller->name_count; i++) {
        if (covers(caller->names[i], name)) {
            return true;
        }
    }
    return false;
}
