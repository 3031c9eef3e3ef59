/* The tables of `holdfast subscription` and `holdfast queue`. */
#include "cli/remote_table.h"

#define DEAD_COLUMNS                                                                               \
    COLUMNS({"MESSAGE", "message", HF_SHOWN_TEXT}, {"KEY", "key", HF_SHOWN_TEXT},                  \
            {"TRIES", "tries", HF_SHOWN_NUMBER}, {"PARKED", "parked_at", HF_SHOWN_TEXT},           \
            {"ERROR", "error", HF_SHOWN_TEXT})
#define REDRIVE_BODY                                                                               \
    PARTS(TEXT("message", HF_REMOTE_MESSAGE), TEXT("key", HF_REMOTE_MESSAGE_KEY),                  \
          IS_TRUE("all", HF_REMOTE_EVERY_LETTER), IS_TRUE("cancel", HF_REMOTE_CANCEL),             \
          IS_TRUE("discard", HF_REMOTE_DISCARD), NUMBER("rate_per_s", HF_REMOTE_RATE),             \
          TEXT("error_contains", HF_REMOTE_ERROR_CONTAINS))
#define REDRIVE_MORE                                                                               \
    "Give one of --message, --message-key, --all and --cancel. They begin with all their tries "   \
    "again."

/* What most verbs are: a request about one subscription, or about receipts of one. */
#define OF_SUBSCRIPTION(more_operands, how, more_path)                                             \
    .operands = "SUBSCRIPTION" more_operands, .operands_min = 1, .operands_max = 1,                \
    .method = (how), .path = "/v1/subscriptions/{1}" more_path
#define OF_RECEIPTS(more_operands, act)                                                            \
    .operands = "SUBSCRIPTION RECEIPT..." more_operands, .operands_min = 2,                        \
    .operands_max = HF_CLI_OPERANDS_MAX, .method = "POST", .path = "/v1/subscriptions/{1}/" act,   \
    .run = hf_remote_queue_settle
/* Those of both tables, but for their examples. */
#define DEAD_VERB                                                                                  \
    .name = "dead", OF_SUBSCRIPTION("", "GET", "/dead"),                                           \
    .summary = "Lists dead letters, in the order in which they were parked",                       \
    .query = PARTS(TEXT("error_contains", HF_REMOTE_ERROR_CONTAINS)), .columns = DEAD_COLUMNS
#define REDRIVE_VERB                                                                               \
    .name = "redrive", OF_SUBSCRIPTION("", "POST", "/redrive"),                                    \
    .summary = "Makes dead letters ready again, or discards them", .more = REDRIVE_MORE,           \
    .body = REDRIVE_BODY

const struct hf_remote_verb hf_remote_subscription_verbs[HF_REMOTE_SUBSCRIPTION_VERBS] = {
    {.name = "create",
     OF_SUBSCRIPTION(" [--topic=TOPIC]", "PUT", ""),
     .summary = "Makes a subscription, or changes the settings of one",
     .more = "Of a topic, or of whatever in the feed fits all of --types, --subject, --asset and\n"
             "--bucket. The same again changes nothing; other settings need --if-match=VERSION;\n"
             "what it takes and its order never change.",
     .example = "subscription create refunds --topic=refund-requests --attempts-max=10",
     .options = BIT(TOPIC) | BIT(TYPES) | BIT(SUBJECT) | BIT(ASSET) | BIT(BUCKET) |
                BIT(FROM_WHERE) | BIT(ORDER) | BIT(ATTEMPTS_MAX) | BIT(LEASE_MS) |
                BIT(BACKOFF_FIRST_MS) | BIT(BACKOFF_MAX_MS) | BIT(EXHAUSTED) | BIT(IN_FLIGHT_MAX) |
                BIT(IF_MATCH) | BIT(CREATE),
     .run = hf_remote_subscription_create},
    {.name = "list",
     .operands = "",
     .summary = "Lists subscriptions by name",
     .example = "subscription list --prefix=refunds",
     .method = "GET",
     .path = "/v1/subscriptions",
     .query = PARTS(TEXT("prefix", HF_REMOTE_PREFIX)),
     .columns = COLUMNS(
         {"SUBSCRIPTION", "name", HF_SHOWN_TEXT}, {"READY", "ready_lines", HF_SHOWN_NUMBER},
         {"WAITING", "waiting", HF_SHOWN_NUMBER}, {"OUT", "in_flight", HF_SHOWN_NUMBER},
         {"BACKING OFF", "backing_off", HF_SHOWN_NUMBER}, {"DEAD", "parked", HF_SHOWN_NUMBER},
         {"ACKED", "acked", HF_SHOWN_NUMBER}, {"OLDEST", "oldest_unacked_at", HF_SHOWN_TEXT},
         {"STALLED", "stalled", HF_SHOWN_TEXT})},
    {.name = "show",
     OF_SUBSCRIPTION("", "GET", ""),
     .summary = "Shows a subscription's settings and figures",
     .example = "subscription show refunds"},
    {.name = "delete",
     OF_SUBSCRIPTION("", "DELETE", ""),
     .summary = "Ends a subscription, with its messages, receipts and dead letters",
     .example = "subscription delete refunds --if-match=3",
     .options = BIT(IF_MATCH)},
    {.name = "seek",
     OF_SUBSCRIPTION(" --to=WHERE", "POST", "/seek"),
     .summary = "Begins anew at a position; all receipts and dead letters go",
     .example = "subscription seek refunds --to=2030-01-01T00:00:00Z",
     .options = BIT(TO_WHERE),
     .run = hf_remote_subscription_seek},
    {REDRIVE_VERB,
     .example = "subscription redrive refunds --all --rate=50 --error-contains=timeout"},
    {DEAD_VERB, .example = "subscription dead refunds --error-contains=timeout"},
};

