/*
 * holdfast bench: a load on a running server, measured from outside.
 *
 * Owns: what is sent, when, and what is told of it. Must never: believe an answer that it has not looked at; count a
 * request's time from a later moment than it was due (--rate); need memory per transfer.
 *
 * bench.c the command · bench_workload.c what a request says · bench_line.c a connection · bench_load.c the loop ·
 * bench_prepare.c accounts and totals · bench_report.c table and JSON · bench_svg.c the picture · bench_latency.c times
 *
 * 1. Each connection has one request under way; more are under way on more connections.
 * 2. Every transfer moves 1, so what was accepted is what the asset's debits must have grown by.
 * 3. Ids are computed from a number: a run's first number is random, so runs do not repeat each other.
 */
#ifndef HF_CLI_BENCH_H
#define HF_CLI_BENCH_H

#include "base/buffer.h"
#include "base/table.h"
#include "cli/cli.h"

#define HF_BENCH_CONNECTIONS_MAX 4096
#define HF_BENCH_ACCOUNTS_MAX    100000000u
#define HF_BENCH_STEPS_MAX       1000u
#define HF_BENCH_ASSET           "USD/2"

/* ---- what is wanted ---- */

enum hf_bench_form {
    HF_BENCH_PACKED,    /* POST /v1/transfers, records of 128 bytes */
    HF_BENCH_SINGLE,    /* POST /v1/transfers, one as JSON */
    HF_BENCH_NDJSON,    /* POST /v1/transfers?mode=each, lines of JSON */
    HF_BENCH_STREAMS,   /* POST /v1/commits of appends */
    HF_BENCH_DOCUMENTS, /* POST /v1/commits of puts */
};

enum hf_bench_choice {
    HF_BENCH_UNIFORM,
    HF_BENCH_HOT,     /* one account is debited by all */
    HF_BENCH_TWO_HOT, /* two are */
    HF_BENCH_ZIPF,    /* rank r is chosen in proportion to 1 / r^0.99 */
};

struct hf_bench_plan {
    const char *workload; /* its name */
    enum hf_bench_form form;
    enum hf_bench_choice choice;
    bool two_phase;       /* PACKED: a request of holds, then one that captures them */
    uint64_t accounts;    /* that money moves between, ≥ 2; or streams, documents */
    uint64_t operations;  /* to be sent, 0 = until the time is over */
    uint64_t seconds;     /* at most, 0 = until all is sent */
    uint64_t batch;       /* operations in a request */
    uint64_t connections; /* 1 to HF_BENCH_CONNECTIONS_MAX */
    uint64_t rate; /* requests a second that are due; 0 = the next one when the last is answered */
    uint64_t read_percent; /* of requests that read an account */
    uint64_t hot_every;    /* of so many transfers one is from account 0 besides; 0 = none */
    uint64_t step;   /* operations whose rate is told by itself; 0 = only that of all of them */
    bool random_ids; /* else they ascend */
    uint64_t seed;   /* of the choice of accounts */
    uint64_t run;    /* random: what this run's ids begin with */
    char host[256];
    char port[8];
    char token[256]; /* or empty */
};

/* ---- times ---- */

#define HF_BENCH_BUCKETS 64 /* buckets for each doubling: 1.6 % apart */
#define HF_BENCH_TIMES   (58 * HF_BENCH_BUCKETS)

/* Nanoseconds, how often. */
struct hf_bench_latency {
    uint64_t counts[HF_BENCH_TIMES];
    uint64_t count;
    uint64_t max_ns;
};

void hf_bench_latency_add(struct hf_bench_latency *latency, uint64_t ns);
/* The time that `share` of all are not above (0 to 1): at most 1.6 % too high. 0 if there are none. */
uint64_t hf_bench_latency_at(const struct hf_bench_latency *latency, double share);

/* ---- what a request says ---- */

struct hf_bench_random {
    uint64_t state;
};
uint64_t hf_bench_random_next(struct hf_bench_random *random);
uint64_t hf_bench_random_below(struct hf_bench_random *random, uint64_t bound);

struct hf_bench_zipf {
    double count, zeta, alpha, eta,
        half; /* Gray et al., Quickly generating billion-record synthetic databases */
};
void hf_bench_zipf_init(struct hf_bench_zipf *zipf, uint64_t count);
uint64_t hf_bench_zipf_next(const struct hf_bench_zipf *zipf, struct hf_bench_random *random);

/* What has been made so far. */
struct hf_bench_maker {
    const struct hf_bench_plan *plan;
    struct hf_bench_random random;
    struct hf_bench_zipf zipf;
    uint64_t next;         /* number of the next operation */
    uint8_t asset_hash[8]; /* of HF_BENCH_ASSET */
};

