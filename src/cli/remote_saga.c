/* The table of `holdfast saga`. */
#include "cli/remote_table.h"

#define FILTERS                                                                                    \
    (BIT(SAGA_STATE) | BIT(DEFINITION) | BIT(TAG) | BIT(BUSINESS_KEY) | BIT(STEP) | BIT(FAILING) | \
     BIT(OLDER_THAN))
#define BULK_MORE                                                                                  \
    "Of one saga, or, without SAGA, of all that --state, --definition, --tag, --business-key,\n"   \
    "--step, --failing and --older-than select; --dry-run tells which these are."

/* What an operator does to a saga, or to many. */
#define ACT(verb, what, further, shown)                                                            \
    {                                                                                              \
        .name = (verb), .operands = "[SAGA]", .operands_max = 1, .summary = (what),                \
        .more = BULK_MORE, .example = (shown), .method = "POST", .path = "/v1/sagas/{1}/" verb,    \
        .options = FILTERS | BIT(REASON) | BIT(ACTOR) | BIT(IF_MATCH) | BIT(DRY_RUN) | (further),  \
        .run = hf_remote_saga_verb                                                                 \
    }

const struct hf_remote_verb hf_remote_saga_verbs[HF_REMOTE_SAGA_VERBS] = {
    {.name = "define",
     .operands = "FILE [NAME@VERSION]",
     .operands_min = 1,
     .operands_max = 2,
     .summary = "Stores a definition: a version that never changes",
     .more = "Its name and version are the file's: order@3.json, unless they are given. The same\n"
             "content again changes nothing. Try it first: holdfast saga test FILE.",
     .example = "saga define order@3.json",
     .method = "PUT",
     .path = "/v1/saga-definitions/",
     .run = hf_remote_saga_define},
    {.name = "defs",
     .operands = "[NAME]",
     .operands_max = 1,
     .summary = "Lists the definitions, or the versions of one",
     .example = "saga defs order",
     .method = "GET",
     .path = "/v1/saga-definitions",
     .columns =
         COLUMNS({"NAME", "name", HF_SHOWN_TEXT}, {"VERSION", "version", HF_SHOWN_NUMBER},
                 {"SAGAS", "sagas", HF_SHOWN_NUMBER}, {"CREATED", "created_at", HF_SHOWN_TEXT})},
    {.name = "start",
     .operands = "NAME@VERSION [INPUT]",
     .operands_min = 1,
     .operands_max = 2,
     .summary = "Starts a saga",
     .more = "INPUT is JSON; - reads it from standard input. A definition of a file instead of a\n"
             "stored one: @FILE. With --id the same again is answered by the saga as it is.\n"
             "With --wait the exit status is 0 only if it has succeeded.",
     .example = "saga start order@3 '{\"order\":17}' --id=order-17 --wait=10",
     .method = "PUT",
     .path = "/v1/sagas/",
     .options = BIT(ID) | BIT(BUSINESS_KEY) | BIT(TAGS) | BIT(NOT_BEFORE) | BIT(WAIT_END),
     .run = hf_remote_saga_start},
    {.name = "show",
     .operands = "SAGA",
     .operands_min = 1,
     .operands_max = 1,
     .summary = "Shows a saga: its steps on a line of time, attempts, errors",
     .example = "saga show order-17",
     .method = "GET",
     .path = "/v1/sagas/{1}",
     .run = hf_remote_saga_show},
    {.name = "history",
     .operands = "SAGA",
     .operands_min = 1,
     .operands_max = 1,
     .summary = "Shows every attempt and every act, oldest first",
     .example = "saga history order-17",
     .method = "GET",
     .path = "/v1/sagas/{1}/history",
     .columns =
         COLUMNS({"VERSION", "version", HF_SHOWN_NUMBER}, {"TIME", "time", HF_SHOWN_TEXT},
                 {"ACT", "act", HF_SHOWN_TEXT}, {"STEP", "step", HF_SHOWN_TEXT},
                 {"OP", "op", HF_SHOWN_TEXT}, {"TRY", "attempt", HF_SHOWN_NUMBER},
                 {"OUTCOME", "outcome", HF_SHOWN_TEXT}, {"STATUS", "status", HF_SHOWN_NUMBER},
                 {"SAGA", "state", HF_SHOWN_TEXT}, {"BY", "actor", HF_SHOWN_TEXT},
                 {"ERROR", "error", HF_SHOWN_TEXT}, {"REASON", "reason", HF_SHOWN_TEXT})},
    {.name = "list",
     .operands = "",
     .summary = "Lists sagas",
     .example = "saga list --state=parked --definition=order",
     .method = "GET",
     .path = "/v1/sagas",
     .query = PARTS(TEXT("state", HF_REMOTE_SAGA_STATE), TEXT("definition", HF_REMOTE_DEFINITION),
                    TEXT("tag", HF_REMOTE_TAG), TEXT("business_key", HF_REMOTE_BUSINESS_KEY),
                    TEXT("step", HF_REMOTE_STEP), IS_TRUE("failing", HF_REMOTE_FAILING),
                    TEXT("older_than", HF_REMOTE_OLDER_THAN)),
     .columns = COLUMNS(
         {"SAGA", "id", HF_SHOWN_TEXT}, {"STATE", "state", HF_SHOWN_TEXT},
         {"DEFINITION", "definition", HF_SHOWN_DEFINITION},
         {"BUSINESS KEY", "business_key", HF_SHOWN_TEXT}, {"STARTED", "started_at", HF_SHOWN_TEXT},
         {"UNDER WAY", "under_way", HF_SHOWN_NAMES},
         {"FAILING SINCE", "failing_since", HF_SHOWN_TEXT}, {"REASON", "reason", HF_SHOWN_TEXT}),
     .run = hf_remote_saga_list},
    {.name = "watch",
     .operands = "SAGA",
     .operands_min = 1,
     .operands_max = 1,
     .summary = "Shows each act as it happens, until the saga has ended",
     .more = "Exit status 0: it has succeeded; 1: it ended otherwise.",
     .example = "saga watch order-17",
     .method = "GET",
     .path = "/v1/sagas/{1}/history",
     .run = hf_remote_saga_watch},
    ACT("retry", "Tries now what is due later or parked", BIT(JITTER),
        "saga retry --state=parked --definition=order@3 --jitter=60s --reason='URL mended'"),
    ACT("pause", "Begins no new call; answers still count", 0,
        "saga pause order-17 --reason='the bank is down'"),
    ACT("resume", "Goes on after a pause", 0, "saga resume order-17 --reason='the bank is back'"),
    ACT("skip", "Counts a step as done without a call (--step)", BIT(RESULT),
        "saga skip order-17 --step=mail --reason='sent by hand'"),
    ACT("compensate", "Undoes what was done", 0,
        "saga compensate order-17 --reason='the customer has cancelled'"),
    ACT("abandon", "Ends it as it is; nothing more is sent", 0,
        "saga abandon order-17 --reason='settled by hand'"),
    {.name = "complete",
     .operands = "SAGA STEP [RESULT]",
     .operands_min = 2,
     .operands_max = 3,
     .summary = "Ends a step as succeeded, for the participant",
     .example = "saga complete order-17 charge '{\"payment\":\"p-1\"}' --reason='seen at the bank'",
     .method = "POST",
     .path = "/v1/sagas/{1}/steps/{2}/complete",
     .options = BIT(REASON) | BIT(ACTOR) | BIT(IF_MATCH),
     .run = hf_remote_saga_step},
    {.name = "fail",
     .operands = "SAGA STEP",
     .operands_min = 2,
     .operands_max = 2,
     .summary = "Ends a step as refused, for the participant",
     .example = "saga fail order-17 charge --error='no such card' --reason='seen at the bank'",
     .method = "POST",
     .path = "/v1/sagas/{1}/steps/{2}/fail",
     .options = BIT(WHY) | BIT(REASON) | BIT(ACTOR) | BIT(IF_MATCH),
     .run = hf_remote_saga_step},
    {.name = "test",
     .operands = "FILE",
     .operands_min = 1,
     .operands_max = 1,
     .summary = "Runs a definition against participants that fail at every step in every way",
     .more =
         "In this process, without a server: nothing is called. Shows for each case how it ends,\n"
         "which steps were tried how often, and which compensations were called in which order.\n"
         "Exit status 1 if some case ends as it should not: something was done and stays, or\n"
         "it never ends.",
     .example = "saga test order@3.json",
     .method = "GET",
     .path = "",
     .options = BIT(INPUT) | BIT(ONLY),
     .run = hf_saga_test,
     .local = true},
};
