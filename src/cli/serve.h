/*
 * What serve's files share: its options, and the process that they describe.
 *
 *   opener's thread:  open without waiting ─► owner
 *                          └── locked ─► standby ─► open, waiting for the lock ─► owner
 *   main thread:      signals, what the opener says, the node's health, the service manager
 *   HTTP loop:        the front: requests to the relay (standby) or to the door (owner)
 *
 * 1. The listeners are bound before the directory is opened: a port that is taken disturbs nobody.
 * 2. Each process listens on a Unix socket of its own in the directory, DIR/holdfast.sock.<random>; whoever
 *    becomes the owner renames it to DIR/holdfast.sock, which replaces that of a dead owner in one step.
 */
#ifndef HF_CLI_SERVE_H
#define HF_CLI_SERVE_H

#include <sys/un.h>

#include "cli/cli.h"
#include "http/http_server.h"
#include "outside/outside.h"

#define HF_SERVE_SOCKET_BYTES  sizeof(((struct sockaddr_un *)NULL)->sun_path)
#define HF_SERVE_ADDRESS_BYTES 300 /* of a listener's address or URL */

struct hf_serve_options {
    const char *data;               /* DIR */
    struct hf_cli_texts listen;     /* addresses; none = 127.0.0.1:7070 */
    const char *tls_cert, *tls_key; /* PEM files; both or none */
    const char *tokens;             /* tokens file; NULL = DIR/tokens.json */
    bool allow_open;                /* beyond loopback without tokens or without TLS */
    struct hf_cli_texts hosts;      /* further values of Host */
    struct hf_cli_texts origins;    /* values of Origin that are let in */
    const char *config;             /* a file of these options */
    const char *secrets;            /* file of secrets by name; NULL: none */
    struct hf_cli_texts
        deliver_allow;      /* addresses that may be called although they are not public */
    const char *public_url; /* what participants of sagas call back; NULL: the first listener */
    const char *deliver_ca; /* PEM; NULL: the system's */
    uint64_t deliver_per_target;      /* calls at once to one target; 0 = 128 */
    const char *memory_max;           /* "2GiB", "off"; NULL = a share of what there is */
    uint64_t connections_max;         /* 0 = the HTTP server's default */
    uint64_t key_retention_hours;     /* 0 = 7 days */
    const char *audit_interval;       /* "1h", "off"; NULL = the default */
    const char *audit_rate;           /* "16MiB", "off"; NULL = the default */
    struct hf_cli_texts alerts;       /* "KIND=VALUE" */
    const char *alert_webhook;        /* URL; NULL: none */
    const char *alert_webhook_secret; /* a name in the secrets; NULL: unsigned */
    uint64_t compress_after;          /* sealed segments that stay plain; HF_LOG_KEEP_NEVER */
    const char *archive;              /* directory; NULL: none */
    uint64_t archive_after;           /* sealed segments that stay in DIR */
};

/* ---- serve_listen.c: addresses ---- */

struct hf_serve_address {
    char text[HF_SERVE_ADDRESS_BYTES]; /* without the scheme: "127.0.0.1:7070" */
    bool tls;                          /* HTTPS */
    bool local_socket;                 /* "unix:PATH" */
    bool loopback;                     /* reachable from this machine only */
};

/* "[http://|https://]HOST:PORT" or "unix:PATH". has_tls: a certificate is there, and HOST:PORT means HTTPS. false: *why,
 * static, says what is wrong. */
bool hf_serve_address_parse(const char *text, bool has_tls, struct hf_serve_address *address,
                            const char **why);

/* The directory's Unix sockets, by paths that fit into an address whatever the directory's length. */
struct hf_serve_sockets {
    int directory;                     /* descriptor, open while the paths are used; -1 */
    char own[HF_SERVE_SOCKET_BYTES];   /* of this process until it becomes the owner */
    char owner[HF_SERVE_SOCKET_BYTES]; /* of whoever owns the directory */
};
enum hf_err hf_serve_sockets_open(struct hf_outside *outside, const char *directory,
                                  struct hf_serve_sockets *sockets, struct hf_error *error);
/* This process owns the directory: its socket gets the owner's name, and what dead processes left goes. */
enum hf_err hf_serve_sockets_take(struct hf_serve_sockets *sockets, struct hf_error *error);
/* Removes what is this process's. */
void hf_serve_sockets_close(struct hf_serve_sockets *sockets, bool owner);

/* ---- serve_run.c ---- */

/* Runs until a signal or a failure; returns the exit status. */
int hf_serve_run(const struct hf_cli *cli, const struct hf_serve_options *options);

#endif
