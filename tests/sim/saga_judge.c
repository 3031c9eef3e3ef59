/* The log of a run of sagas against the rules of docs/sagas.md, the participants' ledgers and the money. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "core/saga_wire.h"
#include "sim/judge_priv.h"
#include "sim/saga_sim.h"
#include "sim/sim_memory.h"

#define ATTEMPTS_MAX 128u /* that are looked at one by one */

typedef unsigned long long ull;

/* A saga as its events have left it. */
struct mirror {
    bool begun, ended, forgotten;
    enum hf_saga_state state;
    bool compensating, past_pivot;
    uint64_t version, last_position;
    struct hf_saga_step steps[SAGA_STEPS_MAX];
    bool by_hand[SAGA_STEPS_MAX];  /* an operator said how it ended */
    bool open_end[SAGA_STEPS_MAX]; /* an attempt of the action ended without a definite answer */
    uint64_t due_at[SAGA_STEPS_MAX][2][ATTEMPTS_MAX]; /* position where an attempt was first due */
};

struct saga_judging {
    struct saga_sim *sim;
    struct run *run;
    struct mirror *mirrors; /* owned; by saga */
    const struct hf_commit *commit;
    const struct hf_saga_changed *changed;
    uint32_t saga;
    bool ends; /* SAGA_ENDED */
};

static bool wrong(struct saga_judging *j, const char *format, ...) HF_PRINTF(2, 3);
static bool wrong(struct saga_judging *j, const char *format, ...)
{
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return run_fail(
        j->run, "commit %llu, %s of %s (%s, attempt %u, %s %u): %s", (ull)j->commit->position,
        hf_saga_act_wire(j->changed->act), j->sim->sagas[j->saga].id,
        j->changed->step == UINT32_MAX ? "no step"
                                       : j->sim->sagas[j->saga].plan->steps[j->changed->step].name,
        j->changed->attempt, hf_saga_outcome_wire(j->changed->outcome), j->changed->status, text);
}

static const struct saga_plan *plan_of(const struct saga_judging *j)
{
    return j->sim->sagas[j->saga].plan;
}

/* ---- the answer table, naively ---- */

static bool is_one_of(uint16_t status, const uint16_t *statuses, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (statuses[i] == status) {
            return true;
        }
    }
    return false;
}

#define IS_ONE_OF(status, ...)                                                                     \
    is_one_of(status, (const uint16_t[]){__VA_ARGS__},                                             \
              sizeof((const uint16_t[]){__VA_ARGS__}) / sizeof(uint16_t))

static enum hf_saga_outcome by_word(const char *word)
{
    static const struct {
        const char *word;
        enum hf_saga_outcome outcome;
    } words[] = {{"success", HF_OUTCOME_SUCCESS},
                 {"fail", HF_OUTCOME_FAIL},
                 {"retry", HF_OUTCOME_RETRY},
                 {"pending", HF_OUTCOME_PENDING},
                 {"park", HF_OUTCOME_PARK}};
    for (size_t i = 0; i < HF_ARRAY_COUNT(words); i++) {
        if (strcmp(words[i].word, word) == 0) {
            return words[i].outcome;
        }
    }
    HF_CHECK(false);
    return HF_OUTCOME_PARK;
}

static enum hf_saga_outcome by_table(const struct saga_contact *contact, bool dtm)
{
    uint16_t status = contact->status;
    bool undo = contact->op == HF_SAGA_COMPENSATION;
    if (dtm) {
        return status == 200   ? HF_OUTCOME_SUCCESS
               : status == 409 ? HF_OUTCOME_FAIL
               : status == 425 ? HF_OUTCOME_AGAIN
                               : HF_OUTCOME_RETRY;
    }
    if (status == 202) {
        return HF_OUTCOME_PENDING;
    }
    if (status >= 200 && status < 300) {
        return HF_OUTCOME_SUCCESS;
    }
    if (status == 425) {
        return HF_OUTCOME_AGAIN;
    }
    if (IS_ONE_OF(status, 400, 402, 406, 410, 413, 415, 422, 424, 451)) {
        return !undo ? HF_OUTCOME_FAIL : status == 410 ? HF_OUTCOME_SUCCESS : HF_OUTCOME_PARK;
    }
    if (IS_ONE_OF(status, 409, 412, 423)) {
        return HF_OUTCOME_CONFLICT;
    }
    bool repeats = status == 408 || status == 429 || (status >= 500 && status != 501);
    return repeats ? HF_OUTCOME_RETRY : HF_OUTCOME_PARK;
}

