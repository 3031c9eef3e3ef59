/*
 * Messages of the refund services, and the queue of their naive variant: a table, as a broker would be.
 *
 * Owns: nothing but statements. At least once, as queues are: a message that was received is hidden for VISIBILITY_MS; if it is
 * not deleted by then, the next one who asks gets it. Called by: upstream and notify.
 */
#ifndef EXAMPLES_REFUND_QUEUE_H
#define EXAMPLES_REFUND_QUEUE_H

#include <stdbool.h>

#include "common/service.h"

#define VISIBILITY_MS 1000 /* the same as the lease of the variant with Holdfast */
#define RECEIVES_MAX  6    /* deliveries before a message is given up, in both variants */

struct message {
    char id[PARAMETER_BYTES_MAX + 1];    /* of the refund */
    char order[PARAMETER_BYTES_MAX + 1]; /* what was paid back; its refunds are told in order */
    long long amount;                    /* of the refund */
    long long total;                     /* paid back of the order, this one included; by notify */
    long long poison;                    /* 1: can't be handled before the service is mended */
    long long die;      /* the process that handles it dies once behind this step; 0: it does not */
    long long number;   /* in the table; by queue_receive */
    long long receives; /* with this one; by queue_receive */
};

void queue_send(const char *queue, const struct message *message);
/* The oldest visible message of the queue; false: there is none. */
bool queue_receive(const char *queue, struct message *message);
void queue_delete(const struct message *message);

#endif
