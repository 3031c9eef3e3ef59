#include "sim/check_priv.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"

void hf_checker_init(struct hf_checker *checker, uint64_t key_retention_us)
{
    *checker =
        (struct hf_checker){.model = hf_model_new(key_retention_us), .witness = hf_witness_new()};
    HF_CHECK(checker->model != NULL);
}

void hf_checker_release(struct hf_checker *checker)
{
    hf_model_free(checker->model);
    hf_witness_free(checker->witness);
    *checker = (struct hf_checker){0};
}

HF_PRINTF(2, 3) static bool say(char difference[HF_DIFFERENCE_BYTES], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(difference, HF_DIFFERENCE_BYTES, format, arguments);
    va_end(arguments);
    return false;
}

typedef unsigned long long ull;

static bool check_order(const struct hf_checker *checker, const struct hf_commit *real,
                        char *difference)
{
    const struct hf_model *model = checker->model;
    if (real->position != model->position + 1) {
        return say(difference, "commit %llu follows commit %llu", (ull)real->position,
                   (ull)model->position);
    }
    if (real->time_us <= model->time_us) {
        return say(difference, "commit %llu: time %llu is not above the one before, %llu",
                   (ull)real->position, (ull)real->time_us, (ull)model->time_us);
    }
    if (real->space != 0) {
        return say(difference, "commit %llu: space is %u, model says 0", (ull)real->position,
                   real->space);
    }
    return true;
}

static bool check_header(const struct hf_command *command, const struct hf_commit *real,
                         char *difference)
{
    ull at = real->position;
    bool has_key = hf_str_present(command->key);
    if (real->origin != HF_ORIGIN_CLIENT || !hf_str_equal(real->principal, command->principal)) {
        return say(difference, "commit %llu: principal is \"%.*s\", the command's is \"%.*s\"", at,
                   (int)real->principal.len, real->principal.ptr, (int)command->principal.len,
                   command->principal.ptr);
    }
    if (has_key != hf_str_present(real->key) || !hf_str_equal(real->key, command->key)) {
        return say(difference, "commit %llu: key is \"%.*s\", the command's is \"%.*s\"", at,
                   (int)real->key.len, real->key.ptr, (int)command->key.len, command->key.ptr);
    }
    if (real->has_fingerprint != has_key ||
        (has_key && memcmp(real->fingerprint, command->fingerprint, 16) != 0)) {
        return say(difference, "commit %llu: the fingerprint is not the command's", at);
    }
    if (real->has_ops_hash && memcmp(real->ops_hash, command->ops_hash, 16) != 0) {
        return say(difference, "commit %llu: the hash of the operations is not the command's", at);
    }
    if (command->replays_by_id != real->has_ops_hash) {
        return say(difference, "commit %llu: the hash of the operations is missing", at);
    }
    if (real->operation_count != command->op_count) {
        return say(difference, "commit %llu: %u operations, the command has %u", at,
                   real->operation_count, command->op_count);
    }
    if (!hf_str_equal(real->metadata.text, command->metadata.text)) {
        return say(difference, "commit %llu: its metadata is not the command's", at);
    }
    return true;
}

static const char *where_name(enum hf_where where)
{
    return where == HF_WHERE_IF ? "if" : where == HF_WHERE_DO ? "do" : "nowhere";
}

static bool check_refusal(const char *what, enum hf_err code, enum hf_where where, uint32_t index,
                          const struct hf_entity *current, const struct hf_model_answer *model,
                          char *difference)
{
    if (code != model->code || where != model->where ||
        (where != HF_WHERE_NONE && index != model->index)) {
        return say(difference, "%s: refused with %s at %s %u, model says %s at %s %u", what,
                   hf_err_wire(code), where_name(where), index, hf_err_wire(model->code),
                   where_name(model->where), model->index);
    }
    char text[120];
    (void)snprintf(text, sizeof(text), "%s (%s)", what, hf_err_wire(code));
    return current == NULL || hf_compare_entity(text, current, &model->current, difference);
}

