/* A relay's counters, shown in three ways. */
#include "relay/status.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/json.h"

#define TERMINAL_MS   200
#define FILE_MS       1000
#define PATH_BYTES    4096
#define US_PER_SECOND 1000000u

static const char *const state_names[] = {"starting",      "copying",     "running",
                                          "database_away", "server_away", "ended"};

uint64_t hf_relay_now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * US_PER_SECOND + (uint64_t)now.tv_nsec / 1000;
}

uint64_t hf_relay_ticks_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void hf_relay_status_init(struct hf_relay_status *status,
                          const struct hf_relay_status_options *options, const char *name)
{
    *status = (struct hf_relay_status){.options = options, .name = name};
    status->terminal = isatty(STDERR_FILENO) == 1;
    status->line_due_ms = hf_relay_ticks_ms() + options->every_ms;
}

static uint64_t lag_ms(const struct hf_relay_status *status)
{
    uint64_t now_us = hf_relay_now_us();
    return status->waiting_since_us == 0 || status->waiting_since_us > now_us
               ? 0
               : (now_us - status->waiting_since_us) / 1000;
}

/* The counters under their names, in the order in which they are shown. */
struct counter {
    const char *name;
    const char *help;
    uint64_t value;
    bool gauge;
};
#define COUNTERS 12

static void list_counters(const struct hf_relay_status *status, struct counter list[COUNTERS])
{
    const struct counter all[COUNTERS] = {
        {"published", "Messages published by this process", status->published, false},
        {"known", "Rows that were messages already", status->known, false},
        {"parked", "Rows that can be no message, kept in the stream of parked rows", status->parked,
         false},
        {"ignored", "Updates, deletes and truncates of the table", status->ignored, false},
        {"commits", "Commits that moved the cursor", status->commits, false},
        {"heartbeats", "Commits that moved the cursor without a row", status->heartbeats, false},
        {"retries", "Rounds without an answer of the server", status->retries, false},
        {"reconnects", "New connections to the database", status->reconnects, false},
        {"conflicts", "Times that somebody else had moved the cursor", status->conflicts, false},
        {"lag_ms", "Age of the oldest row that is not published", lag_ms(status), true},
        {"lag_bytes", "PostgreSQL: WAL behind the cursor", status->lag_bytes, true},
        {"lag_rows", "SQLite: rows behind the cursor", status->lag_rows, true},
    };
    memcpy(list, all, sizeof(all));
}

static void show_line(const struct hf_relay_status *status)
{
    struct hf_buffer out;
    struct counter list[COUNTERS];
    hf_buffer_init(&out);
    list_counters(status, list);
    hf_buffer_text(&out, "{\"relay\":");
    hf_json_write_string(&out, hf_str_from(status->name));
    hf_buffer_format(&out, ",\"state\":\"%s\",\"cursor\":\"%s\",\"position\":%" PRIu64,
                     state_names[status->state], status->cursor, status->position);
    for (size_t i = 0; i < COUNTERS; i++) {
        hf_buffer_format(&out, ",\"%s\":%" PRIu64, list[i].name, list[i].value);
    }
    hf_buffer_text(&out, "}\n");
    if (!out.failed) {
        (void)fwrite(out.data, 1, out.size_bytes, stdout);
        (void)fflush(stdout);
    }
    hf_buffer_release(&out);
}

