#include "cli/database.h"

int hf_cli_failure(const struct hf_cli *cli, const struct holdfast_failure *failure)
{
    struct hf_error error = {.code = (enum hf_err)failure->error};
    bool request =
        failure->error == HOLDFAST_INVALID_REQUEST || failure->error == HOLDFAST_TOO_LARGE;
    (void)hf_error_set(&error, error.code, "%s%s%s", failure->pointer,
                       failure->pointer[0] == '\0' ? "" : ": ", failure->text);
    int status = hf_cli_fail(cli, &error);
    return request ? HF_EXIT_NO : status;
}

int hf_cli_open(const struct hf_cli *cli, const char *directory, bool create, bool wait,
                struct holdfast **db)
{
    struct hf_cli_progress progress;
    struct holdfast_failure failure = {0};
    hf_cli_progress_init(&progress, "replay: commit");
    struct holdfast_options options = {
        .directory = directory,
        .create = create,
        .wait_for_lock = wait,
        .name = "holdfast command line",
        .progress = hf_cli_progress_show,
        .progress_context = &progress,
    };
    enum holdfast_error error = holdfast_open(&options, db, &failure);
    hf_cli_progress_end(&progress);
    if (error == HOLDFAST_OK) {
        return HF_CLI_GO_ON;
    }
    int status = hf_cli_failure(cli, &failure);
    if (error == HOLDFAST_LOCKED) {
        (void)fprintf(stderr, "If a server owns the directory, ask it: the same command with "
                              "--server=URL in the directory's place.\n");
    }
    return status;
}

int hf_cli_close(const struct hf_cli *cli, struct holdfast *db, int status)
{
    struct holdfast_failure failure = {0};
    if (holdfast_close(db, &failure) != HOLDFAST_OK) {
        int failed = hf_cli_failure(cli, &failure);
        return status == HF_EXIT_OK ? failed : status;
    }
    return status;
}

int hf_cli_print_answer(const struct hf_cli *cli, struct holdfast_answer *answer, int status)
{
    struct hf_buffer out;
    size_t size_bytes = 0;
    hf_buffer_init(&out);
    const char *text = holdfast_answer_text(answer, &size_bytes);
    if (text == NULL) {
        out.failed = true;
    } else {
        hf_buffer_bytes(&out, text, size_bytes);
    }
    holdfast_answer_free(answer);
    return hf_cli_print(cli, &out, status);
}
