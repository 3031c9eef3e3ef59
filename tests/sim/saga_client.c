/* Who starts sagas, pays, calls back, and operates. */
#include <stdio.h>

#include "base/check.h"
#include "base/time_text.h"
#include "core/saga_wire.h"
#include "sim/saga_sim.h"
#include "sim/sim_memory.h"

#define WALL_US        1700000000000000u /* of the world's beginning */
#define PAUSE_US       20000u
#define DRAIN_US_MAX   120000000u
#define OPERATE_US_MAX 60000u
#define MEND_AFTER_US  30000u /* an operator leaves a saga alone for so long */
#define BEGIN_US_MAX   60000u /* between two sagas */

static struct hf_str keep(struct saga_sim *sim, const char *text)
{
    struct hf_str copy = hf_arena_copy(&sim->run->arena, hf_str_from(text));
    HF_CHECK(copy.ptr != NULL);
    return copy;
}

/* ---- commands ---- */

static struct hf_command *command_new(struct saga_sim *sim)
{
    struct hf_command *command = hf_sim_calloc(1, sizeof(*command));
    struct hf_malformed malformed;
    char key[32];
    (void)snprintf(key, sizeof(key), "k%zu", sim->run->op_count + 1);
    hf_command_init(command, HF_COMMAND_COMMIT);
    HF_CHECK(hf_command_set_principal(command, HF_STR("local"), &malformed) &&
             hf_command_set_key(command, keep(sim, key), &malformed));
    hf_sim_random_bytes(&sim->random, command->secret, sizeof(command->secret));
    return command;
}

static void ask(struct saga_sim *sim, struct hf_command *command)
{
    struct hf_malformed malformed = {0};
    if (!hf_command_finish(command, &malformed)) {
        (void)run_fail(sim->run, "a command is malformed at %s: %s", malformed.pointer,
                       malformed.text);
        return;
    }
    client_ask(sim->run, command);
}

static void add_op(struct saga_sim *sim, struct hf_command *command,
                   const struct hf_op_fields *fields)
{
    struct hf_malformed malformed = {0};
    if (!hf_command_add_op(command, fields, &malformed)) {
        (void)run_fail(sim->run, "an operation is malformed at %s: %s", malformed.pointer,
                       malformed.text);
    }
}

static void ask_saga_op(struct saga_sim *sim, const struct hf_saga_op_fields *fields)
{
    struct hf_malformed malformed = {0};
    struct hf_command *command = command_new(sim);
    if (!hf_command_add_saga_op(command, fields, &malformed)) {
        (void)run_fail(sim->run, "%s is malformed at %s: %s: %.*s", hf_op_wire(fields->type),
                       malformed.pointer, malformed.text, (int)fields->definition_json.len,
                       fields->definition_json.ptr);
    }
    ask(sim, command);
}

static void open_account(struct saga_sim *sim, struct hf_command *command, const char *name,
                         bool floor_null)
{
    struct hf_op_fields fields = {.op = HF_STR("open_account"),
                                  .account = hf_str_from(name),
                                  .asset = HF_STR("EUR/2"),
                                  .floor_null = floor_null};
    add_op(sim, command, &fields);
}

/* The accounts and the definitions, in commits of their own. */
static void ask_for_basis(struct saga_sim *sim)
{
    struct hf_command *command = command_new(sim);
    open_account(sim, command, "s:bank", true);
    open_account(sim, command, "s:pool", true);
    open_account(sim, command, "s:shop", true);
    open_account(sim, command, "s:poor", false);
    char amount[8];
    (void)snprintf(amount, sizeof(amount), "%u", SAGA_POOR_MONEY);
    struct hf_op_fields fields = {.op = HF_STR("transfer"),
                                  .id = HF_STR("s:gift"),
                                  .from = HF_STR("s:bank"),
                                  .to = HF_STR("s:poor"),
                                  .asset = HF_STR("EUR/2"),
                                  .amount = keep(sim, amount)};
    add_op(sim, command, &fields);
    ask(sim, command);
    for (uint32_t i = 0; i < sim->plan_count; i++) {
        struct hf_saga_op_fields define = {.type = HF_OP_DEFINE_SAGA,
                                           .name = hf_str_from(sim->plans[i].name),
                                           .version = 1,
                                           .definition_json = hf_str_from(sim->plans[i].json)};
        ask_saga_op(sim, &define);
    }
}

/* ---- sagas ---- */