/* A label's value: the relay's name has no character that needs escaping, or it was refused. */
static void write_metrics(const struct hf_relay_status *status, struct hf_buffer *out)
{
    struct counter list[COUNTERS];
    list_counters(status, list);
    for (size_t i = 0; i < COUNTERS; i++) {
        const char *total = list[i].gauge ? "" : "_total";
        hf_buffer_format(out,
                         "# HELP holdfast_relay_%s%s %s.\n# TYPE holdfast_relay_%s%s %s\n"
                         "holdfast_relay_%s%s{relay=\"%s\"} %" PRIu64 "\n",
                         list[i].name, total, list[i].help, list[i].name, total,
                         list[i].gauge ? "gauge" : "counter", list[i].name, total, status->name,
                         list[i].value);
    }
    hf_buffer_text(out, "# HELP holdfast_relay_state 1 for the state that it is in.\n"
                        "# TYPE holdfast_relay_state gauge\n");
    for (size_t i = 0; i < HF_ARRAY_COUNT(state_names); i++) {
        hf_buffer_format(out, "holdfast_relay_state{relay=\"%s\",state=\"%s\"} %d\n", status->name,
                         state_names[i], i == (size_t)status->state);
    }
    hf_buffer_format(out,
                     "# HELP holdfast_relay_updated_seconds When this file was written.\n"
                     "# TYPE holdfast_relay_updated_seconds gauge\n"
                     "holdfast_relay_updated_seconds{relay=\"%s\"} %" PRIu64 "\n",
                     status->name, hf_relay_now_us() / US_PER_SECOND);
}

static bool replace_file(const char *path, const struct hf_buffer *text)
{
    char other[PATH_BYTES];
    int length = snprintf(other, sizeof(other), "%s.new", path);
    FILE *file = length > 0 && (size_t)length < sizeof(other) ? fopen(other, "wbe") : NULL;
    if (file == NULL) {
        return false;
    }
    bool written = fwrite(text->data, 1, text->size_bytes, file) == text->size_bytes;
    bool closed = fclose(file) == 0;
    return written && closed && rename(other, path) == 0;
}

static void show_file(struct hf_relay_status *status)
{
    struct hf_buffer out;
    hf_buffer_init(&out);
    write_metrics(status, &out);
    bool good = !out.failed && replace_file(status->options->metrics_file, &out);
    hf_buffer_release(&out);
    if (!good && !status->file_failed) {
        status->file_failed = true;
        hf_relay_warn(status, "%s can't be written: %s; going on without it",
                      status->options->metrics_file, strerror(errno));
    }
}

static void show_terminal(struct hf_relay_status *status)
{
    (void)fprintf(stderr,
                  "\r\033[K%s: %s, %" PRIu64 " published, %" PRIu64
                  " parked, cursor %s, lag %" PRIu64 " ms",
                  status->name, state_names[status->state], status->published, status->parked,
                  status->cursor, lag_ms(status));
    (void)fflush(stderr);
    status->shown = true;
}

void hf_relay_status_show(struct hf_relay_status *status)
{
    uint64_t now_ms = hf_relay_ticks_ms();
    if (status->options->json) {
        show_line(status);
        status->line_due_ms = now_ms + status->options->every_ms;
    }
    if (status->options->metrics_file != NULL) {
        show_file(status);
        status->file_due_ms = now_ms + FILE_MS;
    }
    if (status->terminal) {
        show_terminal(status);
        status->terminal_due_ms = now_ms + TERMINAL_MS;
        if (status->state == HF_RELAY_ENDED) {
            (void)fputc('\n', stderr);
            status->shown = false;
        }
    }
}

void hf_relay_status_tick(struct hf_relay_status *status)
{
    uint64_t now_ms = hf_relay_ticks_ms();
    if (status->options->json && now_ms >= status->line_due_ms) {
        show_line(status);
        status->line_due_ms = now_ms + status->options->every_ms;
    }
    if (status->options->metrics_file != NULL && now_ms >= status->file_due_ms) {
        show_file(status);
        status->file_due_ms = now_ms + FILE_MS;
    }
    if (status->terminal && now_ms >= status->terminal_due_ms) {
        show_terminal(status);
        status->terminal_due_ms = now_ms + TERMINAL_MS;
    }
}

void hf_relay_status_state(struct hf_relay_status *status, enum hf_relay_state state)
{
    if (status->state != state) {
        status->state = state;
        hf_relay_status_show(status);
    }
}

void hf_relay_warn(struct hf_relay_status *status, const char *format, ...)
{
    va_list arguments;
    (void)fprintf(stderr, "%sholdfast %s: ", status->shown ? "\r\033[K" : "",
                  status->options->command);
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fputc('\n', stderr);
    status->shown = false;
}
