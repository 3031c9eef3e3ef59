#include "cli/serve_notify.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/u128.h"

#define MESSAGE_BYTES 1024

void hf_notify(const char *format, ...)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@') || path[1] == '\0' ||
        strlen(path) >= sizeof(address.sun_path)) {
        return;
    }
    char message[MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    if (length <= 0 || (size_t)length >= sizeof(message)) {
        return;
    }
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@') {
        address.sun_path[0] = '\0'; /* an abstract name: its length counts, no NUL ends it */
    }
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    (void)sendto(fd, message, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT,
                 (const struct sockaddr *)&address, size);
    (void)close(fd);
}

static bool number_of(const char *name, uint64_t *number)
{
    hf_u128 value;
    const char *text = getenv(name);
    if (text == NULL || !hf_u128_parse(hf_str_from(text), &value) || value > UINT64_MAX) {
        return false;
    }
    *number = (uint64_t)value;
    return true;
}

uint64_t hf_notify_watchdog_ms(void)
{
    uint64_t pid;
    uint64_t interval_us;
    if (number_of("WATCHDOG_PID", &pid) && pid != (uint64_t)getpid()) {
        return 0;
    }
    return number_of("WATCHDOG_USEC", &interval_us) ? interval_us / 1000 : 0;
}
