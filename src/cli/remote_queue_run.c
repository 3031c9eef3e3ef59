/* Verbs of subscriptions and queues that are more than one request and its answer shown. */
#include <signal.h>
#include <sys/wait.h>

#include "base/limits.h"
#include "base/u128.h"
#include "cli/remote.h"
#include "cli/text_table.h"

#define WAIT_SECONDS_MAX 30
#define RECEIPTS_MAX     1000

static int no_memory(const struct hf_cli *cli)
{
    struct hf_error error = {0};
    (void)hf_error_set(&error, HF_ERR_NO_MEMORY, "out of memory");
    return hf_cli_fail(cli, &error);
}

/* ---- bodies ---- */

static void put_text(struct hf_json_writer *w, const char *name, const char *value)
{
    if (value != NULL) {
        hf_json_put_text(w, name, hf_str_from(value));
    }
}

/* HF_CLI_GO_ON, or the usage was told. */
static int put_number(const struct hf_remote_call *call, struct hf_json_writer *w, const char *name,
                      enum hf_remote_option option)
{
    const char *value = call->values->text[option];
    hf_u128 number;
    if (value == NULL) {
        return HF_CLI_GO_ON;
    }
    if (!hf_u128_parse(hf_str_from(value), &number) || number > HF_JSON_INTEGER_MAX) {
        return hf_cli_usage(call->cli, "%s is a number, not %s", name, value);
    }
    hf_json_put_number(w, name, (uint64_t)number);
    return HF_CLI_GO_ON;
}

/* "beginning", "now", a position in digits, else a time. */
static void put_where(struct hf_json_writer *w, const char *name, const char *value)
{
    hf_u128 number;
    if (value == NULL) {
        return;
    }
    if (strcmp(value, "beginning") == 0 || strcmp(value, "now") == 0) {
        put_text(w, name, value);
        return;
    }
    hf_json_begin_object(w, name);
    if (hf_u128_parse(hf_str_from(value), &number)) {
        hf_json_put_raw(w, "position", hf_str_from(value));
    } else {
        put_text(w, "time", value);
    }
    hf_json_end_object(w);
}

static void put_filter(const struct hf_remote_call *call, struct hf_json_writer *w)
{
    const struct hf_remote_values *values = call->values;
    const char *types = values->text[HF_REMOTE_TYPES];
    hf_json_begin_object(w, "filter");
    put_text(w, "topic", values->text[HF_REMOTE_TOPIC]);
    if (types != NULL) {
        hf_json_begin_array(w, "types");
        for (const char *at = types; at != NULL;) {
            const char *comma = strchr(at, ',');
            size_t len = comma == NULL ? strlen(at) : (size_t)(comma - at);
            hf_json_put_text(w, NULL, (struct hf_str){at, len});
            at = comma == NULL ? NULL : comma + 1;
        }
        hf_json_end_array(w);
    }
    put_text(w, "prefix", values->text[HF_REMOTE_SUBJECT]);
    put_text(w, "asset", values->text[HF_REMOTE_ASSET]);
    put_text(w, "bucket", values->text[HF_REMOTE_BUCKET]);
    hf_json_end_object(w);
}

static int put_settings(const struct hf_remote_call *call, struct hf_json_writer *w)
{
    const struct hf_remote_values *values = call->values;
    static const struct {
        const char *name;
        enum hf_remote_option option;
    } numbers[] = {{"attempts_max", HF_REMOTE_ATTEMPTS_MAX},
                   {"lease_ms", HF_REMOTE_LEASE_MS},
                   {"in_flight_max", HF_REMOTE_IN_FLIGHT_MAX}};
    put_filter(call, w);
    put_where(w, "from", values->text[HF_REMOTE_FROM_WHERE]);
    put_text(w, "order", values->text[HF_REMOTE_ORDER]);
    put_text(w, "exhausted", values->text[HF_REMOTE_EXHAUSTED]);
    int status = HF_CLI_GO_ON;
    for (size_t i = 0; status == HF_CLI_GO_ON && i < HF_ARRAY_COUNT(numbers); i++) {
        status = put_number(call, w, numbers[i].name, numbers[i].option);
    }
    hf_json_begin_object(w, "backoff");
    if (status == HF_CLI_GO_ON) {
        status = put_number(call, w, "first_ms", HF_REMOTE_BACKOFF_FIRST_MS);
    }
    if (status == HF_CLI_GO_ON) {
        status = put_number(call, w, "max_ms", HF_REMOTE_BACKOFF_MAX_MS);
    }
    hf_json_end_object(w);
    return status;
}

