/*
 * Queues through a node in the simulated world. Delayed messages arrive by the timer, in their order and once; also when the
 * node was stopped meanwhile, with and without a checkpoint of them. Data of feature level 1 gets level 2 recorded. The lines
 * of all subscriptions together have a limit.
 */
#include <stdio.h>

#include "base/time_text.h"
#include "core/decide.h"
#include "core/queue_op.h"
#include "unit/node_rig.h"
#include "unit/support.h"

static void start(struct node_rig *rig)
{
    node_rig_make(rig);
    node_rig_start(rig);
    node_rig_drive(rig, 1000);
}

static struct node_rig begin(void)
{
    struct node_rig rig;
    node_rig_init(&rig, 11);
    rig.limits.expiries_per_batch_max = 3;
    start(&rig);
    return rig;
}

/* One that is to be delivered after that much log time. */
static enum hf_err try_publish(struct node_rig *rig, uint64_t delay_us)
{
    char time[HF_TIME_TEXT_BYTES];
    char json[512];
    hf_time_format(hf_node_state(rig->node)->time_us + delay_us, time);
    (void)snprintf(json, sizeof(json),
                   "{\"do\":[{\"op\":\"publish\",\"topic\":\"t\",\"key\":\"k\",\"type\":\"x\","
                   "\"deliver_at\":\"%s\",\"data\":1}]}",
                   time);
    return node_rig_try(rig, json);
}

static void publish(struct node_rig *rig, uint64_t delay_us)
{
    assert_int_equal(try_publish(rig, delay_us), HF_ERR_OK);
}

static size_t waiting(const struct node_rig *f)
{
    return hf_node_state(f->node)->queue.delayed.count;
}

static void they_arrive_by_the_timer(void **state)
{
    (void)state;
    struct node_rig f = begin();
    publish(&f, 500000);
    publish(&f, 200000);
    assert_int_equal(waiting(&f), 2);
    uint64_t position = hf_node_state(f.node)->position;
    node_rig_drive(&f, 250000);
    assert_int_equal(waiting(&f), 1);
    assert_int_equal(hf_node_state(f.node)->position, position + 1);
    node_rig_drive(&f, 300000);
    assert_int_equal(waiting(&f), 0);
    assert_int_equal(hf_node_state(f.node)->position, position + 2);
    node_rig_drive(&f, 1000000); /* once */
    assert_int_equal(hf_node_state(f.node)->position, position + 2);
    node_rig_end(&f);
}

/* Ten at once, three a commit. */
static void a_bounded_number_a_commit(void **state)
{
    (void)state;
    struct node_rig f = begin();
    for (unsigned i = 0; i < 10; i++) {
        publish(&f, 300000 - i);
    }
    uint64_t position = hf_node_state(f.node)->position;
    assert_int_equal(waiting(&f), 10);
    node_rig_drive(&f, 400000);
    assert_int_equal(waiting(&f), 0);
    assert_true(hf_node_state(f.node)->position >= position + 4);
    node_rig_end(&f);
}

static void they_survive_a_restart(void **state)
{
    (void)state;
    for (int checkpoint = 0; checkpoint < 2; checkpoint++) {
        struct node_rig f = begin();
        publish(&f, 5000000);
        publish(&f, 1500000);
        if (checkpoint == 1) {
            struct hf_node_status status;
            hf_node_checkpoint(f.node); /* with the next batch */
            node_rig_commit(&f, "{\"do\":[{\"op\":\"put\",\"document\":\"d\",\"data\":1}]}");
            node_rig_drive(&f, 200000);
            hf_node_status(f.node, &status);
            assert_true(status.checkpoint_position > 0);
        }
        assert_int_equal(waiting(&f), 2);
        node_rig_stop(&f);
        hf_world_run(f.world, 1500000); /* one falls due meanwhile */
        start(&f);
        node_rig_drive(&f, 10000);
        assert_int_equal(waiting(&f), 1);
        hf_state_verify(hf_node_state(f.node));
        node_rig_drive(&f, 5000000);
        assert_int_equal(waiting(&f), 0);
        node_rig_end(&f);
    }
}

/* What this program records at its start, once. */
static void the_feature_level_is_recorded(void **state)
{
    (void)state;
    struct node_rig f = begin();
    assert_int_equal(hf_node_state(f.node)->feature_level, HF_FEATURE_LEVEL);
    assert_int_equal(HF_FEATURE_LEVEL, 6);
    uint64_t position = hf_node_state(f.node)->position;
    node_rig_stop(&f);
    start(&f);
    assert_int_equal(hf_node_state(f.node)->feature_level, HF_FEATURE_LEVEL);
    assert_int_equal(hf_node_state(f.node)->position, position + 1); /* the takeover alone */
    node_rig_end(&f);
}

/* The state alone: level 1 goes on to 2; a level above this program's is refused as unknown, not as damage. */
static void levels_only_rise_to_this_programs(void **state)
{
    (void)state;
    struct hf_state s;
    struct hf_draft draft;
    hf_state_init(&s, 1);
    hf_draft_init(&draft);
    for (uint64_t level = 1; level <= HF_FEATURE_LEVEL + 1; level++) {
        struct hf_system system = {.level = level};
        struct hf_error error = {0};
        assert_int_equal(hf_decide_system(&s, HF_EVENT_FEATURE_LEVEL, &system, level, &draft),
                         HF_DECISION_COMMIT);
        assert_true(hf_state_reserve(&s, &draft.commit));
        assert_int_equal(hf_state_apply(&s, &draft.commit, &error),
                         level <= HF_FEATURE_LEVEL ? HF_ERR_OK : HF_ERR_VERSION);
    }
    assert_int_equal(s.feature_level, HF_FEATURE_LEVEL);
    hf_draft_release(&draft);
    hf_state_release(&s);
}

