/*
 * Memory: what is allocated is counted on every thread; levels and what is refused at each; a node near its limit refuses
 * what grows, takes what ends, begins a checkpoint although no batch comes, and goes on when there is room.
 */
#include <pthread.h>

#include "api/commit_json.h"
#include "base/alloc.h"
#include "node/memory.h"
#include "unit/node_rig.h"
#include "unit/support.h"

#define MIB (1ull << 20)

/* ---- counting ---- */

static void what_is_allocated_is_counted(void **state)
{
    (void)state;
    uint64_t before = hf_alloc_in_use_bytes();
    int64_t mine = hf_alloc_thread_bytes();
    char *large = hf_malloc(10 * MIB);
    char *zeros = hf_calloc(3, MIB);
    assert_non_null(large);
    assert_non_null(zeros);
    assert_in_range(hf_alloc_in_use_bytes() - before, 13 * MIB - HF_ALLOC_SLACK_BYTES,
                    13 * MIB + 2 * HF_ALLOC_SLACK_BYTES);
    assert_int_equal(hf_alloc_thread_bytes() - mine,
                     hf_alloc_block_bytes(large) + hf_alloc_block_bytes(zeros));
    large = hf_realloc(large, 5 * MIB);
    assert_non_null(large);
    assert_int_equal(hf_alloc_thread_bytes() - mine,
                     hf_alloc_block_bytes(large) + hf_alloc_block_bytes(zeros));
    hf_free(large);
    hf_free(zeros);
    assert_int_equal(hf_alloc_thread_bytes(), mine);
    assert_in_range(hf_alloc_in_use_bytes() + HF_ALLOC_SLACK_BYTES - before, 0,
                    2 * HF_ALLOC_SLACK_BYTES);
    assert_int_equal(hf_alloc_block_bytes(NULL), 0);
}

static atomic_int_least64_t theirs;
static void *kept;

static void *allocate_there(void *context)
{
    hf_alloc_count_also(&theirs);
    kept = hf_malloc(MIB);
    hf_free(hf_malloc(4 * MIB));
    hf_alloc_count_also(NULL);
    hf_free(context);
    return NULL;
}

static void a_thread_may_be_counted_apart(void **state)
{
    (void)state;
    pthread_t thread;
    int64_t mine = hf_alloc_thread_bytes();
    void *given = hf_malloc(1000);
    assert_int_equal(pthread_create(&thread, NULL, allocate_there, given), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(atomic_load(&theirs), hf_alloc_block_bytes(kept));
    assert_true(hf_alloc_thread_bytes() > mine); /* another one freed it */
    hf_free(kept);
}

/* ---- levels ---- */

static void a_level_is_left_below_where_it_was_entered(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        enum hf_memory_level before, after;
    } rows[] = {
        {74, HF_MEMORY_ROOM, HF_MEMORY_ROOM},   {75, HF_MEMORY_ROOM, HF_MEMORY_TIGHT},
        {72, HF_MEMORY_TIGHT, HF_MEMORY_TIGHT}, {71, HF_MEMORY_TIGHT, HF_MEMORY_ROOM},
        {84, HF_MEMORY_TIGHT, HF_MEMORY_TIGHT}, {85, HF_MEMORY_TIGHT, HF_MEMORY_FULL},
        {82, HF_MEMORY_FULL, HF_MEMORY_FULL},   {81, HF_MEMORY_FULL, HF_MEMORY_TIGHT},
        {93, HF_MEMORY_FULL, HF_MEMORY_FULL},   {94, HF_MEMORY_FULL, HF_MEMORY_SPENT},
        {91, HF_MEMORY_SPENT, HF_MEMORY_SPENT}, {90, HF_MEMORY_SPENT, HF_MEMORY_FULL},
        {500, HF_MEMORY_ROOM, HF_MEMORY_SPENT}, {0, HF_MEMORY_SPENT, HF_MEMORY_ROOM},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(rows); i++) {
        assert_int_equal(hf_memory_level_of(rows[i].bytes * MIB, 100 * MIB, rows[i].before),
                         rows[i].after);
    }
    assert_int_equal(hf_memory_level_of(500 * MIB, 0, HF_MEMORY_ROOM), HF_MEMORY_ROOM);
}

