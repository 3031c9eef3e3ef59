/* The table of what a server knows of itself: its audit, its alerts. */
#include "cli/remote_table.h"

const struct hf_remote_verb hf_remote_audit_verbs[HF_REMOTE_AUDIT_VERBS] = {
    {.name = "show",
     .operands = "",
     .summary = "Shows the running audit: what it is at, and what the last pass found",
     .example = "audit show",
     .method = "GET",
     .path = "/v1/audit"},
    {.name = "run",
     .operands = "",
     .summary = "Begins a pass of the audit now",
     .more = "If one is under way another one follows it. Needs the scope operate.",
     .example = "audit run",
     .method = "POST",
     .path = "/v1/audit/run",
     .body = NO_MEMBERS},
};

const struct hf_remote_verb hf_remote_alert_verbs[HF_REMOTE_ALERT_VERBS] = {
    {.name = "list",
     .operands = "",
     .summary = "Lists the alerts that are raised",
     .more = "With --json the newest cleared ones, too. docs/operations.md says what to do about "
             "each.",
     .example = "alert list",
     .method = "GET",
     .path = "/v1/alerts",
     .columns = COLUMNS({"KIND", "kind", HF_SHOWN_TEXT}, {"SUBJECT", "subject", HF_SHOWN_TEXT},
                        {"SINCE", "since", HF_SHOWN_TEXT}, {"TEXT", "text", HF_SHOWN_TEXT}),
     .run = hf_remote_alerts},
};

static int print_alerts(struct hf_remote_call *call, struct holdfast_client_answer *answer,
                        bool with_head)
{
    struct hf_buffer out;
    struct hf_json_object whole;
    struct hf_json_array items = {0};
    struct hf_str body = {answer->body, answer->body_bytes};
    const struct hf_json_value *list = NULL;
    if (hf_json_view_object(body, &call->arena, &whole)) {
        list = hf_json_view_member(&whole, "data");
    }
    hf_buffer_init(&out);
    if (list == NULL || !hf_json_view_array(list->raw, &call->arena, &items)) {
        hf_buffer_bytes(&out, body.ptr, body.len);
    } else if (items.count > 0) {
        hf_buffer_text(&out, with_head ? "\nraised alerts\n" : "");
        hf_remote_rows(call, &items, HF_STR_NONE, &out);
    }
    holdfast_client_answer_free(answer);
    return hf_cli_print(call->cli, &out, HF_EXIT_OK);
}

static int get_alerts(struct hf_remote_call *call, bool with_head)
{
    struct holdfast_client_answer *answer;
    int status = hf_remote_get(call, "/v1/alerts", &answer);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    if (answer->status >= 300 || call->cli->json) {
        return hf_remote_show(call, answer);
    }
    return print_alerts(call, answer, with_head);
}

int hf_remote_alerts(struct hf_remote_call *call)
{
    return get_alerts(call, false);
}

int hf_remote_status_alerts(struct hf_remote_call *call)
{
    call->verb = &hf_remote_alert_verbs[0];
    return get_alerts(call, true);
}
