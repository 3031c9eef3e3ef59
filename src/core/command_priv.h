/*
 * What command.c, command_op.c and command_condition.c share.
 */
#ifndef HF_CORE_COMMAND_PRIV_H
#define HF_CORE_COMMAND_PRIV_H

#include "core/command.h"

bool hf_command_short_memory(struct hf_malformed *malformed);
/* Checks, copies and hashes a JSON text of at most bytes_max. */
bool hf_command_payload(struct hf_command *command, struct hf_str json, const char *pointer,
                        size_t bytes_max, struct hf_payload *payload,
                        struct hf_malformed *malformed) HF_WARN_UNUSED;
/* The same for a metadata object. */
bool hf_command_metadata(struct hf_command *command, struct hf_str json, const char *pointer,
                         struct hf_payload *payload, struct hf_malformed *malformed) HF_WARN_UNUSED;
/* Appends the operation's frozen encoding to command->scratch, of which ops_hash is made. */
bool hf_command_encode_op(struct hf_command *command, struct hf_op *op,
                          struct hf_malformed *malformed) HF_WARN_UNUSED;

#endif
