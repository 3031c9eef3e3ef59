/*
 * Telling the service manager how it goes: systemd's notification protocol, one datagram a message.
 *
 * Owns: nothing. Must never: fail the server: where nobody listens nothing is said. Called by: serve.
 */
#ifndef HF_CLI_SERVE_NOTIFY_H
#define HF_CLI_SERVE_NOTIFY_H

#include "base/types.h"

/* Sends "READY=1", "STATUS=…" or several such lines to $NOTIFY_SOCKET (a path, or '@' and an abstract name). */
void hf_notify(const char *format, ...) HF_PRINTF(1, 2);

/* How often "WATCHDOG=1" is awaited at the latest, in ms ($WATCHDOG_USEC, if it is meant for this process); 0 = never. */
uint64_t hf_notify_watchdog_ms(void);

#endif
