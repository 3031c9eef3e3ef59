/*
 * URLs that may be called: http or https, and the target that they name.
 *
 * Owns: what is such a URL. Must never: resolve a name, decide which addresses are allowed. Called by: saga definitions and push
 * subscriptions (when they are stored), deliver (for each call).
 */
#ifndef HF_BASE_URL_H
#define HF_BASE_URL_H

#include "base/types.h"

#define HF_URL_BYTES_MAX    2048
#define HF_URL_TARGET_BYTES 300 /* "https://host:port" and NUL; a host is at most 253 */

/* "HTTP://Example.com/a?b" → "http://example.com:80". false: no http or https URL, user or password in it, a fragment, a character
 * that a URL doesn't have, or too long; *why (static, "must …") says so. */
bool hf_url_target(struct hf_str url, char target[HF_URL_TARGET_BYTES],
                   const char **why) HF_WARN_UNUSED;

#endif
