#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#include "wire.h"

void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("saga bench: ", stderr);
    (void)vfprintf(stderr, format, arguments); /* NOLINT(clang-analyzer-valist.Uninitialized) */
    (void)fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

uint64_t now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- texts ---- */

static void reserve(struct text *text, size_t more)
{
    if (text->capacity - text->size < more) {
        text->capacity = 2 * (text->size + more);
        text->data = realloc(text->data, text->capacity);
        if (text->data == NULL) {
            fail("out of memory");
        }
    }
}

void text_clear(struct text *text)
{
    text->size = 0;
}

void text_print(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length =
        vsnprintf(NULL, 0, format, arguments); /* NOLINT(clang-analyzer-valist.Uninitialized) */
    va_end(arguments);
    reserve(text, (size_t)length + 1);
    va_start(arguments, format);
    (void)vsnprintf(text->data + text->size, (size_t)length + 1, format, arguments);
    va_end(arguments);
    text->size += (size_t)length;
}

void text_drop(struct text *text, size_t size)
{
    text->size -= size;
    memmove(text->data, text->data + size, text->size);
}

bool text_read(struct text *text, int socket)
{
    for (;;) {
        reserve(text, READ_BYTES);
        ssize_t count = recv(socket, text->data + text->size, READ_BYTES, 0);
        if (count > 0) {
            text->size += (size_t)count;
            if ((size_t)count < READ_BYTES) {
                return true;
            }
        } else {
            return count < 0 && (errno == EAGAIN || errno == EINTR);
        }
    }
}

bool text_send(const struct text *text, size_t *sent, int socket)
{
    while (*sent < text->size) {
        ssize_t count = send(socket, text->data + *sent, text->size - *sent, MSG_NOSIGNAL);
        if (count < 0) {
            return errno == EAGAIN || errno == EINTR;
        }
        *sent += (size_t)count;
    }
    return true;
}

/* ---- messages ---- */

size_t message_bytes(const struct text *text)
{
    static const char name[] = "Content-Length:";
    const char *end = text->size == 0 ? NULL : memmem(text->data, text->size, "\r\n\r\n", 4);
    if (end == NULL) {
        return 0;
    }
    size_t body = 0;
    for (const char *line = text->data; line < end;) {
        const char *next = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
        if (strncasecmp(line, name, sizeof(name) - 1) == 0) {
            body = strtoull(line + sizeof(name) - 1, NULL, 10);
        }
        line = next + 2;
    }
    size_t size = (size_t)(end - text->data) + 4 + body;
    return size <= text->size ? size : 0;
}

/* ---- words ---- */

const char *word_of(int count, char **words, const char *name, const char *otherwise)
{
    size_t length = strlen(name);
    for (int i = 1; i < count; i++) {
        if (strncmp(words[i], name, length) == 0 && words[i][length] == '=') {
            return words[i] + length + 1;
        }
    }
    return otherwise;
}

uint64_t number_of(int count, char **words, const char *name, uint64_t otherwise)
{
    const char *word = word_of(count, words, name, NULL);
    return word == NULL ? otherwise : strtoull(word, NULL, 10);
}
