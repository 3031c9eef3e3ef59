/*
 * Every limit in one place.
 *
 * Limits that shape data (names, texts, depth) are constants: what was once accepted must be
 * accepted again when it is replayed. Limits that shape resources are fields of struct hf_limits,
 * with defaults by hf_limits_default(); tests shrink them so that edges are near.
 */
#ifndef HF_BASE_LIMITS_H
#define HF_BASE_LIMITS_H

#include "base/types.h"

#define HF_NAME_BYTES_MAX        128        /* of an account, transfer, stream, … id */
#define HF_KEY_BYTES_MAX         255        /* of an idempotency key */
#define HF_PRINCIPAL_BYTES_MAX   128        /* of a principal's name */
#define HF_TYPE_BYTES_MAX        128        /* of an event's type */
#define HF_ASSET_CODE_BYTES_MAX  17         /* [A-Z][A-Z0-9_]{0,16} */
#define HF_ASSET_SCALE_MAX       18         /* digits behind the point */
#define HF_METADATA_BYTES_MAX    16384      /* of a JSON object of metadata */
#define HF_DATA_BYTES_MAX        (1u << 20) /* of a document or of an event's data */
#define HF_JSON_DEPTH_MAX        64         /* nested arrays and objects */
#define HF_COMMIT_CONDITIONS_MAX 1000       /* conditions in a commit */
#define HF_COMMIT_OPERATIONS_MAX 10000      /* operations in a commit */
#define HF_REQUEST_BYTES_MAX     (4u << 20) /* of a commit's JSON text */
#define HF_COMMIT_BYTES_MAX      (8u << 20) /* of a commit as it is logged */
#define HF_HOLD_TIMEOUT_MS_MAX   (366ull * 86400 * 1000 * 10)    /* ten years */
#define HF_LEASE_TTL_MS_MAX      (86400ull * 1000)               /* a day */
#define HF_MESSAGE_DELAY_US_MAX  (366ull * 86400 * 1000000 * 10) /* deliver_at: ten years ahead */
#define HF_ATTEMPTS_MAX          1000                            /* deliveries of a message */
#define HF_DELIVERY_MS_MIN       1000                            /* lease of a delivery */
#define HF_DELIVERY_MS_MAX       43200000                        /* twelve hours */
#define HF_BACKOFF_MS_MAX        86400000   /* a day; also of a nack's delay_ms */
#define HF_IN_FLIGHT_MAX         100000     /* in_flight_max of a subscription */
#define HF_RECEIVE_MAX           1000       /* messages of a receive, receipts of a batch */
#define HF_RECEIVE_BYTES_MAX     (4u << 20) /* data of a receive's messages */
#define HF_ATTEMPT_BYTES_MAX     100        /* attempt id of a receive */
#define HF_REDRIVE_RATE_MAX      10000      /* lines a second */
#define HF_SCAN_ARRIVALS_MAX     100000     /* of one SUBSCRIPTION_SCANNED */
#define HF_COMMIT_ARRIVALS_MAX   100000     /* of a commit at all live subscriptions together */
#define HF_QUEUE_LINES_MAX       1000000    /* lines of a subscription while it is live */
#define HF_JSON_INTEGER_MAX      ((1ull << 53) - 1) /* versions, positions, tokens */

struct hf_limits {
    uint64_t
        batch_bytes_max; /* a log batch's body is closed behind this; one commit may exceed it */
    uint32_t batch_commits_max;   /* commits in a batch */
    uint64_t run_ahead_bytes_max; /* decided and not yet durable */
    uint64_t
        own_bytes_max; /* timers and scans add to a batch up to this on a slow disk, less on a quick one: callers wait for it, too */
    uint32_t queue_commands_max;     /* accepted and not yet answered; more is `overloaded` */
    uint64_t queue_bytes_max;        /* the same in bytes of commands */
    uint32_t waiting_receives_max;   /* receives that wait for a message */
    uint64_t recent_bytes_max;       /* recent commits kept in RAM */
    uint64_t tail_bytes_max;         /* of those, what readers of the log find there */
    uint32_t expiries_per_batch_max; /* due holds and leases booked by one tick */
    uint32_t queue_scan_max;         /* arrivals of the past taken in by one commit */
    uint64_t queue_lines_max;        /* lines and delayed messages of all subscriptions together */
    /* Between checkpoints; a large state waits for more (node/checkpoint.c). */
    uint64_t checkpoint_every_bytes;   /* of log */
    uint64_t checkpoint_every_records; /* recent index records */
    uint64_t
        checkpoint_records_max; /* of a large state, too: 60 bytes of RAM each, twice while one is made */
    uint64_t segment_bytes_first; /* size of the first log segment */
    uint64_t segment_bytes_max;   /* sizes double up to this */
    uint64_t key_retention_us;    /* log time that an idempotency key is kept */
    uint32_t index_block_bytes;   /* of an index run's block */
    uint32_t index_runs_max;      /* runs before they are merged */
};

struct hf_limits hf_limits_default(void);

#endif
