/*
 * Where the bytes of a log are, as JSON.
 *
 * Owns: nothing. Must never: look at the disk. Called by: status over HTTP, status and compact of the command line.
 */
#ifndef HF_API_LOG_JSON_H
#define HF_API_LOG_JSON_H

#include "api/json_write.h"
#include "log/log_keep.h"

/* {"plain":{"segments":…,"bytes":…},"compressed":{…},"archived":{…}} */
void hf_json_put_log_bytes(struct hf_json_writer *w, const char *name,
                           const struct hf_log_bytes *bytes);

#endif