static void ask_for_start(struct saga_sim *sim, const struct sim_saga *saga)
{
    char text[HF_TIME_TEXT_BYTES];
    char input[96];
    char definition[16];
    (void)snprintf(definition, sizeof(definition), "%s@1", saga->plan->name);
    (void)snprintf(input, sizeof(input), "{\"gold\":%s,\"filler\":\"%.*s\"}",
                   saga->gold ? "true" : "false", (int)saga_below(sim, 40),
                   "----------------------------------------");
    struct hf_op_fields fields = {
        .op = HF_STR("start_saga"),
        .saga = hf_str_from(saga->id),
        .definition = saga_percent(sim, 20) ? hf_str_from(saga->plan->json) : keep(sim, definition),
        .input = keep(sim, input),
    };
    if (saga_percent(sim, 50)) {
        fields.business_key = HF_STR("order");
        fields.tags = HF_STR("{\"shop\":\"berlin\"}");
    }
    if (saga_percent(sim, 10)) {
        hf_time_format(WALL_US + hf_world_now_us(sim->run->world) + saga_below(sim, 1000000), text);
        fields.not_before = keep(sim, text);
    }
    struct hf_command *command = command_new(sim);
    add_op(sim, command, &fields);
    ask(sim, command);
}

static void pay_event(void *context);

struct payment {
    struct saga_sim *sim;
    uint32_t saga;
};

static bool awaits(const struct saga_plan *plan)
{
    for (uint32_t i = 0; i < plan->step_count; i++) {
        if (plan->steps[i].action == SAGA_WORK_EVENT) {
            return true;
        }
    }
    return false;
}

static void pay(struct saga_sim *sim, uint32_t number)
{
    struct sim_saga *saga = &sim->sagas[number];
    struct hf_op_fields fields = {.op = HF_STR("append"),
                                  .stream = hf_str_from(saga->id),
                                  .type = HF_STR("paid"),
                                  .data = HF_STR("{\"amount\":17}")};
    struct hf_command *command = command_new(sim);
    add_op(sim, command, &fields);
    ask(sim, command);
    saga->paid = true;
}

static void pay_event(void *context)
{
    const struct payment *payment = context;
    if (!payment->sim->sagas[payment->saga].paid) {
        pay(payment->sim, payment->saga);
    }
}

static void begin_saga(struct saga_sim *sim)
{
    struct sim_saga *saga = &sim->sagas[sim->saga_count];
    *saga = (struct sim_saga){.plan = &sim->plans[saga_below(sim, sim->plan_count)],
                              .gold = saga_percent(sim, 50)};
    (void)snprintf(saga->id, sizeof(saga->id), "saga-%u", sim->saga_count);
    sim->saga_count++;
    sim->report->sagas++;
    ask_for_start(sim, saga);
    if (awaits(saga->plan) && saga_percent(sim, 70)) {
        struct payment *payment = hf_arena_alloc_zero(&sim->run->arena, 1, sizeof(*payment));
        HF_CHECK(payment != NULL);
        *payment = (struct payment){sim, sim->saga_count - 1};
        hf_world_after(sim->run->world, NULL, saga_below(sim, 1500000), pay_event, payment);
    }
}

static void begin_event(void *context)
{
    struct saga_sim *sim = context;
    if (sim->run->calm) {
        return;
    }
    if (sim->saga_count < sim->saga_goal) {
        begin_saga(sim);
    } else { /* again, in other words: the id is taken for ever */
        ask_for_start(sim, &sim->sagas[saga_below(sim, sim->saga_count)]);
    }
    hf_world_after(sim->run->world, NULL, saga_below(sim, BEGIN_US_MAX), begin_event, sim);
}

/* ---- callbacks ---- */

void saga_client_call_back(struct saga_sim *sim, uint32_t saga, uint32_t step, enum hf_saga_op op,
                           bool ok)
{
    const struct sim_saga *own = &sim->sagas[saga];
    struct hf_op_fields fields = {
        .op = ok ? HF_STR("complete_step") : HF_STR("fail_step"),
        .saga = hf_str_from(own->id),
        .step = hf_str_from(own->plan->steps[step].name),
        .callback_token = keep(sim, own->rows[step].token[op]),
        .result = ok ? HF_STR("{\"called\":\"back\"}") : (struct hf_str){0},
        .error = ok ? (struct hf_str){0} : HF_STR("no, thanks"),
    };
    sim->report->callbacks++;
    struct hf_command *command = command_new(sim);
    add_op(sim, command, &fields);
    ask(sim, command);
}

/* ---- operators ---- */

static const struct hf_state *leading_state(struct run *run)
{
    struct run_house *leader = house_leader(run);
    return leader == NULL ? NULL : hf_node_state(leader->node);
}

