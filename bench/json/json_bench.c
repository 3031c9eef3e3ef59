/*
 * How fast and how strict are the JSON readers that we could use?
 *
 * Prints for each text and reader the nanoseconds of processor time per text and the megabytes per
 * second, the median of 5 measurements of at least 0.2 s each, taken in turns; then a table of
 * what is accepted. docs/adr/0001-json.md holds the figures.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <jansson.h>
#include <yajl/yajl_parse.h>

#include "base/json.h"

#include "readers.h"

#define RUNS            5
#define SECONDS_PER_RUN 0.2

static bool read_ours(struct hf_str text)
{
    return hf_json_validate(text, NULL) == HF_ERR_OK;
}

static bool read_jansson(struct hf_str text)
{
    json_t *value = json_loadb(text.ptr, text.len,
                               JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    bool accepted = value != NULL;
    json_decref(value);
    return accepted;
}

static int take(void *context)
{
    (void)context;
    return 1;
}

static int take_boolean(void *context, int value)
{
    (void)context;
    (void)value;
    return 1;
}

static int take_number(void *context, const char *text, size_t len)
{
    (void)context;
    (void)text;
    (void)len;
    return 1;
}

static int take_string(void *context, const unsigned char *text, size_t len)
{
    (void)context;
    (void)text;
    (void)len;
    return 1;
}

static bool read_yajl(struct hf_str text)
{
    static const yajl_callbacks callbacks = {
        .yajl_null = take,
        .yajl_boolean = take_boolean,
        .yajl_number = take_number,
        .yajl_string = take_string,
        .yajl_start_map = take,
        .yajl_map_key = take_string,
        .yajl_end_map = take,
        .yajl_start_array = take,
        .yajl_end_array = take,
    };
    yajl_handle handle = yajl_alloc(&callbacks, NULL, NULL);
    if (handle == NULL) {
        exit(1);
    }
    bool accepted =
        yajl_parse(handle, (const unsigned char *)text.ptr, text.len) == yajl_status_ok &&
        yajl_complete_parse(handle) == yajl_status_ok;
    yajl_free(handle);
    return accepted;
}

const struct reader readers[READERS_COUNT] = {
    {"ours", read_ours, "yes", "yes"},
    {"jansson", read_jansson, "no", "no"},
    {"json-c", json_c_read, "reals only", "no"},
    {"yajl", read_yajl, "yes", "by offsets only"},
};

static void put_transfer(struct hf_buffer *out, unsigned number)
{
    hf_buffer_format(
        out,
        "{\"op\":\"transfer\",\"id\":\"t-%08u\",\"from\":\"customers:%u\","
        "\"to\":\"shops:berlin-mitte\",\"asset\":\"EUR/2\",\"amount\":\"%u\","
        "\"metadata\":{\"order\":\"order-%u\",\"text\":\"2 \xC3\x97 Br\xC3\xB6tchen\"}}",
        number, number % 977, 100 + number % 10000, number * 7);
}

static void put_commit(struct hf_buffer *out, unsigned transfers)
{
    hf_buffer_text(out, "{\"if\":[{\"account\":\"customers:42\",\"version\":17}],\"do\":[");
    for (unsigned i = 0; i < transfers; i++) {
        hf_buffer_text(out, i == 0 ? "" : ",");
        put_transfer(out, i);
    }
    hf_buffer_text(out, "]}");
}

/* About 100 KB, with white space, nesting, numbers, escapes and texts in several scripts. */
static void put_document(struct hf_buffer *out)
{
    hf_buffer_text(out, "{\n  \"entries\": [");
    for (unsigned i = 0; out->size_bytes < 100000; i++) {
        hf_buffer_format(
            out,
            "%s\n    {\n      \"index\": %u,\n      \"active\": %s,\n"
            "      \"balance\": %u.%02u,\n      \"position\": [%d.5, 1.25e-%u],\n"
            "      \"name\": \"J\xC3\xBCrgen \xD0\x98\xD0\xB2\xD0\xB0\xD0\xBD \xE6\x9D\x8E\","
            "\n      \"note\": \"He said \\\"no\\\"\\nand \\u00e9 went away; the rest of "
            "this note is plain text without anything special in it.\",\n"
            "      \"tags\": [\"red\", \"green\", \"blue\"],\n"
            "      \"address\": {\"street\": \"Main %u\", \"zip\": null}\n    }",
            i == 0 ? "" : ",", i, i % 2 == 0 ? "true" : "false", i * 31, i % 100, (int)i - 50,
            i % 9, i);
    }
    hf_buffer_text(out, "\n  ]\n}\n");
}

static bool read_canonical(struct hf_str text)
{
    static struct hf_buffer out;
    hf_buffer_clear(&out);
    return hf_json_canonical(text, &out);
}

static double measure(bool (*read)(struct hf_str text), struct hf_str text)
{
    uint64_t count = 0;
    uint64_t batch = 1 + 100000 / text.len;
    clock_t start = clock();
    double seconds = 0;
    while (seconds < SECONDS_PER_RUN) {
        for (uint64_t i = 0; i < batch; i++) {
            if (!read(text)) {
                fprintf(stderr, "json_bench: a text of the benchmark was refused\n");
                exit(1);
            }
        }
        count += batch;
        seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    }
    return seconds * 1e9 / (double)count;
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static void bench_text(const char *about, const struct hf_buffer *buffer)
{
    struct hf_str text = {(const char *)buffer->data, buffer->size_bytes};
    double nanoseconds[READERS_COUNT + 1][RUNS];
    for (int run = 0; run < RUNS; run++) {
        for (size_t i = 0; i < READERS_COUNT; i++) {
            nanoseconds[i][run] = measure(readers[i].read, text);
        }
        nanoseconds[READERS_COUNT][run] = measure(read_canonical, text);
    }
    for (size_t i = 0; i <= READERS_COUNT; i++) {
        qsort(nanoseconds[i], RUNS, sizeof(double), by_value);
        double median = nanoseconds[i][RUNS / 2];
        printf("| %s, %zu bytes | %s | %.0f | %.0f |\n", about, text.len,
               i < READERS_COUNT ? readers[i].name : "ours, canonical form", median,
               (double)text.len * 1e3 / median);
    }
}

int main(void)
{
    json_c_load();
    struct hf_buffer text;
    hf_buffer_init(&text);
    printf("| text | reader | ns per text | MB/s |\n|---|---|---:|---:|\n");
    put_commit(&text, 1);
    bench_text("(a) commit of 1 transfer", &text);
    hf_buffer_clear(&text);
    put_commit(&text, 1000);
    bench_text("(b) commit of 1,000 transfers", &text);
    hf_buffer_clear(&text);
    put_document(&text);
    bench_text("(c) document", &text);
    hf_buffer_release(&text);
    strictness_print();
    return 0;
}
