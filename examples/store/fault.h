/*
 * What goes wrong in the store, on order: an order carries a list of its faults, "charge:422.release:die-after", and each
 * service does those that are at its own steps.
 *
 * Owns: a file for each fault that was done, in the folder --deaths, so that it happens once however often the step is
 * tried. Must never: know what a step does. Called by: step.c, order.c; payment.mjs does the same.
 *
 *   die-before die-between die-after  the process is killed: before the step's transaction, in it behind the effect, behind it
 *   slow                              a pause that nobody minds
 *   late-before late-after            a pause, longer than any caller waits, before the effect or behind it
 *   500-before 500-after              an error instead of the effect, or behind it
 *   twice                             the message is delivered twice, as by a proxy that repeats it
 *   422                               refused, as often as it is tried
 *   401                               refused at the door until the service is mended (the file "mended" in the folder)
 */
#ifndef EXAMPLES_STORE_FAULT_H
#define EXAMPLES_STORE_FAULT_H

#include <stdbool.h>

enum fault_moment {
    FAULT_BEFORE,
    FAULT_BETWEEN, /* the effect is there and not committed */
    FAULT_AFTER,   /* committed, not answered */
};

struct fault_place {
    const char *faults; /* of the order */
    const char *order;  /* plain: it becomes a part of a file's name */
    const char *step;   /* "charge", "release" */
};

/* Does the fault of this moment, if there is one. Returns the status to answer with instead of going on, or 0. */
int fault_at(const struct fault_place *place, enum fault_moment moment);

/* True as often as it is asked. */
bool fault_refuses(const struct fault_place *place);
/* True once. */
bool fault_repeats(const struct fault_place *place);

#endif