static bool check_spent(const char *what, const struct hf_refused *real,
                        const struct hf_model_answer *model, char *difference)
{
    if (real->spent_count != model->spent_count) {
        return say(difference, "%s: %u ids spent, model says %u", what, real->spent_count,
                   model->spent_count);
    }
    for (uint32_t i = 0; i < model->spent_count; i++) {
        uint32_t j = 0;
        while (j < real->spent_count &&
               (real->spent[j].kind != model->spent[i].kind ||
                !hf_name_equal(&real->spent[j].name, &model->spent[i].name))) {
            j++;
        }
        if (j == real->spent_count) {
            return say(difference, "%s: id %.*s is not spent, model says it is", what,
                       (int)model->spent[i].name.text.len, model->spent[i].name.text.ptr);
        }
    }
    return true;
}

/* Expiries and operations' effects, one by one. */
static bool check_events(const struct hf_commit *real, const struct hf_model_answer *model,
                         char *difference)
{
    char what[80];
    uint32_t expected = model->event_count + (model->outcome == HF_MODEL_REFUSED ? 1 : 0);
    for (uint32_t i = 0; i < real->event_count && i < model->event_count; i++) {
        if (model->events[i].operation == HF_NO_OPERATION) {
            (void)snprintf(what, sizeof(what), "commit %llu event %u", (ull)real->position, i);
        } else {
            (void)snprintf(what, sizeof(what), "commit %llu op %u", (ull)real->position,
                           model->events[i].operation);
        }
        if (!hf_compare_event(what, real->events[i], &model->events[i], difference)) {
            return false;
        }
    }
    if (real->event_count != expected) {
        return say(difference, "commit %llu: %u events, model says %u", (ull)real->position,
                   real->event_count, expected);
    }
    return true;
}

/* From now on the document has the bytes that were stored. */
static void adopt_texts(struct hf_model *model, const struct hf_commit *real)
{
    for (uint32_t i = 0; i < real->event_count; i++) {
        const struct hf_event *event = real->events[i];
        if (event->type != HF_EVENT_DOCUMENT_PUT || !event->document.patched) {
            continue;
        }
        struct hf_model_thing *thing =
            hf_model_find(model, HF_KIND_DOCUMENT, &event->document.document);
        if (thing != NULL && thing->document.exists &&
            thing->document.version == event->document.version) {
            struct hf_str copy = hf_arena_copy(&model->arena, event->document.data.text);
            HF_CHECK(copy.ptr != NULL);
            thing->text = copy;
            thing->document.bytes = copy.len;
        }
    }
}

/* A refused unit's event. */
static bool check_unit_refused(const char *what, const struct hf_event *real,
                               const struct hf_event *model, char *difference)
{
    const struct hf_refused *got = &real->unit_refused.refused;
    const struct hf_refused *want = &model->unit_refused.refused;
    if (got->code != want->code || got->index != want->index ||
        real->unit_refused.count != model->unit_refused.count ||
        got->spent_count != want->spent_count || got->current.kind != HF_KIND_NONE) {
        return say(
            difference, "%s: %s by record %u of %u, %u ids spent; model says %s by %u of %u, %u",
            what, hf_err_wire(got->code), got->index, real->unit_refused.count, got->spent_count,
            hf_err_wire(want->code), want->index, model->unit_refused.count, want->spent_count);
    }
    for (uint32_t i = 0; i < want->spent_count; i++) {
        if (got->spent[i].kind != want->spent[i].kind ||
            !hf_name_equal(&got->spent[i].name, &want->spent[i].name)) {
            return say(difference, "%s: another id is spent than model says", what);
        }
    }
    return true;
}

/* The model's events in its order, the real ones in theirs: a strip stands behind the refusals. */
static bool check_unit_events(const struct hf_commit *real, const struct hf_model_answer *model,
                              char *difference)
{
    char what[80];
    uint32_t expiries = 0;
    for (uint32_t i = 0; i < model->event_count; i++) {
        const struct hf_event *wanted = &model->events[i];
        const struct hf_event *event = NULL;
        if (wanted->operation == HF_NO_OPERATION) {
            event = expiries < real->event_count ? real->events[expiries] : NULL;
            expiries++;
        }
        for (uint32_t j = expiries; event == NULL && j < real->event_count; j++) {
            event = real->events[j]->operation == wanted->operation ? real->events[j] : NULL;
        }
        (void)snprintf(what, sizeof(what), "commit %llu record %u", (ull)real->position,
                       wanted->operation);
        if (event == NULL || event->type != wanted->type) {
            return say(difference, "%s: model says %s", what, hf_event_wire(wanted->type));
        }
        bool same = wanted->type == HF_EVENT_UNIT_REFUSED
                        ? check_unit_refused(what, event, wanted, difference)
                        : hf_compare_event(what, event, wanted, difference);
        if (!same) {
            return false;
        }
    }
    return real->event_count == model->event_count ||
           say(difference, "commit %llu: %u events, model says %u", (ull)real->position,
               real->event_count, model->event_count);
}

