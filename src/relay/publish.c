/* Rows that wait, and the commit that publishes them. */
#include "relay/publish_priv.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/check.h"

#define BATCH_BYTES_MAX (1u << 20) /* of data; one row may exceed it */

bool hf_publisher_init(struct hf_publisher *publisher, struct hf_relay *relay)
{
    *publisher = (struct hf_publisher){.relay = relay};
    hf_arena_init(&publisher->arena);
    hf_buffer_init(&publisher->body);
    publisher->rows = hf_calloc(relay->options->batch_rows_max, sizeof(*publisher->rows));
    return publisher->rows != NULL;
}

void hf_publisher_release(struct hf_publisher *publisher)
{
    hf_free(publisher->rows);
    hf_buffer_release(&publisher->body);
    hf_arena_release(&publisher->arena);
    *publisher = (struct hf_publisher){0};
}

void hf_publisher_clear(struct hf_publisher *publisher)
{
    publisher->count = 0;
    publisher->bytes = 0;
    hf_arena_clear(&publisher->arena);
    publisher->relay->status.waiting_since_us = 0;
}

static enum hf_relay_end no_memory(struct hf_publisher *publisher)
{
    return hf_relay_say(publisher->relay, HF_RELAY_FAILED, "out of memory");
}

/* ---- one commit ---- */

/* What came of a commit of the rows from `from` to `to`. */
struct attempt {
    enum hf_relay_end end; /* GO_ON: look at the rest */
    bool done;             /* the rows are published */
    bool blamed;           /* the row at `row` was refused */
    bool exists;           /* …because its id is a message's already */
    size_t row;
    char why[HF_OUTBOX_WHY_BYTES];
};

/* Which of the rows stands at an operation's index? */
static bool find_row(const struct hf_publisher *publisher, size_t from, size_t to, uint64_t index,
                     size_t *row)
{
    for (size_t i = from; i < to; i++) {
        if (!publisher->rows[i].known && index-- == 0) {
            *row = i;
            return true;
        }
    }
    return false;
}

/* "/do/17", "/do/17/type" → 17. */
static bool failed_operation(const struct holdfast_client_answer *answer, uint64_t *index)
{
    char *end;
    if (strncmp(answer->failed, "/do/", 4) != 0) {
        return false;
    }
    *index = strtoull(answer->failed + 4, &end, 10);
    return end != answer->failed + 4;
}

static void judge_refusal(struct hf_publisher *publisher, size_t from, size_t to,
                          const struct holdfast_client_answer *answer, struct attempt *attempt)
{
    uint64_t index;
    bool about_request = answer->status == 400 || answer->status == 404 || answer->status == 409 ||
                         answer->status == 413 || answer->status == 422;
    attempt->blamed = about_request && failed_operation(answer, &index) &&
                      find_row(publisher, from, to, index, &attempt->row);
    if (!attempt->blamed && about_request && to - from == 1 && !publisher->rows[from].known) {
        attempt->blamed = true; /* the only one */
        attempt->row = from;
    }
    if (!attempt->blamed) {
        attempt->end = hf_publish_refused(publisher, answer);
        return;
    }
    attempt->exists =
        strcmp(answer->code, "message_exists") == 0 || strcmp(answer->code, "partial_replay") == 0;
    (void)snprintf(attempt->why, sizeof(attempt->why), "the server refuses it: %s: %.200s",
                   answer->code, answer->detail);
}

/* The cursor behind the rows before `to`. */
static void cursor_behind(const struct hf_publisher *publisher, size_t to, struct hf_cursor *next)
{
    bool all = to == publisher->count;
    *next = publisher->relay->cursor;
    if (to > 0) {
        next->at = all ? publisher->end : publisher->rows[to - 1].at;
        hf_cursor_text(next->id, publisher->rows[to - 1].row.fields[HF_OUTBOX_ID]);
    }
}

