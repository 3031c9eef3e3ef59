#include "node/memory.h"

#include "base/alloc.h"
#include "core/queue_op.h"
#include "node/node_priv.h"

#define LOOK_EVERY_US  20000u   /* at the kernel's figure… */
#define LOOK_FEWER     512u     /* …or when so little of the limit was added since */
#define AGAIN_US       100000u  /* above ROOM it is looked again although nothing is to be done */
#define TRIM_EVERY_US  1000000u /* giving memory back takes time */
#define EARLY_EVERY_US 2000000u /* between checkpoints that are begun early */
#define PERCENT_LOWER  3u       /* a level is left so much below */
#define INDEX_RECORD_BYTES                                                                         \
    332u /* of memory that a recent record takes in all: twice in tables, in a job, while sorted */
#define JOB_BYTES       (4u << 20)   /* buffers of a checkpoint */
#define READ_BYTES      (8ull << 20) /* that a large read may take, with what it decodes */
#define READS_MANY      8u           /* queries of a large read… */
#define READ_ITEMS_MANY 256u         /* …or items of a page */

static const unsigned percents[HF_MEMORY_LEVEL_COUNT] = {0, 75, 85, 94};

const char *hf_memory_level_name(enum hf_memory_level level)
{
    static const char *const names[HF_MEMORY_LEVEL_COUNT] = {"room", "tight", "full", "spent"};
    return names[level];
}

enum hf_memory_level hf_memory_level_of(uint64_t bytes, uint64_t max_bytes,
                                        enum hf_memory_level before)
{
    enum hf_memory_level level = HF_MEMORY_ROOM;
    for (unsigned i = 1; i < HF_MEMORY_LEVEL_COUNT && max_bytes > 0; i++) {
        unsigned percent = i <= (unsigned)before ? percents[i] - PERCENT_LOWER : percents[i];
        level = bytes / percent >= max_bytes / 100 ? (enum hf_memory_level)i : level;
    }
    return level;
}

void hf_memory_shape(struct hf_limits *limits, uint64_t max_bytes)
{
    if (max_bytes == 0) {
        return;
    }
    uint64_t one = 2ull * HF_COMMIT_BYTES_MAX; /* a request must have room */
    limits->queue_bytes_max = hf_min_u64(limits->queue_bytes_max, hf_max_u64(max_bytes / 16, one));
    limits->queue_commands_max =
        (uint32_t)hf_min_u64(limits->queue_commands_max, hf_max_u64(max_bytes >> 15, 64));
    limits->recent_bytes_max = hf_min_u64(limits->recent_bytes_max, max_bytes / 32);
    limits->tail_bytes_max = hf_min_u64(limits->tail_bytes_max, max_bytes / 64);
    limits->run_ahead_bytes_max =
        hf_min_u64(limits->run_ahead_bytes_max, hf_max_u64(max_bytes / 32, HF_COMMIT_BYTES_MAX));
    limits->queue_lines_max = hf_min_u64(limits->queue_lines_max, max_bytes / 1024);
    uint64_t records = max_bytes / 6 / INDEX_RECORD_BYTES;
    limits->checkpoint_every_records = hf_min_u64(limits->checkpoint_every_records, records);
    limits->checkpoint_records_max = hf_min_u64(limits->checkpoint_records_max, records);
}

/* ---- what is refused ---- */

static enum hf_memory_growth growth_of(enum hf_op_type type)
{
    switch (type) {
    case HF_OP_OPEN_ACCOUNT:
    case HF_OP_HOLD:
    case HF_OP_APPEND:
    case HF_OP_PUT:
    case HF_OP_ACQUIRE:
    case HF_OP_PUBLISH:
    case HF_OP_PUT_SUBSCRIPTION:
    case HF_OP_SEEK:
    case HF_OP_DEFINE_SAGA:
    case HF_OP_START_SAGA:
        return HF_MEMORY_GROWS;
    case HF_OP_TRANSFER:
    case HF_OP_REVERSE:
    case HF_OP_PATCH:
    case HF_OP_SET_METADATA:
    case HF_OP_SET_LIMITS:
    case HF_OP_RECEIVE:
    case HF_OP_REDRIVE:
        return HF_MEMORY_MOVES;
    case HF_OP_NONE:
    case HF_OP_FREEZE:
    case HF_OP_UNFREEZE:
    case HF_OP_CLOSE_ACCOUNT:
    case HF_OP_CAPTURE:
    case HF_OP_VOID:
    case HF_OP_EXTEND:
    case HF_OP_DELETE:
    case HF_OP_RENEW:
    case HF_OP_RELEASE:
    case HF_OP_ACK:
    case HF_OP_NACK:
    case HF_OP_ACK_BATCH:
    case HF_OP_DELETE_SUBSCRIPTION:
    case HF_OP_COMPLETE_STEP:
    case HF_OP_FAIL_STEP:
    case HF_OP_SAGA_ANSWER:
    case HF_OP_SAGA_VERB:
    case HF_OP_SAGA_VERBS:
    case HF_OP_COUNT:
        break;
    }
    return HF_MEMORY_ENDS;
}

