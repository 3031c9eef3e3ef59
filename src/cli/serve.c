/* holdfast serve: options, configuration file, and what must be right before anything is opened. */
#include "cli/serve.h"

#include "cli/config.h"
#include "cli/serve_keep.h"

static int check(const struct hf_cli *cli, struct hf_serve_options *options)
{
    if (options->data == NULL || options->data[0] == '\0') {
        return hf_cli_usage(cli, "--data DIR is needed");
    }
    if ((options->tls_cert == NULL) != (options->tls_key == NULL)) {
        return hf_cli_usage(cli, "--tls-cert and --tls-key belong together");
    }
    if (options->archive != NULL && options->archive[0] == '\0') {
        return hf_cli_usage(cli, "--archive needs a directory");
    }
    return HF_CLI_GO_ON;
}

static int read_config(const struct hf_cli *cli, const char *path, struct hf_config *config)
{
    struct hf_error error = {0};
    if (path == NULL) {
        return HF_CLI_GO_ON;
    }
    enum hf_err code = hf_config_read(config, path, cli, &error);
    if (code == HF_ERR_INVALID_REQUEST) {
        return hf_cli_usage(cli, "%s", error.text);
    }
    return code == HF_ERR_OK ? HF_CLI_GO_ON : hf_cli_fail(cli, &error);
}

int hf_cli_serve(int argc, char **argv)
{
    struct hf_serve_options options = {.compress_after = HF_LOG_KEEP_NEVER,
                                       .archive_after = HF_SERVE_ARCHIVE_AFTER};
    const struct hf_cli_option table[] = {
        {"data", "DIR", "the data directory; made if it is not there", .text = &options.data},
        {"listen", "ADDRESS", "HOST:PORT or unix:PATH; may be repeated (127.0.0.1:7070)",
         .texts = &options.listen},
        {"tls-cert", "FILE", "certificate chain, PEM: HOST:PORT speaks HTTPS",
         .text = &options.tls_cert},
        {"tls-key", "FILE", "its private key, PEM", .text = &options.tls_key},
        {"tokens", "FILE", "who may do what (DIR/tokens.json); see holdfast token",
         .text = &options.tokens},
        {"allow-open", NULL, "listen beyond loopback without tokens or without TLS",
         .flag = &options.allow_open},
        {"host", "NAME", "a further Host that is this server; may be repeated",
         .texts = &options.hosts},
        {"origin", "ORIGIN", "web pages of this origin are let in; may be repeated",
         .texts = &options.origins},
        {"secrets", "FILE", "secrets by name, for webhooks and sagas; read again on SIGHUP",
         .text = &options.secrets},
        {"deliver-allow", "CIDR,...", "not public, yet calls may go there; may be repeated",
         .texts = &options.deliver_allow},
        {"public-url", "URL", "where sagas' participants call back (the first listener)",
         .text = &options.public_url},
        {"deliver-ca", "FILE", "certificates, PEM, that calls trust (the system's)",
         .text = &options.deliver_ca},
        {"deliver-per-target", "N", "calls at once to one scheme://host:port (128)",
         .number = &options.deliver_per_target},
        {"memory-max", "SIZE", "memory to keep within (three quarters of what there is); off: none",
         .text = &options.memory_max},
        {"connections-max", "N", "open connections at most (10000)",
         .number = &options.connections_max},
        {"key-retention-hours", "N", "how long idempotency keys are kept (168)",
         .number = &options.key_retention_hours},
        {"audit-interval", "TIME", "from one pass of the running audit to the next (1h); off",
         .text = &options.audit_interval},
        {"audit-rate", "SIZE", "the most that the audit reads in a second (16MiB); off: no limit",
         .text = &options.audit_rate},
        {"alert", "KIND=VALUE",
         "when it is an alert: disk_low=1GiB, dead_letter=off; may be repeated",
         .texts = &options.alerts},
        {"alert-webhook", "URL", "each alert that is raised or cleared is posted there",
         .text = &options.alert_webhook},
        {"alert-webhook-secret", "NAME", "its signature's secret, a name of --secrets",
         .text = &options.alert_webhook_secret},
        {"compress-after", "N", "compress sealed segments of the log, all but the N newest (never)",
         .number = &options.compress_after},
        {"archive", "DIRECTORY", "move sealed segments there, compressed; one for each data DIR",
         .text = &options.archive},
        {"archive-after", "N", "all but the N newest (8)", .number = &options.archive_after},
        {"config", "FILE", "a file of these options, one `key = value` a line",
         .text = &options.config},
    };
    struct hf_cli cli = {
        .name = "serve",
        .operands_help = "",
        .help =
            "Serves the data directory over HTTP: on loopback unless --listen says more, and on "
            "the\n"
            "Unix socket DIR/holdfast.sock. One process owns a directory; a further one is a "
            "standby:\n"
            "it hands requests to the owner and takes over when the owner dies. Prints one line "
            "when\n"
            "it is ready. SIGTERM and SIGINT answer what is under way, seal the log and end it.\n"
            "Any address beyond loopback needs tokens and TLS, or --allow-open.",
        .options = table,
        .option_count = HF_ARRAY_COUNT(table),
    };
    int status = hf_cli_parse(&cli, argc, argv);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    struct hf_config config;
    hf_config_init(&config);
    status = read_config(&cli, options.config, &config);
    status = status == HF_CLI_GO_ON ? check(&cli, &options) : status;
    status = status == HF_CLI_GO_ON ? hf_serve_run(&cli, &options) : status;
    hf_config_release(&config);
    return status;
}