static struct attempt commit_rows(struct hf_publisher *publisher, size_t from, size_t to)
{
    struct hf_relay *relay = publisher->relay;
    struct attempt attempt = {0};
    struct hf_cursor next;
    struct holdfast_client_answer *answer;
    uint64_t fresh = 0;
    cursor_behind(publisher, to, &next);
    hf_publish_begin(publisher);
    for (size_t i = from; i < to; i++) {
        if (!publisher->rows[i].known) {
            hf_publish_comma(publisher);
            hf_outbox_put_operation(&publisher->rows[i].message, &publisher->body);
            fresh++;
        }
    }
    next.published += fresh;
    hf_publish_end(publisher, &next);
    attempt.end = hf_publish_send(publisher, false, &answer);
    if (attempt.end != HF_RELAY_GO_ON) {
        return attempt;
    }
    if (answer->status < 300) {
        attempt.done = true;
        hf_publish_moved_to(publisher, &next, answer);
        relay->status.published += fresh;
        relay->status.known += to - from - fresh;
    } else {
        judge_refusal(publisher, from, to, answer, &attempt);
    }
    holdfast_client_answer_free(answer);
    return attempt;
}

/* ---- all that wait ---- */

/* Behind the rows of the next commit: up to the next bad one; one by one, known ones before it come along. */
static size_t segment_end(const struct hf_publisher *publisher, size_t from, bool one_by_one)
{
    size_t to = from;
    while (to < publisher->count && publisher->rows[to].bad == NULL &&
           (to == from || !publisher->rows[to].alone)) {
        bool known = publisher->rows[to++].known;
        if (one_by_one && !known) {
            break;
        }
    }
    return to;
}

/* The row's id is a message's. Is it the very message that the row would become? Asked by a dry run of it alone: the
 * server answers that it would be a replay, in whole or in part, or that the id is another message's. */
static enum hf_relay_end probe(struct hf_publisher *publisher, struct hf_publisher_row *row)
{
    struct holdfast_client_answer *answer;
    publisher->operations = 0;
    hf_buffer_clear(&publisher->body);
    hf_buffer_text(&publisher->body, "{\"do\":[");
    hf_publish_comma(publisher);
    hf_outbox_put_operation(&row->message, &publisher->body);
    hf_buffer_text(&publisher->body, "]}");
    enum hf_relay_end end = hf_publish_send(publisher, true, &answer);
    if (end != HF_RELAY_GO_ON) {
        return end;
    }
    row->known =
        (answer->status < 300 && answer->replayed) || strcmp(answer->code, "partial_replay") == 0;
    /* No such message: then an earlier row of the same commit has the id; the row takes its turn behind it. */
    row->alone = answer->status < 300 && !answer->replayed;
    if (answer->status >= 300 && !row->known && strcmp(answer->code, "message_exists") != 0) {
        end = hf_publish_refused(publisher, answer);
    }
    holdfast_client_answer_free(answer);
    return end;
}

static enum hf_relay_end blame(struct hf_publisher *publisher, struct attempt *attempt)
{
    struct hf_publisher_row *row = &publisher->rows[attempt->row];
    if (attempt->exists) {
        enum hf_relay_end end = probe(publisher, row);
        if (end != HF_RELAY_GO_ON || row->known || row->alone) {
            return end;
        }
        (void)snprintf(
            attempt->why, sizeof(attempt->why),
            "its id is another message's; ids of all relays are one name space: where they are "
            "plain numbers, --id-prefix keeps them apart");
    }
    row->bad =
        hf_arena_copy(&publisher->arena, (struct hf_str){attempt->why, strlen(attempt->why) + 1})
            .ptr;
    return row->bad != NULL ? HF_RELAY_GO_ON : no_memory(publisher);
}

