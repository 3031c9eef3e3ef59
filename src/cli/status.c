/* holdfast status [DIR]: of a server; or what is in a directory and how it was left, without taking it over. */
#include "api/log_json.h"
#include "base/alloc.h"
#include "base/time_text.h"
#include "cli/remote.h"
#include "cli/text_table.h"
#include "cli/walk.h"
#include "log/log_keep.h"
#include "observe/disk.h"
#include "store/checkpoint.h"

struct status {
    struct hf_log_head head;                /* of the log */
    uint64_t last_time_us;                  /* of the newest commit */
    uint64_t takeovers;                     /* recorded */
    char owner[HF_PRINCIPAL_BYTES_MAX + 1]; /* of the newest one */
    uint64_t torn_tails;                    /* recorded */
    struct hf_system torn;                  /* the newest one */
    uint64_t torn_position;                 /* commit that records it */
    uint64_t checkpoint_position;           /* newest recorded; 0 = none */
    uint64_t checkpoint_file;               /* newest stored; 0 = none */
    bool owned;                             /* a process holds the lock */
    struct hf_log_bytes bytes;              /* where the log's are */
    struct hf_disk_use disk;
};

static void take_commit(struct status *status, const struct hf_commit *commit)
{
    status->last_time_us = commit->time_us;
    for (uint32_t i = 0; i < commit->event_count; i++) {
        const struct hf_event *event = commit->events[i];
        if (event->type == HF_EVENT_TAKEOVER) {
            status->takeovers++;
            (void)snprintf(status->owner, sizeof(status->owner), "%.*s",
                           (int)event->system.owner.len, event->system.owner.ptr);
        } else if (event->type == HF_EVENT_TAIL_CUT) {
            status->torn_tails++;
            status->torn = event->system;
            status->torn_position = commit->position;
        } else if (event->type == HF_EVENT_CHECKPOINT) {
            status->checkpoint_position = event->system.position;
        }
    }
}

