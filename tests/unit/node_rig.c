#include "unit/node_rig.h"

#include "api/commit_json.h"
#include "log/log_file.h"
#include "unit/support.h"

void node_rig_init(struct node_rig *rig, uint64_t seed)
{
    *rig = (struct node_rig){
        .world = hf_world_new(seed), .limits = hf_limits_default(), .checkpoints = true};
    rig->outside = hf_world_boot(hf_world_machine_new(rig->world, NULL));
    rig->limits.segment_bytes_first = 1u << 16;
    rig->limits.segment_bytes_max = 1u << 18;
}

void node_rig_make(struct node_rig *rig)
{
    struct hf_log_file_options log_options = {.directory = "data",
                                              .create = true,
                                              .segment_bytes_first =
                                                  rig->limits.segment_bytes_first,
                                              .segment_bytes_max = rig->limits.segment_bytes_max};
    struct hf_error error = {0};
    if (hf_log_file_open(rig->outside, &log_options, &rig->log, &error) != HF_ERR_OK) {
        fail_msg("%s", error.text);
    }
    struct hf_node_options options = {.outside = rig->outside,
                                      .directory = "data",
                                      .name = "test",
                                      .log = rig->log,
                                      .limits = rig->limits,
                                      .checkpoints = rig->checkpoints,
                                      .memory = rig->memory};
    rig->node = hf_node_new(&options);
    assert_non_null(rig->node);
}

void node_rig_start(struct node_rig *rig)
{
    struct hf_error error = {0};
    if (hf_node_start(rig->node, false, NULL, NULL, &error) != HF_ERR_OK) {
        fail_msg("%s", error.text);
    }
}

void node_rig_stop(struct node_rig *rig)
{
    struct hf_node_status status;
    hf_node_stop(rig->node);
    do {
        node_rig_drive(rig, NODE_RIG_TICK_US);
        hf_node_status(rig->node, &status);
    } while (status.phase != HF_NODE_STOPPED);
    hf_world_drain(rig->outside);
    hf_node_free(rig->node);
    rig->node = NULL;
}

void node_rig_end(struct node_rig *rig)
{
    hf_world_drain(rig->outside);
    hf_node_free(rig->node);
    hf_world_free(rig->world);
}

void node_rig_drive(struct node_rig *rig, uint64_t duration_us)
{
    for (uint64_t past_us = 0; past_us < duration_us; past_us += NODE_RIG_TICK_US) {
        while (hf_node_step(rig->node)) {
        }
        hf_world_run(rig->world, NODE_RIG_TICK_US);
    }
    while (hf_node_step(rig->node)) {
    }
}

void node_rig_drive_until(struct node_rig *rig, const bool *done)
{
    for (unsigned i = 0; !*done && i < 10000; i++) {
        node_rig_drive(rig, NODE_RIG_TICK_US);
    }
    assert_true(*done);
}

static void done(struct hf_request *request)
{
    struct node_asked *asked = HF_CONTAINER_OF(request, struct node_asked, request);
    assert_false(asked->done);
    asked->done = true;
}

void node_rig_ask_keyed(struct node_rig *rig, struct node_asked *asked, const char *json,
                        const char *key)
{
    struct hf_malformed malformed = {0};
    *asked = (struct node_asked){.request = {.done = done}};
    hf_command_init(&asked->command, HF_COMMAND_COMMIT);
    assert_true(hf_commit_json_decode(hf_str_from(json), &asked->command, &malformed));
    assert_true(key == NULL || hf_command_set_key(&asked->command, hf_str_from(key), &malformed));
    assert_true(hf_command_finish(&asked->command, &malformed));
    asked->request.command = &asked->command;
    assert_int_equal(hf_node_submit(rig->node, &asked->request), HF_ERR_OK);
}

void node_rig_ask(struct node_rig *rig, struct node_asked *asked, const char *json)
{
    node_rig_ask_keyed(rig, asked, json, NULL);
}

void node_asked_release(struct node_asked *asked)
{
    hf_answer_release(&asked->request.answer);
    hf_command_release(&asked->command);
}

enum hf_err node_rig_try(struct node_rig *rig, const char *json)
{
    struct node_asked asked;
    node_rig_ask(rig, &asked, json);
    node_rig_drive_until(rig, &asked.done);
    enum hf_err code = asked.request.answer.code;
    node_asked_release(&asked);
    return code;
}

void node_rig_commit(struct node_rig *rig, const char *json)
{
    assert_int_equal(node_rig_try(rig, json), HF_ERR_OK);
}

uint64_t node_rig_position(struct node_rig *rig)
{
    struct hf_node_status status;
    hf_node_status(rig->node, &status);
    return status.position;
}