/* ---- the limit of lines ---- */

static enum hf_err publish_to(struct node_rig *rig, const char *key)
{
    char json[512];
    (void)snprintf(
        json, sizeof(json),
        "{\"do\":[{\"op\":\"publish\",\"topic\":\"t\",\"key\":\"%s\",\"type\":\"x\",\"data\":1}]}",
        key);
    return node_rig_try(rig, json);
}

static void done(struct hf_request *request)
{
    *(bool *)request->context = true;
}

static enum hf_err queue_op(struct node_rig *rig, const struct hf_queue_fields *fields)
{
    struct hf_command command;
    struct hf_malformed malformed = {0};
    bool is_done = false;
    hf_command_init(&command, HF_COMMAND_COMMIT);
    assert_true(hf_command_add_queue_op(&command, fields, &malformed));
    assert_true(hf_command_finish(&command, &malformed));
    struct hf_request request = {.command = &command, .done = done, .context = &is_done};
    assert_int_equal(hf_node_submit(rig->node, &request), HF_ERR_OK);
    node_rig_drive_until(rig, &is_done);
    enum hf_err code = request.answer.code;
    hf_answer_release(&request.answer);
    hf_command_release(&command);
    return code;
}

static enum hf_err subscribe(struct node_rig *rig, const char *name, bool ordered, bool past)
{
    struct hf_queue_fields fields = {
        .type = HF_OP_PUT_SUBSCRIPTION,
        .subscription = hf_str_from(name),
        .filter = {.topic = HF_STR("t")},
        .order = ordered ? HF_STR("key") : HF_STR("none"),
        .seek = {.kind = past ? HF_SEEK_BEGINNING : HF_SEEK_NOW},
    };
    return queue_op(rig, &fields);
}

static enum hf_err receive(struct node_rig *rig, const char *name, uint64_t max)
{
    struct hf_queue_fields fields = {
        .type = HF_OP_RECEIVE, .subscription = hf_str_from(name), .has_max = true, .max = max};
    return queue_op(rig, &fields);
}

static struct hf_node_status status_of(struct node_rig *rig)
{
    struct hf_node_status status;
    hf_node_status(rig->node, &status);
    return status;
}

/* Lines cost memory: at seven eighths of the limit nothing begins another one, and what does not is as welcome as ever. */
static void lines_of_all_have_a_limit(void **state)
{
    (void)state;
    struct node_rig f;
    char key[16];
    node_rig_init(&f, 12);
    f.limits.queue_lines_max = 80;
    start(&f);
    assert_int_equal(subscribe(&f, "s", true, false), HF_ERR_OK);
    assert_int_equal(subscribe(&f, "u", false, false), HF_ERR_OK);
    unsigned published = 0;
    enum hf_err code = HF_ERR_OK;
    while (code == HF_ERR_OK && published < 100) {
        (void)snprintf(key, sizeof(key), "k%u", published);
        code = publish_to(&f, key);
        published += code == HF_ERR_OK;
    }
    assert_int_equal(code, HF_ERR_OVERLOADED);
    assert_int_equal(published, 69); /* and the main line of u: 70 */
    assert_int_equal(status_of(&f).lines, 70);
    uint64_t position = node_rig_position(&f);
    assert_int_equal(publish_to(&f, "new"), HF_ERR_OVERLOADED);
    assert_int_equal(try_publish(&f, 1000000), HF_ERR_OVERLOADED); /* a delayed one costs as much */
    assert_int_equal(node_rig_position(&f), position);             /* not recorded */
    assert_int_equal(publish_to(&f, "k3"), HF_ERR_OK);             /* behind others of its key */
    node_rig_commit(&f, "{\"do\":[{\"op\":\"put\",\"document\":\"d\",\"data\":1}]}");
    /* A receive out of an unordered backlog takes up to the limit itself. */
    assert_int_equal(receive(&f, "u", 11), HF_ERR_OVERLOADED);
    assert_int_equal(receive(&f, "u", 10), HF_ERR_OK);
    assert_int_equal(status_of(&f).lines, 80);
    assert_int_equal(receive(&f, "s", 5), HF_ERR_OK); /* these have their lines */
    hf_state_verify(hf_node_state(f.node));
    node_rig_end(&f);
}

/* What reads the log waits there while lines are many. */
static void scans_wait_for_room(void **state)
{
    (void)state;
    struct node_rig f;
    char key[16];
    node_rig_init(&f, 13);
    f.limits.queue_lines_max = 80;
    start(&f);
    assert_int_equal(subscribe(&f, "s", true, false), HF_ERR_OK);
    for (unsigned i = 0; i < 62; i++) {
        (void)snprintf(key, sizeof(key), "k%u", i);
        assert_int_equal(publish_to(&f, key), HF_ERR_OK);
    }
    assert_int_equal(subscribe(&f, "late", true, true), HF_ERR_OK);
    node_rig_drive(&f, 100000);
    assert_int_equal(status_of(&f).lines, 62);
    struct hf_queue_fields gone = {.type = HF_OP_DELETE_SUBSCRIPTION, .subscription = HF_STR("s")};
    assert_int_equal(queue_op(&f, &gone), HF_ERR_OK);
    node_rig_drive(&f, 100000);
    assert_int_equal(status_of(&f).lines, 62); /* its own now */
    hf_state_verify(hf_node_state(f.node));
    node_rig_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_all_have_a_limit),
        cmocka_unit_test(scans_wait_for_room),
        cmocka_unit_test(they_arrive_by_the_timer),
        cmocka_unit_test(a_bounded_number_a_commit),
        cmocka_unit_test(they_survive_a_restart),
        cmocka_unit_test(the_feature_level_is_recorded),
        cmocka_unit_test(levels_only_rise_to_this_programs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