enum hf_memory_growth hf_memory_growth_of(const struct hf_command *command)
{
    enum hf_memory_growth most = HF_MEMORY_ENDS;
    for (uint32_t i = 0; i < command->op_count; i++) {
        enum hf_memory_growth growth =
            growth_of(command->plain == NULL ? command->ops[i].type
                                             : (enum hf_op_type)command->plain[i].type);
        most = growth > most ? growth : most;
    }
    return command->dry_run ? HF_MEMORY_MOVES : most;
}

static bool is_large_read(const struct hf_request *request)
{
    bool large = request->query_count > READS_MANY;
    for (size_t i = 0; i < request->query_count; i++) {
        large = large || request->queries[i].limit > READ_ITEMS_MANY;
    }
    return large;
}

/* What is used, with what was allocated or freed since the last look. */
static uint64_t used_now(const struct hf_node_memory *memory)
{
    uint64_t used = atomic_load_explicit(&memory->used, memory_order_relaxed);
    uint64_t before = atomic_load_explicit(&memory->looked_bytes, memory_order_relaxed);
    uint64_t now = hf_alloc_in_use_bytes();
    return now > before ? used + (now - before) : used;
}

enum hf_memory_level hf_node_memory_level(const struct hf_node *node)
{
    const struct hf_node_memory *memory = &node->memory;
    enum hf_memory_level level =
        (enum hf_memory_level)atomic_load_explicit(&memory->level, memory_order_relaxed);
    enum hf_memory_level now =
        memory->options.max_bytes == 0
            ? level
            : hf_memory_level_of(used_now(memory), memory->options.max_bytes, level);
    return now > level ? now : level; /* it falls by a look alone */
}

static bool promise(struct hf_node_memory *memory, uint64_t bytes)
{
    uint64_t most = memory->options.max_bytes / 100 * percents[HF_MEMORY_SPENT];
    uint64_t promised =
        atomic_fetch_add_explicit(&memory->promised, bytes, memory_order_relaxed) + bytes;
    /* One at a time goes on although it may be tight. */
    if (used_now(memory) + (promised == bytes ? 0 : promised) < most) {
        return true;
    }
    atomic_fetch_sub_explicit(&memory->promised, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&memory->refused, 1, memory_order_relaxed);
    return false;
}

void hf_node_keep_promise(struct hf_node *node, struct hf_request *request)
{
    if (request->promised_bytes != 0) {
        atomic_fetch_sub_explicit(&node->memory.promised, request->promised_bytes,
                                  memory_order_relaxed);
        request->promised_bytes = 0;
    }
}

bool hf_node_lacks_memory(struct hf_node *node, struct hf_request *request)
{
    request->promised_bytes = 0;
    if (node->memory.options.max_bytes == 0) {
        return false;
    }
    if (request->command == NULL) {
        uint64_t bytes = request->may_lack && is_large_read(request) ? READ_BYTES : 0;
        bool lacks = bytes > 0 && !promise(&node->memory, bytes);
        request->promised_bytes = lacks ? 0 : bytes;
        return lacks;
    }
    enum hf_memory_level level = hf_node_memory_level(node);
    if (__builtin_expect(level < HF_MEMORY_FULL, 1)) {
        return false;
    }
    enum hf_memory_growth growth = hf_memory_growth_of(request->command);
    bool lacks = growth >= (level == HF_MEMORY_FULL ? HF_MEMORY_GROWS : HF_MEMORY_MOVES);
    if (lacks) {
        atomic_fetch_add_explicit(&node->memory.refused, 1, memory_order_relaxed);
    }
    return lacks;
}

/* ---- looking ---- */

/* What a checkpoint takes: the state again, its index records twice while they are sorted. */
static uint64_t checkpoint_bytes(const struct hf_node *node)
{
    const struct hf_state *state = &node->state;
    uint64_t index =
        hf_index_table_bytes(&state->recent.current) + hf_index_table_bytes(&state->recent.frozen);
    uint64_t whole = node->memory.state_bytes < 0 ? 0 : (uint64_t)node->memory.state_bytes;
    uint64_t things = whole > index ? whole - index : 0;
    return things + things / 8 + index / 2 + index / 4 + JOB_BYTES;
}

static uint64_t reserve(const struct hf_node *node)
{
    if (!node->checkpoints) {
        return 0;
    }
    uint64_t most = checkpoint_bytes(node);
    int64_t has = atomic_load_explicit(&node->memory.job_bytes, memory_order_relaxed);
    return has <= 0 ? most : (uint64_t)has >= most ? 0 : most - (uint64_t)has;
}