int hf_remote_subscription_create(struct hf_remote_call *call)
{
    struct hf_buffer body;
    hf_buffer_init(&body);
    struct hf_json_writer w = hf_json_writer_over(&body);
    hf_json_begin_object(&w, NULL);
    int status = put_settings(call, &w);
    hf_json_end_object(&w);
    if (status == HF_CLI_GO_ON) {
        status = hf_remote_send_body(call, &body);
    }
    hf_buffer_release(&body);
    return status;
}

int hf_remote_subscription_seek(struct hf_remote_call *call)
{
    const char *to = call->values->text[HF_REMOTE_TO_WHERE];
    struct hf_buffer body;
    if (to == NULL) {
        return hf_cli_usage(call->cli,
                            "--to=WHERE is needed: beginning, now, a position or a time");
    }
    hf_buffer_init(&body);
    struct hf_json_writer w = hf_json_writer_over(&body);
    hf_json_begin_object(&w, NULL);
    put_where(&w, "to", to);
    hf_json_end_object(&w);
    int status = hf_remote_send_body(call, &body);
    hf_buffer_release(&body);
    return status;
}

int hf_remote_queue_publish(struct hf_remote_call *call)
{
    const struct hf_cli *cli = call->cli;
    struct hf_buffer text;
    struct hf_buffer body;
    hf_buffer_init(&text);
    hf_buffer_init(&body);
    int status = hf_remote_data(cli, cli->operands[3], &text);
    if (status == HF_CLI_GO_ON) {
        struct hf_json_writer w = hf_json_writer_over(&body);
        hf_json_begin_object(&w, NULL);
        hf_json_begin_array(&w, "do");
        hf_json_begin_object(&w, NULL);
        put_text(&w, "op", "publish");
        put_text(&w, "topic", cli->operands[0]);
        put_text(&w, "key", cli->operands[1]);
        put_text(&w, "type", cli->operands[2]);
        hf_json_put_raw(&w, "data", (struct hf_str){(const char *)text.data, text.size_bytes});
        put_text(&w, "id", call->values->text[HF_REMOTE_ID]);
        put_text(&w, "deliver_at", call->values->text[HF_REMOTE_DELIVER_AT]);
        hf_json_end_object(&w);
        hf_json_end_array(&w);
        hf_json_end_object(&w);
        body.failed = body.failed || text.failed;
        status = hf_remote_send_body(call, &body);
    }
    hf_buffer_release(&text);
    hf_buffer_release(&body);
    return status;
}

/* ---- ack, nack, extend, park ---- */

/* Receipts from standard input, one a line; text holds them. */
static int read_receipts(const struct hf_cli *cli, struct hf_buffer *text, struct hf_json_writer *w)
{
    struct hf_error error = {0};
    if (hf_cli_read_file("-", HF_REQUEST_BYTES_MAX, text, &error) != HF_ERR_OK) {
        return hf_cli_fail(cli, &error);
    }
    const char *at = (const char *)text->data;
    const char *end = at + text->size_bytes;
    size_t count = 0;
    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        line_end = line_end == NULL ? end : line_end;
        if (line_end > at) {
            count++;
            hf_json_put_text(w, NULL, (struct hf_str){at, (size_t)(line_end - at)});
        }
        at = line_end + 1;
    }
    if (count == 0 || count > RECEIPTS_MAX) {
        return hf_cli_usage(cli, "from 1 to %d receipts, not %zu", RECEIPTS_MAX, count);
    }
    return HF_CLI_GO_ON;
}

int hf_remote_queue_settle(struct hf_remote_call *call)
{
    const struct hf_cli *cli = call->cli;
    struct hf_buffer text;
    struct hf_buffer body;
    hf_buffer_init(&text);
    hf_buffer_init(&body);
    struct hf_json_writer w = hf_json_writer_over(&body);
    int status = HF_CLI_GO_ON;
    hf_json_begin_object(&w, NULL);
    hf_json_begin_array(&w, "receipts");
    if (cli->operand_count == 2 && strcmp(cli->operands[1], "-") == 0) {
        status = read_receipts(cli, &text, &w);
    } else {
        for (int i = 1; i < cli->operand_count; i++) {
            hf_json_put_text(&w, NULL, hf_str_from(cli->operands[i]));
        }
    }
    hf_json_end_array(&w);
    put_text(&w, "error", call->values->text[HF_REMOTE_ERROR]);
    if (status == HF_CLI_GO_ON) {
        status = put_number(call, &w, "delay_ms", HF_REMOTE_DELAY_MS);
    }
    if (status == HF_CLI_GO_ON) {
        status = put_number(call, &w, "lease_ms", HF_REMOTE_LEASE_MS);
    }
    hf_json_end_object(&w);
    if (status == HF_CLI_GO_ON) {
        body.failed = body.failed || text.failed;
        status = hf_remote_send_body(call, &body);
    }
    hf_buffer_release(&text);
    hf_buffer_release(&body);
    return status;
}

