#include "cli/config.h"

/* Where the reading is. */
struct place {
    const char *path;         /* of the file */
    unsigned line;            /* from 1 */
    uint64_t seen;            /* bit i: options[i] stood in the file */
    const struct hf_cli *cli; /* whose options */
    struct hf_error *error;   /* to fill */
};

void hf_config_init(struct hf_config *config)
{
    hf_buffer_init(&config->text);
}

void hf_config_release(struct hf_config *config)
{
    hf_buffer_release(&config->text);
}

static enum hf_err wrong(const struct place *place, const char *key, const char *why)
{
    return hf_error_set(place->error, HF_ERR_INVALID_REQUEST, "%s:%u: %.60s: %s", place->path,
                        place->line, key, why);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Terminates [text, end) behind its last visible byte; returns the first one. */
static char *trim(char *text, char *end)
{
    while (end > text && is_blank(end[-1])) {
        end--;
    }
    *end = '\0';
    while (is_blank(*text)) {
        text++;
    }
    return text;
}

static enum hf_err set(struct place *place, const char *key, const char *value)
{
    const struct hf_cli *cli = place->cli;
    size_t i = 0;
    while (i < cli->option_count && strcmp(cli->options[i].name, key) != 0) {
        i++;
    }
    /* A file that names a file would only hide where a value comes from. */
    if (i == cli->option_count || strcmp(key, "config") == 0) {
        return wrong(place, key, "no such key; the keys are the options of holdfast serve --help");
    }
    const struct hf_cli_option *option = &cli->options[i];
    if ((place->seen >> i & 1) != 0 && option->texts == NULL) {
        return wrong(place, key, "stands in the file already");
    }
    place->seen |= 1ull << i;
    if (option->flag != NULL && strcmp(value, "true") != 0 && strcmp(value, "false") != 0) {
        return wrong(place, key, "takes true or false");
    }
    if (value[0] == '\0') {
        return wrong(place, key, "has no value");
    }
    bool ignored =
        (cli->given >> i & 1) != 0 || (option->flag != NULL && strcmp(value, "false") == 0);
    const char *why = "";
    if (!ignored && !hf_cli_set(option, value, &why)) {
        return wrong(place, key, why);
    }
    return HF_ERR_OK;
}

/* A line without its end; the byte behind it may be overwritten. */
static enum hf_err take_line(struct place *place, char *line, char *end)
{
    if (memchr(line, '\0', (size_t)(end - line)) != NULL) {
        return wrong(place, "", "there is a NUL in this line");
    }
    char *key = trim(line, end);
    if (key[0] == '\0' || key[0] == '#') {
        return HF_ERR_OK;
    }
    char *equals = strchr(key, '=');
    if (equals == NULL) {
        return wrong(place, key, "expected: key = value");
    }
    char *value = trim(equals + 1, equals + 1 + strlen(equals + 1));
    return set(place, trim(key, equals), value);
}

enum hf_err hf_config_read(struct hf_config *config, const char *path, const struct hf_cli *cli,
                           struct hf_error *error)
{
    enum hf_err code = hf_cli_read_file(path, HF_CONFIG_BYTES_MAX, &config->text, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    hf_buffer_u8(&config->text, '\n'); /* so that the last line has an end, too */
    if (config->text.failed) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "read %s: out of memory", path);
    }
    struct place place = {.path = path, .line = 1, .cli = cli, .error = error};
    char *at = (char *)config->text.data;
    char *stop = at + config->text.size_bytes;
    for (; at < stop && code == HF_ERR_OK; place.line++) {
        char *end = memchr(at, '\n', (size_t)(stop - at));
        code = take_line(&place, at, end);
        at = end + 1;
    }
    return code;
}
