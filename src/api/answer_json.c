#include "api/answer_json.h"

#include <stdio.h>

#include "api/entity_json.h"
#include "api/problem_detail.h"
#include "api/saga_json.h"
#include "base/check.h"

enum hf_err hf_answer_code(const struct hf_commit *commit)
{
    const struct hf_refused *refused = hf_commit_refusal(commit);
    if (refused != NULL) {
        return refused->code;
    }
    bool cancelled = commit->event_count > 0 &&
                     commit->events[commit->event_count - 1]->type == HF_EVENT_KEY_CANCELLED;
    return cancelled ? HF_ERR_CANCELLED : HF_ERR_OK;
}

int hf_answer_status(const struct hf_commit *commit, bool dry_run)
{
    enum hf_err code = hf_answer_code(commit);
    if (code != HF_ERR_OK) {
        return hf_err_status(code);
    }
    return dry_run ? 200 : 201;
}

const struct hf_event *hf_answer_last_event(const struct hf_commit *commit)
{
    for (uint32_t i = commit->event_count; i > 0; i--) {
        const struct hf_event *event = commit->events[i - 1];
        if (event->operation != HF_NO_OPERATION && event->type != HF_EVENT_REFUSED) {
            return event;
        }
    }
    return NULL;
}

static void put_position(struct hf_json_writer *w, const struct hf_commit *commit, bool dry_run)
{
    if (dry_run) {
        hf_json_put_null(w, "position");
    } else {
        hf_json_put_number(w, "position", commit->position);
    }
}

static void put_result(struct hf_json_writer *w, const struct hf_commit *commit,
                       const struct hf_event *event)
{
    const char *operation = hf_event_operation(event);
    HF_CHECK(operation != NULL);
    hf_json_put_text(w, "op", hf_str_from(operation));
    if (event->type >= HF_EVENT_SAGA_DEFINED && event->type <= HF_EVENT_SAGA_VERBS) {
        hf_saga_result_json(w, commit, event);
    } else {
        hf_event_json(w, event);
    }
}

static void put_one_result(struct hf_json_writer *w, const struct hf_commit *commit,
                           const struct hf_event *event, bool dry_run)
{
    HF_CHECK(event != NULL);
    hf_json_begin_object(w, NULL);
    put_position(w, commit, dry_run);
    put_result(w, commit, event);
    hf_json_end_object(w);
}

void hf_answer_event_json(struct hf_buffer *to, const struct hf_commit *commit,
                          const struct hf_event *event)
{
    struct hf_json_writer w = hf_json_writer_over(to);
    put_one_result(&w, commit, event, false);
}

static void put_results(struct hf_json_writer *w, const char *name, const struct hf_commit *commit,
                        bool dry_run)
{
    hf_json_begin_object(w, name);
    put_position(w, commit, dry_run);
    hf_json_put_time(w, "time", commit->time_us);
    hf_json_begin_array(w, "results");
    for (uint32_t i = 0; i < commit->event_count; i++) {
        const struct hf_event *event = commit->events[i];
        if (event->operation == HF_NO_OPERATION) {
            continue; /* an expiry that was booked first */
        }
        hf_json_begin_object(w, NULL);
        if (commit->each) {
            hf_json_put_number(w, "index", event->operation);
        }
        put_result(w, commit, event);
        hf_json_end_object(w);
    }
    hf_json_end_array(w);
    hf_json_end_object(w);
}

/* The members that every problem has. */
static void put_problem(struct hf_json_writer *w, enum hf_err code, struct hf_str detail,
                        const char *failed)
{
    char type[80];
    (void)snprintf(type, sizeof(type), "urn:holdfast:problem:%s", hf_err_wire(code));
    hf_json_put_text(w, "type", hf_str_from(type));
    hf_json_put_text(w, "title", hf_str_from(hf_err_title(code)));
    hf_json_put_number(w, "status", (uint64_t)hf_err_status(code));
    hf_json_put_text(w, "detail", detail);
    hf_json_put_text(w, "code", hf_str_from(hf_err_wire(code)));
    if (failed[0] != '\0') {
        hf_json_put_text(w, "failed", hf_str_from(failed));
    }
}

