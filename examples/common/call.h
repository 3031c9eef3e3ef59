/*
 * Calls from one service to another.
 *
 * Owns: one kept-alive connection a thread (libcurl). Must never: repeat a call by itself: only the
 * caller knows whether that is safe.
 */
#ifndef EXAMPLES_COMMON_CALL_H
#define EXAMPLES_COMMON_CALL_H

#include <stddef.h>

struct reply {
    int status;      /* 0: no answer came, and nobody knows whether the call was carried out */
    char text[1024]; /* of the answer, cut if longer; always ends with NUL */
};

/* call(&reply, "POST", "127.0.0.1:8001/withdraw?user=%s", user). Returns reply->status. */
int call(struct reply *reply, const char *method, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* How long calls of this process wait for an answer from now on; before it is set: a minute. */
void call_limit(long milliseconds);

/* The number behind "name=" in a reply's text; -1 if there is none. */
long long reply_number(const struct reply *reply, const char *name);

#endif