enum hf_relay_end hf_publisher_flush(struct hf_publisher *publisher)
{
    struct hf_relay *relay = publisher->relay;
    enum hf_relay_end end = HF_RELAY_GO_ON;
    bool one_by_one = false; /* some are messages already: probably more are */
    size_t from = 0;
    while (from < publisher->count && end == HF_RELAY_GO_ON) {
        const struct hf_publisher_row *first = &publisher->rows[from];
        relay->status.waiting_since_us = first->seen_us;
        if (first->bad != NULL) {
            bool last = from + 1 == publisher->count;
            end = hf_publish_bad(publisher, &first->row, last ? &publisher->end : &first->at,
                                 first->bad);
            from++;
            continue;
        }
        size_t to = segment_end(publisher, from, one_by_one);
        struct attempt attempt = commit_rows(publisher, from, to);
        end = attempt.end;
        if (attempt.done) {
            from = to;
        } else if (end == HF_RELAY_GO_ON) {
            one_by_one = one_by_one || attempt.exists;
            end = blame(publisher, &attempt);
        }
    }
    if (end == HF_RELAY_GO_ON || end == HF_RELAY_MOVED) {
        hf_publisher_clear(publisher);
    }
    hf_relay_status_tick(&relay->status);
    return end;
}

enum hf_relay_end hf_publisher_save(struct hf_publisher *publisher, const struct hf_cursor *next)
{
    struct holdfast_client_answer *answer;
    HF_CHECK(publisher->count == 0);
    hf_publish_begin(publisher);
    hf_publish_end(publisher, next);
    enum hf_relay_end end = hf_publish_send(publisher, false, &answer);
    if (end != HF_RELAY_GO_ON) {
        return end;
    }
    if (answer->status < 300) {
        hf_publish_moved_to(publisher, next, answer);
        publisher->relay->status.heartbeats++;
    } else {
        end = hf_publish_refused(publisher, answer);
    }
    holdfast_client_answer_free(answer);
    return end;
}

/* ---- a row comes ---- */

static bool copy_row(struct hf_publisher *publisher, const struct hf_outbox_row *row,
                     struct hf_outbox_row *copy)
{
    *copy = (struct hf_outbox_row){0};
    for (int i = 0; i < HF_OUTBOX_FIELDS; i++) {
        if (hf_str_present(row->fields[i])) {
            copy->fields[i] = hf_arena_copy(&publisher->arena, row->fields[i]);
            if (!hf_str_present(copy->fields[i])) {
                return false;
            }
        }
    }
    struct hf_str where = {row->where, strlen(row->where) + 1};
    copy->where = hf_arena_copy(&publisher->arena, where).ptr;
    return copy->where != NULL;
}

enum hf_relay_end hf_publisher_add(struct hf_publisher *publisher, const struct hf_outbox_row *row,
                                   const struct hf_cursor_at *at, uint64_t seen_us)
{
    struct hf_relay *relay = publisher->relay;
    struct hf_publisher_row *waiting = &publisher->rows[publisher->count];
    char why[HF_OUTBOX_WHY_BYTES];
    bool short_memory = false;
    HF_CHECK(!hf_publisher_full(publisher));
    *waiting = (struct hf_publisher_row){.at = *at, .seen_us = seen_us};
    if (!copy_row(publisher, row, &waiting->row)) {
        return no_memory(publisher);
    }
    if (!hf_outbox_message_of(&relay->options->names, &waiting->row, &publisher->arena,
                              &waiting->message, why, &short_memory)) {
        struct hf_str text = {why, strlen(why) + 1};
        waiting->bad = hf_arena_copy(&publisher->arena, text).ptr;
        if (short_memory || waiting->bad == NULL) {
            return no_memory(publisher);
        }
    }
    if (publisher->count++ == 0) {
        relay->status.waiting_since_us = seen_us;
    }
    publisher->end = *at;
    publisher->bytes += waiting->row.fields[HF_OUTBOX_PAYLOAD].len;
    return HF_RELAY_GO_ON;
}

bool hf_publisher_full(const struct hf_publisher *publisher)
{
    return publisher->count == publisher->relay->options->batch_rows_max ||
           publisher->bytes >= BATCH_BYTES_MAX;
}
