/* Submissions: on their way to a node, and what came back. */
#include "base/check.h"
#include "sim/run.h"
#include "sim/sim_memory.h"

#define RECEIVE_WAIT_US_MAX 40000u

static void unlink_submission(struct run_submission *submission)
{
    struct run_house *house = submission->house;
    *(submission->previous != NULL ? &submission->previous->next : &house->under_way) =
        submission->next;
    if (submission->next != NULL) {
        submission->next->previous = submission->previous;
    }
}

/* An error that says that nothing happened? */
static bool is_nothing(enum hf_err code)
{
    return code == HF_ERR_NOT_READY || code == HF_ERR_OVERLOADED || code == HF_ERR_READ_ONLY ||
           code == HF_ERR_IO;
}

/* What the answer claims about order, at the moment when it is given. */
static void check_order(struct run_submission *submission)
{
    struct run *run = submission->run;
    const struct hf_answer *answer = &submission->answer;
    unsigned long long number = submission->op->number;
    if (answer->seen_position < submission->told_before) {
        (void)run_fail(run,
                       "operation %llu: the answer has seen position %llu only, but position %llu "
                       "had been told before it was submitted",
                       number, (unsigned long long)answer->seen_position,
                       (unsigned long long)submission->told_before);
    }
    bool made = submission->op->command != NULL && answer->position > 0 && !answer->replayed;
    if (made && answer->position <= submission->told_before) {
        (void)run_fail(run,
                       "operation %llu: its new commit has position %llu, but position %llu had "
                       "been told before it was submitted",
                       number, (unsigned long long)answer->position,
                       (unsigned long long)submission->told_before);
    }
    if (answer->position > answer->seen_position) {
        (void)run_fail(run, "operation %llu: it has position %llu and has seen %llu", number,
                       (unsigned long long)answer->position,
                       (unsigned long long)answer->seen_position);
    }
    if (answer->seen_position < submission->op->min_position) {
        (void)run_fail(run, "operation %llu: a read of position %llu saw position %llu", number,
                       (unsigned long long)submission->op->min_position,
                       (unsigned long long)answer->seen_position);
    }
    if (submission->op->command != NULL && answer->frame == NULL) {
        (void)run_fail(run, "operation %llu: a decision without its commit", number);
    }
    submission->op->made += made;
}

static void take_answer(struct run_submission *submission)
{
    struct run *run = submission->run;
    const struct hf_answer *answer = &submission->answer;
    report_answer(run->report, submission->op->command, submission->op->query, answer);
    if (answer->decided) {
        check_order(submission);
        run->told = hf_max_u64(run->told, answer->seen_position);
        run->told_us = hf_world_now_us(run->world);
        return;
    }
    if (answer->code == HF_ERR_OUTCOME_UNKNOWN) {
        submission->op->perhaps++;
    } else if (!is_nothing(answer->code)) {
        (void)run_fail(run, "operation %llu: no decision, but %s",
                       (unsigned long long)submission->op->number, hf_err_wire(answer->code));
    }
}

static void done(struct hf_request *request)
{
    struct run_submission *submission = HF_CONTAINER_OF(request, struct run_submission, request);
    struct run *run = submission->run;
    if (submission->end != RUN_END_NONE) {
        hf_answer_release(&request->answer); /* its process had ended */
        return;
    }
    if (!hf_world_alive(submission->house->outside)) {
        hf_answer_release(&request->answer);
        return; /* it ends with its process */
    }
    unlink_submission(submission);
    submission->end = RUN_END_ANSWERED;
    submission->answer = request->answer;
    request->answer = (struct hf_answer){0};
    hf_world_trace(run->world, submission->op->number);
    hf_world_trace(run->world, submission->answer.seen_position * 1000 + submission->answer.code);
    if (run->verbose_answers) {
        report_say_answer(hf_world_now_us(run->world), submission->op->number,
                          submission->house->number, &submission->answer);
    }
    take_answer(submission);
    client_ended(submission);
}

static void render(struct hf_request *request, size_t index, const struct hf_reading *reading)
{
    struct run_submission *submission = HF_CONTAINER_OF(request, struct run_submission, request);
    HF_CHECK(index == 0);
    submission->reading = reading_copy(&submission->run->arena, reading);
}

static void refuse_at_once(struct run_submission *submission, enum hf_err err)
{
    submission->end = RUN_END_ANSWERED;
    submission->answer = (struct hf_answer){.code = err};
    take_answer(submission);
    client_ended(submission);
}

void submission_send(struct run_op *op, struct run_house *house, bool primary)
{
    struct run *run = op->run;
    struct run_submission *submission = hf_sim_calloc(1, sizeof(*submission));
    run->submissions = hf_sim_grow(run->submissions, run->submission_count,
                                   &run->submission_capacity, sizeof(struct run_submission *));
    run->submissions[run->submission_count++] = submission;
    submission->run = run;
    submission->op = op;
    submission->house = house;
    submission->primary = primary;
    submission->told_before = run->told;
    submission->begin_us = hf_world_now_us(run->world);
    submission->request = (struct hf_request){
        .command = op->command,
        .queries = op->query,
        .query_count = op->query == NULL ? 0 : 1,
        .min_position = op->min_position,
        .render = render,
        .done = done,
        .context = submission,
    };
    if (op->command != NULL && op->command->kind == HF_COMMAND_EACH) {
        submission->outcomes = hf_sim_calloc(op->command->op_count, sizeof(*submission->outcomes));
        submission->request.outcomes = submission->outcomes;
    }
    run->report->submissions++;
    hf_world_trace(run->world, op->number * 4 + house->number);
    if (house->node == NULL || !hf_world_alive(house->outside)) {
        refuse_at_once(submission, HF_ERR_NOT_READY); /* nobody listens */
        return;
    }
    if (op->command != NULL && op->command->kind == HF_COMMAND_COMMIT &&
        op->command->op_count == 1 && op->command->ops[0].type == HF_OP_RECEIVE &&
        hf_sim_random_chance(&run->client_random, HF_PPM / 3)) {
        submission->request.deadline_us =
            house->outside->monotonic_us(house->outside) +
            hf_sim_random_between(&run->client_random, 1, RECEIVE_WAIT_US_MAX);
        run->report->waiting_receives++;
    }
    /* It may be that its process ends in here. */
    submission->next = house->under_way;
    if (submission->next != NULL) {
        submission->next->previous = submission;
    }
    house->under_way = submission;
    enum hf_err err = hf_node_submit(house->node, &submission->request);
    if (err != HF_ERR_OK) {
        unlink_submission(submission);
        run->report->refused_at_door[err == HF_ERR_OVERLOADED]++;
        refuse_at_once(submission, err);
    }
}

void submission_lose_all(struct run_house *house)
{
    while (house->under_way != NULL) {
        struct run_submission *submission = house->under_way;
        unlink_submission(submission);
        submission->end = RUN_END_LOST;
        submission->op->perhaps++;
        house->run->report->lost++;
        client_ended(submission);
    }
}

void submission_free(struct run_submission *submission)
{
    hf_answer_release(&submission->answer);
    free(submission->outcomes);
    free(submission);
}
