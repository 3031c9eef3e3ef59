/*
 * The commands against a server: one table of verbs, one way to send them and to show what came of it.
 *
 * Owns: the options that these commands share, the client, how answers and refusals are shown. Must never: show a
 * token; take a token from the command line. Called by: main (a group of verbs each), commit, get, status, import.
 *
 * 1. A verb says what it sends: method, path, which operand or option becomes which member or parameter. Its help,
 *    its options and the completion follow from that.
 * 2. For people: tables and lines, amounts with the asset's decimals and in minor units. With --json: the answer as the
 *    server gave it.
 * 3. What the server refuses is exit status 1; no definite answer is 3, and the key to repeat with is told.
 */
#ifndef HF_CLI_REMOTE_H
#define HF_CLI_REMOTE_H

#include <stdatomic.h>

#include "cli/cli.h"
#include "cli/json_view.h"
#include "holdfast_client.h"

/* ---- options ---- */

enum hf_remote_option {
    HF_REMOTE_NO_OPTION = 0,
    HF_REMOTE_SERVER, /* these four for every command */
    HF_REMOTE_TOKEN_FILE,
    HF_REMOTE_CA_FILE,
    HF_REMOTE_GIVE_UP_AFTER,
    HF_REMOTE_KEY, /* of every change */
    HF_REMOTE_IF_MATCH,
    HF_REMOTE_CREATE,
    HF_REMOTE_MIN_POSITION, /* of every read */
    HF_REMOTE_ID,
    HF_REMOTE_AMOUNT,
    HF_REMOTE_UP_TO,
    HF_REMOTE_FINAL,
    HF_REMOTE_EFFECTIVE_AT,
    HF_REMOTE_METADATA,
    HF_REMOTE_FLOOR,
    HF_REMOTE_NO_FLOOR,
    HF_REMOTE_CEILING,
    HF_REMOTE_NO_CEILING,
    HF_REMOTE_TIMEOUT_MS,
    HF_REMOTE_OWNER,
    HF_REMOTE_TTL_MS,
    HF_REMOTE_PREFIX,
    HF_REMOTE_ACCOUNT,
    HF_REMOTE_STATE,
    HF_REMOTE_LIMIT,
    HF_REMOTE_AFTER,
    HF_REMOTE_ALL,
    HF_REMOTE_FROM_NUMBER,
    HF_REMOTE_AT,
    HF_REMOTE_AT_VERSION,
    HF_REMOTE_AT_POSITION,
    HF_REMOTE_CLOCK,
    HF_REMOTE_FROM_TIME,
    HF_REMOTE_TO_TIME,
    HF_REMOTE_FORMAT,
    HF_REMOTE_VERSION,
    /* queues */
    HF_REMOTE_TOPIC,
    HF_REMOTE_TYPES,
    HF_REMOTE_SUBJECT,
    HF_REMOTE_ASSET,
    HF_REMOTE_BUCKET,
    HF_REMOTE_FROM_WHERE,
    HF_REMOTE_TO_WHERE,
    HF_REMOTE_ORDER,
    HF_REMOTE_ATTEMPTS_MAX,
    HF_REMOTE_LEASE_MS,
    HF_REMOTE_BACKOFF_FIRST_MS,
    HF_REMOTE_BACKOFF_MAX_MS,
    HF_REMOTE_EXHAUSTED,
    HF_REMOTE_IN_FLIGHT_MAX,
    HF_REMOTE_RATE,
    HF_REMOTE_ERROR,
    HF_REMOTE_ERROR_CONTAINS,
    HF_REMOTE_DISCARD,
    HF_REMOTE_CANCEL,
    HF_REMOTE_MESSAGE,
    HF_REMOTE_MESSAGE_KEY,
    HF_REMOTE_EVERY_LETTER,
    HF_REMOTE_MAX,
    HF_REMOTE_WAIT,
    HF_REMOTE_CONSUMER,
    HF_REMOTE_ATTEMPT,
    HF_REMOTE_ACK,
    HF_REMOTE_EXEC,
    HF_REMOTE_FOLLOW,
    HF_REMOTE_DELAY_MS,
    HF_REMOTE_DELIVER_AT,
    /* sagas */
    HF_REMOTE_SAGA_STATE,
    HF_REMOTE_DEFINITION,
    HF_REMOTE_TAG,
    HF_REMOTE_TAGS,
    HF_REMOTE_BUSINESS_KEY,
    HF_REMOTE_STEP,
    HF_REMOTE_FAILING,
    HF_REMOTE_OLDER_THAN,
    HF_REMOTE_NOT_BEFORE,
    HF_REMOTE_WAIT_END,
    HF_REMOTE_REASON,
    HF_REMOTE_ACTOR,
    HF_REMOTE_RESULT,
    HF_REMOTE_WHY,
    HF_REMOTE_JITTER,
    HF_REMOTE_DRY_RUN,
    HF_REMOTE_INPUT,
    HF_REMOTE_ONLY,
    HF_REMOTE_OPTION_COUNT,
};