static bool check_units(struct hf_checker *checker, const struct hf_command *command,
                        const struct hf_commit *real, char *difference)
{
    struct hf_model *model = checker->model;
    const struct hf_model_answer *answer =
        hf_model_decide(model, command, real->position, real->time_us);
    if (!real->each || !answer->recorded) {
        return say(difference, "commit %llu: %s", (ull)real->position,
                   real->each ? "model says that nothing of it is new" : "it is not one of units");
    }
    if (!check_unit_events(real, answer, difference)) {
        return false;
    }
    hf_naive_adopt(model, real);
    hf_naive_commit_ends(model, real);
    return true;
}

/* What the client was told of each record. */
static bool check_outcomes(const char *what, const struct hf_outcome *real,
                           const struct hf_outcome *model, uint32_t count, char *difference)
{
    for (uint32_t i = 0; i < count; i++) {
        if (real[i].code != model[i].code || real[i].flags != model[i].flags) {
            return say(difference, "%s: record %u of %u: %s, flags %u; model says %s, flags %u",
                       what, i, count, hf_err_wire((enum hf_err)real[i].code), real[i].flags,
                       hf_err_wire((enum hf_err)model[i].code), model[i].flags);
        }
    }
    return true;
}

bool hf_checker_outcomes(const struct hf_checker *checker, uint64_t position,
                         const struct hf_outcome *outcomes, uint32_t count,
                         char difference[HF_DIFFERENCE_BYTES])
{
    char what[80];
    (void)snprintf(what, sizeof(what), "commit %llu", (ull)position);
    return check_outcomes(what, outcomes, checker->model->outcomes[position], count, difference);
}

static bool check_client(struct hf_checker *checker, const struct hf_command *command,
                         const struct hf_commit *real, char *difference)
{
    struct hf_model *model = checker->model;
    if (!check_header(command, real, difference)) {
        return false;
    }
    if (command->kind == HF_COMMAND_EACH) {
        return check_units(checker, command, real, difference);
    }
    const struct hf_refused *refused = hf_commit_refusal(real);
    const struct hf_model_answer *answer =
        hf_model_decide(model, command, real->position, real->time_us);
    char what[80];
    (void)snprintf(what, sizeof(what), "commit %llu", (ull)real->position);
    if (answer->outcome == HF_MODEL_REPLAYED) {
        return say(difference, "%s: %s%s, model says: a replay of commit %llu by %s", what,
                   refused == NULL ? "accepted" : "refused with ",
                   refused == NULL ? "" : hf_err_wire(refused->code),
                   (ull)answer->replayed_position, answer->by_key ? "key" : "id");
    }
    if (answer->outcome == HF_MODEL_ACCEPTED && refused != NULL) {
        return say(difference, "%s: refused with %s at %s %u, model accepts", what,
                   hf_err_wire(refused->code), where_name(refused->where), refused->index);
    }
    if (answer->outcome == HF_MODEL_REFUSED && refused == NULL) {
        return say(difference, "%s: accepted, model refuses with %s at %s %u", what,
                   hf_err_wire(answer->code), where_name(answer->where), answer->index);
    }
    if (refused != NULL && !check_refusal(what, refused->code, refused->where, refused->index,
                                          &refused->current, answer, difference)) {
        return false;
    }
    if (!answer->recorded) {
        return say(difference, "%s: refused with %s and recorded, model does not record it", what,
                   hf_err_wire(answer->code));
    }
    if (refused != NULL && !check_spent(what, refused, answer, difference)) {
        return false;
    }
    if (!check_events(real, answer, difference)) {
        return false;
    }
    adopt_texts(model, real);
    hf_naive_adopt(model, real);
    hf_naive_commit_ends(model, real);
    return true;
}