static const struct hf_saga *find(struct saga_sim *sim, const struct hf_state *state,
                                  uint32_t number)
{
    struct hf_name name;
    struct hf_arena arena;
    hf_arena_init(&arena);
    HF_CHECK(hf_name_make(hf_str_from(sim->sagas[number].id), &arena, &name));
    const struct hf_saga *saga = hf_sagas_get(&state->sagas, &name.id);
    hf_arena_release(&arena);
    return saga;
}

/* The first step of a saga that is in this state; step_count: none. */
static uint32_t step_in(const struct hf_saga *saga, enum hf_step_state state)
{
    uint32_t i = 0;
    while (i < saga->definition->parsed.step_count && saga->steps[i].state != state) {
        i++;
    }
    return i;
}

static void give_verb(struct saga_sim *sim, uint32_t number, const struct hf_saga *saga,
                      enum hf_saga_act verb, uint32_t step)
{
    const struct saga_plan *plan = sim->sagas[number].plan;
    struct hf_saga_op_fields fields = {
        .type = HF_OP_SAGA_VERB,
        .saga = hf_str_from(sim->sagas[number].id),
        .verb = verb,
        .reason = HF_STR("by hand"),
        .actor = HF_STR("ops"),
        .has_expected_version = saga_percent(sim, 50),
        .expected_version = saga->version,
    };
    if (step < plan->step_count) {
        fields.step = hf_str_from(plan->steps[step].name);
    }
    if (verb == HF_SAGA_ACT_SKIP && saga_percent(sim, 50)) {
        fields.result = HF_STR("{\"by\":\"hand\"}");
    }
    ask_saga_op(sim, &fields);
}

static void settle_by_hand(struct saga_sim *sim, uint32_t number, uint32_t step, bool ok)
{
    struct hf_op_fields fields = {
        .op = ok ? HF_STR("complete_step") : HF_STR("fail_step"),
        .saga = hf_str_from(sim->sagas[number].id),
        .step = hf_str_from(sim->sagas[number].plan->steps[step].name),
        .result = ok ? HF_STR("{\"by\":\"hand\"}") : (struct hf_str){0},
        .error = ok ? (struct hf_str){0} : HF_STR("looked at: not done"),
        .reason = HF_STR("by hand"),
        .actor = HF_STR("ops"),
    };
    struct hf_command *command = command_new(sim);
    add_op(sim, command, &fields);
    ask(sim, command);
}

static void mend_parked(struct saga_sim *sim, uint32_t number, const struct hf_saga *saga)
{
    uint32_t none = saga->definition->parsed.step_count;
    uint32_t parked = step_in(saga, HF_STEP_PARKED);
    unsigned draw = (unsigned)saga_below(sim, 100);
    if (draw < 65 || parked == none) {
        give_verb(sim, number, saga, HF_SAGA_ACT_RETRY, draw < 30 ? parked : none);
    } else if (draw < 77) {
        give_verb(sim, number, saga, HF_SAGA_ACT_SKIP, parked);
    } else if (draw < 85) {
        give_verb(sim, number, saga, HF_SAGA_ACT_COMPENSATE, none);
    } else if (draw < 95 || sim->healthy) {
        settle_by_hand(sim, number, parked, saga_percent(sim, 60));
    } else {
        give_verb(sim, number, saga, HF_SAGA_ACT_ABANDON, none);
    }
}

/* What an operator should perhaps have left alone. */
static void meddle(struct saga_sim *sim, uint32_t number, const struct hf_saga *saga)
{
    static const enum hf_saga_act verbs[] = {HF_SAGA_ACT_PAUSE, HF_SAGA_ACT_PAUSE,
                                             HF_SAGA_ACT_RETRY, HF_SAGA_ACT_COMPENSATE,
                                             HF_SAGA_ACT_SKIP};
    uint32_t none = saga->definition->parsed.step_count;
    uint32_t running = step_in(saga, HF_STEP_RUNNING);
    if (running < none && saga_percent(sim, 50)) {
        settle_by_hand(sim, number, running, saga_percent(sim, 30));
        return;
    }
    enum hf_saga_act verb = verbs[saga_below(sim, HF_ARRAY_COUNT(verbs))];
    give_verb(sim, number, saga, verb,
              verb == HF_SAGA_ACT_SKIP ? (uint32_t)saga_below(sim, none) : none);
}

