/* Readings: things against the model, pages and commits against the log as it was at that position. */
#include <stdarg.h>

#include "sim/judge_priv.h"

typedef unsigned long long ull;

void judge_describe(const struct run_op *op, char text[200])
{
    if (op->command == NULL) {
        (void)snprintf(text, 200, "read of %s %.*s%.*s", run_query_name(op->query->type),
                       (int)op->query->name.text.len, op->query->name.text.ptr,
                       (int)op->query->key.len, op->query->key.ptr);
        return;
    }
    const struct hf_command *command = op->command;
    size_t used = (size_t)snprintf(text, 200, "%s%s%.*s", command->dry_run ? "dry run " : "",
                                   hf_str_present(command->key) ? "key " : "",
                                   (int)command->key.len, command->key.ptr);
    if (command->kind == HF_COMMAND_CANCEL_KEY) {
        (void)snprintf(text + used, 200 - used, ": cancel");
        return;
    }
    if (command->kind == HF_COMMAND_EACH) {
        (void)snprintf(text + used, 200 - used, ": %u %s records", command->op_count,
                       command->plain != NULL ? "plain" : "packed");
        return;
    }
    for (uint32_t i = 0; i < command->op_count && used < 160; i++) {
        const struct hf_op *one = &command->ops[i];
        used += (size_t)snprintf(
            text + used, 200 - used, "%s%s %.*s", i == 0 ? ": " : ", ", hf_op_wire(one->type),
            (int)(one->subject.text.len < 30 ? one->subject.text.len : 30), one->subject.text.ptr);
        used = used < 200 ? used : 199;
    }
}

HF_PRINTF(2, 3) static bool say(char *difference, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(difference, HF_DIFFERENCE_BYTES, format, arguments);
    va_end(arguments);
    return false;
}

static bool expect_code(const struct run_reading *real, enum hf_err expected, char *difference)
{
    return real->code == expected || say(difference, "the read says %s, model says %s",
                                         hf_err_wire(real->code), hf_err_wire(expected));
}

static bool expect_text(struct hf_str real, struct hf_str model, char *difference)
{
    return hf_str_equal(real, model) || say(difference, "the text is \"%.*s\", model says \"%.*s\"",
                                            real.len > 100 ? 100 : (int)real.len, real.ptr,
                                            model.len > 100 ? 100 : (int)model.len, model.ptr);
}

/* An entity with everything that its kind has, ended ones too. */
static struct hf_entity entity_of(const struct hf_model_thing *thing)
{
    struct hf_entity entity = hf_model_entity(thing);
    if (thing->kind == HF_KIND_LEASE) {
        entity = (struct hf_entity){.kind = HF_KIND_LEASE, .lease = thing->lease};
    }
    return entity;
}

static const struct {
    enum hf_kind kind;
    enum hf_err missing;
} things[HF_QUERY_TYPE_COUNT] = {
    [HF_QUERY_ACCOUNT] = {HF_KIND_ACCOUNT, HF_ERR_ACCOUNT_NOT_FOUND},
    [HF_QUERY_TRANSFER] = {HF_KIND_TRANSFER, HF_ERR_TRANSFER_NOT_FOUND},
    [HF_QUERY_HOLD] = {HF_KIND_HOLD, HF_ERR_HOLD_NOT_FOUND},
    [HF_QUERY_STREAM] = {HF_KIND_STREAM, HF_ERR_STREAM_NOT_FOUND},
    [HF_QUERY_STREAM_EVENTS] = {HF_KIND_STREAM, HF_ERR_STREAM_NOT_FOUND},
    [HF_QUERY_LEASE] = {HF_KIND_LEASE, HF_ERR_LEASE_NOT_FOUND},
    [HF_QUERY_ENTRIES] = {HF_KIND_ACCOUNT, HF_ERR_ACCOUNT_NOT_FOUND},
};

/* An ended lease is forgotten when another name with the same 128 bits is acquired. */
static bool lease_is_overlaid(const struct judge *judge, const struct hf_name *name)
{
    const struct hf_model_thing *thing = judge->checker.model->newest[HF_KIND_LEASE];
    for (; thing != NULL; thing = thing->before) {
        if (!thing->gone && hf_id_equal(&thing->name.id, &name->id) &&
            !hf_str_equal(thing->name.text, name->text)) {
            return true;
        }
    }
    return false;
}