/* Time-outs and delayed messages: what the model expects is compared. */
static bool check_booking(struct hf_checker *checker, const struct hf_commit *real,
                          const struct hf_event *event, char *difference)
{
    char what[80];
    const char *wrong = "a time-out that is not due";
    const struct hf_event *expected =
        event->type == HF_EVENT_MESSAGE_DUE
            ? hf_naive_due(checker->model, &wrong)
            : hf_naive_time_out_event(checker->model, &event->settled);
    if (expected == NULL) {
        return say(difference, "commit %llu: %s", (ull)real->position, wrong);
    }
    (void)snprintf(what, sizeof(what), "commit %llu by the timer", (ull)real->position);
    return hf_compare_event(what, event, expected, difference);
}

/* What the system does to topics and subscriptions. */
static bool check_queue_event(struct hf_checker *checker, const struct hf_commit *real,
                              const struct hf_event *event, char *difference)
{
    const char *wrong = NULL;
    if (event->type == HF_EVENT_SUBSCRIPTION_SCANNED) {
        wrong = hf_naive_scan(checker->model, &event->scanned);
    } else if (event->type == HF_EVENT_MESSAGES_REDRIVEN) {
        wrong = hf_naive_redrive_step(checker->model, &event->redriven);
    } else if (event->type == HF_EVENT_MESSAGE_DUE || event->type == HF_EVENT_MESSAGES_SETTLED) {
        return check_booking(checker, real, event, difference);
    } else {
        wrong = hf_event_wire(event->type);
    }
    return wrong == NULL ||
           say(difference, "commit %llu: the system made %s", (ull)real->position, wrong);
}

static bool check_system_event(struct hf_checker *checker, const struct hf_commit *real,
                               const struct hf_event *event, char *difference)
{
    struct hf_model *model = checker->model;
    bool hold = event->type == HF_EVENT_HOLD_EXPIRED;
    if (hold || event->type == HF_EVENT_LEASE_EXPIRED) {
        const struct hf_name *name = hold ? &event->posting.hold.name : &event->lease.name;
        const struct hf_event *expected =
            hf_model_expire(model, hold ? HF_KIND_HOLD : HF_KIND_LEASE, name);
        if (expected == NULL) {
            return say(difference, "commit %llu: %s %.*s expires, model says it is not due",
                       (ull)real->position, hold ? "hold" : "lease", (int)name->text.len,
                       name->text.ptr);
        }
        char what[80];
        (void)snprintf(what, sizeof(what), "commit %llu expiry", (ull)real->position);
        return hf_compare_event(what, event, expected, difference);
    }
    if (event->type == HF_EVENT_TAKEOVER) {
        hf_model_takeover(model);
        hf_naive_takeover(model);
        return true;
    }
    if (event->type == HF_EVENT_CHECKPOINT || event->type == HF_EVENT_TAIL_CUT ||
        event->type == HF_EVENT_FEATURE_LEVEL) {
        return true;
    }
    return check_queue_event(checker, real, event, difference);
}

static bool check_told(struct hf_checker *checker, const struct hf_told *told, char *difference)
{
    struct hf_model *model = checker->model;
    const struct hf_model_answer *answer =
        hf_model_try(model, told->command, model->position + 1, told->time_us);
    checker->answers++;
    char what[80];
    (void)snprintf(what, sizeof(what), "answer at commit %llu", (ull)model->position);
    if (answer->outcome == HF_MODEL_REFUSED) {
        model->counts.refused[answer->code]++;
    }
    if (told->outcome != answer->outcome) {
        static const char *const names[] = {"nothing", "accepted", "refused", "replayed"};
        return say(difference, "%s: %s %s, model says %s %s (commit %llu)", what,
                   names[told->outcome],
                   told->outcome == HF_MODEL_REFUSED ? hf_err_wire(told->code) : "",
                   names[answer->outcome],
                   answer->outcome == HF_MODEL_REFUSED ? hf_err_wire(answer->code) : "",
                   (ull)answer->replayed_position);
    }
    if (told->outcome == HF_MODEL_REPLAYED) {
        model->counts.replayed_by_key += answer->by_key;
        model->counts.replayed_by_id += !answer->by_key;
        if (told->unit && told->code != answer->code) {
            return say(difference, "%s: replays a unit with %s, model says %s", what,
                       hf_err_wire(told->code), hf_err_wire(answer->code));
        }
        model->counts.replayed_units += told->unit;
        return told->replayed_position == answer->replayed_position ||
               say(difference, "%s: replays commit %llu, model says commit %llu", what,
                   (ull)told->replayed_position, (ull)answer->replayed_position);
    }
    if (answer->recorded && !told->command->dry_run) {
        return say(difference, "%s: %s and not recorded, model records it", what,
                   told->outcome == HF_MODEL_REFUSED ? hf_err_wire(told->code) : "accepted");
    }
    if (told->outcome == HF_MODEL_REFUSED) {
        return check_refusal(what, told->code, told->where, told->index, told->current, answer,
                             difference);
    }
    if (told->outcomes != NULL) {
        return check_outcomes(what, told->outcomes, answer->outcomes, told->command->op_count,
                              difference);
    }
    return told->draft == NULL || check_events(told->draft, answer, difference);
}