/* One look at one saga. */
static void operate(struct saga_sim *sim, uint32_t number)
{
    struct sim_saga *own = &sim->sagas[number];
    const struct hf_state *state = leading_state(sim->run);
    const struct hf_saga *saga = state == NULL ? NULL : find(sim, state, number);
    uint64_t now_us = hf_world_now_us(sim->run->world);
    if (saga == NULL || now_us < own->mended + MEND_AFTER_US) {
        return;
    }
    uint32_t none = saga->definition->parsed.step_count;
    if (saga->state == HF_SAGA_PARKED) {
        mend_parked(sim, number, saga);
    } else if (saga->state == HF_SAGA_PAUSED) {
        give_verb(sim, number, saga, HF_SAGA_ACT_RESUME, none);
    } else if (!sim->healthy && saga_percent(sim, 8)) {
        meddle(sim, number, saga);
    } else {
        return;
    }
    own->mended = now_us;
}

static void operate_event(void *context)
{
    struct saga_sim *sim = context;
    if (sim->run->calm) {
        return;
    }
    if (sim->saga_count > 0) {
        operate(sim, (uint32_t)saga_below(sim, sim->saga_count));
    }
    hf_world_after(sim->run->world, NULL, saga_below(sim, OPERATE_US_MAX), operate_event, sim);
}

void saga_client_start(struct saga_sim *sim)
{
    ask_for_basis(sim);
    hf_world_after(sim->run->world, NULL, 5000, begin_event, sim);
    hf_world_after(sim->run->world, NULL, 5000, operate_event, sim);
}

/* ---- the end ---- */

/* What a saga still waits for from outside; true: it has ended, or never began. */
static bool help(struct saga_sim *sim, const struct hf_state *state, uint32_t number)
{
    struct sim_saga *own = &sim->sagas[number];
    const struct hf_saga *saga = find(sim, state, number);
    if (saga == NULL || hf_saga_ended(saga->state)) {
        return true;
    }
    uint64_t now_us = hf_world_now_us(sim->run->world);
    operate(sim, number);
    if (awaits(own->plan) && !own->paid) {
        pay(sim, number);
    }
    for (uint32_t i = 0; i < own->plan->step_count; i++) {
        enum hf_step_state at = saga->steps[i].state;
        const struct saga_row *row = &own->rows[i];
        enum hf_saga_op op =
            at == HF_STEP_COMPENSATING_WAITING ? HF_SAGA_COMPENSATION : HF_SAGA_ACTION;
        bool waits = at == HF_STEP_WAITING || at == HF_STEP_COMPENSATING_WAITING;
        if (waits && row->token[op][0] != '\0' && !row->working[op] &&
            now_us >= own->mended + MEND_AFTER_US) {
            bool ok = op == HF_SAGA_COMPENSATION || row->action == SAGA_ROW_DONE;
            saga_client_call_back(sim, number, i, op, ok);
            own->mended = now_us;
        }
    }
    return false;
}

static void fail_stuck(struct saga_sim *sim, const struct hf_state *state, uint32_t open,
                       uint32_t number)
{
    const struct hf_saga *saga = state == NULL ? NULL : find(sim, state, number);
    char steps[300] = "";
    size_t used = 0;
    for (uint32_t i = 0; saga != NULL && i < sim->sagas[number].plan->step_count; i++) {
        const struct hf_saga_step *step = &saga->steps[i];
        used += (size_t)snprintf(
            steps + used, sizeof(steps) - used, " %s %s %u attempts due %llu%s;",
            sim->sagas[number].plan->steps[i].name, hf_step_state_wire(step->state), step->attempts,
            (unsigned long long)step->due_us, step->polls ? " polls" : "");
    }
    (void)run_fail(sim->run, "stuck: %u sagas do not end; %s is %s:%s", open, sim->sagas[number].id,
                   saga == NULL ? "gone" : hf_saga_state_wire(saga->state), steps);
}

void saga_drain(struct saga_sim *sim)
{
    struct run *run = sim->run;
    sim->healthy = true;
    uint64_t from_us = hf_world_now_us(run->world);
    while (run->failure[0] == '\0') {
        const struct hf_state *state = leading_state(run);
        uint32_t open = 0;
        uint32_t last = 0;
        for (uint32_t i = 0; state != NULL && i < sim->saga_count; i++) {
            bool ended = help(sim, state, i);
            open += !ended;
            last = ended ? last : i;
        }
        if (state != NULL && open == 0) {
            return;
        }
        hf_world_run(run->world, PAUSE_US);
        if (hf_world_now_us(run->world) - from_us > DRAIN_US_MAX) {
            fail_stuck(sim, state, open, last);
        }
    }
}
