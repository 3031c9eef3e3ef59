/*
 * A server of src/http with a handler of its own, and plain clients: for its tests.
 *
 * Owns: the server, a thread that resumes exchanges, a directory for sockets. What the paths do:
 *   /now        answered at once: "METHOD path query body" (query "-" if absent)
 *   /later      the same, after a resume from another thread
 *   /held       the same, after rig_release
 *   /left       the same, left to the thread that handles it, which waits until rig_release while `blocks`; if it is passed
 *               on, as /later
 *   /size?N     N bytes of 'x'
 *   /empty      204
 *   /close      as /now, and the connection is closed
 *   /secret     not admitted: 401 (by admit and by handle)
 *   /fault?N    the loop's n-th allocation from now on fails
 *   /stream?N   N pieces of 1,000 bytes, piece i all of the letter 'a' + i mod 26, then the end
 *   /endless    pieces of 1,000 bytes for ever
 *   /follow     a watched stream: "begun\n", then a piece "tick\n" with each rig_tick; ends on STOP with "stop\n"
 *   /wait       watched; answered on STOP with "stop", dropped on GONE, else never
 */
#ifndef HF_TESTS_UNIT_HTTP_RIG_H
#define HF_TESTS_UNIT_HTTP_RIG_H

#include <pthread.h>
#include <stdatomic.h>

#include "http/http_server.h"

struct rig {
    struct hf_http_server *server; /* NULL once stopped */
    char directory[64];            /* temporary; "socket" in it is listened to */
    pthread_t thread;              /* resumes */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct hf_http_exchange *waiting[256]; /* to be resumed by the thread, in order */
    size_t waiting_count;
    struct hf_http_exchange *held[256]; /* until rig_release */
    size_t held_count;
    bool blocks;    /* what is left to a thread waits… */
    size_t blocked; /* …as so many do */
    bool is_ending;
    _Atomic uint64_t ran;      /* calls of run_left */
    _Atomic uint64_t passed;   /* calls of pass_left */
    _Atomic uint64_t handled;  /* calls of handle */
    _Atomic uint64_t answered; /* calls of respond and end */
    _Atomic uint64_t rooms;    /* notices */
    _Atomic uint64_t gones;
    _Atomic uint64_t stops;
    struct hf_http_exchange *following[256]; /* the loop's and rig_tick's, under the mutex */
    size_t following_count;
};

/* limits NULL: the defaults; tls NULL: plain. Listens on 127.0.0.1 (any port) and directory/socket. */
void rig_start(struct rig *rig, const struct hf_http_limits *limits, struct hf_http_tls *tls);
void rig_stop(struct rig *rig, uint32_t drain_ms);
/* From now on what is left to a thread waits there. */
void rig_block(struct rig *rig);
/* Waits until one thread does; false: what was left was passed on, `passed_before` times and once more. */
bool rig_wait_blocked(struct rig *rig, uint64_t passed_before);
/* Waits until `count` exchanges are held; resumes all that are, and what was left. */
void rig_wait_held(struct rig *rig, size_t count);
void rig_release(struct rig *rig);
/* Waits until `count` exchanges follow; each gets another piece. */
void rig_tick(struct rig *rig, size_t count);
struct hf_http_counts rig_counts(struct rig *rig);

/* Plain clients. Each read gives up after 20 seconds, as a failed test. */
int rig_connect(struct rig *rig);
int rig_connect_local(struct rig *rig);
void rig_send(int fd, const char *data, size_t size);
void rig_send_text(int fd, const char *text);
/* Everything until the peer ends; NUL-terminated, to be freed by hf_free. is_reset: ended by a reset (may be NULL). */
char *rig_read_to_end(int fd, bool *is_reset);
/* One answer: its head, empty line and Content-Length bytes; NUL-terminated, to be freed by hf_free. */
char *rig_read_answer(int fd, bool is_head);
/* Sends text and wants an answer with this status line and body (a part of it; NULL: none is looked at). */
void rig_ask(int fd, const char *text, const char *status, const char *body);

#endif