/* Those that saw the position where the model is now. */
static bool check_waiting(struct hf_checker *checker, char *difference)
{
    struct hf_told_waiting **at = &checker->waiting;
    while (*at != NULL) {
        struct hf_told_waiting *waiting = *at;
        if (waiting->told.saw_position != checker->model->position) {
            at = &waiting->next;
            continue;
        }
        *at = waiting->next;
        checker->waiting_count--;
        if (!check_told(checker, &waiting->told, difference)) {
            return false;
        }
    }
    return true;
}

bool hf_checker_commit(struct hf_checker *checker, const struct hf_command *command,
                       const struct hf_commit *real, char difference[HF_DIFFERENCE_BYTES])
{
    struct hf_model *model = checker->model;
    difference[0] = '\0';
    if (!check_order(checker, real, difference)) {
        return false;
    }
    if ((command == NULL) != (real->origin == HF_ORIGIN_SYSTEM)) {
        return say(difference, "commit %llu: %s", (ull)real->position,
                   command == NULL ? "no client asked for it"
                                   : "a client's, recorded as the system's");
    }
    checker->commits++;
    if (!hf_witness_commit(checker->witness, real, difference)) {
        return false;
    }
    if (command != NULL) {
        if (!check_client(checker, command, real, difference)) {
            return false;
        }
        const struct hf_refused *refused = hf_commit_refusal(real);
        if (refused != NULL) {
            model->counts.refused[refused->code]++;
        }
        return check_waiting(checker, difference);
    }
    hf_model_begin_system(model, real->position, real->time_us);
    for (uint32_t i = 0; i < real->event_count; i++) {
        if (!check_system_event(checker, real, real->events[i], difference)) {
            return false;
        }
    }
    hf_naive_adopt(model, real);
    hf_naive_commit_ends(model, real);
    return check_waiting(checker, difference);
}

bool hf_checker_drained(struct hf_checker *checker, char difference[HF_DIFFERENCE_BYTES])
{
    return hf_witness_drained(checker->witness, difference);
}

bool hf_checker_told(struct hf_checker *checker, const struct hf_told *told,
                     char difference[HF_DIFFERENCE_BYTES])
{
    struct hf_model *model = checker->model;
    difference[0] = '\0';
    if (told->saw_position == model->position) {
        return check_told(checker, told, difference);
    }
    if (told->saw_position < model->position) {
        return say(difference, "an answer at commit %llu came when the model was at %llu",
                   (ull)told->saw_position, (ull)model->position);
    }
    struct hf_told_waiting *waiting = hf_arena_alloc_zero(&model->arena, 1, sizeof(*waiting));
    HF_CHECK(waiting != NULL);
    waiting->told = *told;
    waiting->told.command = hf_model_keep(model, told->command);
    waiting->told.current = NULL;
    waiting->told.draft = NULL;
    waiting->next = checker->waiting;
    checker->waiting = waiting;
    checker->waiting_count++;
    return true;
}