const struct hf_remote_verb hf_remote_queue_verbs[HF_REMOTE_QUEUE_VERBS] = {
    {.name = "publish",
     .operands = "TOPIC KEY TYPE [DATA]",
     .operands_min = 3,
     .operands_max = 4,
     .summary = "Publishes a message",
     .more = "Messages of a KEY are received in order. DATA is JSON; without it, or for -, it is "
             "read\n"
             "from standard input. With --id it happens once for ever, whoever repeats it.",
     .example =
         "queue publish refund-requests order-7 refund.asked '{\"amount\":\"300\"}' --id=r-7",
     .method = "POST",
     .path = "/v1/commits",
     .options = BIT(ID) | BIT(DELIVER_AT),
     .run = hf_remote_queue_publish},
    {.name = "receive",
     OF_SUBSCRIPTION("", "POST", "/receive"),
     .summary = "Takes messages out, for a time",
     .more = "With --exec it is a worker: each message is handled, then acked or nacked. COMMAND "
             "finds\n"
             "HOLDFAST_MESSAGE, _KEY, _TYPE, _ATTEMPT and _RECEIPT in its environment.",
     .example = "queue receive refunds --follow --exec=./refund",
     .options = BIT(MAX) | BIT(WAIT) | BIT(LEASE_MS) | BIT(CONSUMER) | BIT(ATTEMPT) | BIT(ACK) |
                BIT(EXEC) | BIT(FOLLOW),
     .run = hf_remote_queue_receive},
    {.name = "ack",
     OF_RECEIPTS("", "ack"),
     .summary = "Ends messages: they are done",
     .more = "RECEIPT - reads receipts from standard input, one a line.",
     .example = "queue ack refunds AQIBFhYA…"},
    {.name = "nack",
     OF_RECEIPTS("", "nack"),
     .summary = "Gives messages back: a try has failed",
     .more = "RECEIPT - reads receipts from standard input, one a line.",
     .example = "queue nack refunds AQIBFhYA… --error='no answer' --delay-ms=60000",
     .options = BIT(DELAY_MS) | BIT(ERROR)},
    {.name = "extend",
     OF_RECEIPTS(" --lease-ms=MS", "extend"),
     .summary = "Keeps messages longer",
     .example = "queue extend refunds AQIBFhYA… --lease-ms=60000",
     .options = BIT(LEASE_MS)},
    {.name = "park",
     OF_RECEIPTS("", "park"),
     .summary = "Makes dead letters at once",
     .example = "queue park refunds AQIBFhYA… --error='unknown customer'",
     .options = BIT(ERROR)},
    {DEAD_VERB, .example = "queue dead refunds --limit=20"},
    {REDRIVE_VERB, .example = "queue redrive refunds --message=17-0"},
    {.name = "message",
     .operands = "SUBSCRIPTION MESSAGE",
     .operands_min = 2,
     .operands_max = 2,
     .summary = "Shows a message with every delivery and its end",
     .example = "queue message refunds 17-0",
     .method = "GET",
     .path = "/v1/subscriptions/{1}/messages/{2}"},
};
