#include "refund/queue.h"

#include <stdio.h>
#include <time.h>

#include "common/database.h"

#define ROW_BYTES (2 * sizeof(struct message))

static long long now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void queue_send(const char *queue, const struct message *message)
{
    (void)database_change("INSERT INTO queue (queue, id, order_key, amount, total, poison, die) "
                          "VALUES (?, ?, ?, ?, ?, ?, ?)",
                          "tttnnnn", queue, message->id, message->order, message->amount,
                          message->total, message->poison, message->die);
}

bool queue_receive(const char *queue, struct message *message)
{
    char row[ROW_BYTES];
    long long now = now_ms();
    *message = (struct message){0};
    return database_text(
               row, sizeof(row),
               "UPDATE queue SET visible_ms = ?1, receives = receives + 1 WHERE number = (SELECT "
               "number FROM queue WHERE queue = ?2 AND deleted = 0 AND visible_ms <= ?3 ORDER BY "
               "number LIMIT 1) RETURNING id || ' ' || order_key || ' ' || amount || ' ' || poison "
               "|| ' ' || die || ' ' || number || ' ' || receives",
               "ntn", now + VISIBILITY_MS, queue, now) &&
           sscanf(row, "%127s %127s %lld %lld %lld %lld %lld", message->id, message->order,
                  &message->amount, &message->poison, &message->die, &message->number,
                  &message->receives) == 7;
}

/* The row stays, for those who judge afterwards. */
void queue_delete(const struct message *message)
{
    (void)database_change("UPDATE queue SET deleted = 1 WHERE number = ?", "n", message->number);
}