/* A set of options: bit i is option i. */
typedef hf_u128 hf_remote_set;
_Static_assert(HF_REMOTE_OPTION_COUNT <= 128, "a bit for each option");

/* What was given, as text; NULL = not. A flag is "true". */
struct hf_remote_values {
    const char *text[HF_REMOTE_OPTION_COUNT];
    bool flag[HF_REMOTE_OPTION_COUNT];
};

/* The options of a set of bits (1 << enum hf_remote_option) as rows for hf_cli_parse, and what was given. Returns the
 * count. rows has room for HF_REMOTE_OPTION_COUNT. */
size_t hf_remote_options(hf_remote_set set, struct hf_remote_values *values,
                         struct hf_cli_option *rows);
#define HF_REMOTE_BIT(option) ((hf_remote_set)1 << (option))
#define HF_REMOTE_EVERYWHERE                                                                       \
    (HF_REMOTE_BIT(HF_REMOTE_SERVER) | HF_REMOTE_BIT(HF_REMOTE_TOKEN_FILE) |                       \
     HF_REMOTE_BIT(HF_REMOTE_CA_FILE) | HF_REMOTE_BIT(HF_REMOTE_GIVE_UP_AFTER))

/* ---- the table of verbs ---- */

enum hf_remote_form {
    HF_FORM_TEXT = 1, /* a JSON string */
    HF_FORM_NUMBER,   /* digits */
    HF_FORM_JSON,     /* JSON as it stands */
    HF_FORM_TRUE,     /* a flag: true */
    HF_FORM_NULL,     /* a flag: null */
};

/* Where a member of the body or a parameter of the query comes from: exactly one of operand (from 1), option and
 * constant is set. */
struct hf_remote_part {
    const char *name; /* NULL behind the last one */
    enum hf_remote_form form;
    int operand;
    enum hf_remote_option option;
    const char *constant;
    bool required; /* the option must be given */
};

enum hf_remote_shown {
    HF_SHOWN_TEXT = 1,
    HF_SHOWN_NUMBER,     /* aligned to the right */
    HF_SHOWN_AMOUNT,     /* minor units: shown with decimals, too */
    HF_SHOWN_DEFINITION, /* an object {name, version}: order@3 */
    HF_SHOWN_NAMES,      /* objects with a name: their names */
};

struct hf_remote_column {
    const char *title;  /* "AVAILABLE" */
    const char *member; /* "available" */
    enum hf_remote_shown shown;
};

struct hf_remote_call;

struct hf_remote_verb {
    const char *name;     /* "open" */
    const char *operands; /* "ACCOUNT ASSET" */
    int operands_min, operands_max;
    const char *summary;                /* a line */
    const char *more;                   /* further lines of the help, or NULL */
    const char *example;                /* behind "holdfast " */
    const char *method;                 /* "PUT" */
    const char *path;                   /* "/v1/accounts/{1}": operand 1, escaped */
    const struct hf_remote_part *body;  /* NULL: none */
    const struct hf_remote_part *query; /* NULL: none */
    const struct hf_remote_column
        *columns; /* a list: its columns, title NULL at the end; else NULL */
    int (*run)(struct hf_remote_call *call); /* instead of sending and showing; or NULL */
    bool local;                              /* `run` needs no server */
    hf_remote_set options;                   /* further ones, bits */
};

struct hf_remote_group {
    const char *name;    /* "account" */
    const char *summary; /* a line, for main's list */
    const struct hf_remote_verb *verbs;
    size_t verb_count;
    const char *verb_default; /* taken if the first word is no verb; NULL = an error */
};

extern const struct hf_remote_group hf_remote_groups[];
extern const size_t hf_remote_group_count;

/* Runs "holdfast account open …": argv[0] is the group's name. */
int hf_remote_run_group(const struct hf_remote_group *group, int argc, char **argv);

/* ---- a call ---- */

/* A command under way. */
struct hf_remote_call {
    const struct hf_cli *cli;
    const struct hf_remote_values *values;
    const struct hf_remote_verb *verb; /* NULL: none of the table */
    struct holdfast_client *client;
    struct hf_arena arena;  /* for what is shown */
    struct hf_str asset;    /* of amounts that stand without one; or absent */
    struct hf_buffer token; /* of the file */
    atomic_bool told;       /* on standard error, that it is trying again */
};

/* This machine's wall clock, µs since 1970. */
uint64_t hf_remote_wall_us(void);

/* Makes the client of the options and the environment. HF_CLI_GO_ON, or the exit status; says why. To be released in any
 * case. */
int hf_remote_begin(struct hf_remote_call *call, const struct hf_cli *cli,
                    const struct hf_remote_values *values);
void hf_remote_end(struct hf_remote_call *call);

/* Is a server named by --server or $HOLDFAST_SERVER? */
bool hf_remote_is_named(const struct hf_remote_values *values);

