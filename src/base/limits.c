#include "base/limits.h"

struct hf_limits hf_limits_default(void)
{
    return (struct hf_limits){
        .batch_bytes_max = 512u << 10,
        .batch_commits_max = 8192,
        .run_ahead_bytes_max = 16u << 20,
        .own_bytes_max = 64u << 10,
        .queue_commands_max = 65536,
        .queue_bytes_max = 256u << 20,
        .waiting_receives_max = 10000,
        .recent_bytes_max = 64u << 20,
        .tail_bytes_max = 32u << 20,
        .expiries_per_batch_max = 64,
        .queue_scan_max = 1000,
        .queue_lines_max = 4000000,
        .checkpoint_every_bytes = 256u << 20,
        .checkpoint_every_records = 1000000,
        .checkpoint_records_max = 8000000,
        .segment_bytes_first = 16u << 20,
        .segment_bytes_max = 128u << 20,
        .key_retention_us = 7ull * 86400 * 1000000,
        .index_block_bytes = 4096,
        .index_runs_max = 8,
    };
}
