/*
 * What the files of commands and operations share.
 */
#ifndef HF_CORE_COMMAND_PRIV_H
#define HF_CORE_COMMAND_PRIV_H

#include "core/command.h"

#define HF_NAME_RULE                                                                               \
    "a name is 1 to 128 characters of A-Z a-z 0-9 . _ : @ + = , ~ - and begins with a letter or "  \
    "digit"
#define HF_TIME_RULE "a time is RFC 3339 in UTC, for example 2020-08-30T17:44:25.000000Z"

bool hf_command_short_memory(struct hf_malformed *malformed);
/* Checks, copies and hashes a JSON text of at most bytes_max. */
bool hf_command_payload(struct hf_command *command, struct hf_str json, const char *pointer,
                        size_t bytes_max, struct hf_payload *payload,
                        struct hf_malformed *malformed) HF_WARN_UNUSED;
/* The same for a metadata object. */
bool hf_command_metadata(struct hf_command *command, struct hf_str json, const char *pointer,
                         struct hf_payload *payload, struct hf_malformed *malformed) HF_WARN_UNUSED;
/* What publish, ack and nack have beyond other operations: op->queue. On failure *field names the member (NULL: none), the
 * pointer is the caller's. */
bool hf_command_take_queue(struct hf_command *command, const struct hf_op_fields *fields,
                           struct hf_op *op, const char *field[static 1],
                           struct hf_malformed *malformed) HF_WARN_UNUSED;
/* Appends the frozen encoding of op->queue. */
void hf_command_encode_queue(struct hf_buffer *to, const struct hf_op *op);
/* The same of start_saga, complete_step and fail_step: op->saga; pointers are whole. */
bool hf_command_take_saga(struct hf_command *command, const struct hf_op_fields *fields,
                          struct hf_op *op, struct hf_malformed *malformed) HF_WARN_UNUSED;
void hf_command_encode_saga(struct hf_buffer *to, const struct hf_op *op);
/* Appends whether there is one, and its canonical form. */
void hf_command_tag_payload(struct hf_buffer *to, const struct hf_payload *payload);
/* Appends the operation's frozen encoding to command->scratch, of which ops_hash is made. */
bool hf_command_encode_op(struct hf_command *command, struct hf_op *op,
                          struct hf_malformed *malformed) HF_WARN_UNUSED;

#endif