static enum hf_saga_outcome naive_outcome(const struct saga_contact *contact, bool dtm)
{
    if (contact->error != HF_CALL_COMPLETE) {
        bool tried = contact->error == HF_CALL_NOT_CONNECTED ||
                     contact->error == HF_CALL_TIMED_OUT || contact->error == HF_CALL_CUT_OFF;
        return tried ? HF_OUTCOME_RETRY : HF_OUTCOME_PARK;
    }
    return contact->word != NULL ? by_word(contact->word) : by_table(contact, dtm);
}

/* Perhaps done? */
static bool leaves_open(const struct saga_contact *contact)
{
    if (contact->error != HF_CALL_COMPLETE) {
        return contact->error == HF_CALL_TIMED_OUT || contact->error == HF_CALL_CUT_OFF;
    }
    return contact->word == NULL && contact->status >= 500 && contact->status != 501 &&
           contact->status != 503;
}

/* The event's answer is one that a participant gave; every one that fits leaves it open: *open. */
static bool check_answer(struct saga_judging *j, bool *open)
{
    const struct hf_saga_changed *c = j->changed;
    bool dtm = plan_of(j)->dtm;
    bool found = false;
    *open = true;
    for (size_t i = 0; i < j->sim->contact_count; i++) {
        const struct saga_contact *contact = &j->sim->contacts[i];
        bool same = contact->told && contact->saga == j->saga && contact->step == c->step &&
                    contact->op == c->op && contact->status == c->status &&
                    (contact->attempt == 0 || contact->attempt == c->attempt);
        if (!same) {
            continue;
        }
        enum hf_saga_outcome expected = naive_outcome(contact, dtm);
        bool fits = expected == c->outcome ||
                    (c->op == HF_SAGA_COMPENSATION && expected == HF_OUTCOME_FAIL &&
                     c->outcome == HF_OUTCOME_PARK);
        found = found || fits;
        *open = *open && (!fits || (leaves_open(contact) && contact->attempt != 0));
    }
    *open = *open && found;
    return found || wrong(j, "no participant gave such an answer");
}

/* ---- what a step may become ---- */

#define BIT(state) (1u << (state))

static unsigned next_states(const struct hf_saga_step *before)
{
    const unsigned undoing = BIT(HF_STEP_COMPENSATING) | BIT(HF_STEP_COMPENSATING_WAITING) |
                             BIT(HF_STEP_COMPENSATED) | BIT(HF_STEP_PARKED);
    const unsigned acting = BIT(HF_STEP_RUNNING) | BIT(HF_STEP_WAITING) | BIT(HF_STEP_SUCCEEDED) |
                            BIT(HF_STEP_FAILED) | BIT(HF_STEP_UNKNOWN) | BIT(HF_STEP_PARKED);
    switch (before->state) {
    case HF_STEP_PENDING:
        return acting | BIT(HF_STEP_PENDING) | BIT(HF_STEP_SKIPPED);
    case HF_STEP_RUNNING:
    case HF_STEP_WAITING:
        return acting | undoing;
    case HF_STEP_PARKED:
        return BIT(HF_STEP_PARKED) | (before->op == HF_SAGA_ACTION ? acting | undoing : undoing);
    case HF_STEP_SUCCEEDED:
    case HF_STEP_UNKNOWN:
        return undoing | BIT(before->state);
    case HF_STEP_COMPENSATING:
    case HF_STEP_COMPENSATING_WAITING:
        return undoing;
    case HF_STEP_FAILED:
    case HF_STEP_SKIPPED:
    case HF_STEP_COMPENSATED:
        return BIT(before->state);
    }
    return 0;
}