bool hf_checker_entity(struct hf_checker *checker, enum hf_kind kind, const struct hf_name *name,
                       const struct hf_entity *real, char difference[HF_DIFFERENCE_BYTES])
{
    struct hf_entity model = hf_model_entity(hf_model_find(checker->model, kind, name));
    char what[180];
    (void)snprintf(what, sizeof(what), "%s %.*s at commit %llu", hf_kind_wire(kind),
                   (int)name->text.len, name->text.ptr, (ull)checker->model->position);
    return hf_compare_entity(what, real, &model, difference);
}

/* What the state has of a thing. */
static struct hf_entity state_entity(const struct hf_state *state, enum hf_kind kind,
                                     const struct hf_id *id)
{
    struct hf_entity entity = {.kind = HF_KIND_NONE};
    const struct hf_account *account = hf_state_account(state, id);
    const struct hf_hold *hold = hf_state_hold(state, id);
    const struct hf_stream *stream = hf_state_stream(state, id);
    const struct hf_document *document = hf_state_document(state, id);
    const struct hf_lease *lease = hf_state_lease(state, id);
    if (kind == HF_KIND_ACCOUNT && account != NULL) {
        entity = (struct hf_entity){.kind = kind, .account = *account};
    } else if (kind == HF_KIND_HOLD && hold != NULL) {
        entity = (struct hf_entity){.kind = kind, .hold = *hold};
    } else if (kind == HF_KIND_STREAM && stream != NULL) {
        entity = (struct hf_entity){.kind = kind, .stream = *stream};
    } else if (kind == HF_KIND_DOCUMENT && document != NULL) {
        entity = (struct hf_entity){.kind = kind, .document = *document};
    } else if (kind == HF_KIND_LEASE && lease != NULL) {
        entity = (struct hf_entity){.kind = kind, .lease = *lease};
    }
    return entity;
}

/* Does the state keep this thing in RAM? */
static bool is_live(const struct hf_model_thing *thing)
{
    switch ((int)thing->kind) {
    case HF_KIND_HOLD:
        return !thing->spent && thing->hold.state == HF_HOLD_OPEN;
    case HF_KIND_LEASE:
        return thing->lease.held;
    default:
        return true;
    }
}

static bool check_kind(struct hf_checker *checker, const struct hf_state *state, enum hf_kind kind,
                       size_t real_count, char *difference)
{
    size_t count = 0;
    const struct hf_model_thing *thing = checker->model->newest[kind];
    for (; thing != NULL; thing = thing->before) {
        if (!is_live(thing)) {
            continue;
        }
        count++;
        struct hf_entity real = state_entity(state, kind, &thing->name.id);
        struct hf_entity model = hf_model_entity(thing);
        if (kind == HF_KIND_DOCUMENT && !thing->document.exists) {
            model = (struct hf_entity){.kind = kind, .document = thing->document};
        }
        char what[180];
        (void)snprintf(what, sizeof(what), "state at commit %llu: %s %.*s", (ull)state->position,
                       hf_kind_wire(kind), (int)thing->name.text.len, thing->name.text.ptr);
        if (!hf_compare_entity(what, &real, &model, difference)) {
            return false;
        }
    }
    return count == real_count ||
           say(difference, "state at commit %llu: %zu of kind %s, model says %zu",
               (ull)state->position, real_count, hf_kind_wire(kind), count);
}

bool hf_checker_state(struct hf_checker *checker, const struct hf_state *state,
                      char difference[HF_DIFFERENCE_BYTES])
{
    const struct hf_model *model = checker->model;
    difference[0] = '\0';
    checker->states++;
    if (state->position != model->position || state->time_us != model->time_us) {
        return say(
            difference, "state is at commit %llu, time %llu; model at commit %llu, time %llu",
            (ull)state->position, (ull)state->time_us, (ull)model->position, (ull)model->time_us);
    }
    return check_kind(checker, state, HF_KIND_ACCOUNT, hf_account_pool_count(&state->accounts),
                      difference) &&
           check_kind(checker, state, HF_KIND_HOLD, state->holds.count, difference) &&
           check_kind(checker, state, HF_KIND_STREAM, state->streams.count, difference) &&
           check_kind(checker, state, HF_KIND_DOCUMENT, state->documents.count, difference) &&
           check_kind(checker, state, HF_KIND_LEASE, state->leases.count, difference) &&
           hf_checker_queues(checker, state, difference);
}