/* Fills key, if_match, if_none_match and min_position from what was given. */
int hf_remote_headers(const struct hf_remote_call *call, struct holdfast_client_call *headers,
                      char if_match[64]);

/* path with {1} replaced by the first operand, escaped, and the query's parameters. */
void hf_remote_path(const struct hf_remote_call *call, struct hf_buffer *path);
/* Sends what the verb says with this body (ptr NULL: none). HF_CLI_GO_ON and *answer; or the exit status. */
int hf_remote_send(struct hf_remote_call *call, const struct hf_buffer *path, struct hf_str body,
                   struct holdfast_client_answer **answer);
/* The asset of an account, for decimals; absent if it can't be had. */
struct hf_str hf_remote_asset(struct hf_remote_call *call, const char *account);
/* Sends any read. */
int hf_remote_get(struct hf_remote_call *call, const char *path,
                  struct holdfast_client_answer **answer);

/* What came instead of an answer, in words, and as JSON with --json. The exit status. */
int hf_remote_failure(const struct hf_cli *cli, const struct holdfast_client_failure *failure);

/* Shows the answer, or the refusal on standard error, and frees it. The exit status. */
int hf_remote_show(struct hf_remote_call *call, struct holdfast_client_answer *answer);
/* Prints the answer's JSON, whatever came of it, and frees it. The exit status. */
int hf_remote_show_json(struct hf_remote_call *call, struct holdfast_client_answer *answer);
/* The refusal alone: the answer's status is 300 or above. */
int hf_remote_refused(struct hf_remote_call *call, struct holdfast_client_answer *answer);
/* The answer's bytes and nothing else. */
int hf_remote_print_raw(struct hf_remote_call *call, struct holdfast_client_answer *answer);

/* Appends the object as lines "name  value"; amounts with the decimals of asset, or of its own member asset. */
void hf_remote_lines(struct hf_remote_call *call, struct hf_str object, struct hf_str asset,
                     struct hf_buffer *out);
/* Appends items as a table with the verb's columns; with a head if `head`. */
void hf_remote_rows(struct hf_remote_call *call, const struct hf_json_array *items,
                    struct hf_str asset, struct hf_buffer *out);

/* ---- runs of verbs that are more than a request ---- */

int hf_remote_list(struct hf_remote_call *call);
int hf_remote_alerts(struct hf_remote_call *call);
/* What `status` says of them, behind the rest: nothing if none is raised. */
int hf_remote_status_alerts(struct hf_remote_call *call);
int hf_remote_entries(struct hf_remote_call *call);
int hf_remote_statement(struct hf_remote_call *call);
int hf_remote_append(struct hf_remote_call *call);
int hf_remote_document_get(struct hf_remote_call *call);
int hf_remote_document_change(struct hf_remote_call *call);
int hf_remote_document_versions(struct hf_remote_call *call);
int hf_remote_subscription_create(struct hf_remote_call *call);
int hf_remote_subscription_seek(struct hf_remote_call *call);
int hf_remote_queue_publish(struct hf_remote_call *call);
int hf_remote_queue_receive(struct hf_remote_call *call);
int hf_remote_queue_settle(struct hf_remote_call *call);
int hf_remote_saga_define(struct hf_remote_call *call);
int hf_remote_saga_start(struct hf_remote_call *call);
int hf_remote_saga_show(struct hf_remote_call *call);
int hf_remote_saga_history(struct hf_remote_call *call);
int hf_remote_saga_list(struct hf_remote_call *call);
int hf_remote_saga_watch(struct hf_remote_call *call);
int hf_remote_saga_verb(struct hf_remote_call *call);
int hf_remote_saga_step(struct hf_remote_call *call);
int hf_saga_test(struct hf_remote_call *call);

/* ---- tables of their own files ---- */

#define HF_REMOTE_SUBSCRIPTION_VERBS 7
#define HF_REMOTE_QUEUE_VERBS        9
#define HF_REMOTE_AUDIT_VERBS        2
#define HF_REMOTE_ALERT_VERBS        1
#define HF_REMOTE_SAGA_VERBS         16
extern const struct hf_remote_verb hf_remote_subscription_verbs[HF_REMOTE_SUBSCRIPTION_VERBS];
extern const struct hf_remote_verb hf_remote_queue_verbs[HF_REMOTE_QUEUE_VERBS];
extern const struct hf_remote_verb hf_remote_audit_verbs[HF_REMOTE_AUDIT_VERBS];
extern const struct hf_remote_verb hf_remote_alert_verbs[HF_REMOTE_ALERT_VERBS];
extern const struct hf_remote_verb hf_remote_saga_verbs[HF_REMOTE_SAGA_VERBS];

/* JSON of an operand, or of standard input for NULL and "-". HF_CLI_GO_ON or the exit status. */
int hf_remote_data(const struct hf_cli *cli, const char *data, struct hf_buffer *text);
/* Sends a body to the verb's path and shows the answer. */
int hf_remote_send_body(struct hf_remote_call *call, const struct hf_buffer *body);

#endif
