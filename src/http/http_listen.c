#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "http/http_priv.h"

#define BACKLOG 4096

static enum hf_err system_error(struct hf_error *error, const char *what)
{
    int number = errno;
    char text[128];
    return hf_error_set(error, number == EADDRINUSE ? HF_ERR_EXISTS : HF_ERR_IO, "%s: %s", what,
                        strerror_r(number, text, sizeof(text)));
}

/* "host:port" into its parts; brackets around an IPv6 address are dropped. */
static enum hf_err split_address(const char *address, char host[256], char port[8],
                                 struct hf_error *error)
{
    const char *colon = strrchr(address, ':');
    size_t host_bytes = colon == NULL ? 0 : (size_t)(colon - address);
    size_t port_bytes = colon == NULL ? 0 : strlen(colon + 1);
    bool is_bracketed = host_bytes > 2 && address[0] == '[' && address[host_bytes - 1] == ']';
    if (is_bracketed) {
        address++;
        host_bytes -= 2;
    }
    bool is_port = port_bytes > 0 && port_bytes < 6 &&
                   strspn(colon + 1, "0123456789") == port_bytes &&
                   strtoul(colon + 1, NULL, 10) <= UINT16_MAX;
    if (!is_port || host_bytes == 0 || host_bytes > 255 ||
        (!is_bracketed && memchr(address, ':', host_bytes) != NULL)) {
        return hf_error_set(error, HF_ERR_INVALID_REQUEST,
                            "'%s' is not HOST:PORT, [IPV6]:PORT or unix:PATH", address);
    }
    memcpy(host, address, host_bytes);
    host[host_bytes] = '\0';
    memcpy(port, colon + 1, port_bytes + 1);
    return HF_ERR_OK;
}

static uint16_t bound_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } bound;
    memset(&bound, 0, sizeof(bound));
    socklen_t length = sizeof(bound);
    if (getsockname(fd, &bound.any, &length) != 0) {
        return 0;
    }
    return ntohs(bound.any.sa_family == AF_INET6 ? bound.six.sin6_port : bound.four.sin_port);
}

static enum hf_err open_tcp(struct hf_http_listener *listener, const char *address,
                            struct hf_error *error)
{
    char host[256];
    char port[8];
    if (split_address(address, host, port, error) != HF_ERR_OK) {
        return HF_ERR_INVALID_REQUEST;
    }
    /* localhost may stand for both families; one listener has one. */
    bool is_local_name = strcmp(host, "localhost") == 0;
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int failure = getaddrinfo(is_local_name ? "127.0.0.1" : host, port, &hints, &found);
    if (failure != 0) {
        return hf_error_set(error,
                            failure == EAI_MEMORY ? HF_ERR_NO_MEMORY : HF_ERR_INVALID_REQUEST,
                            "'%s' is no address (a number, or localhost)", host);
    }
    int on = 1;
    enum hf_err result = HF_ERR_OK;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        result = system_error(error, "socket");
    } else if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
               bind(fd, found->ai_addr, found->ai_addrlen) != 0) {
        result = system_error(error, "bind");
    } else if (listen(fd, BACKLOG) != 0) {
        result = system_error(error, "listen");
    }
    freeaddrinfo(found);
    if (result != HF_ERR_OK) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return result;
    }
    listener->fd = fd;
    listener->port = bound_port(fd);
    return HF_ERR_OK;
}

/* Is there a socket file that nobody listens to? */
static bool is_stale(const struct sockaddr_un *name)
{
    struct stat status;
    if (lstat(name->sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) {
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    bool refused =
        connect(fd, (const struct sockaddr *)name, sizeof(*name)) != 0 && errno == ECONNREFUSED;
    (void)close(fd);
    return refused;
}

static enum hf_err bind_unix(struct hf_http_listener *listener, const struct sockaddr_un *name,
                             struct hf_error *error)
{
    const struct sockaddr *address = (const struct sockaddr *)name;
    if (bind(listener->fd, address, sizeof(*name)) != 0) {
        if (errno != EADDRINUSE) {
            return system_error(error, "bind");
        }
        if (!is_stale(name)) {
            errno = EADDRINUSE;
            return system_error(error, "bind");
        }
        if (unlink(name->sun_path) != 0 || bind(listener->fd, address, sizeof(*name)) != 0) {
            return system_error(error, "bind over a stale socket");
        }
    }
    struct stat status;
    /* Nobody can connect before listen, so the mode is in time here. */
    if (chmod(name->sun_path, S_IRUSR | S_IWUSR) != 0 || lstat(name->sun_path, &status) != 0) {
        return system_error(error, "chmod");
    }
    listener->path_device = status.st_dev;
    listener->path_inode = status.st_ino;
    return listen(listener->fd, BACKLOG) == 0 ? HF_ERR_OK : system_error(error, "listen");
}

static enum hf_err open_unix(struct hf_http_listener *listener, const char *path,
                             struct hf_error *error)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    size_t bytes = strlen(path);
    if (bytes == 0 || bytes >= sizeof(name.sun_path)) {
        return hf_error_set(error, HF_ERR_INVALID_REQUEST,
                            "the path of a Unix socket must have 1 to %zu bytes",
                            sizeof(name.sun_path) - 1);
    }
    memcpy(name.sun_path, path, bytes + 1);
    listener->path = hf_malloc(bytes + 1);
    if (listener->path == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory");
    }
    memcpy(listener->path, path, bytes + 1);
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    enum hf_err result =
        listener->fd < 0 ? system_error(error, "socket") : bind_unix(listener, &name, error);
    if (result != HF_ERR_OK) {
        hf_http_listener_close(listener);
    }
    return result;
}

enum hf_err hf_http_listener_open(struct hf_http_listener *listener, const char *address,
                                  struct hf_error *error)
{
    *listener = (struct hf_http_listener){.fd = -1};
    enum hf_err result = strncmp(address, "unix:", 5) == 0 ? open_unix(listener, address + 5, error)
                                                           : open_tcp(listener, address, error);
    if (result != HF_ERR_OK) {
        (void)hf_error_wrap(error, "listen on %s", address);
    }
    return result;
}

void hf_http_listener_close(struct hf_http_listener *listener)
{
    if (listener->fd >= 0) {
        (void)close(listener->fd);
        listener->fd = -1;
    }
    struct stat status;
    if (listener->path != NULL && listener->path_inode != 0 &&
        lstat(listener->path, &status) == 0 && status.st_dev == listener->path_device &&
        status.st_ino == listener->path_inode) {
        (void)unlink(listener->path);
    }
    hf_free(listener->path);
    listener->path = NULL;
}