static void limits_get_shares_and_are_never_raised(void **state)
{
    (void)state;
    const struct hf_limits whole = hf_limits_default();
    struct hf_limits limits = whole;
    hf_memory_shape(&limits, 0);
    assert_memory_equal(&limits, &whole, sizeof(whole));
    hf_memory_shape(&limits, 64ull << 30);
    assert_memory_equal(&limits, &whole, sizeof(whole));
    hf_memory_shape(&limits, HF_MEMORY_MAX_LEAST);
    assert_true(limits.recent_bytes_max <= HF_MEMORY_MAX_LEAST / 16);
    assert_true(limits.checkpoint_every_records < whole.checkpoint_every_records);
    /* A large state waits for more records, but not for more than there is memory for. */
    assert_true(limits.checkpoint_records_max >= limits.checkpoint_every_records);
    assert_true(limits.checkpoint_records_max * 60 < HF_MEMORY_MAX_LEAST / 4);
    assert_true(limits.queue_bytes_max >= HF_COMMIT_BYTES_MAX); /* one request has room */
    assert_true(limits.queue_commands_max > 0 && limits.queue_lines_max > 0);
}

static enum hf_memory_growth growth_of(enum hf_op_type type)
{
    struct hf_op ops[2] = {{.type = HF_OP_VOID}, {.type = type}};
    struct hf_command command = {.kind = HF_COMMAND_COMMIT, .ops = ops, .op_count = 2};
    return hf_memory_growth_of(&command);
}

static void what_a_command_adds_is_known_by_its_operations(void **state)
{
    (void)state;
    assert_int_equal(growth_of(HF_OP_CAPTURE), HF_MEMORY_ENDS);
    assert_int_equal(growth_of(HF_OP_ACK), HF_MEMORY_ENDS);
    assert_int_equal(growth_of(HF_OP_TRANSFER), HF_MEMORY_MOVES);
    assert_int_equal(growth_of(HF_OP_RECEIVE), HF_MEMORY_MOVES);
    assert_int_equal(growth_of(HF_OP_OPEN_ACCOUNT), HF_MEMORY_GROWS);
    assert_int_equal(growth_of(HF_OP_PUBLISH), HF_MEMORY_GROWS);
    struct hf_packed_transfer plain = {.type = HF_OP_TRANSFER, .amount = 1};
    struct hf_command packed = {.kind = HF_COMMAND_EACH, .plain = &plain, .op_count = 1};
    assert_int_equal(hf_memory_growth_of(&packed), HF_MEMORY_MOVES);
    struct hf_command cancel = {.kind = HF_COMMAND_CANCEL_KEY};
    assert_int_equal(hf_memory_growth_of(&cancel), HF_MEMORY_ENDS);
}

/* ---- a node ---- */

static uint64_t resident;
static unsigned trims;

static uint64_t tell_resident(void)
{
    return resident;
}

static void trim(void)
{
    trims++;
}

static struct node_rig begin(void)
{
    struct node_rig rig;
    node_rig_init(&rig, 11);
    rig.checkpoints = true;
    rig.memory = (struct hf_memory_options){1000 * MIB, tell_resident, trim};
    resident = 100 * MIB;
    trims = 0;
    node_rig_make(&rig);
    node_rig_start(&rig);
    node_rig_drive(&rig, 1000);
    node_rig_commit(&rig, "{\"do\":[{\"op\":\"open_account\",\"account\":\"a\",\"asset\":\"USD/2\","
                          "\"floor\":null},{\"op\":\"open_account\",\"account\":\"b\","
                          "\"asset\":\"USD/2\"},{\"op\":\"hold\",\"id\":\"h\",\"from\":\"a\","
                          "\"to\":\"b\",\"asset\":\"USD/2\",\"amount\":\"9\"}]}");
    return rig;
}

/* So much is used from now on. */
static void use(struct node_rig *rig, uint64_t bytes, enum hf_memory_level level)
{
    resident = bytes;
    node_rig_drive(rig, 300000);
    assert_int_equal(hf_node_memory_level(rig->node), level);
}

static void set_done(struct hf_request *request)
{
    bool *done = request->context;
    *done = true;
}

/* The refusal of hf_node_submit, or the answer's code. */
static enum hf_err try_commit(struct node_rig *rig, const char *json)
{
    bool done = false;
    struct hf_command command;
    struct hf_malformed malformed = {0};
    hf_command_init(&command, HF_COMMAND_COMMIT);
    assert_true(hf_commit_json_decode(hf_str_from(json), &command, &malformed));
    assert_true(hf_command_finish(&command, &malformed));
    struct hf_request request = {.command = &command, .done = set_done, .context = &done};
    enum hf_err code = hf_node_submit(rig->node, &request);
    assert_int_equal(request.lacked_memory, code == HF_ERR_OVERLOADED);
    if (code == HF_ERR_OK) {
        node_rig_drive_until(rig, &done);
        code = request.answer.code;
        hf_answer_release(&request.answer);
    }
    hf_command_release(&command);
    return code;
}

