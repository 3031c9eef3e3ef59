/* What the sources share: errors, signals, waiting. */
#include "relay/relay.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/random.h>

#include "base/check.h"

#define STATUS_MS 100 /* the longest wait without a look at what is due */

enum hf_relay_end hf_relay_say(struct hf_relay *relay, enum hf_relay_end end, const char *format,
                               ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(relay->error, sizeof(relay->error), format, arguments);
    va_end(arguments);
    return end;
}

void hf_relay_say_adopt(struct hf_relay *relay, const char *with)
{
    size_t length = strlen(relay->error);
    (void)snprintf(relay->error + length, sizeof(relay->error) - length,
                   ". If this is known and meant, go on from the database as it is, once, with "
                   "--adopt=%" PRIu64 "%s",
                   relay->cursor.version, with);
}

bool hf_relay_adopts(const struct hf_relay *relay)
{
    return relay->options->adopt != 0 && relay->options->adopt == relay->cursor.version;
}

/* Waits for fd and signals at most ms. true: it shall stop. */
static bool poll_both(const struct hf_relay *relay, int fd, int ms)
{
    struct pollfd polled[2] = {{.fd = relay->signals, .events = POLLIN},
                               {.fd = fd, .events = POLLIN}}; /* a negative one is passed over */
    int ready = poll(polled, 2, ms);
    HF_CHECK(ready >= 0 || errno == EINTR || errno == ENOMEM);
    return ready > 0 && polled[0].revents != 0;
}

bool hf_relay_stopping(const struct hf_relay *relay)
{
    return relay->signals >= 0 && poll_both(relay, -1, 0); /* what was asked stays to be read */
}

static bool is_readable(int fd)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    return fd >= 0 && poll(&polled, 1, 0) > 0;
}

void hf_relay_wait(struct hf_relay *relay, int fd, uint64_t ms)
{
    uint64_t until_ms = hf_relay_ticks_ms() + ms;
    for (;;) {
        uint64_t now_ms = hf_relay_ticks_ms();
        uint64_t left_ms = now_ms < until_ms ? until_ms - now_ms : 0;
        if (poll_both(relay, fd, (int)hf_min_u64(left_ms, STATUS_MS)) || left_ms == 0 ||
            is_readable(fd)) {
            return;
        }
        hf_relay_status_tick(&relay->status);
    }
}

uint64_t hf_relay_jittered(uint64_t ms)
{
    uint64_t random;
    HF_CHECK(getrandom(&random, sizeof(random), 0) == (ssize_t)sizeof(random));
    return ms / 2 + random % (ms - ms / 2 + 1);
}