/* ---- receive ---- */

/* A message of the answer; texts with a NUL behind them, in the call's arena. */
struct message {
    const char *receipt, *attempt, *id, *key, *type;
    struct hf_str data; /* as it stands */
};

struct receiving {
    struct hf_remote_call *call;
    struct holdfast_client_receive receive;
    struct message *messages; /* in the arena */
    size_t count;
};

static const char *text_of(struct hf_arena *arena, const struct hf_json_object *object,
                           const char *name)
{
    struct hf_str text = hf_json_view_text(object, name);
    char *copy = hf_arena_alloc(arena, text.len + 1);
    if (copy == NULL) {
        return "";
    }
    if (text.len > 0) {
        memcpy(copy, text.ptr, text.len);
    }
    copy[text.len] = '\0';
    return copy;
}

static bool take_message(struct hf_arena *arena, struct hf_str raw, struct message *message)
{
    struct hf_json_object object;
    struct hf_json_object event = {0};
    if (!hf_json_view_object(raw, arena, &object)) {
        return false;
    }
    const struct hf_json_value *inside = hf_json_view_member(&object, "event");
    if (inside != NULL && inside->token == HF_JSON_OBJECT_BEGIN &&
        !hf_json_view_object(inside->raw, arena, &event)) {
        return false;
    }
    const struct hf_json_value *data = hf_json_view_member(&event, "data");
    *message = (struct message){
        .receipt = text_of(arena, &object, "receipt"),
        .attempt = text_of(arena, &object, "attempt"),
        .id = text_of(arena, &event, "id"),
        .key = text_of(arena, &event, "partitionkey"),
        .type = text_of(arena, &event, "type"),
        .data = data == NULL ? HF_STR("null") : data->raw,
    };
    return message->receipt[0] != '\0';
}

/* Takes the messages out of an answer that stays. false: it has not the form of one. */
static bool take_messages(struct receiving *receiving, const struct holdfast_client_answer *answer)
{
    struct hf_arena *arena = &receiving->call->arena;
    struct hf_json_object whole;
    struct hf_json_array items;
    hf_arena_clear(arena);
    if (!hf_json_view_object((struct hf_str){answer->body, answer->body_bytes}, arena, &whole)) {
        return false;
    }
    const struct hf_json_value *list = hf_json_view_member(&whole, "messages");
    if (list == NULL || !hf_json_view_array(list->raw, arena, &items)) {
        return false;
    }
    receiving->count = items.count;
    receiving->messages = hf_arena_alloc_zero(arena, items.count + 1, sizeof(*receiving->messages));
    bool ok = receiving->messages != NULL;
    for (size_t i = 0; ok && i < items.count; i++) {
        ok = take_message(arena, items.items[i].raw, &receiving->messages[i]);
    }
    return ok;
}

static int show_messages(struct receiving *receiving, const struct holdfast_client_answer *answer)
{
    static const char *const titles[] = {"MESSAGE", "KEY", "TYPE", "ATTEMPT", "DATA", "RECEIPT"};
    struct hf_remote_call *call = receiving->call;
    struct hf_text_table table;
    struct hf_buffer out;
    hf_buffer_init(&out);
    if (call->cli->json) {
        hf_buffer_bytes(&out, answer->body, answer->body_bytes);
        return hf_cli_print(call->cli, &out, HF_EXIT_OK);
    }
    if (receiving->count == 0) {
        hf_buffer_release(&out);
        return HF_EXIT_OK;
    }
    hf_text_table_init(&table, HF_ARRAY_COUNT(titles));
    table.right[3] = true;
    for (size_t i = 0; i < HF_ARRAY_COUNT(titles); i++) {
        hf_text_table_cell(&table, hf_str_from(titles[i]));
    }
    for (size_t i = 0; i < receiving->count; i++) {
        const struct message *m = &receiving->messages[i];
        hf_text_table_cell(&table, hf_str_from(m->id));
        hf_text_table_cell(&table, hf_str_from(m->key));
        hf_text_table_cell(&table, hf_str_from(m->type));
        hf_text_table_cell(&table, hf_str_from(m->attempt));
        hf_text_table_cell(&table, m->data);
        hf_text_table_cell(&table, hf_str_from(m->receipt));
    }
    hf_text_table_print(&table, &out);
    hf_text_table_release(&table);
    return hf_cli_print(call->cli, &out, HF_EXIT_OK);
}