static bool check_thing(struct judge *judge, const struct hf_query *query,
                        const struct run_reading *real, char *difference)
{
    const struct hf_model_thing *thing =
        hf_model_find(judge->checker.model, things[query->type].kind, &query->name);
    bool there = thing != NULL && !thing->spent && !thing->gone;
    if (there && query->type == HF_QUERY_LEASE && !thing->lease.held &&
        real->code == HF_ERR_LEASE_NOT_FOUND && lease_is_overlaid(judge, &query->name)) {
        return true;
    }
    if (!expect_code(real, there ? HF_ERR_OK : things[query->type].missing, difference)) {
        return false;
    }
    if (!there) {
        return true;
    }
    char what[100];
    (void)snprintf(what, sizeof(what), "read at position %llu", (ull)real->position);
    struct hf_entity model = entity_of(thing);
    if (!hf_compare_entity(what, &real->entity, &model, difference)) {
        return false;
    }
    if (thing->kind == HF_KIND_TRANSFER && real->entity.transfer.reversed != thing->reversed) {
        return say(difference, "%s: the sum of the reversals differs", what);
    }
    return query->type != HF_QUERY_ACCOUNT || expect_text(real->text, thing->text, difference);
}

/* ---- from the log ---- */

static const struct hf_event *document_event(const struct judge *judge,
                                             const struct hf_query *query, uint64_t version,
                                             const struct hf_commit **commit)
{
    for (uint64_t i = 0; i < judge->checker.model->position; i++) {
        *commit = &judge->commits[i].commit;
        for (uint32_t j = 0; j < (*commit)->event_count; j++) {
            const struct hf_event *event = (*commit)->events[j];
            if ((event->type == HF_EVENT_DOCUMENT_PUT ||
                 event->type == HF_EVENT_DOCUMENT_DELETED) &&
                hf_name_equal(&event->document.document, &query->name) &&
                event->document.version == version) {
                return event;
            }
        }
    }
    return NULL;
}

static bool check_document(struct judge *judge, const struct hf_query *query,
                           const struct run_reading *real, char *difference)
{
    const struct hf_model_thing *thing =
        hf_model_find(judge->checker.model, HF_KIND_DOCUMENT, &query->name);
    uint64_t version = thing == NULL        ? 0
                       : query->has_version ? query->version
                                            : thing->document.version;
    const struct hf_commit *commit = NULL;
    const struct hf_event *event =
        version == 0 ? NULL : document_event(judge, query, version, &commit);
    bool there = event != NULL && event->type == HF_EVENT_DOCUMENT_PUT;
    if (!expect_code(real, there ? HF_ERR_OK : HF_ERR_DOCUMENT_NOT_FOUND, difference)) {
        return false;
    }
    if (!there) {
        return true;
    }
    const struct hf_document *document = &real->entity.document;
    if (document->version != version || document->last_position != commit->position ||
        document->modified_at_us != commit->time_us || !document->exists) {
        return say(difference, "document version %llu of commit %llu, the log says %llu of %llu",
                   (ull)document->version, (ull)document->last_position, (ull)version,
                   (ull)commit->position);
    }
    return expect_text(real->text, event->document.data.text, difference) &&
           expect_text(real->entity.last_change_key, commit->key, difference);
}

static bool expect_commit(const struct judge *judge, uint64_t position, uint64_t checksum,
                          uint64_t expected, char *difference)
{
    if (position != expected) {
        return say(difference, "it shows commit %llu, model says commit %llu", (ull)position,
                   (ull)expected);
    }
    return checksum == judge->commits[position - 1].checksum ||
           say(difference, "commit %llu is not the one that the log has", (ull)position);
}

/* When the node that read decided its next commit at the latest; UINT64_MAX: it never did. */
static uint64_t next_decision_us(const struct judge *judge)
{
    uint64_t position = judge->checker.model->position;
    if (position == judge->count) {
        return UINT64_MAX;
    }
    const struct hf_commit *next = &judge->commits[position].commit;
    enum hf_event_type type = next->event_count > 0 ? next->events[0]->type : HF_EVENT_TAKEOVER;
    bool other_owner = type == HF_EVENT_TAKEOVER || type == HF_EVENT_TAIL_CUT;
    return other_owner ? UINT64_MAX : next->time_us;
}

