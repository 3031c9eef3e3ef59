/*
 * The demo's parts: a server that is a process of its own, senders that send everything one to three times, and a
 * driver that judges.
 *
 * Owns: what was answered to each command. Must never: take an answer for true that a later one contradicts.
 * Private to demo*.c.
 *
 * 1. A command is an index: first the openings of accounts, then the file's rows.
 * 2. The first answer to a command is kept; every later one, also after the server was killed and started
 *    again, must be the same, byte for byte.
 */
#ifndef HF_CLI_DEMO_H
#define HF_CLI_DEMO_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "cli/bank_submit.h"

#define HF_DEMO_THREADS       8 /* that send */
#define HF_DEMO_ADDRESS_BYTES 64
#define HF_DEMO_PATH_BYTES    4096

struct hf_demo_ack {
    bool answered;          /* the other fields are valid */
    int status;             /* HTTP status of the answer */
    uint64_t position;      /* of the recorded decision */
    uint64_t text_checksum; /* of the answer's text */
};

struct hf_demo {
    const struct hf_bank *bank;       /* borrowed */
    struct hf_bank_target target;     /* the server */
    uint64_t seed;                    /* of who sends what how often */
    pthread_mutex_t mutex;            /* of acks and failure */
    struct hf_demo_ack *acks;         /* by command; owned */
    atomic_uint_fast64_t sent;        /* requests, duplicates too */
    atomic_uint_fast64_t replayed;    /* answers that were decided before */
    atomic_uint_fast64_t rows_done;   /* rows with an answer */
    atomic_uint_fast64_t differently; /* a later answer was another */
    atomic_bool failed;               /* failure is filled */
    char failure[512];                /* the first */
};

static inline size_t hf_demo_command_count(const struct hf_demo *demo)
{
    return hf_bank_opening_count(demo->bank) + demo->bank->row_count;
}

/* false: memory is short. */
bool hf_demo_init(struct hf_demo *demo, const struct hf_bank *bank, uint64_t seed);
void hf_demo_release(struct hf_demo *demo);

enum hf_demo_part {
    HF_DEMO_OPENINGS, /* every account, by one to three requests */
    HF_DEMO_ROWS,     /* every row, by one to three requests */
    HF_DEMO_AGAIN,    /* one command in four, after all of it */
};
/* Sends by eight threads until each request has its answer, however often the server is killed meanwhile. false:
 * demo->failure says why. */
bool hf_demo_send(struct hf_demo *demo, enum hf_demo_part part);

/* What the ledger says of each customer: posted, into sums (account_count of them). false: demo->failure says why. */
bool hf_demo_read_sums(struct hf_demo *demo, hf_i128 *sums);

/* `holdfast serve` on a loopback port, by the program that runs. */
struct hf_demo_server {
    char directory[HF_DEMO_PATH_BYTES];  /* of the data */
    char log[HF_DEMO_PATH_BYTES];        /* what it says goes there */
    char address[HF_DEMO_ADDRESS_BYTES]; /* "127.0.0.1:40001", the same after a restart */
    pid_t process;                       /* 0: none runs */
};

/* Chooses a free port. false: errno says why. */
bool hf_demo_server_init(struct hf_demo_server *server, const char *directory);
/* Starts it and returns at once: the client waits for it. The server dies with this process. */
bool hf_demo_server_start(struct hf_demo_server *server);
/* Ends it by the signal and waits. Returns wait's status; 0 if none runs. */
int hf_demo_server_end(struct hf_demo_server *server, int signal);

#endif
