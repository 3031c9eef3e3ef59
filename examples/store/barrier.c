#include "store/barrier.h"

#include <string.h>

#include "common/database.h"
#include "common/service.h"

#define SAGA_BYTES_MAX 255
#define STEP_BYTES_MAX 64
#define SECOND_DIGITS  15
#define NOW            "CAST(strftime('%s', 'now') AS INTEGER)"

static bool is_name(const char *text, size_t bytes_max)
{
    size_t length = 0;
    while (text[length] >= '!' && text[length] <= '~') {
        length++;
    }
    return length > 0 && length <= bytes_max && text[length] == '\0';
}

bool barrier_is_call(const struct barrier_call *call)
{
    const char *seconds = call->forget_after;
    return is_name(call->saga, SAGA_BYTES_MAX) && is_name(call->step, STEP_BYTES_MAX) &&
           (seconds == NULL ||
            (is_name(seconds, SECOND_DIGITS) && strspn(seconds, "0123456789") == strlen(seconds)));
}

/* What is sent later is remembered longer. */
static void remember(const struct barrier_call *call)
{
    (void)database_change(
        "UPDATE saga_barrier SET expires_at = ?3 WHERE saga_id = ?1 AND step_id = ?2 AND "
        "part = '' AND expires_at < coalesce(CAST(?3 AS INTEGER), 9223372036854775807)",
        "ttt", call->saga, call->step, call->forget_after);
}

enum barrier_says barrier_action(const struct barrier_call *call, int *status, char *answer,
                                 int answer_bytes)
{
    long long kept = 410; /* without a row of the action's own: the compensation was first */
    if (database_change("INSERT INTO saga_barrier (saga_id, step_id, op, inserted_by, expires_at) "
                        "SELECT ?1, ?2, "
                        "'action', 'action', ?3 WHERE ?3 IS NULL OR CAST(?3 AS INTEGER) > " NOW
                        " ON CONFLICT DO NOTHING",
                        "ttt", call->saga, call->step, call->forget_after) == 1) {
        return BARRIER_DO;
    }
    remember(call);
    answer[0] = '\0';
    if (database_number(&kept,
                        "SELECT status FROM saga_barrier WHERE saga_id = ? AND step_id = ? AND "
                        "op = 'action' AND part = '' AND inserted_by = 'action'",
                        "tt", call->saga, call->step)) {
        (void)database_text(answer, answer_bytes,
                            "SELECT coalesce(body, '') FROM saga_barrier WHERE saga_id = ? AND "
                            "step_id = ? AND op = 'action' AND part = ''",
                            "tt", call->saga, call->step);
    } else {
        kept = 410;
    }
    *status = (int)kept;
    return kept == 0 ? BARRIER_ERROR : BARRIER_ANSWER;
}

void barrier_keep(const struct barrier_call *call, int status, const char *answer)
{
    if (database_change(
            "UPDATE saga_barrier SET status = ?, body = ? WHERE saga_id = ? AND step_id = ? AND "
            "op = 'action' AND part = '' AND inserted_by = 'action' AND status IS NULL",
            "nttt", (long long)status, answer, call->saga, call->step) != 1) {
        die("barrier: an answer to keep, and no action that waits for it");
    }
}

enum barrier_says barrier_compensate(const struct barrier_call *call)
{
    long long number;
    bool barred = database_change("INSERT INTO saga_barrier (saga_id, step_id, op, inserted_by, "
                                  "expires_at) VALUES (?, ?, "
                                  "'action', 'compensate', ?) ON CONFLICT DO NOTHING",
                                  "ttt", call->saga, call->step, call->forget_after) == 1;
    if (barred && database_number(&number, "SELECT 1 WHERE CAST(? AS INTEGER) <= " NOW, "t",
                                  call->forget_after)) {
        return BARRIER_ERROR; /* whether there is something to undo is forgotten */
    }
    bool first =
        database_change(
            "INSERT INTO saga_barrier (saga_id, step_id, op, inserted_by, status, expires_at) "
            "VALUES (?, ?, 'compensate', 'compensate', 200, ?) ON CONFLICT DO NOTHING",
            "ttt", call->saga, call->step, call->forget_after) == 1;
    bool done =
        first && !barred &&
        database_number(&number,
                        "SELECT 1 FROM saga_barrier WHERE saga_id = ? AND step_id = ? AND op = "
                        "'action' AND part = '' AND inserted_by = 'action' AND coalesce(status, "
                        "200) < 400",
                        "tt", call->saga, call->step);
    remember(call);
    return done ? BARRIER_DO : BARRIER_ANSWER;
}