/* A request under way. */
struct hf_bench_request {
    bool read;      /* changes nothing */
    bool captures;  /* two-phase: its second half */
    uint32_t count; /* operations in it */
    uint64_t first; /* number of the first one */
};

void hf_bench_maker_init(struct hf_bench_maker *maker, const struct hf_bench_plan *plan);
/* The 16 bytes of account i's id, and of operation number n. */
void hf_bench_account_id(uint64_t i, uint8_t id[16]);
void hf_bench_operation_id(const struct hf_bench_plan *plan, uint64_t n, uint8_t id[16]);
void hf_bench_put_hex(struct hf_buffer *to, const uint8_t id[16]); /* 8-4-4-4-12 */
/* A transfer's packed record: 128 bytes, the rest zero. */
void hf_bench_put_record(struct hf_buffer *to, const struct hf_bench_maker *maker,
                         const uint8_t id[16], uint64_t from, uint64_t to_account, uint64_t amount,
                         uint32_t flags);
/* The next whole HTTP request; `request` holds the one that was answered before on this connection. */
void hf_bench_make(struct hf_bench_maker *maker, struct hf_bench_request *request,
                   struct hf_buffer *to);
/* A request of its own; body may be empty. */
void hf_bench_http(const struct hf_bench_plan *plan, const char *method, const char *target,
                   const char *content_type, struct hf_str body, struct hf_buffer *to);

/* ---- a connection ---- */

struct hf_bench_line {
    int file; /* non-blocking socket */
    struct hf_buffer out;
    size_t sent_bytes;
    struct hf_buffer in; /* an answer, as far as it has come */
    size_t head_bytes;   /* 0: not all of it is there */
    size_t body_bytes;
    int status;
    bool replayed; /* Idempotent-Replayed: true */
    bool busy;     /* a request is under way */
    struct hf_bench_request request;
    uint64_t due_ns; /* what its time counts from */
};

enum hf_bench_progress {
    HF_BENCH_WAITS,    /* for the socket */
    HF_BENCH_ANSWERED, /* status and body are there */
    HF_BENCH_BROKEN,   /* `why` tells */
};

bool hf_bench_line_open(struct hf_bench_line *line, const struct hf_bench_plan *plan,
                        struct hf_error *error) HF_WARN_UNUSED;
void hf_bench_line_close(struct hf_bench_line *line);
/* Sends what there is of `out`, and reads what has come. */
enum hf_bench_progress hf_bench_line_go_on(struct hf_bench_line *line, struct hf_error *error);
struct hf_str hf_bench_line_body(const struct hf_bench_line *line);
/* Waits for the answer to `out`. */
bool hf_bench_line_call(struct hf_bench_line *line, struct hf_error *error) HF_WARN_UNUSED;

/* ---- the run ---- */

struct hf_bench_result {
    uint64_t requests;
    uint64_t reads;                       /* of them */
    uint64_t accepted, replayed, refused; /* operations */
    uint64_t elapsed_ns;
    uint64_t step_ns[HF_BENCH_STEPS_MAX]; /* when each step was done, from the start… */
    uint32_t steps;                       /* …so many whole ones */
    uint64_t processor_ns;                /* of this process meanwhile */
    struct hf_bench_latency latency;      /* of requests */
    bool ended_early;                     /* by a signal */
    hf_u128 grown; /* by so much the server's totals (streams, documents: versions) */
    hf_u128 expected;
};

uint64_t hf_bench_now_ns(void);
/* Accounts opened and funded; what the totals are. */
bool hf_bench_prepare(const struct hf_bench_plan *plan, struct hf_bench_line *line,
                      struct hf_cli_progress *progress, struct hf_error *error) HF_WARN_UNUSED;
bool hf_bench_totals(const struct hf_bench_plan *plan, struct hf_bench_line *line, hf_u128 *totals,
                     struct hf_error *error) HF_WARN_UNUSED;
bool hf_bench_run(const struct hf_bench_plan *plan, struct hf_cli_progress *progress,
                  struct hf_bench_result *result, struct hf_error *error) HF_WARN_UNUSED;

/* ---- what is told ---- */

void hf_bench_table(const struct hf_bench_plan *plan, const struct hf_bench_result *result,
                    struct hf_buffer *to);
void hf_bench_json(const struct hf_bench_plan *plan, const struct hf_bench_result *result,
                   struct hf_buffer *to);
void hf_bench_svg(const struct hf_bench_plan *plan, const struct hf_bench_result *result,
                  struct hf_buffer *to);

#endif