#define OPEN(name)                                                                                 \
    "{\"do\":[{\"op\":\"open_account\",\"account\":\"" name "\",\"asset\":\"USD/2\"}]}"
#define MOVE(id)                                                                                   \
    "{\"do\":[{\"op\":\"transfer\",\"id\":\"" id                                                   \
    "\",\"from\":\"a\",\"to\":\"b\",\"asset\":\"USD/2\",\"amount\":\"1\"}]}"
#define CAPTURE "{\"do\":[{\"op\":\"capture\",\"hold\":\"h\",\"amount\":\"1\"}]}"

static void what_grows_is_refused_first_and_what_ends_never(void **state)
{
    (void)state;
    struct node_rig rig = begin();
    use(&rig, 760 * MIB, HF_MEMORY_TIGHT);
    assert_int_equal(try_commit(&rig, OPEN("c")), HF_ERR_OK);
    use(&rig, 860 * MIB, HF_MEMORY_FULL);
    assert_int_equal(try_commit(&rig, OPEN("d")), HF_ERR_OVERLOADED);
    assert_int_equal(try_commit(&rig, MOVE("t1")), HF_ERR_OK);
    assert_int_equal(try_commit(&rig, CAPTURE), HF_ERR_OK);
    use(&rig, 960 * MIB, HF_MEMORY_SPENT);
    assert_int_equal(try_commit(&rig, OPEN("e")), HF_ERR_OVERLOADED);
    assert_int_equal(try_commit(&rig, MOVE("t2")), HF_ERR_OVERLOADED);
    assert_int_equal(try_commit(&rig, CAPTURE), HF_ERR_OK);
    struct hf_node_status status;
    hf_node_status(rig.node, &status);
    assert_int_equal(status.memory.refused, 3);
    assert_int_equal(status.memory.max, 1000 * MIB);
    assert_true(status.memory.state.accounts > 0 && status.memory.state.names > 0);
    assert_true(status.memory.state_rest > 0);
    use(&rig, 100 * MIB, HF_MEMORY_ROOM); /* although nothing is asked of it */
    assert_int_equal(try_commit(&rig, OPEN("d")), HF_ERR_OK);
    assert_int_equal(try_commit(&rig, MOVE("t2")), HF_ERR_OK);
    node_rig_end(&rig);
}

static void freed_memory_is_given_back(void **state)
{
    (void)state;
    trims = 0;
    struct node_rig rig = begin();
    assert_int_equal(trims, 1); /* what the start has left over */
    use(&rig, 700 * MIB, HF_MEMORY_ROOM);
    assert_int_equal(trims, 1);
    use(&rig, 800 * MIB, HF_MEMORY_TIGHT); /* far more than is allocated */
    assert_int_equal(trims, 2);
    node_rig_end(&rig);
}

/* No commit comes that would take the index records along. */
static void a_checkpoint_begins_although_no_batch_comes(void **state)
{
    (void)state;
    struct node_rig rig = begin();
    uint64_t position = node_rig_position(&rig);
    hf_node_checkpoint(rig.node);
    node_rig_drive(&rig, 100000);
    assert_int_equal(node_rig_position(&rig), position); /* it waits for a batch… */
    use(&rig, 960 * MIB, HF_MEMORY_SPENT);
    node_rig_drive(&rig, 2000000);
    struct hf_node_status status;
    hf_node_status(rig.node, &status);
    assert_int_equal(status.checkpoint_position, position); /* …but not now */
    assert_false(hf_node_state(rig.node)->recent.has_frozen);
    node_rig_end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_allocated_is_counted),
        cmocka_unit_test(a_thread_may_be_counted_apart),
        cmocka_unit_test(a_level_is_left_below_where_it_was_entered),
        cmocka_unit_test(limits_get_shares_and_are_never_raised),
        cmocka_unit_test(what_a_command_adds_is_known_by_its_operations),
        cmocka_unit_test(what_grows_is_refused_first_and_what_ends_never),
        cmocka_unit_test(freed_memory_is_given_back),
        cmocka_unit_test(a_checkpoint_begins_although_no_batch_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
