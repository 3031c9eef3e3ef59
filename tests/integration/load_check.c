/* What a killed run left behind, command by command. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "integration/load.h"

#define NEWEST_CHECKED 400 /* of a thread: each of them… */
#define OLDER_CHECKED  100 /* …and so many of those before, spread evenly */

struct counts {
    uint64_t same;      /* acknowledged before, and the same answer again */
    uint64_t in_flight; /* sent and not acknowledged */
    uint64_t committed; /* of these: they had been committed nevertheless */
};

/* An acknowledged command must be there and answer the same. */
static bool check_acknowledged(struct holdfast *db, const struct load_state *state, unsigned t,
                               uint64_t n, struct counts *counts)
{
    const struct load_ack *ack = &state->acks[t][n];
    struct holdfast_answer *answer;
    if (!load_send(db, t, n, &answer)) {
        return false;
    }
    bool same = holdfast_answer_replayed(answer) &&
                ack->status == (uint32_t)holdfast_answer_status(answer) &&
                ack->position == holdfast_answer_position(answer) &&
                ack->text_hash == load_text_hash(answer);
    if (!same) {
        (void)printf("WRONG: command %u:%" PRIu64 " was answered %u at %" PRIu64
                     ", now (replayed: %d): %s\n",
                     t, n, ack->status, ack->position, holdfast_answer_replayed(answer),
                     holdfast_answer_text(answer, NULL));
    }
    counts->same += same;
    holdfast_answer_free(answer);
    return same;
}

/* 200 or 404; -1: it could not be read. */
static int look_up(struct holdfast *db, const char *kind, const char *id)
{
    struct holdfast_answer *answer;
    struct holdfast_failure failure;
    struct holdfast_caller nobody = {0};
    if (holdfast_read(db, &nobody, kind, id, &answer, &failure) != HOLDFAST_OK) {
        return -1;
    }
    int status = holdfast_answer_status(answer);
    holdfast_answer_free(answer);
    return status;
}

/* A command in flight happened as a whole or not at all; then it is made definite. */
static bool check_in_flight(struct holdfast *db, struct load_state *state, unsigned t, uint64_t n,
                            struct counts *counts)
{
    bool many = load_kind_of(n) == LOAD_MANY;
    int found = 0;
    for (unsigned i = 0; many && i < 3; i++) {
        char id[64];
        (void)snprintf(id, sizeof(id), "m:%u:%" PRIu64 ":%u", t, n, i);
        int status = look_up(db, "transfer", id);
        if (status != 200 && status != 404) {
            (void)printf("WRONG: read of %s: %d\n", id, status);
            return false;
        }
        found += status == 200;
    }
    if (found != 0 && found != 3) {
        (void)printf("WRONG: command %u:%" PRIu64 " is half done: %d of 3\n", t, n, found);
        return false;
    }
    struct holdfast_answer *answer;
    if (!load_send(db, t, n, &answer)) {
        return false;
    }
    bool replayed = holdfast_answer_replayed(answer);
    bool fits = !many || replayed == (found == 3);
    if (!fits) {
        (void)printf("WRONG: command %u:%" PRIu64 ": %d of 3 were there, replayed: %d\n", t, n,
                     found, replayed);
    }
    counts->in_flight++;
    counts->committed += replayed;
    load_keep(state, t, n, answer);
    holdfast_answer_free(answer);
    return fits;
}

/* The number behind the last "n": of an answer's text; UINT64_MAX: there is none. */
static uint64_t last_number(struct holdfast_answer *answer)
{
    const char *text = holdfast_answer_text(answer, NULL);
    const char *found = NULL;
    while (text != NULL && (text = strstr(text, "\"n\":")) != NULL) {
        text += 4;
        found = text;
    }
    return found == NULL ? UINT64_MAX : strtoull(found, NULL, 10);
}

/* Event and document come from one commit: the newest of both must be the same. */
static bool check_pair(struct holdfast *db, unsigned t)
{
    char stream[32];
    char document[32];
    struct holdfast_caller nobody = {0};
    struct holdfast_failure failure;
    struct holdfast_answer *answer;
    uint64_t version = 0;
    (void)snprintf(stream, sizeof(stream), "s:%u", t);
    (void)snprintf(document, sizeof(document), "d:%u", t);
    if (holdfast_read(db, &nobody, "stream", stream, &answer, &failure) != HOLDFAST_OK) {
        return false;
    }
    const char *text = holdfast_answer_text(answer, NULL);
    const char *found = text == NULL ? NULL : strstr(text, "\"version\":");
    if (holdfast_answer_status(answer) == 200 && found != NULL) {
        version = strtoull(found + 10, NULL, 10);
    }
    holdfast_answer_free(answer);
    if (version == 0) {
        return look_up(db, "document", document) == 404;
    }
    if (holdfast_read_page(db, &nobody, "events", stream, version, 1, &answer, &failure) !=
        HOLDFAST_OK) {
        return false;
    }
    uint64_t event = last_number(answer);
    holdfast_answer_free(answer);
    if (holdfast_read(db, &nobody, "document", document, &answer, &failure) != HOLDFAST_OK) {
        return false;
    }
    uint64_t text_number = last_number(answer);
    holdfast_answer_free(answer);
    return event == text_number && event != UINT64_MAX;
}

static bool check_thread(struct holdfast *db, struct load_state *state, unsigned t,
                         struct counts *counts)
{
    uint64_t next = atomic_load(&state->next[t]);
    next = next < LOAD_COMMANDS ? next : LOAD_COMMANDS;
    uint64_t newest = next > NEWEST_CHECKED ? next - NEWEST_CHECKED : 0;
    uint64_t stride = newest / OLDER_CHECKED + 1;
    if (!check_pair(db, t)) {
        (void)printf("WRONG: event and document of thread %u differ\n", t);
        return false;
    }
    for (uint64_t n = 0; n < next; n++) {
        bool ok = true;
        if (atomic_load(&state->acks[t][n].answered) == 0) {
            ok = check_in_flight(db, state, t, n, counts);
        } else if (n >= newest || n % stride == 0) {
            ok = check_acknowledged(db, state, t, n, counts);
        }
        if (!ok) {
            return false;
        }
    }
    return true;
}

bool load_check(struct holdfast *db, struct load_state *state)
{
    struct counts counts = {0};
    for (unsigned t = 0; t < LOAD_THREADS; t++) {
        if (!check_thread(db, state, t, &counts)) {
            return false;
        }
    }
    (void)printf("checked %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", counts.same, counts.in_flight,
                 counts.committed);
    return true;
}
