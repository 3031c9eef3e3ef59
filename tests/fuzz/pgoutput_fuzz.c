/*
 * Bytes as what a PostgreSQL server sends. What is accepted: every part lies inside of the message, the lists have as
 * many members as they say, and nothing of it can be taken away: each shorter form is refused.
 */
#include "base/check.h"
#include "relay/pgoutput.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct hf_str whole, struct hf_str part)
{
    HF_CHECK(part.len == 0 ||
             (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len));
}

static void walk_values(struct hf_str body, struct hf_pgoutput_list list)
{
    struct hf_pgoutput_value value;
    uint32_t count = list.count;
    inside(body, list.bytes);
    while (hf_pgoutput_next_value(&list, &value)) {
        bool bytes = value.kind == HF_PGOUTPUT_TEXT || value.kind == HF_PGOUTPUT_BINARY;
        HF_CHECK(count-- > 0 && bytes == hf_str_present(value.bytes));
        HF_CHECK(bytes || value.kind == HF_PGOUTPUT_NULL || value.kind == HF_PGOUTPUT_UNCHANGED);
        inside(body, value.bytes);
    }
    HF_CHECK(count == 0 && list.bytes.len == 0);
}

static void walk_others(struct hf_str body, const struct hf_pgoutput_message *message)
{
    struct hf_pgoutput_list list = message->columns;
    struct hf_pgoutput_column column;
    uint32_t count = list.count;
    uint32_t relation;
    inside(body, message->schema);
    inside(body, message->name);
    while (hf_pgoutput_next_column(&list, &column)) {
        HF_CHECK(count-- > 0);
        inside(body, column.name);
        HF_CHECK(column.name.ptr[column.name.len] == '\0');
    }
    HF_CHECK(count == 0 && list.bytes.len == 0);
    list = message->relations;
    count = list.count;
    while (hf_pgoutput_next_relation(&list, &relation)) {
        HF_CHECK(count-- > 0);
    }
    HF_CHECK(count == 0 && list.bytes.len == 0);
}

static void parse(struct hf_str body)
{
    struct hf_pgoutput_message message;
    const char *why;
    if (!hf_pgoutput_parse(body, &message, &why)) {
        HF_CHECK(why != NULL);
        return;
    }
    HF_CHECK(why == NULL);
    walk_values(body, message.tuple);
    walk_values(body, message.old);
    walk_others(body, &message);
    for (size_t length = 0; length < body.len && length < 200; length++) {
        struct hf_pgoutput_message cut;
        HF_CHECK(!hf_pgoutput_parse((struct hf_str){body.ptr, length}, &cut, &why) && why != NULL);
    }
}

static void parse_lsn(struct hf_str text)
{
    char again[HF_LSN_TEXT_BYTES];
    uint64_t lsn;
    uint64_t same;
    if (hf_lsn_parse(text, &lsn)) {
        hf_lsn_format(lsn, again);
        HF_CHECK(hf_lsn_parse(hf_str_from(again), &same) && same == lsn);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_str bytes = {(const char *)data, size};
    struct hf_pgoutput_envelope envelope;
    const char *why;
    parse(bytes);
    parse_lsn(bytes);
    if (hf_pgoutput_open(bytes, &envelope, &why)) {
        inside(bytes, envelope.body);
        parse(envelope.body);
    } else {
        HF_CHECK(why != NULL);
    }
    return 0;
}
