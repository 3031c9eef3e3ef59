/*
 * A step of an order, as each of the store's services does it, naive or behind the barrier.
 *
 * Owns: the way from the request to the transaction and back. Must never: know what the step's work is. Called by: the
 * four services.
 *
 * Naive, a step is POST /{name}?order=O&customer=C&item=I&units=N&amount=N[&payment=N][&fault=LIST], and its work is done in a
 * transaction as often as it is asked for. Else the request is a saga's call, the same members stand in a JSON body (SQLite
 * reads it), and the barrier says whether the work is done. Answers: 200 and the number of the row that came of it, 422 refused.
 */
#ifndef EXAMPLES_STORE_STEP_H
#define EXAMPLES_STORE_STEP_H

#include <stdbool.h>
#include <stddef.h>

#include "common/service.h"

struct work {
    char order[PARAMETER_BYTES_MAX + 1];
    char customer[PARAMETER_BYTES_MAX + 1];
    char item[PARAMETER_BYTES_MAX + 1];
    char faults[PARAMETER_BYTES_MAX + 1]; /* fault.h */
    long long units;
    long long amount;    /* of money, for all units */
    long long payment;   /* number of the payment, for the mail */
    long long number;    /* of the row that came of it; by the work */
    const char *refusal; /* why it was refused; by the work */
};

struct step {
    const char *name; /* "reserve", also its path */
    bool undo;        /* it is a compensation */
    bool (*work)(
        struct work *work); /* in a transaction; false: refused, and what it wrote is taken back */
};

/* Does a naive step and its faults, here in the process. Returns the status. */
int step_run(const struct step *step, struct work *work);

/* Does the step that the request asks for, and answers. */
void step_handle(struct request *request, const struct step *step);

/* The order of a request, its parameters in the query; false: something is missing. */
bool step_read_query(struct request *request, struct work *work);

/* Serves until the process is killed. Commits are synced: what was answered is there. */
int step_service(int argc, char **argv, const struct route *routes, size_t count);

#endif