static enum hf_err look(struct hf_outside *outside, const char *directory, struct status *status,
                        struct hf_error *error)
{
    struct hf_log *log;
    struct hf_walk walk;
    enum hf_err code = hf_walk_open_log(outside, directory, &log, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    hf_walk_init(&walk, log);
    status->owned = hf_walk_is_owned(directory);
    code = status->owned ? hf_walk_limit(&walk, error) : HF_ERR_OK;
    while (code == HF_ERR_OK && (code = hf_walk_next(&walk, error)) == HF_ERR_OK && !walk.end) {
        take_commit(status, &walk.commit);
    }
    status->head = walk.head;
    hf_walk_release(&walk);
    log->driver->close(log);
    if (code == HF_ERR_OK) {
        uint64_t *positions;
        size_t count;
        code = hf_checkpoint_list(outside, directory, &positions, &count, error);
        status->checkpoint_file = code == HF_ERR_OK && count > 0 ? positions[0] : 0;
        hf_free(positions);
    }
    if (code == HF_ERR_OK) {
        code = hf_log_bytes(outside, directory, &status->bytes, error);
    }
    if (code == HF_ERR_OK) {
        code = hf_disk_use_measure(directory, hf_outside_linux_files, &status->disk, error);
    }
    if (code == HF_ERR_OK) {
        code = hf_outside_linux_space(directory, &status->disk.free, &status->disk.all, error);
    }
    return code;
}

static void print_text(const struct status *status, struct hf_buffer *out)
{
    char hash[2 * HF_SHA256_BYTES + 1];
    char time[HF_TIME_TEXT_BYTES];
    hf_hash_hex(&status->head.hash, hash);
    hf_time_format(status->last_time_us, time);
    hf_buffer_format(out, "owner           %s\n",
                     status->owned ? "a process owns it now" : "none now");
    hf_buffer_format(out, "last owner      %s, %llu takeovers, epoch %llu\n",
                     status->takeovers == 0 ? "none" : status->owner,
                     (unsigned long long)status->takeovers, (unsigned long long)status->head.epoch);
    hf_buffer_format(out, "head            position %llu, batch %llu, %s\n",
                     (unsigned long long)status->head.position,
                     (unsigned long long)status->head.seq, time);
    hf_buffer_format(out, "head hash       %s\n", hash);
    hf_buffer_format(out, "checkpoint      %llu stored, %llu recorded\n",
                     (unsigned long long)status->checkpoint_file,
                     (unsigned long long)status->checkpoint_position);
    const struct hf_log_bytes *bytes = &status->bytes;
    hf_buffer_format(
        out,
        "log             %llu segments plain, %llu bytes; %llu compressed, %llu bytes; "
        "%llu archived, %llu bytes\n",
        (unsigned long long)bytes->plain_segments, (unsigned long long)bytes->plain_bytes,
        (unsigned long long)bytes->compressed_segments, (unsigned long long)bytes->compressed_bytes,
        (unsigned long long)bytes->archived_segments, (unsigned long long)bytes->archived_bytes);
    hf_buffer_format(out, "torn tails cut  %llu", (unsigned long long)status->torn_tails);
    if (status->torn_tails > 0) {
        hf_buffer_format(
            out, "; the last: segment %llu, offset %llu, %llu bytes (commit %llu)",
            (unsigned long long)status->torn.segment, (unsigned long long)status->torn.offset,
            (unsigned long long)status->torn.bytes, (unsigned long long)status->torn_position);
    }
    const struct hf_disk_use *disk = &status->disk;
    hf_buffer_format(
        out,
        "\ndisk            log %llu, index %llu, checkpoints %llu, temporary %llu, other "
        "%llu bytes; %llu of %llu are free\n",
        (unsigned long long)disk->log, (unsigned long long)disk->index,
        (unsigned long long)disk->checkpoints, (unsigned long long)disk->temporary,
        (unsigned long long)disk->other, (unsigned long long)disk->free,
        (unsigned long long)disk->all);
}

static void print_json(const struct status *status, struct hf_buffer *out)
{
    struct hf_json_writer w = hf_json_writer_over(out);
    hf_json_begin_object(&w, NULL);
    hf_json_put_bool(&w, "owned", status->owned);
    if (status->takeovers == 0) {
        hf_json_put_null(&w, "last_owner");
    } else {
        hf_json_put_text(&w, "last_owner", hf_str_from(status->owner));
    }
    hf_json_put_number(&w, "takeovers", status->takeovers);
    hf_json_put_number(&w, "epoch", status->head.epoch);
    hf_json_put_number(&w, "position", status->head.position);
    hf_json_put_number(&w, "batches", status->head.seq);
    hf_json_put_time(&w, "last_time", status->last_time_us);
    hf_cli_put_hash(&w, "hash", &status->head.hash);
    hf_json_put_number(&w, "checkpoint_stored", status->checkpoint_file);
    hf_json_put_number(&w, "checkpoint_recorded", status->checkpoint_position);
    hf_json_put_log_bytes(&w, "log", &status->bytes);
    hf_json_begin_object(&w, "disk");
    hf_json_put_number(&w, "log_bytes", status->disk.log);
    hf_json_put_number(&w, "index_bytes", status->disk.index);
    hf_json_put_number(&w, "checkpoints_bytes", status->disk.checkpoints);
    hf_json_put_number(&w, "temporary_bytes", status->disk.temporary);
    hf_json_put_number(&w, "other_bytes", status->disk.other);
    hf_json_put_number(&w, "free_bytes", status->disk.free);
    hf_json_put_number(&w, "all_bytes", status->disk.all);
    hf_json_end_object(&w);
    hf_json_put_number(&w, "torn_tails", status->torn_tails);
    if (status->torn_tails > 0) {
        hf_json_begin_object(&w, "last_torn_tail");
        hf_json_put_number(&w, "segment", status->torn.segment);
        hf_json_put_number(&w, "offset", status->torn.offset);
        hf_json_put_number(&w, "bytes", status->torn.bytes);
        hf_json_put_number(&w, "position", status->torn_position);
        hf_json_end_object(&w);
    }
    hf_json_end_object(&w);
}

/* What is told as a table of its own, behind the rest. */
static const struct {
    const char *member; /* an object of numbers of bytes */
    const char *title;
} tables[] = {{"memory_parts", "MEMORY"}, {"disk", "DISK"}};

static bool has_table(struct hf_str member)
{
    bool has = false;
    for (size_t i = 0; i < HF_ARRAY_COUNT(tables); i++) {
        has = has || hf_str_equal(member, hf_str_from(tables[i].member));
    }
    return has;
}

/* {"log_bytes":4096,…} as "log  4096", a line each. */
static void print_parts(const char *title, const struct hf_json_object *parts,
                        struct hf_buffer *out)
{
    static const char unit[] = "_bytes";
    struct hf_text_table table;
    hf_text_table_init(&table, 2);
    table.right[1] = true;
    hf_text_table_cell(&table, hf_str_from(title));
    hf_text_table_cell(&table, HF_STR("BYTES"));
    for (size_t i = 0; i < parts->count; i++) {
        struct hf_str name = parts->members[i].name;
        if (name.len > sizeof(unit) - 1) {
            name.len -= sizeof(unit) - 1;
        }
        hf_text_table_cell(&table, name);
        hf_text_table_cell(&table, parts->members[i].value.text);
    }
    hf_buffer_u8(out, '\n');
    hf_text_table_print(&table, out);
    hf_text_table_release(&table);
}

/* Whole lines, then the tables. */
static int print_server(struct hf_remote_call *call, struct holdfast_client_answer *answer)
{
    struct hf_buffer rest;
    struct hf_buffer out;
    struct hf_json_object whole;
    struct hf_str body = {answer->body, answer->body_bytes};
    if (!hf_json_view_object(body, &call->arena, &whole)) {
        return hf_remote_show(call, answer);
    }
    hf_buffer_init(&rest);
    hf_buffer_init(&out);
    for (size_t i = 0; i < whole.count; i++) {
        const struct hf_json_member *member = &whole.members[i];
        if (!has_table(member->name) || member->value.token == HF_JSON_NULL) {
            hf_buffer_format(&rest, "%s\"%.*s\":%.*s", rest.size_bytes == 0 ? "{" : ",",
                             (int)member->name.len, member->name.ptr, (int)member->value.raw.len,
                             member->value.raw.ptr);
        }
    }
    hf_buffer_u8(&rest, '}');
    hf_remote_lines(call, (struct hf_str){(const char *)rest.data, rest.size_bytes}, HF_STR_NONE,
                    &out);
    for (size_t i = 0; i < HF_ARRAY_COUNT(tables); i++) {
        const struct hf_json_value *value = hf_json_view_member(&whole, tables[i].member);
        struct hf_json_object parts;
        if (value != NULL && hf_json_view_object(value->raw, &call->arena, &parts)) {
            print_parts(tables[i].title, &parts, &out);
        }
    }
    out.failed = out.failed || rest.failed;
    hf_buffer_release(&rest);
    holdfast_client_answer_free(answer);
    return hf_cli_print(call->cli, &out, HF_EXIT_OK);
}

static int of_server(const struct hf_cli *cli, const struct hf_remote_values *values)
{
    struct hf_remote_call call;
    struct holdfast_client_answer *answer;
    int status = hf_remote_begin(&call, cli, values);
    if (status == HF_CLI_GO_ON) {
        status = hf_remote_get(&call, "/v1/status", &answer);
    }
    if (status == HF_CLI_GO_ON) {
        bool shown = answer->status < 300;
        status = shown && !cli->json ? print_server(&call, answer) : hf_remote_show(&call, answer);
        if (shown && status == HF_EXIT_OK && !cli->json) {
            status = hf_remote_status_alerts(&call);
        }
    }
    hf_remote_end(&call);
    return status;
}

static int of_directory(const struct hf_cli *cli)
{
    struct hf_error error = {0};
    struct status status = {0};
    struct hf_buffer out;
    struct hf_outside *outside = hf_outside_linux_new();
    if (outside == NULL) {
        (void)hf_error_set(&error, HF_ERR_NO_MEMORY, "out of memory");
        return hf_cli_fail(cli, &error);
    }
    enum hf_err code = look(outside, cli->operands[0], &status, &error);
    hf_outside_linux_free(outside);
    if (code != HF_ERR_OK) {
        return hf_cli_fail(cli, &error);
    }
    hf_buffer_init(&out);
    if (cli->json) {
        print_json(&status, &out);
    } else {
        print_text(&status, &out);
    }
    return hf_cli_print(cli, &out, HF_EXIT_OK);
}

int hf_cli_status(int argc, char **argv)
{
    struct hf_remote_values values;
    struct hf_cli_option options[HF_REMOTE_OPTION_COUNT];
    struct hf_cli cli = {
        .name = "status",
        .operands_help = "[DIR]",
        .help = "Without DIR: the state of a server. Else what is in the data directory DIR and "
                "how it was\n"
                "left: its owner, the head of the log, checkpoints, torn tails that a recovery "
                "cut. Only\n"
                "reads.\n\n"
                "Example:\n  holdfast status --server=unix:/run/holdfast/socket",
        .options = options,
        .option_count = hf_remote_options(HF_REMOTE_EVERYWHERE, &values, options),
        .operands_max = 1,
    };
    int status = hf_cli_parse(&cli, argc, argv);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    if (cli.operand_count == 0) {
        return of_server(&cli, &values);
    }
    return values.text[HF_REMOTE_SERVER] != NULL ? hf_cli_usage(&cli, "either DIR or --server")
                                                 : of_directory(&cli);
}
