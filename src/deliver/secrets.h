/*
 * Secrets by name: what `serve --secrets FILE` holds.
 *
 * Owns: names and values, in memory alone. Must never: show a value in an error, a log line or an answer. Called by: serve loads (at
 * start and on SIGHUP, which reads and judges the file), the runner and push look up, on another thread: a mutex is inside.
 *
 *   # a comment
 *   saga-signing   whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw
 *   shop-token     Bearer 0a1b2c…
 *
 * A line is a name ([A-Za-z0-9._-]{1,64}), blanks, a value: the rest of the line without blanks at its end, visible characters and
 * spaces. Names are unique. At most 1,000 secrets and 1 MiB.
 */
#ifndef HF_DELIVER_SECRETS_H
#define HF_DELIVER_SECRETS_H

#include "base/errors.h"
#include "core/push.h"

#define HF_SECRET_VALUE_BYTES_MAX 4096
#define HF_SECRETS_MAX            1000
#define HF_SECRETS_BYTES_MAX      (1u << 20)

/* What signs the calls of sagas, if it is there; the second one while secrets are rotated. */
#define HF_SECRET_SAGA_SIGNING      "saga-signing"
#define HF_SECRET_SAGA_SIGNING_NEXT "saga-signing-next"

struct hf_secrets;

/* Without secrets. NULL: memory is short. */
struct hf_secrets *hf_secrets_new(void);
void hf_secrets_free(struct hf_secrets *secrets); /* wiped; NULL is fine */

/* All of them anew, from a file's text. INVALID_REQUEST names the line, never a value; then, and if memory is short, the
 * old ones stay. */
enum hf_err hf_secrets_load(struct hf_secrets *secrets, struct hf_str text,
                            struct hf_error *error) HF_WARN_UNUSED;

/* Copies a value; returns its bytes, 0: there is none of that name. Any thread. */
size_t hf_secrets_get(struct hf_secrets *secrets, struct hf_str name,
                      char value[HF_SECRET_VALUE_BYTES_MAX]);
/* Grows with every load: what was looked up before may have changed. Any thread. */
uint64_t hf_secrets_generation(struct hf_secrets *secrets);

#endif