static bool is_done(enum hf_step_state state)
{
    return state == HF_STEP_SUCCEEDED || state == HF_STEP_SKIPPED;
}

static bool is_under_way(enum hf_step_state state)
{
    return state == HF_STEP_RUNNING || state == HF_STEP_WAITING;
}

/* Nothing of it is left to undo. */
static bool is_settled(const struct saga_plan_step *step, enum hf_step_state state)
{
    switch (state) {
    case HF_STEP_PENDING:
    case HF_STEP_FAILED:
    case HF_STEP_SKIPPED:
    case HF_STEP_COMPENSATED:
        return true;
    case HF_STEP_SUCCEEDED:
    case HF_STEP_UNKNOWN:
        return step->undo == SAGA_WORK_NONE;
    case HF_STEP_RUNNING:
    case HF_STEP_WAITING:
    case HF_STEP_COMPENSATING:
    case HF_STEP_COMPENSATING_WAITING:
    case HF_STEP_PARKED:
        break;
    }
    return false;
}

/* It begins: its turn has come. after: all steps as this event leaves them. */
static bool check_begin(struct saga_judging *j, const struct mirror *m, uint32_t step,
                        const struct hf_saga_step *after)
{
    const struct saga_plan *plan = plan_of(j);
    const struct saga_plan_step *own = &plan->steps[step];
    bool gold = j->sim->sagas[j->saga].gold;
    if (j->changed->act == HF_SAGA_ACT_SKIP && j->changed->step == step) {
        return true;
    }
    bool back =
        m->compensating && !j->changed->past_pivot; /* a pivot that comes through turns it */
    if (back || (m->state == HF_SAGA_PAUSED && j->changed->act != HF_SAGA_ACT_RESUME)) {
        return wrong(j, "step %s begins although the saga %s", own->name,
                     back ? "is being undone" : "is paused");
    }
    for (uint32_t i = 0; i < plan->step_count; i++) {
        if ((own->before >> i & 1) != 0 && !is_done(after[i].state) &&
            !is_done(m->steps[i].state)) {
            return wrong(j, "step %s begins while %s before it is %s", own->name,
                         plan->steps[i].name, hf_step_state_wire(after[i].state));
        }
    }
    bool skips = own->when_gold && !gold;
    if (skips != (after[step].state == HF_STEP_SKIPPED)) {
        return wrong(j, "step %s is %s, and its `when` is %s", own->name,
                     hf_step_state_wire(after[step].state), skips ? "false" : "true");
    }
    j->sim->report->skipped += skips;
    return true;
}

/* Its compensation begins: nothing is under way, and what came behind it is undone. */
static bool check_undo(struct saga_judging *j, uint32_t step, const struct hf_saga_step *after)
{
    const struct saga_plan *plan = plan_of(j);
    if (!j->changed->compensating || j->changed->past_pivot) {
        return wrong(j, "step %s is undone although the saga goes forward", plan->steps[step].name);
    }
    for (uint32_t i = 0; i < plan->step_count; i++) {
        if (is_under_way(after[i].state)) {
            return wrong(j, "step %s is undone while %s is under way", plan->steps[step].name,
                         plan->steps[i].name);
        }
        if ((plan->steps[i].before >> step & 1) != 0 &&
            !is_settled(&plan->steps[i], after[i].state)) {
            return wrong(j, "step %s is undone before %s behind it, which is %s",
                         plan->steps[step].name, plan->steps[i].name,
                         hf_step_state_wire(after[i].state));
        }
    }
    return true;
}