static bool check_key(struct judge *judge, const struct hf_query *query,
                      const struct run_reading *real, char *difference)
{
    const struct hf_model *model = judge->checker.model;
    const struct hf_model_thing *thing = NULL;
    for (thing = model->newest[HF_KIND_KEY]; thing != NULL; thing = thing->before) {
        const struct hf_str name = thing->name.text;
        size_t len = query->principal.len;
        if (!thing->gone && name.len == len + 1 + query->key.len &&
            memcmp(name.ptr, query->principal.ptr, len) == 0 &&
            memcmp(name.ptr + len + 1, query->key.ptr, query->key.len) == 0) {
            break;
        }
    }
    bool alive = thing != NULL && thing->made_at_us + model->key_retention_us > model->time_us + 1;
    if (real->code == HF_ERR_KEY_NOT_FOUND && alive) {
        /* It may have been forgotten between the newest commit and the read. */
        uint64_t until_us = next_decision_us(judge);
        return thing->made_at_us + model->key_retention_us <= until_us ||
               say(difference, "the key is not found, model says commit %llu",
                   (ull)thing->made_position);
    }
    return expect_code(real, alive ? HF_ERR_OK : HF_ERR_KEY_NOT_FOUND, difference) &&
           (!alive || expect_commit(judge, real->commit_position, real->commit_checksum,
                                    thing->made_position, difference));
}

static bool check_commit(struct judge *judge, const struct hf_query *query,
                         const struct run_reading *real, char *difference)
{
    bool there = query->position > 0 && query->position <= judge->checker.model->position;
    return expect_code(real, there ? HF_ERR_OK : HF_ERR_COMMIT_NOT_FOUND, difference) &&
           (!there || expect_commit(judge, real->commit_position, real->commit_checksum,
                                    query->position, difference));
}

/* ---- pages ---- */

/* What a page shows next; the side is NULL for stream events. */
struct expected_item {
    uint64_t position;
    uint32_t event;
    const struct hf_side *side;
};

static bool check_item(struct judge *judge, const struct run_item *real,
                       const struct expected_item *expected, char *difference)
{
    if (!expect_commit(judge, real->position, real->commit_checksum, expected->position,
                       difference)) {
        return false;
    }
    if (real->event != expected->event || real->has_side != (expected->side != NULL)) {
        return say(difference, "the page shows event %u of commit %llu, the log says event %u",
                   real->event, (ull)real->position, expected->event);
    }
    if (expected->side != NULL &&
        (real->side_version != expected->side->version ||
         memcmp(&real->side_totals, &expected->side->totals, sizeof(real->side_totals)) != 0)) {
        return say(difference, "the page's entry of commit %llu differs from the log's",
                   (ull)real->position);
    }
    return true;
}

static bool check_page(struct judge *judge, const struct hf_query *query,
                       const struct run_reading *real, const struct expected_item *all,
                       size_t count, char *difference)
{
    size_t shown = count < query->limit ? count : query->limit;
    if (real->item_count != shown || real->more != (count > shown)) {
        return say(difference, "the page has %u items%s, the log says %zu%s", real->item_count,
                   real->more ? " and more" : "", shown, count > shown ? " and more" : "");
    }
    for (size_t i = 0; i < shown; i++) {
        if (!check_item(judge, &real->items[i], &all[i], difference)) {
            return false;
        }
    }
    return true;
}

static bool check_stream_events(struct judge *judge, const struct hf_query *query,
                                const struct run_reading *real, char *difference)
{
    struct expected_item all[HF_QUERY_LIMIT_MAX + 1];
    size_t count = 0;
    if (!check_thing(judge, query, real, difference)) {
        return false;
    }
    for (uint64_t i = 0; real->code == HF_ERR_OK && i < judge->checker.model->position; i++) {
        const struct hf_commit *commit = &judge->commits[i].commit;
        for (uint32_t j = 0; j < commit->event_count && count <= query->limit; j++) {
            const struct hf_event *event = commit->events[j];
            if (event->type == HF_EVENT_STREAM_APPENDED &&
                hf_name_equal(&event->appended.stream, &query->name) &&
                event->appended.version >= query->from) {
                all[count++] = (struct expected_item){commit->position, j, NULL};
            }
        }
    }
    return check_page(judge, query, real, all, count, difference);
}

