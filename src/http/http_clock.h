/*
 * The server's own clocks: for time-outs and for the Date header.
 *
 * Owns: the only clock calls of src/http; nothing that is decided or stored depends on them. Must never: be
 * asked by another folder. Called by: the loop, once a turn.
 */
#ifndef HF_HTTP_HTTP_CLOCK_H
#define HF_HTTP_HTTP_CLOCK_H

#include "base/types.h"

#define HF_HTTP_DATE_BYTES 29 /* "Sun, 06 Nov 1994 08:49:37 GMT" */

/* Milliseconds that never go back. */
uint64_t hf_http_now_ms(void);
/* Seconds since 1970. */
uint64_t hf_http_wall_seconds(void);
/* IMF-fixdate (RFC 9110 §5.6.7) of a second from 1970 to 9999. */
void hf_http_date_format(uint64_t seconds, char text[HF_HTTP_DATE_BYTES + 1]);

#endif
