/*
 * The barrier of a saga's step in C over SQLite: however often, late or in whatever order a step's action and compensation
 * come, the effect happened once and stands, or was undone, or never was. Why it is so: sql/README.md; the table:
 * sql/barrier-sqlite.sql.
 *
 * Owns: the rows of saga_barrier. Must never: begin or end a transaction; the caller's has its effect, too. Called by:
 * step.c.
 */
#ifndef EXAMPLES_STORE_BARRIER_H
#define EXAMPLES_STORE_BARRIER_H

#include <stdbool.h>

struct barrier_call {
    const char *saga;         /* the header Saga-Id */
    const char *step;         /* Saga-Step */
    const char *forget_after; /* Saga-Forget-After; NULL: it was not sent */
};

enum barrier_says {
    BARRIER_DO,     /* the effect, in this transaction */
    BARRIER_ANSWER, /* no effect; what is to be answered is known */
    BARRIER_ERROR,  /* roll back and answer 503 */
};

/* Whether the headers can stand in the table; else the request is none of a saga's: 400. */
bool barrier_is_call(const struct barrier_call *call);

/* DO: behind the effect comes barrier_keep. ANSWER: with this status and text. */
enum barrier_says barrier_action(const struct barrier_call *call, int *status, char *answer,
                                 int answer_bytes);
/* What every repetition of the action will be answered: 2xx; or 4xx, and what it wrote was taken back. */
void barrier_keep(const struct barrier_call *call, int status, const char *answer);

/* DO: undo what the action did. ANSWER: 200. */
enum barrier_says barrier_compensate(const struct barrier_call *call);

#endif