static void put_current(struct hf_json_writer *w, const struct hf_entity *current)
{
    if (current->kind == HF_KIND_NONE) {
        hf_json_put_null(w, "current");
        return;
    }
    hf_json_begin_object(w, "current");
    hf_json_put_text(w, "kind", hf_str_from(hf_kind_wire(current->kind)));
    hf_entity_json(w, current);
    hf_json_end_object(w);
}

static void write_failed(const struct hf_refused *refused, enum hf_failed_form form,
                         char failed[static 32])
{
    failed[0] = '\0';
    if (refused->where == HF_WHERE_NONE || form == HF_FAILED_IN_OBJECT) {
        return;
    }
    if (form == HF_FAILED_IN_COMMIT) {
        (void)snprintf(failed, 32, "/%s/%u", refused->where == HF_WHERE_IF ? "if" : "do",
                       refused->index);
    } else if (refused->where == HF_WHERE_DO) {
        (void)snprintf(failed, 32, "/%u", refused->index);
    }
}

static void put_refusal(struct hf_json_writer *w, const char *name, const struct hf_commit *commit,
                        const struct hf_answer_form *form)
{
    static const struct hf_refused nothing = {.where = HF_WHERE_NONE};
    static const struct hf_entity hidden = {.kind = HF_KIND_NONE};
    const struct hf_refused *refused = hf_commit_refusal(commit);
    enum hf_err code = hf_answer_code(commit);
    refused = refused == NULL ? &nothing : refused;
    const struct hf_entity *current = form->hide_current ? &hidden : &refused->current;
    char failed[32];
    write_failed(refused, form->failed, failed);
    char detail[HF_PROBLEM_DETAIL_BYTES];
    hf_problem_detail(code, current, detail);
    if (form->hide_current && refused->current.kind != HF_KIND_NONE) {
        (void)snprintf(detail, sizeof(detail), "%s.", hf_err_title(code));
    }
    hf_json_begin_object(w, name);
    put_problem(w, code, hf_str_from(detail), failed);
    put_current(w, current);
    if (!form->dry_run && commit->position > 0) {
        char instance[48];
        (void)snprintf(instance, sizeof(instance), "/v1/commits/%llu",
                       (unsigned long long)commit->position);
        hf_json_put_text(w, "instance", hf_str_from(instance));
    }
    hf_json_end_object(w);
}

static void put_answer(struct hf_json_writer *w, const char *name, const struct hf_commit *commit,
                       const struct hf_answer_form *form)
{
    if (hf_answer_code(commit) != HF_ERR_OK) {
        put_refusal(w, name, commit, form);
    } else if (form->one_result) {
        put_one_result(w, commit, hf_answer_last_event(commit), form->dry_run);
    } else {
        put_results(w, name, commit, form->dry_run);
    }
}

void hf_answer_json_as(struct hf_buffer *to, const struct hf_commit *commit,
                       const struct hf_answer_form *form)
{
    struct hf_json_writer w = hf_json_writer_over(to);
    put_answer(&w, NULL, commit, form);
}

void hf_answer_json(struct hf_buffer *to, const struct hf_commit *commit, bool dry_run)
{
    hf_answer_json_as(to, commit, &(struct hf_answer_form){.dry_run = dry_run});
}

void hf_key_json(struct hf_buffer *to, const struct hf_commit *commit)
{
    struct hf_json_writer w = hf_json_writer_over(to);
    hf_json_begin_object(&w, NULL);
    hf_json_put_text(&w, "key", commit->key);
    hf_json_put_number(&w, "position", commit->position);
    hf_json_put_number(&w, "status", (uint64_t)hf_answer_status(commit, false));
    put_answer(&w, "body", commit, &(struct hf_answer_form){.dry_run = false});
    hf_json_end_object(&w);
}

void hf_problem_json(struct hf_buffer *to, enum hf_err code, const char *detail,
                     const char *pointer)
{
    struct hf_json_writer w = hf_json_writer_over(to);
    hf_json_begin_object(&w, NULL);
    put_problem(&w, code, hf_str_from(detail), pointer);
    hf_json_put_null(&w, "current");
    hf_json_end_object(&w);
}