/* A parked step that is no call goes back to where it waits for its turn. */
static bool begins_anew(const struct saga_plan_step *own, const struct hf_saga_step *before,
                        const struct hf_saga_step *after)
{
    if (before->state != HF_STEP_PARKED) {
        return false;
    }
    if (before->op == HF_SAGA_ACTION) {
        return own->action != SAGA_WORK_HTTP && after->state == HF_STEP_PENDING;
    }
    return own->undo != SAGA_WORK_HTTP &&
           after->state == (before->unknown ? HF_STEP_UNKNOWN : HF_STEP_SUCCEEDED);
}

static bool check_step(struct saga_judging *j, struct mirror *m, uint32_t step,
                       const struct hf_saga_step *all)
{
    const struct saga_plan_step *own = &plan_of(j)->steps[step];
    const struct hf_saga_step *before = &m->steps[step];
    const struct hf_saga_step *after = &all[step];
    const struct hf_saga_changed *c = j->changed;
    bool given_up = before->state == HF_STEP_WAITING && after->state == HF_STEP_PENDING &&
                    c->compensating &&
                    (own->action == SAGA_WORK_SLEEP || own->action == SAGA_WORK_EVENT);
    if ((next_states(before) & BIT(after->state)) == 0 && !given_up &&
        !(c->act == HF_SAGA_ACT_RETRY && begins_anew(own, before, after))) {
        return wrong(j, "step %s was %s and becomes %s", own->name,
                     hf_step_state_wire(before->state), hf_step_state_wire(after->state));
    }
    if (before->state == HF_STEP_PENDING && after->state != HF_STEP_PENDING &&
        !check_begin(j, m, step, all)) {
        return false;
    }
    bool undoes = after->op == HF_SAGA_COMPENSATION && after->state != before->state &&
                  (before->op != HF_SAGA_COMPENSATION || before->state == HF_STEP_SUCCEEDED ||
                   before->state == HF_STEP_UNKNOWN);
    if (undoes && !check_undo(j, step, all)) {
        return false;
    }
    bool fails = after->state == HF_STEP_FAILED && before->state != HF_STEP_FAILED;
    if (fails && m->open_end[step] && c->act != HF_SAGA_ACT_FAIL) {
        return wrong(j, "step %s counts as not done, but an attempt of it had no definite answer",
                     own->name);
    }
    bool by_time = c->act == HF_SAGA_ACT_TIMER && is_under_way(before->state) &&
                   after->state == HF_STEP_UNKNOWN;
    if (by_time && !c->compensating) {
        return wrong(j, "step %s timed out and nothing is undone", own->name);
    }
    j->sim->report->timed_out += by_time;
    j->sim->report->unknown_refused += c->act == HF_SAGA_ACT_ANSWER && c->step == step &&
                                       c->outcome == HF_OUTCOME_FAIL &&
                                       after->state == HF_STEP_UNKNOWN;
    bool due = after->state == HF_STEP_RUNNING || after->state == HF_STEP_COMPENSATING;
    for (uint32_t a = 1; due && a <= after->attempts && a < ATTEMPTS_MAX; a++) {
        uint64_t *at = &m->due_at[step][after->op == HF_SAGA_COMPENSATION][a];
        *at = *at == 0 ? j->commit->position : *at;
    }
    return true;
}

/* ---- an event ---- */

static bool check_end(struct saga_judging *j, const struct hf_saga_step *after)
{
    const struct saga_plan *plan = plan_of(j);
    enum hf_saga_state state = j->changed->state;
    if (hf_saga_ended(state) != j->ends) {
        return wrong(j, "it is %s in an event of another kind", hf_saga_state_wire(state));
    }
    for (uint32_t i = 0; i < plan->step_count; i++) {
        bool fits = state == HF_SAGA_SUCCEEDED     ? is_done(after[i].state)
                    : state == HF_SAGA_COMPENSATED ? is_settled(&plan->steps[i], after[i].state)
                                                   : true;
        if (!fits) {
            return wrong(j, "it is %s, and step %s is %s", hf_saga_state_wire(state),
                         plan->steps[i].name, hf_step_state_wire(after[i].state));
        }
    }
    j->sim->report->ended[state] += j->ends;
    return true;
}

