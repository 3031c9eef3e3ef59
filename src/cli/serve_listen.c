/* Where the server listens: addresses as users give them, and the Unix sockets in the directory. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/serve.h"

#define SOCKET_NAME "holdfast.sock"

/* ---- addresses ---- */

static bool begins_with(const char *text, const char *start, const char **rest)
{
    size_t length = strlen(start);
    if (strncmp(text, start, length) != 0) {
        return false;
    }
    *rest = text + length;
    return true;
}

/* host: "127.0.0.1", "[::1]", "localhost". Other names may mean anything, today or tomorrow. */
static bool is_loopback(const char *host)
{
    struct in_addr four;
    if (strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0) {
        return true;
    }
    return inet_pton(AF_INET, host, &four) == 1 && ntohl(four.s_addr) >> 24 == 127;
}

static bool is_port(const char *text)
{
    unsigned port = 0;
    size_t digits = 0;
    for (; text[digits] >= '0' && text[digits] <= '9' && digits < 6; digits++) {
        port = 10 * port + (unsigned)(text[digits] - '0');
    }
    return digits > 0 && text[digits] == '\0' && port <= UINT16_MAX;
}

bool hf_serve_address_parse(const char *text, bool has_tls, struct hf_serve_address *address,
                            const char **why)
{
    *address = (struct hf_serve_address){.tls = has_tls};
    const char *rest = text;
    *why = "the address is too long";
    if (strlen(text) >= sizeof(address->text)) {
        return false;
    }
    if (begins_with(text, "unix:", &rest)) {
        address->tls = false;
        address->local_socket = true;
        address->loopback = true;
        memcpy(address->text, text, strlen(text) + 1);
        *why = "unix: needs a path";
        return rest[0] != '\0';
    }
    if (begins_with(text, "https://", &rest)) {
        *why = "https needs --tls-cert and --tls-key";
        if (!has_tls) {
            return false;
        }
    } else if (begins_with(text, "http://", &rest)) {
        address->tls = false;
    }
    const char *colon = strrchr(rest, ':');
    *why = "expected HOST:PORT, [IPv6]:PORT or unix:PATH";
    if (colon == NULL || colon == rest || !is_port(colon + 1)) {
        return false;
    }
    char host[HF_SERVE_ADDRESS_BYTES];
    memcpy(host, rest, (size_t)(colon - rest));
    host[colon - rest] = '\0';
    if (host[0] != '[' && strchr(host, ':') != NULL) {
        return false;
    }
    address->loopback = is_loopback(host);
    memcpy(address->text, rest, strlen(rest) + 1);
    return true;
}

/* ---- sockets in the directory ---- */

/* which: 0 for the owner's. */
static bool make_path(char path[HF_SERVE_SOCKET_BYTES], const char *directory, uint64_t which)
{
    char suffix[20] = "";
    if (which != 0) {
        (void)snprintf(suffix, sizeof(suffix), ".%016llx", (unsigned long long)which);
    }
    int used = snprintf(path, HF_SERVE_SOCKET_BYTES, "%s/" SOCKET_NAME "%s", directory, suffix);
    return used > 0 && (size_t)used < HF_SERVE_SOCKET_BYTES;
}

enum hf_err hf_serve_sockets_open(struct hf_outside *outside, const char *directory,
                                  struct hf_serve_sockets *sockets, struct hf_error *error)
{
    *sockets = (struct hf_serve_sockets){.directory = -1};
    int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return hf_error_set(error, errno == ENOENT ? HF_ERR_NOT_FOUND : HF_ERR_IO, "open %s: %s",
                            directory, strerror(errno));
    }
    sockets->directory = fd;
    /* Not by pid: processes in several containers may have the same one. */
    uint64_t which = 0;
    while (which == 0) {
        outside->random(outside, &which, sizeof(which));
    }
    if (!make_path(sockets->own, directory, which)) {
        /* A Unix address holds 107 bytes; the kernel's name for the open directory is short. */
        char short_name[64];
        (void)snprintf(short_name, sizeof(short_name), "/proc/self/fd/%d", fd);
        (void)make_path(sockets->own, short_name, which);
        (void)make_path(sockets->owner, short_name, 0);
    } else {
        (void)make_path(sockets->owner, directory, 0);
    }
    return HF_ERR_OK;
}

static bool is_dead(int directory, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int used = snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s",
                        directory, name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || used < 0 || (size_t)used >= sizeof(address.sun_path)) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return false;
    }
    bool dead = connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 &&
                errno == ECONNREFUSED;
    (void)close(fd);
    return dead;
}

static void remove_dead(int directory)
{
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    if (list == NULL) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(list)) != NULL) {
        const char *rest;
        if (begins_with(entry->d_name, SOCKET_NAME ".", &rest) &&
            is_dead(directory, entry->d_name)) {
            (void)unlinkat(directory, entry->d_name, 0);
        }
    }
    (void)closedir(list);
}

enum hf_err hf_serve_sockets_take(struct hf_serve_sockets *sockets, struct hf_error *error)
{
    if (rename(sockets->own, sockets->owner) != 0) {
        return hf_error_set(error, HF_ERR_IO, "rename %s to " SOCKET_NAME ": %s", sockets->own,
                            strerror(errno));
    }
    remove_dead(sockets->directory);
    return HF_ERR_OK;
}

void hf_serve_sockets_close(struct hf_serve_sockets *sockets, bool owner)
{
    if (sockets->directory >= 0) {
        (void)unlink(owner ? sockets->owner : sockets->own);
        (void)close(sockets->directory);
    }
    *sockets = (struct hf_serve_sockets){.directory = -1};
}