static const struct hf_side *entry_of(const struct hf_event *event, const struct hf_name *account,
                                      unsigned which)
{
    const struct hf_side *side = NULL;
    if (event->type == HF_EVENT_ACCOUNT_CHANGED) {
        side = which == 0 ? &event->changed.side : NULL;
    } else if (event->type == HF_EVENT_TRANSFER_POSTED || event->type == HF_EVENT_HOLD_OPENED ||
               event->type == HF_EVENT_HOLD_CAPTURED || event->type == HF_EVENT_HOLD_VOIDED ||
               event->type == HF_EVENT_HOLD_EXPIRED) {
        /* Newest first: the credit was booked behind the debit. */
        side = which == 0 ? &event->posting.credit : &event->posting.debit;
    }
    return side != NULL && hf_name_equal(&side->account, account) ? side : NULL;
}

static bool check_entries(struct judge *judge, const struct hf_query *query,
                          const struct run_reading *real, char *difference)
{
    struct expected_item all[HF_QUERY_LIMIT_MAX + 1];
    size_t count = 0;
    if (!check_thing(judge, query, real, difference)) {
        return false;
    }
    for (uint64_t i = judge->checker.model->position; real->code == HF_ERR_OK && i > 0; i--) {
        const struct hf_commit *commit = &judge->commits[i - 1].commit;
        for (uint32_t j = commit->event_count; j > 0; j--) {
            for (unsigned which = 0; which < 2 && count <= query->limit; which++) {
                const struct hf_side *side = entry_of(commit->events[j - 1], &query->name, which);
                if (side != NULL && (query->from == 0 || side->version < query->from)) {
                    all[count++] = (struct expected_item){commit->position, j - 1, side};
                }
            }
        }
    }
    return check_page(judge, query, real, all, count, difference);
}

bool judge_reading(struct judge *judge, const struct run_submission *submission,
                   char difference[HF_DIFFERENCE_BYTES])
{
    static bool (*const checks[HF_QUERY_TYPE_COUNT])(struct judge *, const struct hf_query *,
                                                     const struct run_reading *, char *) = {
        [HF_QUERY_ACCOUNT] = check_thing,
        [HF_QUERY_TRANSFER] = check_thing,
        [HF_QUERY_HOLD] = check_thing,
        [HF_QUERY_STREAM] = check_thing,
        [HF_QUERY_STREAM_EVENTS] = check_stream_events,
        [HF_QUERY_DOCUMENT] = check_document,
        [HF_QUERY_LEASE] = check_thing,
        [HF_QUERY_KEY] = check_key,
        [HF_QUERY_COMMIT] = check_commit,
        [HF_QUERY_ENTRIES] = check_entries,
        [HF_QUERY_ACCOUNTS] = judge_names,
        [HF_QUERY_STREAMS] = judge_names,
        [HF_QUERY_DOCUMENTS] = judge_names,
        [HF_QUERY_TRANSFERS] = judge_of_account,
        [HF_QUERY_HOLDS] = judge_of_account,
        [HF_QUERY_BALANCE] = judge_balance,
        [HF_QUERY_STATEMENT] = judge_statement,
        [HF_QUERY_TOTALS] = judge_totals,
        [HF_QUERY_SUBSCRIPTION] = judge_subscription,
        [HF_QUERY_SUBSCRIPTIONS] = judge_subscriptions,
        [HF_QUERY_DEAD] = judge_dead,
        [HF_QUERY_MESSAGES] = judge_messages,
        [HF_QUERY_MESSAGE_HISTORY] = judge_history,
    };
    const struct run_reading *real = submission->reading;
    const struct hf_query *query = submission->op->query;
    if (real == NULL) {
        return say(difference, "a read was answered without a reading");
    }
    if (submission->answer.code != real->code) {
        return say(difference, "the answer says %s, its reading %s",
                   hf_err_wire(submission->answer.code), hf_err_wire(real->code));
    }
    if (real->position != submission->answer.seen_position ||
        real->time_us != judge->checker.model->time_us) {
        return say(difference,
                   "the reading is of position %llu, time %llu; the answer says %llu, the "
                   "log %llu",
                   (ull)real->position, (ull)real->time_us, (ull)submission->answer.seen_position,
                   (ull)judge->checker.model->time_us);
    }
    return checks[query->type](judge, query, real, difference);
}