static bool check_whole(struct saga_judging *j, const struct mirror *m)
{
    const struct hf_saga_changed *c = j->changed;
    if (c->version != m->version + 1 || c->previous_position != m->last_position) {
        return wrong(j, "version %llu behind %llu, previous position %llu instead of %llu",
                     (ull)c->version, (ull)m->version, (ull)c->previous_position,
                     (ull)m->last_position);
    }
    if (m->ended && (c->act != HF_SAGA_ACT_FORGET && (!c->late || c->state != m->state))) {
        return wrong(j, "it had ended as %s", hf_saga_state_wire(m->state));
    }
    if (m->past_pivot && (c->compensating || !c->past_pivot)) {
        return wrong(j, "it had come past its pivot");
    }
    if (m->compensating && !c->compensating && !c->past_pivot) {
        return wrong(j, "it was being undone, and goes forward");
    }
    if (c->state == HF_SAGA_COMPENSATING && !c->compensating) {
        return wrong(j, "compensating, and not");
    }
    if (c->late && c->after_count > 0) {
        return wrong(j, "a late answer changes something");
    }
    return true;
}

static bool check_act(struct saga_judging *j, struct mirror *m)
{
    const struct hf_saga_changed *c = j->changed;
    struct saga_report *report = j->sim->report;
    report->acts[c->act]++;
    report->late += c->late;
    report->native_refused += c->act == HF_SAGA_ACT_NATIVE;
    bool by_operator = c->act >= HF_SAGA_ACT_COMPLETE && hf_str_present(c->actor);
    if (by_operator && c->step != UINT32_MAX &&
        (c->act == HF_SAGA_ACT_SKIP || c->act == HF_SAGA_ACT_COMPLETE ||
         c->act == HF_SAGA_ACT_FAIL)) {
        m->by_hand[c->step] = true;
    }
    if (c->act != HF_SAGA_ACT_ANSWER) {
        return true;
    }
    (c->op == HF_SAGA_ACTION ? report->outcomes : report->outcomes_undo)[c->outcome]++;
    bool open = false;
    if (!check_answer(j, &open)) {
        return false;
    }
    m->open_end[c->step] = m->open_end[c->step] || (open && c->op == HF_SAGA_ACTION);
    return true;
}

static bool find_saga(struct saga_judging *j)
{
    for (uint32_t i = 0; i < j->sim->saga_count; i++) {
        if (hf_str_equal(j->changed->saga.text, hf_str_from(j->sim->sagas[i].id))) {
            j->saga = i;
            return true;
        }
    }
    return run_fail(j->run, "commit %llu is of a saga that nobody started",
                    (ull)j->commit->position);
}

/* One line an event, for whoever looks at a seed. */
static void say(const struct saga_judging *j)
{
    const struct hf_saga_changed *c = j->changed;
    const struct saga_plan *plan = plan_of(j);
    printf("%8llu %s %s %s %s attempt %u: %s %u%s -> %s%s%s:", (ull)j->commit->position,
           j->sim->sagas[j->saga].id, hf_saga_act_wire(c->act),
           c->step == UINT32_MAX ? "-" : plan->steps[c->step].name,
           c->op == 0 ? "-" : hf_saga_op_wire(c->op), c->attempt,
           c->outcome == 0 ? "-" : hf_saga_outcome_wire(c->outcome), c->status,
           c->late ? " late" : "", hf_saga_state_wire(c->state),
           c->compensating ? ", compensating" : "", c->past_pivot ? ", past its pivot" : "");
    for (uint32_t i = 0; i < c->after_count; i++) {
        const struct hf_saga_step_after *after = &c->after[i];
        printf(" %s %s%s", plan->steps[after->step].name, hf_step_state_wire(after->after.state),
               after->after.unknown ? " (unknown)" : "");
    }
    printf(" %.*s\n", (int)c->error.len, c->error.ptr == NULL ? "" : c->error.ptr);
}

