#include "bench.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAITING_MAX 65536

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t there = PTHREAD_COND_INITIALIZER;
static void *waiting[WAITING_MAX];
static size_t waiting_count;
static void (*finish_one)(void *request);

int bench_port(char **arguments)
{
    return (int)strtol(arguments[1], NULL, 10);
}

static void *finish_all(void *context)
{
    static void *taken[WAITING_MAX];
    (void)context;
    for (;;) {
        (void)pthread_mutex_lock(&mutex);
        while (waiting_count == 0) {
            (void)pthread_cond_wait(&there, &mutex);
        }
        size_t count = waiting_count;
        memcpy(taken, waiting, count * sizeof(taken[0]));
        waiting_count = 0;
        (void)pthread_mutex_unlock(&mutex);
        for (size_t i = 0; i < count; i++) {
            finish_one(taken[i]);
        }
    }
    return NULL;
}

bool bench_mode(int count, char **arguments, void (*finish)(void *request))
{
    if (count != 3 || (strcmp(arguments[2], "now") != 0 && strcmp(arguments[2], "later") != 0)) {
        (void)fprintf(stderr, "usage: %s PORT now|later\n", arguments[0]);
        exit(2);
    }
    if (strcmp(arguments[2], "now") == 0) {
        return false;
    }
    pthread_t thread;
    finish_one = finish;
    if (pthread_create(&thread, NULL, finish_all, NULL) != 0) {
        exit(1);
    }
    return true;
}

void bench_later(void *request)
{
    (void)pthread_mutex_lock(&mutex);
    if (waiting_count == WAITING_MAX) {
        abort();
    }
    waiting[waiting_count++] = request;
    if (waiting_count == 1) {
        (void)pthread_cond_signal(&there);
    }
    (void)pthread_mutex_unlock(&mutex);
}