/* Shows what was refused; HF_CLI_GO_ON if nothing was. Frees the answer. */
static int check_settled(struct hf_remote_call *call, struct holdfast_client_answer *answer)
{
    if (answer->status >= 300) {
        return hf_remote_refused(call, answer);
    }
    for (unsigned i = 0;; i++) {
        char pointer[48];
        char text[64];
        (void)snprintf(pointer, sizeof(pointer), "/results/%u/code", i);
        if (holdfast_client_answer_text(answer, pointer, text, sizeof(text))) {
            (void)fprintf(stderr, "holdfast %s: %s: somebody else has it, or its time was over\n",
                          call->cli->name, text);
            holdfast_client_answer_free(answer);
            return HF_EXIT_NO;
        }
        (void)snprintf(pointer, sizeof(pointer), "/results/%u/state", i);
        if (!holdfast_client_answer_text(answer, pointer, text, sizeof(text))) {
            break;
        }
    }
    holdfast_client_answer_free(answer);
    return HF_CLI_GO_ON;
}

static int ack_messages(struct receiving *receiving, const struct message *messages, size_t count)
{
    struct hf_remote_call *call = receiving->call;
    struct holdfast_client_answer *answer;
    struct holdfast_client_failure failure;
    const char **receipts = hf_arena_alloc(&call->arena, count * sizeof(*receipts));
    if (receipts == NULL) {
        return no_memory(call->cli);
    }
    for (size_t i = 0; i < count; i++) {
        receipts[i] = messages[i].receipt;
    }
    if (holdfast_client_ack(call->client, NULL, receiving->receive.subscription, receipts, count,
                            &answer, &failure) != HOLDFAST_CLIENT_OK) {
        return hf_remote_failure(call->cli, &failure);
    }
    return check_settled(call, answer);
}

static int nack_message(struct receiving *receiving, const struct message *message,
                        const char *error)
{
    struct hf_remote_call *call = receiving->call;
    struct holdfast_client_answer *answer;
    struct holdfast_client_failure failure;
    struct holdfast_client_nack nack = {.subscription = receiving->receive.subscription,
                                        .receipts = &message->receipt,
                                        .receipt_count = 1,
                                        .error = error};
    if (holdfast_client_nack(call->client, NULL, &nack, &answer, &failure) != HOLDFAST_CLIENT_OK) {
        return hf_remote_failure(call->cli, &failure);
    }
    return check_settled(call, answer);
}

/* Runs the command with the message's data on its standard input. Its exit status; -1: it could not be run. */
static int run_command(const char *command, const struct message *message)
{
    const struct {
        const char *name, *value;
    } variables[] = {
        {"HOLDFAST_MESSAGE", message->id},      {"HOLDFAST_KEY", message->key},
        {"HOLDFAST_TYPE", message->type},       {"HOLDFAST_ATTEMPT", message->attempt},
        {"HOLDFAST_RECEIPT", message->receipt},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(variables); i++) {
        if (setenv(variables[i].name, variables[i].value, 1) != 0) {
            return -1;
        }
    }
    (void)fflush(stdout);
    FILE *pipe = popen(command, "w"); /* NOLINT(cert-env33-c): the caller's own, for a shell */
    if (pipe == NULL) {
        return -1;
    }
    /* A command that does not read its input is no reason to die. */
    void (*before)(int) = signal(SIGPIPE, SIG_IGN);
    (void)fwrite(message->data.ptr, 1, message->data.len, pipe);
    (void)fputc('\n', pipe);
    int status = pclose(pipe);
    (void)signal(SIGPIPE, before);
    if (status != -1 && WIFEXITED(status)) {
        return WEXITSTATUS(status);
    }
    return status != -1 && WIFSIGNALED(status) ? 128 + WTERMSIG(status) : -1;
}