static bool judge_event(struct saga_judging *j, const struct hf_event *event)
{
    j->changed = event->saga;
    j->ends = event->type == HF_EVENT_SAGA_ENDED;
    if (!find_saga(j)) {
        return false;
    }
    if (j->run->verbose) {
        say(j);
    }
    struct mirror *m = &j->mirrors[j->saga];
    const struct hf_saga_changed *c = j->changed;
    uint32_t count = plan_of(j)->step_count;
    if ((event->type == HF_EVENT_SAGA_STARTED) == m->begun || m->forgotten) {
        return wrong(j, "it %s", m->begun ? "begins twice" : "moves before it begins");
    }
    if (!m->begun) {
        m->begun = true;
        for (uint32_t i = 0; i < count; i++) {
            m->steps[i] = (struct hf_saga_step){.state = HF_STEP_PENDING, .op = HF_SAGA_ACTION};
        }
    }
    struct hf_saga_step after[SAGA_STEPS_MAX];
    memcpy(after, m->steps, sizeof(after));
    for (uint32_t i = 0; i < c->after_count; i++) {
        if (c->after[i].step >= count) {
            return wrong(j, "it has no step %u", c->after[i].step);
        }
        after[c->after[i].step] = c->after[i].after;
    }
    if (c->act == HF_SAGA_ACT_FORGET) {
        m->forgotten = true;
        j->sim->report->acts[c->act]++;
        return m->ended || wrong(j, "it is forgotten before it has ended");
    }
    if (!check_whole(j, m) || !check_act(j, m)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!check_step(j, m, i, after)) {
            return false;
        }
    }
    if (!m->ended && !check_end(j, after)) {
        return false;
    }
    j->sim->report->parked += c->state == HF_SAGA_PARKED && m->state != HF_SAGA_PARKED;
    memcpy(m->steps, after, sizeof(after));
    m->ended = m->ended || j->ends;
    m->state = c->state;
    m->compensating = c->compensating;
    m->past_pivot = c->past_pivot;
    m->version = c->version;
    m->last_position = j->commit->position;
    return true;
}

/* ---- at the end ---- */

/* No call left before the attempt was durable. */
static bool check_contacts(struct saga_judging *j)
{
    for (size_t i = 0; i < j->sim->contact_count; i++) {
        const struct saga_contact *contact = &j->sim->contacts[i];
        const struct mirror *m = &j->mirrors[contact->saga];
        uint64_t due_at =
            contact->attempt == 0 || contact->attempt >= ATTEMPTS_MAX
                ? 1
                : m->due_at[contact->step][contact->op == HF_SAGA_COMPENSATION][contact->attempt];
        if (due_at == 0 || due_at > contact->durable) {
            return run_fail(j->run,
                            "%s, step %u, %s, attempt %u was sent when position %llu was durable; "
                            "it was due at %llu",
                            j->sim->sagas[contact->saga].id, contact->step,
                            hf_saga_op_wire(contact->op), contact->attempt, (ull)contact->durable,
                            (ull)due_at);
        }
    }
    return true;
}

/* What the participant did is what the step says. */
static bool check_row(struct saga_judging *j, uint32_t number, uint32_t step)
{
    const struct sim_saga *saga = &j->sim->sagas[number];
    const struct saga_plan_step *own = &saga->plan->steps[step];
    const struct saga_row *row = &saga->rows[step];
    const struct mirror *m = &j->mirrors[number];
    enum hf_step_state state = m->steps[step].state;
    if (own->action != SAGA_WORK_HTTP || m->by_hand[step] || m->state == HF_SAGA_ABANDONED ||
        (state == HF_STEP_COMPENSATED && own->undo == SAGA_WORK_NONE)) {
        return true;
    }
    bool there = row->done > row->undone;
    bool right = row->done <= 1 && row->undone <= row->done;
    if (state == HF_STEP_SUCCEEDED) {
        right = right && there;
    } else if (state != HF_STEP_UNKNOWN) { /* unknown at the end: it has no compensation */
        right = right && !there;
    }
    return right ||
           run_fail(
               j->run,
               "%s has ended as %s; its step %s is %s, but was done %u times and undone %u times",
               saga->id, hf_saga_state_wire(m->state), own->name, hf_step_state_wire(state),
               row->done, row->undone);
}