static void shrink(struct hf_node *node, uint64_t now_us)
{
    struct hf_node_memory *memory = &node->memory;
    struct hf_recent *recent = &node->state.recent;
    hf_recent_trim(recent, node->durable.position, node->limits.recent_bytes_max / 4);
    int64_t before = hf_alloc_thread_bytes();
    hf_recent_drop_spare(recent);
    memory->state_bytes += hf_alloc_thread_bytes() - before;
    /* Where the state does not fit twice, a checkpoint would do what it is to prevent. */
    bool fits =
        atomic_load_explicit(&memory->used, memory_order_relaxed) <= memory->options.max_bytes;
    if (fits && now_us - memory->early_us >= EARLY_EVERY_US && !node->checkpoint.running &&
        !node->checkpoint.waits && node->checkpoints &&
        hf_index_table_bytes(&recent->current) > memory->options.max_bytes / 64) {
        memory->early_us = now_us;
        node->checkpoint.wanted = true;
    }
    /* While all commits are refused no batch comes that would begin it. */
    if (fits && node->checkpoint.wanted && !node->in_flight && node->building.commit_count == 0 &&
        node->state.position > node->stored_position) {
        hf_node_freeze(node);
    }
    uint64_t allocated = hf_alloc_in_use_bytes();
    if (memory->options.trim != NULL && now_us - memory->trimmed_us >= TRIM_EVERY_US &&
        memory->resident > allocated + memory->options.max_bytes / 8) {
        memory->trimmed_us = now_us;
        memory->options.trim();
    }
}

static void look(struct hf_node *node, uint64_t now_us, uint64_t allocated)
{
    struct hf_node_memory *memory = &node->memory;
    memory->looked_us = now_us;
    atomic_store_explicit(&memory->looked_bytes, allocated, memory_order_relaxed);
    memory->resident = memory->options.resident == NULL ? 0 : memory->options.resident();
    uint64_t used = hf_max_u64(memory->resident, allocated) + reserve(node);
    atomic_store_explicit(&memory->used, used, memory_order_relaxed);
    enum hf_memory_level before =
        (enum hf_memory_level)atomic_load_explicit(&memory->level, memory_order_relaxed);
    enum hf_memory_level level = hf_memory_level_of(used, memory->options.max_bytes, before);
    atomic_store_explicit(&memory->level, (uint32_t)level, memory_order_relaxed);
    if (level >= HF_MEMORY_TIGHT) {
        shrink(node, now_us);
    }
}

bool hf_node_mind_memory(struct hf_node *node)
{
    struct hf_node_memory *memory = &node->memory;
    if (memory->options.max_bytes == 0) {
        return false;
    }
    uint64_t now_us = node->outside->monotonic_us(node->outside);
    uint64_t allocated = hf_alloc_in_use_bytes();
    if (memory->looked_us == 0 || now_us - memory->looked_us >= LOOK_EVERY_US ||
        allocated > atomic_load_explicit(&memory->looked_bytes, memory_order_relaxed) +
                        memory->options.max_bytes / LOOK_FEWER) {
        uint32_t before = atomic_load_explicit(&memory->level, memory_order_relaxed);
        look(node, now_us, allocated);
        return before != atomic_load_explicit(&memory->level, memory_order_relaxed);
    }
    return false;
}

uint64_t hf_node_read_bytes_max(const struct hf_node *node)
{
    uint64_t most = 4ull * HF_QUERY_BYTES_MAX;
    uint64_t share = node->memory.options.max_bytes / 8;
    return share == 0 ? most : hf_min_u64(most, hf_max_u64(share, HF_QUERY_BYTES_MAX));
}

uint64_t hf_node_next_look_us(const struct hf_node *node)
{
    return atomic_load_explicit(&node->memory.level, memory_order_relaxed) == HF_MEMORY_ROOM
               ? UINT64_MAX
               : node->memory.looked_us + AGAIN_US;
}

uint64_t hf_node_memory_room(const struct hf_node *node)
{
    const struct hf_node_memory *memory = &node->memory;
    if (memory->options.max_bytes == 0) {
        return UINT64_MAX;
    }
    uint64_t most = memory->options.max_bytes / 100 * percents[HF_MEMORY_FULL];
    uint64_t used = atomic_load_explicit(&memory->used, memory_order_relaxed);
    return used >= most ? 0 : most - used;
}

void hf_node_tell_memory(const struct hf_node *node, struct hf_memory *told)
{
    const struct hf_node_memory *memory = &node->memory;
    uint64_t ring_bytes;
    uint64_t frame_bytes;
    hf_tail_bytes(node->tail, &ring_bytes, &frame_bytes);
    told->max = memory->options.max_bytes;
    told->state = hf_state_bytes(&node->state);
    const struct hf_state_bytes *s = &told->state;
    uint64_t shown = s->accounts + s->names + s->things + s->lines + s->sagas + s->index_current +
                     s->index_frozen;
    uint64_t whole = memory->state_bytes < 0 ? 0 : (uint64_t)memory->state_bytes;
    told->state_rest = whole > shown ? whole - shown : 0;
    told->checkpoint_reserve = reserve(node);
    told->tail = ring_bytes + (frame_bytes > s->frames ? frame_bytes - s->frames : 0);
}
