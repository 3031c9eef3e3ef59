#include "base/url.h"

#include <stdio.h>

#define HOST_BYTES_MAX 253

static bool refuse(const char **why, const char *text)
{
    *why = text;
    return false;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '.' || c == '_';
}

static bool is_address_char(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || c == ':' || c == '.';
}

/* Takes "http://" or "https://" in any case off. */
static bool take_scheme(struct hf_str *rest, bool *tls)
{
    static const char scheme[] = "http";
    if (rest->len < sizeof(scheme) - 1 + 3) {
        return false;
    }
    for (size_t i = 0; i < sizeof(scheme) - 1; i++) {
        if (lower(rest->ptr[i]) != scheme[i]) {
            return false;
        }
    }
    *tls = lower(rest->ptr[4]) == 's';
    size_t skip = *tls ? 5 : 4;
    if (rest->len < skip + 3 || memcmp(rest->ptr + skip, "://", 3) != 0) {
        return false;
    }
    *rest = (struct hf_str){rest->ptr + skip + 3, rest->len - skip - 3};
    return true;
}

/* The host in lower case behind target[used]; an IPv6 address keeps its brackets. Returns the bytes taken of `text`; 0: it is none. */
static size_t take_host(struct hf_str text, char *target, size_t *used)
{
    bool bracketed = text.len > 0 && text.ptr[0] == '[';
    size_t at = 0;
    while (at < text.len && at <= HOST_BYTES_MAX) {
        char c = lower(text.ptr[at]);
        bool inside = bracketed && at > 0;
        if (bracketed && at > 0 && c == ']') {
            target[(*used)++] = c;
            return at < 3 ? 0 : at + 1;
        }
        if (inside ? !is_address_char(c) : !(bracketed && at == 0) && !is_host_char(c)) {
            break;
        }
        target[(*used)++] = c;
        at++;
    }
    return bracketed || at > HOST_BYTES_MAX ? 0 : at;
}

/* ":8080" up to the path; absent: *port stays. */
static bool take_port(struct hf_str *rest, unsigned *port)
{
    if (rest->len == 0 || rest->ptr[0] != ':') {
        return true;
    }
    unsigned value = 0;
    size_t at = 1;
    while (at < rest->len && is_digit(rest->ptr[at]) && at <= 5) {
        value = 10 * value + (unsigned)(rest->ptr[at++] - '0');
    }
    if (at == 1 || value == 0 || value > 65535) {
        return false;
    }
    *port = value;
    *rest = (struct hf_str){rest->ptr + at, rest->len - at};
    return true;
}

bool hf_url_target(struct hf_str url, char target[HF_URL_TARGET_BYTES], const char **why)
{
    struct hf_str rest = url;
    bool tls = false;
    if (url.len > HF_URL_BYTES_MAX) {
        return refuse(why, "is longer than 2,048 bytes");
    }
    if (!take_scheme(&rest, &tls)) {
        return refuse(why, "must begin with http:// or https://");
    }
    for (size_t i = 0; i < rest.len; i++) {
        if (rest.ptr[i] <= ' ' || rest.ptr[i] > '~') {
            return refuse(why, "has a character that must be percent-encoded");
        }
        if (rest.ptr[i] == '#') {
            return refuse(why, "must not have a fragment");
        }
    }
    size_t authority = 0;
    while (authority < rest.len && rest.ptr[authority] != '/' && rest.ptr[authority] != '?') {
        if (rest.ptr[authority++] == '@') {
            return refuse(why, "must not have a user or password: use a header with a secret");
        }
    }
    size_t used = (size_t)snprintf(target, HF_URL_TARGET_BYTES, "%s://", tls ? "https" : "http");
    size_t host = take_host(rest, target, &used);
    if (host == 0) {
        return refuse(why, "names no host");
    }
    rest = (struct hf_str){rest.ptr + host, rest.len - host};
    unsigned port = tls ? 443 : 80;
    if (!take_port(&rest, &port) || (rest.len > 0 && rest.ptr[0] != '/' && rest.ptr[0] != '?')) {
        return refuse(why, "has a malformed host or port");
    }
    (void)snprintf(target + used, HF_URL_TARGET_BYTES - used, ":%u", port);
    return true;
}