/* Each message by the command; what fails is nacked, and so are later ones of its key, which its nack has made stale. */
static int execute(struct receiving *receiving)
{
    const char *command = receiving->call->values->text[HF_REMOTE_EXEC];
    int status = HF_EXIT_OK;
    for (size_t i = 0; i < receiving->count; i++) {
        const struct message *message = &receiving->messages[i];
        bool given_back = false;
        for (size_t n = 0; n < i && !given_back; n++) {
            given_back = receiving->messages[n].receipt == NULL &&
                         strcmp(receiving->messages[n].key, message->key) == 0;
        }
        if (given_back) {
            continue;
        }
        char error[64];
        int code = run_command(command, message);
        (void)snprintf(error, sizeof(error), "exit status %d", code);
        int settled = code == 0 ? ack_messages(receiving, message, 1)
                                : nack_message(receiving, message, error);
        if (settled == HF_EXIT_ENVIRONMENT) {
            return settled;
        }
        status = settled == HF_CLI_GO_ON ? status : settled;
        if (!receiving->call->cli->json) {
            (void)printf("%s %s\n", message->id, code == 0 ? "acked" : error);
        }
        if (code != 0) {
            receiving->messages[i].receipt = NULL; /* the rest of its key is not ours any more */
        }
    }
    return status;
}

static int receive_once(struct receiving *receiving)
{
    struct hf_remote_call *call = receiving->call;
    struct holdfast_client_answer *answer;
    struct holdfast_client_failure failure;
    if (holdfast_client_receive(call->client, NULL, &receiving->receive, &answer, &failure) !=
        HOLDFAST_CLIENT_OK) {
        return hf_remote_failure(call->cli, &failure);
    }
    if (answer->status >= 300) {
        return hf_remote_refused(call, answer);
    }
    int status;
    if (!take_messages(receiving, answer)) {
        struct hf_error error = {0};
        (void)hf_error_set(&error, HF_ERR_IO, "the server's answer holds no messages");
        status = hf_cli_fail(call->cli, &error);
    } else if (call->values->text[HF_REMOTE_EXEC] != NULL) {
        status = execute(receiving);
    } else {
        status = show_messages(receiving, answer);
        if (status == HF_EXIT_OK && call->values->flag[HF_REMOTE_ACK] && receiving->count > 0) {
            int acked = ack_messages(receiving, receiving->messages, receiving->count);
            status = acked == HF_CLI_GO_ON ? status : acked;
        }
    }
    holdfast_client_answer_free(answer);
    return status;
}

/* A number option below a bound; 0 if it is not given. HF_CLI_GO_ON or the usage was told. */
static int take_number(const struct hf_remote_call *call, enum hf_remote_option option,
                       const char *name, uint64_t most, uint64_t *value)
{
    const char *text = call->values->text[option];
    hf_u128 number = 0;
    if (text != NULL && (!hf_u128_parse(hf_str_from(text), &number) || number > most)) {
        return hf_cli_usage(call->cli, "--%s is a number up to %llu, not %s", name,
                            (unsigned long long)most, text);
    }
    *value = (uint64_t)number;
    return HF_CLI_GO_ON;
}

int hf_remote_queue_receive(struct hf_remote_call *call)
{
    const struct hf_remote_values *values = call->values;
    struct receiving receiving = {.call = call};
    uint64_t max = 0;
    uint64_t wait = 0;
    bool follow = values->flag[HF_REMOTE_FOLLOW];
    int status = take_number(call, HF_REMOTE_MAX, "max", RECEIPTS_MAX, &max);
    if (status == HF_CLI_GO_ON) {
        status = take_number(call, HF_REMOTE_WAIT, "wait", WAIT_SECONDS_MAX, &wait);
    }
    if (status == HF_CLI_GO_ON) {
        status = take_number(call, HF_REMOTE_LEASE_MS, "lease-ms", HF_DELIVERY_MS_MAX,
                             &receiving.receive.lease_ms);
    }
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    if (follow && values->text[HF_REMOTE_ATTEMPT] != NULL) {
        return hf_cli_usage(call->cli, "--attempt is of one receive: it does not go with --follow");
    }
    receiving.receive.subscription = call->cli->operands[0];
    receiving.receive.max = (unsigned)max;
    receiving.receive.wait_ms = (follow && wait == 0 ? WAIT_SECONDS_MAX : wait) * 1000;
    receiving.receive.consumer = values->text[HF_REMOTE_CONSUMER];
    receiving.receive.attempt = values->text[HF_REMOTE_ATTEMPT];
    do {
        status = receive_once(&receiving);
        (void)fflush(stdout);
    } while (follow && (status == HF_EXIT_OK ||
                        (status == HF_EXIT_NO && values->text[HF_REMOTE_EXEC] != NULL &&
                         receiving.count > 0)));
    return status;
}
