/*
 * The relay: a standby's requests go to the owner of the directory and its answers come back.
 *
 *   take ─► waiting ─► on a connection ─► answered
 *             ▲   │            │ broken
 *             │   │            ├──► waiting      (it was not sent, or may be repeated)
 *             │   │            └──► 503 outcome_unknown
 *             │   ├──► 503 not_ready             (no owner for hf_relay_options.wait_ms)
 *             │   └──► handed back               (this process is the owner now)
 *
 * Owns: the requests that it was given until they are answered or handed back, the connections to the owner, a
 * thread. Must never: answer a change as not done that may be done; repeat what the owner might do twice.
 * Called by: serve's front, on the HTTP loop's thread.
 *
 * 1. What may be repeated although the owner may have done it: reads; everything with an Idempotency-Key (the same
 *    key gives the same answer); a POST without one, which the door lets in only if its ids make it happen
 *    once, or if it is harmless; not the POSTs that end a lease, give messages back or take some out without an
 *    attempt of their own. Other changes end as outcome_unknown.
 * 2. not_ready from an owner (it stops or fails) changes nothing: the request waits for the next owner.
 * 3. A receive or feed that waits at the owner is given up there when its peer here has gone; such requests never take
 *    all of the connections.
 * 4. A stream of the owner's is passed on piece by piece: the next one is read when its peer has taken enough. If the
 *    owner goes, it is broken off; who follows the feed comes again with its cursor.
 */
#ifndef HF_CLI_SERVE_RELAY_H
#define HF_CLI_SERVE_RELAY_H

#include "base/errors.h"
#include "http/http_exchange.h"

struct hf_relay_options {
    const char *socket_path; /* the owner's; copied */
    uint32_t wait_ms;        /* for an owner that takes a request: 10,000 */
    uint32_t
        answer_ms; /* for the owner's answer: 40,000, more than a read waits for min_position */
};

struct hf_relay;

/* With its thread running. NULL: memory or threads are short. */
struct hf_relay *hf_relay_new(const struct hf_relay_options *options);

/* Takes a whole request. The exchange's user is the relay's until it comes back. more_headers: to be added to the
 * owner's answer, each "Name: value\r\n"; in the exchange's arena, may be absent. */
void hf_relay_take(struct hf_relay *relay, struct hf_http_exchange *exchange,
                   struct hf_str more_headers);
/* Is it an exchange that the relay was given? */
bool hf_relay_has(const struct hf_http_exchange *exchange);
/* What the HTTP server tells about a watched exchange or a stream. */
void hf_relay_notice(struct hf_relay *relay, struct hf_http_exchange *exchange,
                     enum hf_http_notice what);
/* The exchange was resumed. true: it is answered, or goes on. false: it is handed back as it came (user is NULL again), for this process is
 * the owner now. */
bool hf_relay_resume(struct hf_relay *relay, struct hf_http_exchange *exchange);

/* Thread-safe: from now on what has no answer yet is handed back. */
void hf_relay_become_owner(struct hf_relay *relay);
/* Thread-safe: from now on what is not on its way to the owner is refused. */
void hf_relay_stop(struct hf_relay *relay);
/* Behind stop or become_owner, when every exchange has been resumed: ends the thread. NULL is fine. */
void hf_relay_free(struct hf_relay *relay);

/* Who listens there, as "host:pid"; false: nobody. */
bool hf_relay_owner(const char *socket_path, char *owner, size_t owner_bytes);

#endif