/* The native steps, by the accounts. */
static bool check_money(struct saga_judging *j, const struct hf_state *state)
{
    hf_i128 shop = 0;
    hf_i128 held = 0;
    for (uint32_t i = 0; i < j->sim->saga_count; i++) {
        const struct saga_plan *plan = j->sim->sagas[i].plan;
        for (uint32_t s = 0; j->mirrors[i].begun && s < plan->step_count; s++) {
            enum saga_work work = plan->steps[s].action;
            bool done =
                j->mirrors[i].steps[s].state == HF_STEP_SUCCEEDED && !j->mirrors[i].by_hand[s];
            if (j->mirrors[i].by_hand[s] &&
                (work == SAGA_WORK_TRANSFER || work == SAGA_WORK_POOR || work == SAGA_WORK_HOLD)) {
                return true; /* an operator's word stands for money that did not move */
            }
            shop += done && (work == SAGA_WORK_TRANSFER || work == SAGA_WORK_POOR);
            held += done && work == SAGA_WORK_HOLD;
        }
    }
    struct hf_name name;
    struct hf_arena arena;
    hf_arena_init(&arena);
    HF_CHECK(hf_name_make(HF_STR("s:shop"), &arena, &name));
    const struct hf_account *account = hf_state_account(state, &name.id);
    hf_arena_release(&arena);
    if (account == NULL) {
        return shop == 0 || run_fail(j->run, "native steps moved money of no account");
    }
    hf_i128 posted =
        (hf_i128)account->totals.credits_posted - (hf_i128)account->totals.debits_posted;
    hf_i128 pending = (hf_i128)account->totals.credits_pending;
    return (posted == shop && pending == held) ||
           run_fail(j->run, "the shop has %lld and %lld pending; its sagas gave it %lld and %lld",
                    (long long)posted, (long long)pending, (long long)shop, (long long)held);
}

static bool check_left(struct saga_judging *j, const struct hf_state *state)
{
    for (uint32_t i = 0; i < j->sim->saga_count; i++) {
        const struct mirror *m = &j->mirrors[i];
        if (!m->begun) {
            continue;
        }
        if (!m->ended) {
            return run_fail(j->run, "%s has not ended: %s", j->sim->sagas[i].id,
                            hf_saga_state_wire(m->state));
        }
        for (uint32_t s = 0; s < j->sim->sagas[i].plan->step_count; s++) {
            if (!check_row(j, i, s)) {
                return false;
            }
        }
    }
    return check_money(j, state);
}

bool saga_judge(struct saga_sim *sim, struct run_house *house)
{
    struct run *run = sim->run;
    struct judge judge = {.run = run};
    struct saga_judging j = {.sim = sim, .run = run};
    const struct hf_state *state = hf_node_state(house->node);
    j.mirrors = hf_sim_calloc(SAGA_COUNT_MAX, sizeof(*j.mirrors));
    hf_arena_init(&judge.arena);
    bool ok = judge_read_log(&judge, house->log, house->status.seq);
    for (size_t i = 0; ok && i < judge.count; i++) {
        j.commit = &judge.commits[i].commit;
        for (uint32_t e = 0; ok && e < j.commit->event_count; e++) {
            const struct hf_event *event = j.commit->events[e];
            bool of_saga = event->type == HF_EVENT_SAGA_STARTED ||
                           event->type == HF_EVENT_SAGA_CHANGED ||
                           event->type == HF_EVENT_SAGA_ENDED;
            ok = !of_saga || judge_event(&j, event);
        }
    }
    ok = ok && check_contacts(&j) && check_left(&j, state) &&
         judge_from_zero(&judge, house->log, house->status.seq, state);
    run->report->commits_compared += judge.count;
    hf_arena_release(&judge.arena);
    free(judge.commits);
    free(judge.checkpoints);
    free(j.mirrors);
    return ok;
}
