/*
 * Holdfast inside a program of yours: opens a database, moves money once, asks for the outcome again.
 *
 *   embed DIRECTORY
 *
 * Run it twice: the second run changes nothing, for everything in it has an id or a key.
 * Without meson: cc embed.c $(pkg-config --cflags --libs holdfast)
 */
#include <stdio.h>
#include <string.h>

#include <holdfast.h>

static int failed(const char *what, const struct holdfast_failure *failure)
{
    (void)fprintf(stderr, "embed: %s: %s%s%s\n", what, failure->pointer,
                  failure->pointer[0] == '\0' ? "" : ": ", failure->text);
    return 1;
}

/* Shows an answer and gives it back. */
static void show(const char *what, struct holdfast_answer *answer)
{
    const char *text = holdfast_answer_text(answer, NULL);
    (void)printf("%s: %d %s%s\n  %s\n", what, holdfast_answer_status(answer),
                 holdfast_answer_code(answer),
                 holdfast_answer_replayed(answer) ? " (again the recorded answer)" : "",
                 text == NULL ? "out of memory" : text);
    holdfast_answer_free(answer);
}

static int open_accounts(struct holdfast *db)
{
    static const char json[] =
        "{\"do\":[{\"op\":\"open_account\",\"account\":\"world\",\"asset\":\"USD/"
        "2\",\"floor\":null},"
        "{\"op\":\"open_account\",\"account\":\"users:42\",\"asset\":\"USD/2\"},"
        "{\"op\":\"transfer\",\"id\":\"deposit-1\",\"from\":\"world\",\"to\":\"users:42\","
        "\"asset\":\"USD/2\",\"amount\":\"10000\"}]}";
    struct holdfast_caller caller = {.key = "set-up"};
    struct holdfast_failure failure;
    struct holdfast_answer *answer;
    if (holdfast_commit_json(db, &caller, json, strlen(json), &answer, &failure) != HOLDFAST_OK) {
        return failed("set up", &failure);
    }
    show("set up", answer);
    return 0;
}

static int pay(struct holdfast *db, const char *id, const char *amount)
{
    struct holdfast_operation operation = {
        .op = "transfer",
        .id = id,
        .from = "users:42",
        .to = "world",
        .asset = "USD/2",
        .amount = amount,
    };
    struct holdfast_failure failure;
    struct holdfast_answer *answer;
    if (holdfast_commit(db, NULL, &operation, 1, &answer, &failure) != HOLDFAST_OK) {
        return failed(id, &failure);
    }
    show(id, answer);
    return 0;
}

static int look(struct holdfast *db)
{
    struct holdfast_failure failure;
    struct holdfast_answer *answer;
    if (holdfast_read(db, NULL, "account", "users:42", &answer, &failure) != HOLDFAST_OK) {
        return failed("read", &failure);
    }
    show("users:42", answer);
    return 0;
}

int main(int count, char **arguments)
{
    if (count != 2) {
        (void)fprintf(stderr, "usage: embed DIRECTORY\n");
        return 2;
    }
    struct holdfast_options options = {.directory = arguments[1], .create = true};
    struct holdfast_failure failure;
    struct holdfast *db;
    if (holdfast_open(&options, &db, &failure) != HOLDFAST_OK) {
        return failed("open", &failure);
    }
    /* Paid once, however often this is sent; then more than is there. */
    int status = open_accounts(db);
    status = status != 0 ? status : pay(db, "order-7", "2500");
    status = status != 0 ? status : pay(db, "order-7", "2500");
    status = status != 0 ? status : pay(db, "order-8", "999999");
    status = status != 0 ? status : look(db);
    if (holdfast_close(db, &failure) != HOLDFAST_OK) {
        return failed("close", &failure);
    }
    return status;
}
