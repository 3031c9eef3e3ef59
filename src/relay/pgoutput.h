/*
 * PostgreSQL's logical replication as it comes over a connection: the envelope and pgoutput's messages.
 *
 * Owns: nothing. Sans-IO: one whole message in, its parts out, all pointing into the message. Must never: read outside
 * of it; pass over a byte that it does not understand; know of Holdfast. Called by: relay/postgresql_stream.c, tests.
 *
 * The envelope (one CopyData each), all numbers big-endian:
 *
 *   'w' start u64, end u64, sent at i64, then one pgoutput message           XLogData
 *   'k' end u64, sent at i64, reply wanted u8                                keepalive
 *   'r' written u64, flushed u64, applied u64, now i64, reply wanted u8      what we send: status
 *
 * pgoutput, protocol version 1 (without streaming of unfinished transactions and two-phase commit):
 *
 *   'B' final u64, committed at i64, xid u32           'C' flags u8, commit u64, end u64, committed at i64
 *   'O' lsn u64, name z                                'Y' id u32, schema z, name z
 *   'R' id u32, schema z, name z, identity u8, count u16, { flags u8, name z, type u32, modifier i32 }…
 *   'I' relation u32, 'N' tuple                        'D' relation u32, 'K'|'O' tuple
 *   'U' relation u32, ['K'|'O' tuple], 'N' tuple       'T' count u32, flags u8, relation u32…
 *   'M' flags u8, lsn u64, prefix z, size u32, bytes
 *   tuple: count u16, { 'n' | 'u' | 't' size u32 bytes | 'b' size u32 bytes }…
 *
 * 1. A message is good only if every byte of it was understood, none is left and none is missing.
 * 2. Times are µs since 2000-01-01; parsed ones are given since 1970, 0 if before.
 */
#ifndef HF_RELAY_PGOUTPUT_H
#define HF_RELAY_PGOUTPUT_H

#include "base/types.h"

#define HF_PGOUTPUT_COLUMNS_MAX  1664 /* of a tuple, in PostgreSQL */
#define HF_PGOUTPUT_STATUS_BYTES 34   /* of the message that we send */

enum hf_pgoutput_kind {
    HF_PGOUTPUT_BEGIN = 'B',
    HF_PGOUTPUT_COMMIT = 'C',
    HF_PGOUTPUT_ORIGIN = 'O',
    HF_PGOUTPUT_RELATION = 'R',
    HF_PGOUTPUT_TYPE = 'Y',
    HF_PGOUTPUT_INSERT = 'I',
    HF_PGOUTPUT_UPDATE = 'U',
    HF_PGOUTPUT_DELETE = 'D',
    HF_PGOUTPUT_TRUNCATE = 'T',
    HF_PGOUTPUT_MESSAGE = 'M',
};

/* What comes in a CopyData. */
struct hf_pgoutput_envelope {
    bool data;          /* 'w'; else 'k' */
    bool reply_wanted;  /* of 'k': at once */
    uint64_t start;     /* of 'w': where the message's record is */
    uint64_t end;       /* how far the server has come */
    struct hf_str body; /* of 'w': a pgoutput message */
};

enum hf_pgoutput_value_kind {
    HF_PGOUTPUT_NULL = 'n',
    HF_PGOUTPUT_UNCHANGED = 'u', /* a TOASTed value that an UPDATE left as it was: not sent */
    HF_PGOUTPUT_TEXT = 't',
    HF_PGOUTPUT_BINARY = 'b',
};

struct hf_pgoutput_value {
    enum hf_pgoutput_value_kind kind;
    struct hf_str bytes; /* of TEXT and BINARY */
};

struct hf_pgoutput_column {
    bool key; /* part of the replica identity */
    struct hf_str name;
    uint32_t type; /* its oid */
    int32_t modifier;
};

/* A run of columns or values, checked already; walked with hf_pgoutput_next_…. */
struct hf_pgoutput_list {
    uint32_t count; /* left */
    struct hf_str bytes;
};

struct hf_pgoutput_message {
    enum hf_pgoutput_kind kind;
    uint64_t commit;                   /* BEGIN, COMMIT: where the commit record begins */
    uint64_t end;                      /* COMMIT: behind it */
    uint64_t time_us;                  /* BEGIN, COMMIT: since 1970 */
    uint32_t xid;                      /* BEGIN */
    uint32_t relation;                 /* RELATION, INSERT, UPDATE, DELETE */
    struct hf_str schema, name;        /* RELATION, TYPE; ORIGIN and MESSAGE (prefix): name */
    struct hf_pgoutput_list columns;   /* RELATION */
    struct hf_pgoutput_list tuple;     /* INSERT, UPDATE: the new row; DELETE: key or old row */
    struct hf_pgoutput_list old;       /* UPDATE: count 0 if it was not sent */
    struct hf_pgoutput_list relations; /* TRUNCATE: count of oids */
};

/* false: the message is damaged or unknown; *why (static) says what. */
bool hf_pgoutput_open(struct hf_str copy_data, struct hf_pgoutput_envelope *envelope,
                      const char **why) HF_WARN_UNUSED;
bool hf_pgoutput_parse(struct hf_str body, struct hf_pgoutput_message *message,
                       const char **why) HF_WARN_UNUSED;

/* The next one of a parsed message's list; false at its end. */
bool hf_pgoutput_next_column(struct hf_pgoutput_list *list, struct hf_pgoutput_column *column);
bool hf_pgoutput_next_value(struct hf_pgoutput_list *list, struct hf_pgoutput_value *value);
bool hf_pgoutput_next_relation(struct hf_pgoutput_list *list, uint32_t *relation);

/* The message to send: everything below `flushed` will never be asked for again. now_us since 1970. */
struct hf_pgoutput_status {
    uint64_t written, flushed, now_us;
    bool reply_wanted;
};
void hf_pgoutput_put_status(uint8_t to[HF_PGOUTPUT_STATUS_BYTES],
                            const struct hf_pgoutput_status *status);

/* "16/B374D848" and back. */
#define HF_LSN_TEXT_BYTES 20
void hf_lsn_format(uint64_t lsn, char text[HF_LSN_TEXT_BYTES]);
bool hf_lsn_parse(struct hf_str text, uint64_t *lsn) HF_WARN_UNUSED;

#endif
