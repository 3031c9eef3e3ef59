/*
 * What the servers of this bench share: the answer, and a thread that finishes requests later, as a commit that
 * waits for the disk would be. Usage of each: PROGRAM PORT now|later
 */
#ifndef HF_BENCH_SERVERS_BENCH_H
#define HF_BENCH_SERVERS_BENCH_H

#include <stdbool.h>

#define BENCH_ANSWER                                                                               \
    "{\"position\":123456,\"time\":\"2026-11-22T00:00:00.000000Z\","                               \
    "\"results\":[{\"transfer\":\"t-1\",\"amount\":\"100\"}]}"
#define BENCH_HEADER "Holdfast-Position: 123456"

int bench_port(char **arguments);
/* Is it `later`? Then starts the thread; finish is called on it for each request. */
bool bench_mode(int count, char **arguments, void (*finish)(void *request));
/* Hands a request to the thread. */
void bench_later(void *request);

#endif
