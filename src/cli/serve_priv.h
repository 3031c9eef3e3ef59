/*
 * The server's process inside: what serve_make.c puts together and serve_run.c runs. Private to these two.
 */
#ifndef HF_CLI_SERVE_PRIV_H
#define HF_CLI_SERVE_PRIV_H

#include <pthread.h>

#include "api/door.h"
#include "cli/serve.h"
#include "cli/serve_front.h"
#include "cli/serve_deliver.h"
#include "cli/serve_keep.h"
#include "node/engine.h"
#include "observe/watch.h"

#ifndef HF_VERSION_TEXT
#define HF_VERSION_TEXT "unknown"
#endif

enum hf_serve_opening {
    OPENING, /* recovery is under way, or has not begun */
    WAITING, /* another process owns the directory */
    OPENED,
    NOT_OPENED, /* final */
};

/* What the options say of audit and alerts. */
struct hf_serve_observe {
    uint64_t interval_us, rate_bytes_per_s;
    struct hf_alert_limits limits;
};

struct serve {
    const struct hf_cli *cli;
    const struct hf_serve_options *options;
    char owner[320];                                         /* this process: "host:pid" */
    struct hf_serve_address addresses[HF_CLI_TEXTS_MAX + 1]; /* the own socket is not among them */
    size_t address_count;                                    /* of addresses */
    struct hf_serve_sockets sockets;                         /* in the directory */
    struct hf_outside *outside;                              /* of access; the engine has its own */
    struct hf_serve_deliver *deliver;                        /* owned; NULL before hf_serve_make */
    struct hf_access *access;                                /* owned */
    struct hf_http_tls *tls;                                 /* owned; NULL: none */
    struct hf_http_server *server;                           /* owned */
    bool serving;                                            /* the server was started */
    struct hf_relay *relay;                                  /* owned; NULL: never a standby */
    struct hf_door *standby_door;                            /* owned; without a node */
    struct hf_door *door;                                    /* owned; NULL: not the owner */
    struct hf_front front;                                   /* the server's handler */
    int signals;                                             /* a signalfd; -1 */
    int bell;                 /* an eventfd: `opening` has changed; -1 */
    pthread_t opener;         /* valid if opener_started */
    bool opener_started;      /* its thread exists */
    atomic_int opening;       /* enum hf_serve_opening */
    struct hf_engine *engine; /* valid once OPENED */
    struct hf_serve_observe observe;
    uint64_t memory_max;        /* bytes; 0: no limit */
    struct hf_watch *watch;     /* owned; NULL: not the owner */
    struct hf_serve_keep *keep; /* owned; NULL: not the owner */
    char archive[4096];         /* --archive, absolute */
    struct hf_audit *audit;     /* owned; NULL: not the owner */
    struct hf_error open_error; /* valid once NOT_OPENED */
    uint64_t extended_us;       /* the opener's: when it last asked for more time */
    bool ready;                 /* the ready line was printed */
    bool was_standby;           /* it waited for another owner */
    bool read_only;             /* as told last */
    uint64_t rounds;            /* of the engine when its bell was rung last */
    uint64_t fed_us;            /* the watchdog, when it was fed last */
    uint64_t watchdog_ms;       /* 0: none */
};

/* "holdfast serve: text" on standard error. */
void hf_serve_say(const char *format, ...) HF_PRINTF(1, 2);

/* Everything up to the listeners and the opener's thread. INVALID_REQUEST: the options are wrong. What was made stays
 * for the end, also behind an error. */
enum hf_err hf_serve_make(struct serve *serve, struct hf_error *error);

/* ---- serve_observe.c ---- */

/* false: the options are wrong. */
bool hf_serve_observe_parse(const struct hf_serve_options *options,
                            struct hf_serve_observe *observe, struct hf_error *error);
/* Begins to watch the engine's node; what was begun stays for the end, also behind an error. */
enum hf_err hf_serve_observe(struct serve *serve, struct hf_error *error);
/* Before the engine is closed; the door must be gone. */
void hf_serve_observe_end(struct serve *serve);

/* Without a node. */
struct hf_door_options hf_serve_door_options(struct serve *serve);

#endif
