/*
 * What the load and the participant of bench/saga share: sockets, texts, whole HTTP messages.
 *
 * Owns: nothing but the texts' memory. Must never: know a saga. Called by: load.c, stub.c.
 */
#ifndef HF_BENCH_SAGA_WIRE_H
#define HF_BENCH_SAGA_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define READ_BYTES (64u << 10)

struct text {
    char *data;      /* owned; grows */
    size_t size;     /* bytes used */
    size_t capacity; /* bytes there */
};

void text_clear(struct text *text);
void text_print(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Takes the first bytes out. */
void text_drop(struct text *text, size_t size);

/* Reads what is there. false: the peer has closed. */
bool text_read(struct text *text, int socket);
/* Sends from *sent on, as much as goes. false: the peer has closed. */
bool text_send(const struct text *text, size_t *sent, int socket);

/* Bytes of the message (head and body) at the front; 0: not whole yet. */
size_t message_bytes(const struct text *text);

/* "name=value" among the program's words; otherwise `otherwise`. */
const char *word_of(int count, char **words, const char *name, const char *otherwise);
uint64_t number_of(int count, char **words, const char *name, uint64_t otherwise);

uint64_t now_us(void);
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
